//! SQuAD (Rajpurkar et al. 2016, 2018), and what follows its format: DRCD, CMRC 2018 in its SQuAD form.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::QuestionAnsweringExample;
use super::fields::{answers, id};
use crate::error::Result;
use crate::train::datasets::examples::Examples;
use crate::train::datasets::features::shortened;
use crate::train::datasets::json::{Json, Layout, json_records};
use crate::train::datasets::record::{Budget, Fault, Place, Queue};

/// An article, a paragraph, or a question that has its paragraph with it.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    paragraphs: Option<&'a RawValue>,
    #[serde(borrow)]
    qas: Option<&'a RawValue>,
    #[serde(borrow)]
    question: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Paragraph<'a> {
    context: String,
    #[serde(borrow)]
    qas: &'a RawValue,
}

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    question: String,
}

#[derive(Deserialize)]
struct WithContext {
    context: String,
}

/// Reads questions about paragraphs, in JSON of any of these forms:
///
/// * SQuAD 1.1 and 2.0, that is `data[].paragraphs[].qas[]`;
/// * flattened, as transformers' `run_qa` takes it and `datasets` writes it: objects with `id`, `context`, `question` and
///   `answers`, which are in the list `data`, in a list, or one per line;
/// * objects with `context` and `qas`, in the same layouts.
///
/// `answers` are a list of `{"text", "answer_start"}`, or an object with a list of each (`answers.text` and
/// `answers.answer_start` will do). Without them, the example has none, as in test sets. If `is_impossible` is true, or the only answer is empty and begins at −1, there is no answer, whatever else is given. `plausible_answers` and other keys are ignored. `id` may be a number.
///
/// Offsets of answers are not checked here, since evaluation does not need them, but by [`training_windows`](super::training_windows).
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Format`](crate::Error::Format), which name the file, and the line or the
/// place in the document: if it has none of these forms, or if two questions have the same id.
pub fn read_squad(path: impl AsRef<Path>) -> Result<Examples<QuestionAnsweringExample>> {
    let mut squad = Squad { ids: HashSet::new(), budget: Budget::new() };
    let read = move |record: Json<'_>, place, queue: &mut _| squad.record(record, place, queue);
    Ok(Examples::from_reader(json_records(path.as_ref(), Layout::Document, read)?))
}

/// What was read before.
struct Squad {
    ids: HashSet<String>,
    budget: Budget,
}

type Questions = Queue<QuestionAnsweringExample>;

impl Squad {
    fn record(&mut self, json: Json<'_>, place: Place, queue: &mut Questions) -> Result<(), Fault> {
        let record: Record<'_> = json.parse().map_err(|reason| place.bad(reason))?;
        match record {
            Record { paragraphs: Some(list), .. } => {
                let list = json.other(list);
                let paragraphs = list.elements().map_err(|reason| place.bad(reason))?;
                for (p, paragraph) in paragraphs.enumerate() {
                    let place = place.part(format_args!(".paragraphs[{p}]"));
                    let read = self.paragraph(paragraph, place, queue);
                    queue.absorb(read)?;
                }
                Ok(())
            }
            Record { qas: Some(_), .. } => self.paragraph(json, place, queue),
            Record { question: Some(_), .. } => self.question(json, None, place, queue),
            _ => Err(place.bad("expected `paragraphs`, `qas` or `question`, found none of them")),
        }
    }

    fn paragraph(
        &mut self,
        json: Json<'_>,
        place: Place,
        queue: &mut Questions,
    ) -> Result<(), Fault> {
        let Paragraph { context, qas } = json.parse().map_err(|reason| place.bad(reason))?;
        let questions = json.other(qas).elements().map_err(|reason| place.bad(reason))?;
        for (q, question) in questions.enumerate() {
            let place = place.part(format_args!(".qas[{q}]"));
            let read = self.question(question, Some(&context), place, queue);
            queue.absorb(read)?;
        }
        Ok(())
    }

    fn question(
        &mut self,
        json: Json<'_>,
        context: Option<&str>,
        place: Place,
        queue: &mut Questions,
    ) -> Result<(), Fault> {
        let bad = |reason| place.bad(reason);
        let question: Question<'_> = json.parse().map_err(bad)?;
        let context = match context {
            Some(context) => context.to_owned(),
            None => json.parse::<WithContext>().map_err(bad)?.context,
        };
        let id = id(json.other(question.id)).map_err(bad)?;
        let answers = answers(json).map_err(bad)?;
        self.budget.take(&place, context.len(), 1)?;
        if !self.ids.insert(id.clone()) {
            let found = shortened(&id);
            let reason = format!("expected an id of its own, found {found:?} again");
            return Err(place.part(".id").bad(reason));
        }
        let question = question.question;
        queue.add(place, Ok(QuestionAnsweringExample { id, question, context, answers }));
        Ok(())
    }
}
