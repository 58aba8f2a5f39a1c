//! SQuAD (Rajpurkar et al. 2016, 2018), and what follows its format: DRCD, CMRC 2018 in its SQuAD form.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

use super::{Answer, QuestionAnsweringExample};
use crate::error::{Error, Result};
use crate::train::datasets::examples::Examples;
use crate::train::datasets::features::shortened;
use crate::train::datasets::json::{MAX_DOCUMENT, json_document};

#[derive(Deserialize)]
struct Document {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    id: String,
    question: String,
    answers: Option<Vec<JsonAnswer>>,
}

#[derive(Deserialize)]
struct JsonAnswer {
    text: String,
    answer_start: i64,
}

/// Reads the JSON of SQuAD 1.1 or 2.0, that is `data[].paragraphs[].qas[]`. Other keys are passed over: `is_impossible` says no more
/// than that `answers` is empty, and `plausible_answers` are wrong.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`], which name the file, and the line or the place in the document: if it is none of this
/// format, or two questions have the same id.
pub fn read_squad(path: impl AsRef<Path>) -> Result<Examples<QuestionAnsweringExample>> {
    let path = path.as_ref();
    let document: Document = json_document(path, MAX_DOCUMENT)?;
    let (mut examples, mut ids) = (Vec::new(), HashSet::new());
    for (d, article) in document.data.into_iter().enumerate() {
        for (p, paragraph) in article.paragraphs.into_iter().enumerate() {
            for (q, question) in paragraph.qas.into_iter().enumerate() {
                if !ids.insert(question.id.clone()) {
                    let place = format!("data[{d}].paragraphs[{p}].qas[{q}].id");
                    let found = shortened(&question.id);
                    let reason =
                        format!("{place}: expected an id of its own, found {found:?} again");
                    return Err(Error::format(path, reason));
                }
                examples.push(example(&paragraph.context, question));
            }
        }
    }
    Ok(examples.into())
}

fn example(context: &str, question: Question) -> QuestionAnsweringExample {
    let Question { id, question, answers } = question;
    let answer = |JsonAnswer { text, answer_start }| Answer { text, start: answer_start };
    QuestionAnsweringExample {
        id,
        question,
        context: context.to_owned(),
        answers: answers.map(|answers| answers.into_iter().map(answer).collect()),
    }
}
