//! `fill-mask`.

use std::path::Path;

use clap::Args;
use ndalbert::LoadReport;
use ndalbert::pipelines::{FillMask, MaskPrediction, PipelineOptions};
use serde_json::{Value, json};

use super::{listed, text};
use crate::Failure;
use crate::arguments::Common;
use crate::input::{Raw, Shape};
use crate::output::{Answer, Column, number, score, shown};
use crate::table::Align::{Left, Right};
use crate::task::Task;

/// Find the most likely words for each [MASK] of a text
///
/// An input is a text with one or more [MASK] in it; in JSON, a string or {"text": "..."}.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    /// Words for each mask
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub top_k: usize,
    /// The only words to choose from, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "WORD,...")]
    pub targets: Vec<String>,
    /// Texts [default: read from the input]
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
}

impl Task<5> for Options {
    type Pipeline = FillMask;

    const SHAPE: Shape = Shape::Text;
    const HEADER: [Column; 5] =
        [("line", Right), ("mask", Right), ("score", Right), ("word", Left), ("text", Left)];

    fn texts(&self) -> &[String] {
        &self.texts
    }

    fn load(&self, directory: &Path, options: &PipelineOptions) -> Result<FillMask, Failure> {
        let pipeline = FillMask::from_pretrained_with(directory, options)?.top_k(self.top_k);
        Ok(match self.targets.is_empty() {
            true => pipeline,
            false => pipeline.targets(&self.targets)?,
        })
    }

    fn report<'a>(&self, pipeline: &'a FillMask) -> Option<&'a LoadReport> {
        pipeline.load_report()
    }

    fn input(&self, raw: Raw) -> Result<String, String> {
        text(raw)
    }

    fn answer(&self, line: u64, _: &String, masks: Vec<Vec<MaskPrediction>>) -> Answer<5> {
        let words = masks
            .iter()
            .enumerate()
            .flat_map(|(mask, words)| words.iter().map(move |word| (mask + 1, word)));
        let row = |(mask, word): (usize, &MaskPrediction)| {
            [
                line.to_string(),
                mask.to_string(),
                score(word.score),
                word.token_str.clone(),
                shown(&word.sequence),
            ]
        };
        let rows = words.map(row).collect();
        let json = masks.iter().map(|words| words.iter().map(word_json).collect());
        Answer { json: listed("masks", json), rows }
    }
}

fn word_json(word: &MaskPrediction) -> Value {
    json!({ "score": number(word.score), "token": word.token, "token_str": word.token_str, "sequence": word.sequence })
}
