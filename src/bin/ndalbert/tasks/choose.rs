//! `choose`.

use std::path::Path;

use clap::Args;
use ndalbert::LoadReport;
use ndalbert::pipelines::{MultipleChoice, MultipleChoiceInput, PipelineOptions, RankedChoice};
use serde_json::json;

use super::{listed, string, strings};
use crate::Failure;
use crate::arguments::{Common, Exit};
use crate::input::{Raw, Shape};
use crate::output::{Answer, Column, number, score, shown};
use crate::table::Align::{Left, Right};
use crate::task::Task;

/// Find the choice that fits a text best
///
/// An input is a text and two or more choices, in a line separated by tabs; in JSON, {"prompt": "...", "choices": ["...", "..."]}.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub exit: Exit,
    /// A text, followed by the choices [default: read from the input]
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
}

impl Task<4> for Options {
    type Pipeline = MultipleChoice;

    const SHAPE: Shape = Shape::Fields;
    const HEADER: [Column; 4] =
        [("line", Right), ("score", Right), ("choice", Right), ("text", Left)];

    fn texts(&self) -> &[String] {
        &self.texts
    }

    fn load(&self, directory: &Path, options: &PipelineOptions) -> Result<MultipleChoice, Failure> {
        let pipeline = MultipleChoice::from_pretrained_with(directory, options)?;
        Ok(self.exit.set(pipeline, |pipeline, policy| pipeline.exit(policy))?)
    }

    fn report<'a>(&self, pipeline: &'a MultipleChoice) -> Option<&'a LoadReport> {
        pipeline.load_report()
    }

    fn input(&self, raw: Raw) -> Result<MultipleChoiceInput, String> {
        let (prompt, choices) = match raw {
            Raw::Fields(fields) => {
                let mut fields = fields.into_iter();
                (fields.next().unwrap_or_default(), fields.collect())
            }
            Raw::Json(value) => (string(&value, "prompt")?, strings(&value, "choices")?),
        };
        match choices.is_empty() {
            true => {
                Err("expected a text and choices, separated by tabs, found one text".to_owned())
            }
            false => Ok(MultipleChoiceInput { prompt, choices }),
        }
    }

    fn answer(&self, line: u64, _: &MultipleChoiceInput, choices: Vec<RankedChoice>) -> Answer<4> {
        let row = |choice: &RankedChoice| {
            [
                line.to_string(),
                score(choice.score),
                (choice.index + 1).to_string(),
                shown(&choice.choice),
            ]
        };
        let rows = choices.iter().map(row).collect();
        let json = choices.iter().map(|choice| {
            let json = json!({ "index": choice.index, "choice": choice.choice, "score": number(choice.score), "logit": number(choice.logit) });
            self.exit.with_layers(json, choice.layers)
        });
        Answer { json: listed("choices", json), rows }
    }
}
