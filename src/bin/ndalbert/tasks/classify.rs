//! `classify`.

use std::path::Path;

use clap::{Args, ValueEnum};
use ndalbert::LoadReport;
use ndalbert::pipelines::{
    Classification, Function, PipelineOptions, TextClassification, TextInput,
    ZeroShotClassification, ZeroShotInput,
};
use serde_json::{Value, json};

use super::{listed, string, strings, text, texts};
use crate::Failure;
use crate::arguments::{Common, Exit};
use crate::input::{Raw, Shape};
use crate::output::{Answer, Column, number, score, shown};
use crate::table::Align::{Left, Right};
use crate::task::{self, Task};

/// Find the class of a text or of a pair of texts
///
/// An input is a text; in JSON, a string, {"text": "..."}, or {"text": "...", "pair": "..."}. With --labels, a natural language inference (NLI) model ranks any labels for a text; in JSON, a text may have its own: {"text": "...", "labels": ["...", "..."]}.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub exit: Exit,
    /// A line is a pair of texts, separated by a tab
    #[arg(long, conflicts_with = "labels")]
    pub pairs: bool,
    /// Classes for each text, best first; 0 for all
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub top_k: usize,
    /// The function applied to logits [default: as the model was trained]
    #[arg(long, value_enum, conflicts_with = "labels")]
    pub function: Option<Score>,
    /// Labels of your own, separated by commas
    #[arg(long, value_name = "LABEL,...")]
    pub labels: Vec<String>,
    /// The class of entailment, counted from 0 [default: the one whose label begins with "entail"]
    #[arg(long, requires = "labels", value_name = "CLASS")]
    pub entailment: Option<usize>,
    /// The hypothesis about a text, with {} in place of the label
    #[arg(long, default_value = "This example is {}.", requires = "labels", value_name = "TEXT")]
    pub template: String,
    /// Labels are independent: several may fit
    #[arg(long, requires = "labels")]
    pub multi_label: bool,
    /// Texts [default: read from the input]
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
}

/// How logits become scores.
#[derive(Clone, Copy, ValueEnum)]
pub enum Score {
    /// Probabilities of mutually exclusive classes
    Softmax,
    /// An independent probability for each class
    Sigmoid,
    /// The logits themselves
    None,
}

/// Runs the command: a model has classes of its own, or is asked about others'.
pub fn run(options: &Options) -> Result<(), Failure> {
    match options.labels.is_empty() {
        true => task::run(&options.common, options),
        false => task::run(&options.common, &ZeroShot(options)),
    }
}

const HEADER: [Column; 4] = [("line", Right), ("score", Right), ("label", Left), ("text", Left)];

impl Task<4> for Options {
    type Pipeline = TextClassification;

    const SHAPE: Shape = Shape::Text;
    const HEADER: [Column; 4] = HEADER;

    fn texts(&self) -> &[String] {
        &self.texts
    }

    fn load(
        &self,
        directory: &Path,
        options: &PipelineOptions,
    ) -> Result<TextClassification, Failure> {
        let pipeline = TextClassification::from_pretrained_with(directory, options)?;
        let pipeline = pipeline.top_k(Some(self.top_k).filter(|&count| count > 0));
        let pipeline = self.exit.set(pipeline, |pipeline, policy| pipeline.exit(policy))?;
        Ok(match self.function {
            None => pipeline,
            Some(Score::Softmax) => pipeline.function(Function::Softmax),
            Some(Score::Sigmoid) => pipeline.function(Function::Sigmoid),
            Some(Score::None) => pipeline.function(Function::None),
        })
    }

    fn report<'a>(&self, pipeline: &'a TextClassification) -> Option<&'a LoadReport> {
        pipeline.load_report()
    }

    fn input(&self, raw: Raw) -> Result<TextInput, String> {
        match raw {
            Raw::Fields(fields) if self.pairs => {
                let fields =
                    fields.iter().flat_map(|line| line.split('\t')).map(str::to_owned).collect();
                let [text, pair] = texts(Raw::Fields(fields), ["a text", "another"])?;
                Ok((text, pair).into())
            }
            Raw::Json(value) if value.get("pair").is_some_and(|pair| !pair.is_null()) => {
                Ok((string(&value, "text")?, string(&value, "pair")?).into())
            }
            raw => Ok(text(raw)?.into()),
        }
    }

    fn answer(&self, line: u64, input: &TextInput, classes: Vec<Classification>) -> Answer<4> {
        self.answer_of(line, &input.text, &classes)
    }
}

/// The command with labels of the user's own.
struct ZeroShot<'a>(&'a Options);

impl Task<4> for ZeroShot<'_> {
    type Pipeline = ZeroShotClassification;

    const SHAPE: Shape = Shape::Text;
    const HEADER: [Column; 4] = HEADER;

    fn texts(&self) -> &[String] {
        &self.0.texts
    }

    fn load(
        &self,
        directory: &Path,
        options: &PipelineOptions,
    ) -> Result<ZeroShotClassification, Failure> {
        let pipeline = ZeroShotClassification::from_pretrained_with(directory, options)?;
        let labels = self.0.labels.iter().flat_map(|labels| split(labels));
        let labels: Vec<String> = labels.collect();
        if labels.is_empty() {
            return Err("--labels: expected at least one label, found none".into());
        }
        let mut pipeline = pipeline.labels(labels).multi_label(self.0.multi_label);
        if let Some(class) = self.0.entailment {
            pipeline = pipeline.entailment_id(class)?;
        }
        let pipeline = self.0.exit.set(pipeline, |pipeline, policy| pipeline.exit(policy))?;
        Ok(pipeline.hypothesis_template(&self.0.template)?)
    }

    fn report<'a>(&self, pipeline: &'a ZeroShotClassification) -> Option<&'a LoadReport> {
        pipeline.load_report()
    }

    fn input(&self, raw: Raw) -> Result<ZeroShotInput, String> {
        match raw {
            Raw::Json(value) if value.get("labels").is_some() => {
                let labels = match &value["labels"] {
                    Value::String(labels) => split(labels),
                    _ => strings(&value, "labels")?,
                };
                match labels.is_empty() {
                    true => Err("`labels`: expected at least one, found none".to_owned()),
                    false => Ok((string(&value, "text")?, labels).into()),
                }
            }
            raw => Ok(text(raw)?.into()),
        }
    }

    fn answer(
        &self,
        line: u64,
        input: &ZeroShotInput,
        mut classes: Vec<Classification>,
    ) -> Answer<4> {
        if self.0.top_k > 0 {
            classes.truncate(self.0.top_k);
        }
        self.0.answer_of(line, &input.text, &classes)
    }
}

fn split(labels: &str) -> Vec<String> {
    ZeroShotClassification::split_labels(labels)
}

impl Options {
    fn answer_of(&self, line: u64, text: &str, classes: &[Classification]) -> Answer<4> {
        let row = |class: &Classification| {
            [line.to_string(), score(class.score), class.label.clone(), shown(text)]
        };
        let json = |class: &Classification| -> Value {
            let json = json!({ "label": class.label, "score": number(class.score) });
            self.exit.with_layers(json, class.layers)
        };
        Answer {
            json: listed("classes", classes.iter().map(json)),
            rows: classes.iter().map(row).collect(),
        }
    }
}
