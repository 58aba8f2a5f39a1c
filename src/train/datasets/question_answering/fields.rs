//! The fields of a question that files have in several forms.

use std::fmt;

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Answer;
use crate::train::datasets::features::shortened;
use crate::train::datasets::json::Json;

/// An id, which is a text or a number.
pub(super) fn id(value: Json<'_>) -> Result<String, String> {
    let written = value.written();
    match written.as_bytes().first() {
        Some(b'"') => value.parse(),
        // As it is written, so that no digit of a long one is lost.
        Some(b'-' | b'0'..=b'9') => Ok(written.to_owned()),
        _ => {
            let found = shortened(written);
            Err(value.wrong(&format!("`id`: expected a string or a number, found {found}")))
        }
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    is_impossible: Option<&'a RawValue>,
    #[serde(borrow)]
    answers: Option<&'a RawValue>,
    #[serde(borrow, rename = "answers.text")]
    text: Option<&'a RawValue>,
    #[serde(borrow, rename = "answers.answer_start")]
    answer_start: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Columns<'a> {
    #[serde(borrow)]
    text: &'a RawValue,
    #[serde(borrow)]
    answer_start: &'a RawValue,
}

#[derive(Deserialize)]
struct JsonAnswer {
    text: String,
    answer_start: Whole,
}

/// The right answers of a question: none if there is none, `None` if it is not said.
pub(super) fn answers(question: Json<'_>) -> Result<Option<Vec<Answer>>, String> {
    let Fields { is_impossible, answers, text, answer_start } = question.parse()?;
    let is_impossible = is_impossible.map(|value| truth(question.other(value))).transpose()?;
    if is_impossible == Some(true) {
        return Ok(Some(Vec::new()));
    }
    let answers = match (answers, text, answer_start) {
        (Some(answers), ..) if answers.get().starts_with('[') => {
            let answers: Vec<JsonAnswer> = question.other(answers).parse()?;
            let answer = |JsonAnswer { text, answer_start: Whole(start) }| Answer { text, start };
            answers.into_iter().map(answer).collect()
        }
        (Some(answers), ..) => {
            let Columns { text, answer_start } = question.other(answers).parse()?;
            zip(question.other(text), question.other(answer_start))?
        }
        (None, Some(text), Some(start)) => zip(question.other(text), question.other(start))?,
        (None, None, None) => return Ok(None),
        _ => {
            let reason = "expected both `answers.text` and `answers.answer_start`, found one";
            return Err(question.wrong(reason));
        }
    };
    // What stands for no answer in some files that do not say `is_impossible`; `run_qa` takes it
    // for none, too.
    let is_filler = |answer: &Answer| answer.text.is_empty() && answer.start == -1;
    Ok(Some(match is_impossible.is_none() && answers.iter().all(is_filler) {
        true => Vec::new(),
        false => answers,
    }))
}

/// `true`, 1 or `"True"`.
fn truth(value: Json<'_>) -> Result<bool, String> {
    let written = value.written();
    match written.trim_matches('"').to_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => {
            let found = shortened(written);
            Err(value.wrong(&format!("`is_impossible`: expected true or false, found {found}")))
        }
    }
}

fn zip(text: Json<'_>, start: Json<'_>) -> Result<Vec<Answer>, String> {
    let (texts, starts) = (one_or_many::<String>(text)?, one_or_many::<Whole>(start)?);
    if texts.len() != starts.len() {
        let (expected, found) = (texts.len(), starts.len());
        let reason = format!("expected as many as there are texts, {expected}, found {found}");
        return Err(start.wrong(&format!("`answer_start`: {reason}")));
    }
    let both = texts.into_iter().zip(starts);
    Ok(both.map(|(text, Whole(start))| Answer { text, start }).collect())
}

fn one_or_many<V: DeserializeOwned>(value: Json<'_>) -> Result<Vec<V>, String> {
    match value.written().starts_with('[') {
        true => value.parse(),
        false => Ok(vec![value.parse()?]),
    }
}

/// A whole number. Tables in which some are missing have them as `29.0`.
struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl Visitor<'_> for Numbers {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Whole, E> {
                let whole = i64::try_from(number).map(Whole);
                whole.map_err(|_| E::custom(format!("expected a whole number, found {number}")))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Whole, E> {
                match number.fract() == 0.0 && number.abs() < (1_i64 << 53) as f64 {
                    true => Ok(Whole(number as i64)),
                    false => Err(E::custom(format!("expected a whole number, found {number}"))),
                }
            }
        }
        deserializer.deserialize_any(Numbers)
    }
}
