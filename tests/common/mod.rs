//! What the integration tests share: golden models, how to run and change them, and how results are
//! compared.
#![allow(dead_code, unused_imports, unused_macros, reason = "every test file uses a part")]

pub mod any_format;
pub mod compare;
pub mod data_files;
pub mod directory;
pub mod example;
pub mod golden;
pub mod gradients;
pub mod heads;
pub mod inputs;
pub mod problems;
pub mod random;
pub mod realistic;
pub mod reference;
pub mod training;
pub mod weights;

/// Calls a generic function for the class that `config.json` names under `architectures`.
macro_rules! for_class {
    ($architecture:expr, $function:ident($($argument:expr),*)) => {
        match $architecture {
            "AlbertModel" => $function::<ndalbert::Albert>($($argument),*),
            "AlbertForMaskedLM" => $function::<ndalbert::AlbertForMaskedLM>($($argument),*),
            "AlbertForPreTraining" => $function::<ndalbert::AlbertForPreTraining>($($argument),*),
            "AlbertForMultipleChoice" => $function::<ndalbert::AlbertForMultipleChoice>($($argument),*),
            "AlbertForSequenceClassification" => {
                $function::<ndalbert::AlbertForSequenceClassification>($($argument),*)
            }
            "AlbertForTokenClassification" => {
                $function::<ndalbert::AlbertForTokenClassification>($($argument),*)
            }
            "AlbertForQuestionAnswering" => {
                $function::<ndalbert::AlbertForQuestionAnswering>($($argument),*)
            }
            other => panic!("no class {other}"),
        }
    };
}
pub(crate) use for_class;

/// The classes that `for_class` knows, which are all that transformers has.
pub const CLASSES: [&str; 7] = [
    "AlbertModel",
    "AlbertForMaskedLM",
    "AlbertForPreTraining",
    "AlbertForMultipleChoice",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertForQuestionAnswering",
];

/// Asserts that a result is an error whose message has all these words.
#[track_caller]
pub fn refused<T>(result: ndalbert::Result<T>, words: &[&str]) {
    let Err(error) = result else { panic!("expected an error with {words:?}, found success") };
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "expected {word:?} in the error, found: {message}");
    }
}
