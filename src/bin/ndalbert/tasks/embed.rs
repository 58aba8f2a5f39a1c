//! `embed`.

use std::path::Path;

use clap::{Args, ValueEnum};
use ndalbert::LoadReport;
use ndalbert::ndarray::Array1;
use ndalbert::pipelines::{PipelineOptions, Pooling, SentenceEmbedding};

use super::{listed, text};
use crate::Failure;
use crate::arguments::Common;
use crate::input::{Raw, Shape};
use crate::output::{Answer, Column, number, shown};
use crate::table::Align::{Left, Right};
use crate::task::Task;

/// Compute a vector for a text, to compare texts
///
/// An input is a text; in JSON, a string or {"text": "..."}. A table shows the vector's norm and its first values.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    /// Pooling of the token states [default: as in modules.json, or mean]
    #[arg(long, value_enum, value_name = "HOW")]
    pub pooling: Option<How>,
    /// Divide vectors by their length
    #[arg(long)]
    pub normalize: bool,
    /// Keep this number of values of each vector [default: as in config_sentence_transformers.json, or all]
    #[arg(long, value_name = "N")]
    pub truncate_dim: Option<usize>,
    /// A prompt before every text [default: as in config_sentence_transformers.json]
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// The name of a prompt in config_sentence_transformers.json
    #[arg(long, conflicts_with = "prompt", value_name = "NAME")]
    pub prompt_name: Option<String>,
    /// Texts [default: read from the input]
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
}

/// How one vector is made of many.
#[derive(Clone, Copy, ValueEnum)]
pub enum How {
    /// The state of the first token
    Cls,
    /// The mean of all tokens
    Mean,
    /// The maximum over all tokens, in each dimension
    Max,
}

impl Task<4> for Options {
    type Pipeline = SentenceEmbedding;

    const SHAPE: Shape = Shape::Text;
    const HEADER: [Column; 4] =
        [("line", Right), ("length", Right), ("first values", Left), ("text", Left)];

    fn texts(&self) -> &[String] {
        &self.texts
    }

    fn load(
        &self,
        directory: &Path,
        options: &PipelineOptions,
    ) -> Result<SentenceEmbedding, Failure> {
        let mut pipeline = SentenceEmbedding::from_pretrained_with(directory, options)?;
        if let Some(how) = self.pooling {
            pipeline = pipeline.pooling(match how {
                How::Cls => Pooling::Cls,
                How::Mean => Pooling::Mean,
                How::Max => Pooling::Max,
            });
        }
        if let Some(count) = self.truncate_dim {
            pipeline = pipeline.truncate_dim(count)?;
        }
        if let Some(prompt) = &self.prompt {
            pipeline = pipeline.prompt(prompt);
        }
        if let Some(name) = &self.prompt_name {
            pipeline = pipeline.prompt_name(name)?;
        }
        Ok(if self.normalize { pipeline.normalize(true) } else { pipeline })
    }

    /// Most checkpoints lack the pooler, or have a head: that says nothing about vectors of tokens.
    fn report<'a>(&self, _: &'a SentenceEmbedding) -> Option<&'a LoadReport> {
        None
    }

    fn input(&self, raw: Raw) -> Result<String, String> {
        text(raw)
    }

    fn answer(&self, line: u64, text: &String, vector: Array1<f32>) -> Answer<4> {
        let length = vector.dot(&vector).sqrt();
        let first: Vec<String> =
            vector.iter().take(4).map(|value| format!("{value:+.4}")).collect();
        let row = [line.to_string(), format!("{length:.4}"), first.join(" "), shown(text)];
        Answer { json: listed("embedding", vector.iter().copied().map(number)), rows: vec![row] }
    }
}
