//! Data sets of fine-tuning: files → examples → features → batches.
//!
//! A *reader* returns the [`Examples`] of a file, which are text; a task turns each into *features*, which are ids and labels; a [`Dataset`] holds features and returns batches, epoch after epoch, in an order that is determined by its seed and can be resumed.
//!
//! An unusable record (a line, a sentence, a question) is an error, which names the file and the position; or it is skipped and counted ([`Skipped`]), if [`DatasetOptions::skip_bad`] or [`Examples::load`] request it. All readers accept UTF-8 with or without a byte order mark, and JSON with an object per line or all in a list.
//!
//! | task | example | readers | features |
//! |---|---|---|---|
//! | multiple choice | [`MultipleChoiceExample`] | [`read_swag`], [`read_race`], [`read_c3`], [`read_choices`] | [`MultipleChoiceFeatures`] |
//! | classification, regression | [`ClassificationExample`] | [`read_tsv`], [`read_classification`] | [`ClassificationFeatures`] |
//! | token classification | [`TokenClassificationExample`] | [`read_conll`] | [`TokenClassificationFeatures`] |
//! | question answering | [`QuestionAnsweringExample`] | [`read_squad`] | [`QuestionAnsweringFeatures`] |
//!
//! ```
//! use ndalbert::AlbertTokenizer;
//! use ndalbert::train::datasets::{Dataset, DatasetOptions, MultipleChoiceFeatures, read_choices};
//!
//! # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizers/chinese");
//! # let file = tempfile::NamedTempFile::new().unwrap();
//! # let path = file.path();
//! # std::fs::write(path, r#"{"prompt": "天黑了。", "choices": ["他点了灯。", "一加一。"], "label": 0}"#).unwrap();
//! let tokenizer = AlbertTokenizer::from_pretrained(directory)?.with_max_length(128)?;
//! let options = DatasetOptions { batch_size: 16, skip_bad: true, ..Default::default() };
//! let mut data = Dataset::read(read_choices(path)?, options, |example| {
//!     MultipleChoiceFeatures::new(&tokenizer, example)
//! })?;
//! assert_eq!(data.skipped().count(), 0);
//! while let Some(batch) = data.next_batch()? {
//!     assert_eq!(batch.batch.num_sequences(), 2);
//! }
//! # Ok::<(), ndalbert::Error>(())
//! ```

mod classification;
mod csv;
mod dataset;
mod examples;
mod features;
mod header;
mod json;
mod labels;
mod lines;
mod loaded;
mod multiple_choice;
mod question_answering;
mod record;
mod skipped;
mod token_classification;

pub use classification::{
    ClassificationExample, ClassificationFeatures, ClassificationTask, Column, GlueTask, RawLabel,
    TsvLayout, class_names, read_classification, read_tsv,
};
pub use dataset::{Dataset, DatasetOptions, DatasetState};
pub use examples::Examples;
pub use features::{Features, InputSequence, collate, inputs_of, labelled};
pub use labels::LabelNames;
pub use loaded::LoadedExamples;
pub use multiple_choice::{
    ChoiceLabel, MultipleChoiceExample, MultipleChoiceFeatures, read_c3, read_choices, read_race,
    read_swag,
};
pub use question_answering::{
    Answer, AnswerCandidate, AnswerOptions, AnswerPrediction, QuestionAnsweringExample,
    QuestionAnsweringFeatures, WindowOptions, evaluation_windows, joined_windows, predict_answers,
    read_squad, training_windows, write_predictions,
};
pub use skipped::Skipped;
pub use token_classification::{
    ConllColumns, TokenClassificationExample, TokenClassificationFeatures, TokenLabelling,
    aligned_tags, read_conll,
};
