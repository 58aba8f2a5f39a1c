//! C³ (Sun et al. 2020): Chinese questions about texts and dialogues, two to four choices each.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{ChoiceLabel, MultipleChoiceExample};
use crate::error::Result;
use crate::train::datasets::examples::Examples;
use crate::train::datasets::features::shortened;
use crate::train::datasets::json::{Layout, json_records};
use crate::train::datasets::record::Budget;

/// `[[paragraph or turn, …], [question, …], id]`.
#[derive(Deserialize)]
struct Document<'a>(Vec<String>, #[serde(borrow)] &'a RawValue, IgnoredAny);

#[derive(Deserialize)]
struct Question {
    question: String,
    choice: Vec<String>,
    answer: Option<String>,
}

/// Reads the JSON files of C³ (`c3-d-train.json`, `c3-m-train.json`, …), documents of several
/// paragraphs or turns with questions.
///
/// The prompt is the document, a paragraph or turn per line; a choice is the question, a space, and
/// the choice. Questions without an answer give examples without a label.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Format`](crate::Error::Format), which name the file
/// and the place in it.
pub fn read_c3(path: impl AsRef<Path>) -> Result<Examples<MultipleChoiceExample>> {
    let mut budget = Budget::new();
    let reader = json_records(path.as_ref(), Layout::Document, move |json, place, queue| {
        let Document(paragraphs, questions, _) =
            json.parse().map_err(|reason| place.bad(reason))?;
        let prompt = paragraphs.join("\n");
        let questions = json.other(questions).elements().map_err(|reason| place.bad(reason))?;
        for (q, question) in questions.enumerate() {
            let place = place.part(format_args!("[1][{q}]"));
            match question.parse::<Question>() {
                Ok(question) => {
                    budget.take(&place, prompt.len(), 1)?;
                    budget.take(&place, question.question.len(), question.choice.len())?;
                    queue.add(place, example(&prompt, question));
                }
                Err(reason) => queue.add(place, Err(reason)),
            }
        }
        Ok(())
    });
    Ok(Examples::from_reader(reader?))
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
