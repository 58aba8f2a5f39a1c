//! `order`.

use std::path::Path;

use clap::Args;
use ndalbert::LoadReport;
use ndalbert::pipelines::{PipelineOptions, SentenceOrder, SentenceOrderPrediction, SentencePair};
use serde_json::json;

use super::texts;
use crate::Failure;
use crate::arguments::{Common, Exit};
use crate::input::{Raw, Shape};
use crate::output::{Answer, Column, number, score, shown};
use crate::table::Align::{Left, Right};
use crate::task::Task;

/// Predict whether two sentences are in their original order
///
/// An input is two sentences, in a line separated by a tab; in JSON, {"first": "...", "second": "..."}.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub exit: Exit,
    /// Two sentences [default: read from the input]
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
}

impl Task<4> for Options {
    type Pipeline = SentenceOrder;

    const SHAPE: Shape = Shape::Fields;
    const HEADER: [Column; 4] =
        [("line", Right), ("in order", Right), ("first", Left), ("second", Left)];

    fn texts(&self) -> &[String] {
        &self.texts
    }

    fn load(&self, directory: &Path, options: &PipelineOptions) -> Result<SentenceOrder, Failure> {
        let pipeline = SentenceOrder::from_pretrained_with(directory, options)?;
        Ok(self.exit.set(pipeline, |pipeline, policy| pipeline.exit(policy))?)
    }

    fn report<'a>(&self, pipeline: &'a SentenceOrder) -> Option<&'a LoadReport> {
        pipeline.load_report()
    }

    fn input(&self, raw: Raw) -> Result<SentencePair, String> {
        let [first, second] = texts(raw, ["first", "second"])?;
        Ok(SentencePair { first, second })
    }

    fn answer(&self, line: u64, pair: &SentencePair, order: SentenceOrderPrediction) -> Answer<4> {
        let row =
            [line.to_string(), score(order.in_order), shown(&pair.first), shown(&pair.second)];
        let json = json!({
            "in_order": number(order.in_order),
            "logits": order.logits.map(number),
        });
        let json = self.exit.with_layers(json, order.layers);
        Answer { json: json.as_object().cloned().unwrap_or_default(), rows: vec![row] }
    }
}
