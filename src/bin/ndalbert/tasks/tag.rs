//! `tag`.

use std::path::Path;

use clap::{Args, ValueEnum};
use ndalbert::LoadReport;
use ndalbert::pipelines::{Aggregation, Entity, PipelineOptions, TokenClassification};
use serde_json::{Value, json};

use super::{listed, text};
use crate::Failure;
use crate::arguments::Common;
use crate::input::{Raw, Shape};
use crate::output::{Answer, Column, number, score, shown};
use crate::table::Align::{Left, Right};
use crate::task::Task;

/// Find names and other entities in a text
///
/// An input is a text; in JSON, a string or {"text": "..."}. Offsets are in characters.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    /// The unit that is labelled
    #[arg(long, value_enum, default_value = "simple", value_name = "HOW")]
    pub aggregation: Stretch,
    /// Labels to leave out, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "O", value_name = "LABEL,...")]
    pub ignore: Vec<String>,
    /// Read long texts in windows that overlap by this many tokens, instead of truncating them
    #[arg(long, value_name = "N")]
    pub stride: Option<usize>,
    /// Texts [default: read from the input]
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
}

/// The unit that is labelled.
#[derive(Clone, Copy, ValueEnum)]
pub enum Stretch {
    /// Each token separately
    None,
    /// Adjacent tokens of a kind
    Simple,
    /// Words, by their first tokens
    First,
    /// Words, by the average of their tokens
    Average,
    /// Words, by the most confident of their tokens
    Max,
}

impl Task<6> for Options {
    type Pipeline = TokenClassification;

    const SHAPE: Shape = Shape::Text;
    const HEADER: [Column; 6] = [
        ("line", Right),
        ("score", Right),
        ("label", Left),
        ("start", Right),
        ("end", Right),
        ("text", Left),
    ];

    fn texts(&self) -> &[String] {
        &self.texts
    }

    fn load(
        &self,
        directory: &Path,
        options: &PipelineOptions,
    ) -> Result<TokenClassification, Failure> {
        let aggregation = match self.aggregation {
            Stretch::None => Aggregation::None,
            Stretch::Simple => Aggregation::Simple,
            Stretch::First => Aggregation::First,
            Stretch::Average => Aggregation::Average,
            Stretch::Max => Aggregation::Max,
        };
        Ok(TokenClassification::from_pretrained_with(directory, options)?
            .aggregation(aggregation)
            .ignore_labels(self.ignore.iter().cloned())
            .stride(self.stride))
    }

    fn report<'a>(&self, pipeline: &'a TokenClassification) -> Option<&'a LoadReport> {
        pipeline.load_report()
    }

    fn input(&self, raw: Raw) -> Result<String, String> {
        text(raw)
    }

    fn answer(&self, line: u64, text: &String, entities: Vec<Entity>) -> Answer<6> {
        let row = |entity: &Entity| {
            let [start, end] = [entity.start, entity.end].map(|place| place.to_string());
            let text = text.get(entity.bytes.clone()).unwrap_or(&entity.word);
            [line.to_string(), score(entity.score), entity.label.clone(), start, end, shown(text)]
        };
        let rows = entities.iter().map(row).collect();
        Answer { json: listed("entities", entities.iter().map(entity_json)), rows }
    }
}

fn entity_json(entity: &Entity) -> Value {
    let mut json = json!({
        "label": entity.label, "score": number(entity.score), "word": entity.word, "start": entity.start, "end": entity.end,
    });
    if let Some(index) = entity.index {
        json["index"] = index.into();
    }
    json
}
