//! C³ (Sun et al. 2020): Chinese questions about texts and dialogues, two to four choices each.

use std::path::Path;

use serde::Deserialize;

use super::{ChoiceLabel, MultipleChoiceExample};
use crate::error::{Error, Result};
use crate::train::datasets::examples::Examples;
use crate::train::datasets::features::shortened;
use crate::train::datasets::json::{MAX_DOCUMENT, json_document};

/// `[[paragraph or turn, …], [question, …], id]`.
#[derive(Deserialize)]
struct Document(Vec<String>, Vec<Question>, serde::de::IgnoredAny);

#[derive(Deserialize)]
struct Question {
    question: String,
    choice: Vec<String>,
    answer: Option<String>,
}

/// Reads the JSON files of C³ (`c3-d-train.json`, `c3-m-train.json`, …), documents of several paragraphs or turns with questions.
///
/// The prompt is the document, a paragraph or turn per line; a choice is the question, a space, and the choice. Questions
/// without an answer give examples without a label.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`], which name the file and the place in it.
pub fn read_c3(path: impl AsRef<Path>) -> Result<Examples<MultipleChoiceExample>> {
    let path = path.as_ref();
    let documents: Vec<Document> = json_document(path, MAX_DOCUMENT)?;
    let mut examples = Vec::new();
    for (d, Document(paragraphs, questions, _)) in documents.into_iter().enumerate() {
        let prompt = paragraphs.join("\n");
        for (q, question) in questions.into_iter().enumerate() {
            let example = example(&prompt, question)
                .map_err(|reason| Error::format(path, format!("[{d}][1][{q}]: {reason}")))?;
            examples.push(example);
        }
    }
    Ok(examples.into())
}

fn example(prompt: &str, question: Question) -> Result<MultipleChoiceExample, String> {
    let Question { question, choice, answer } = question;
    if choice.is_empty() {
        return Err("`choice`: expected at least one, found none".to_owned());
    }
    let label = |answer: String| {
        let index = choice.iter().position(|choice| *choice == answer);
        index.map(ChoiceLabel::Index).ok_or_else(|| {
            format!("`answer`: expected one of the choices, found {:?}", shortened(&answer))
        })
    };
    Ok(MultipleChoiceExample {
        prompt: prompt.to_owned(),
        label: answer.map(label).transpose()?,
        choices: choice.iter().map(|choice| format!("{question} {choice}")).collect(),
    })
}
