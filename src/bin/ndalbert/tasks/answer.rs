//! `answer`.

use std::path::Path;

use clap::Args;
use ndalbert::LoadReport;
use ndalbert::pipelines::{self, PipelineOptions, QuestionAnswering, QuestionAnsweringInput};
use serde_json::{Value, json};

use super::{listed, string, text, texts};
use crate::Failure;
use crate::arguments::Common;
use crate::input::{Raw, Shape};
use crate::output::{Answer, Column, number, score, shown};
use crate::table::Align::{Left, Right};
use crate::task::Task;

/// Answer a question with a span of a text
///
/// An input is a question and a text, in a line separated by a tab; in JSON, {"question": "...", "context": "..."}. With --question, a line
/// is a text alone, and so may a string in JSON be.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    /// One question for all texts
    #[arg(short, long, value_name = "TEXT")]
    pub question: Option<String>,
    /// Answers to each question, best first
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub top_k: usize,
    /// Allow an empty answer if the text has none, as in SQuAD 2
    #[arg(long)]
    pub impossible: bool,
    /// Maximum length of an answer, in tokens
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub max_answer_len: usize,
    /// Overlap of the parts of a long text, in tokens [default: 128 or less]
    #[arg(long, value_name = "N")]
    pub doc_stride: Option<usize>,
    /// Maximum length of a part with the question, in tokens
    #[arg(long, default_value_t = 384, value_name = "N")]
    pub max_seq_len: usize,
    /// Allow answers to begin and end within words: for languages without spaces
    #[arg(long)]
    pub within_words: bool,
    /// A question and a text [default: read from the input]
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
}

impl Task<5> for Options {
    type Pipeline = QuestionAnswering;

    const SHAPE: Shape = Shape::Fields;
    const HEADER: [Column; 5] =
        [("line", Right), ("score", Right), ("start", Right), ("end", Right), ("answer", Left)];

    fn texts(&self) -> &[String] {
        &self.texts
    }

    fn load(
        &self,
        directory: &Path,
        options: &PipelineOptions,
    ) -> Result<QuestionAnswering, Failure> {
        let pipeline = QuestionAnswering::from_pretrained_with(directory, options)?
            .top_k(self.top_k)
            .handle_impossible_answer(self.impossible)
            .max_answer_len(self.max_answer_len)
            .max_seq_len(self.max_seq_len)
            .align_to_words(!self.within_words);
        Ok(match self.doc_stride {
            Some(tokens) => pipeline.doc_stride(tokens),
            None => pipeline,
        })
    }

    fn report<'a>(&self, pipeline: &'a QuestionAnswering) -> Option<&'a LoadReport> {
        pipeline.load_report()
    }

    fn input(&self, raw: Raw) -> Result<QuestionAnsweringInput, String> {
        let Some(question) = &self.question else {
            let [question, context] = texts(raw, ["question", "context"])?;
            return Ok(QuestionAnsweringInput { question, context });
        };
        let context = match raw {
            // A text may have tabs.
            Raw::Fields(fields) => fields.join("\t"),
            Raw::Json(Value::String(context)) => context,
            Raw::Json(value) => string(&value, "context")
                .or_else(|error| text(Raw::Json(value)).map_err(|_| error))?,
        };
        Ok(QuestionAnsweringInput { question: question.clone(), context })
    }

    fn answer(
        &self,
        line: u64,
        _: &QuestionAnsweringInput,
        answers: Vec<pipelines::Answer>,
    ) -> Answer<5> {
        let row = |answer: &pipelines::Answer| {
            let [start, end] = [answer.start, answer.end].map(|place| place.to_string());
            [line.to_string(), score(answer.score), start, end, shown(&answer.answer)]
        };
        let rows = answers.iter().map(row).collect();
        let json = answers.iter().map(|answer| {
            json!({ "score": number(answer.score), "start": answer.start, "end": answer.end, "answer": answer.answer })
        });
        Answer { json: listed("answers", json), rows }
    }
}
