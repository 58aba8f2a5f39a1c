//! RACE (Lai et al. 2017): questions about an article, four options each.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{ChoiceLabel, MultipleChoiceExample};
use crate::error::{Error, Result};
use crate::train::datasets::examples::Examples;
use crate::train::datasets::features::shortened;
use crate::train::datasets::json::{Json, Layout, json_records};
use crate::train::datasets::record::{Budget, Fault, Place, Queue, Reader};

/// How deep below the given directory articles are looked for: `train/high/1.txt`.
const MAX_DEPTH: usize = 3;

/// What the names of files with articles end with.
const ENDS: [&str; 4] = ["txt", "json", "jsonl", "ndjson"];

#[derive(Deserialize)]
struct Article {
    article: String,
    questions: Vec<String>,
    options: Vec<Vec<String>>,
    answers: Option<Vec<String>>,
}

/// A question with its article, as `datasets` has them.
#[derive(Deserialize)]
struct Flat {
    article: String,
    question: String,
    options: Vec<String>,
    answer: Option<String>,
}

#[derive(Deserialize)]
struct Form {
    question: Option<IgnoredAny>,
    questions: Option<IgnoredAny>,
}

/// Reads RACE: a file of articles, one per line or one in all; or a directory of such files (`.txt`, `.json`, `.jsonl`), in the
/// order of their names, those of its subdirectories (`high`, `middle`) too. Files of macOS (`._1.txt`, `__MACOSX`) and all names that begin with a dot are ignored.
///
/// An article has `questions`, `options` and `answers`, or, as `datasets` writes them, one `question` with `options` and `answer`. The
/// article is the prompt. A choice is the question with the option in place of its `_`, or appended to it, as in google-research/albert and transformers. Without `answers`, examples have no label.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`], which name the file, the line and the question.
pub fn read_race(path: impl AsRef<Path>) -> Result<Examples<MultipleChoiceExample>> {
    let path = path.as_ref();
    if !path.is_dir() {
        return Ok(Examples::from_reader(read_file(path)?));
    }
    let mut files = article_files(path)?.into_iter();
    let mut file: Option<Reader<_>> = None;
    Ok(Examples::from_reader(Box::new(move |queue| {
        let read = match &mut file {
            Some(read) => read(queue),
            None => match files.next().map(|path| read_file(&path)) {
                Some(Ok(reader)) => {
                    file = Some(reader);
                    return Ok(true);
                }
                Some(Err(error)) => Err(error.into()),
                None => return Ok(false),
            },
        };
        match read {
            Ok(true) => {}
            Ok(false) => file = None,
            // A file that is no JSON does not keep the others from being read.
            Err(Fault::File(error @ Error::Format { .. })) => {
                file = None;
                queue.add_bad(error);
            }
            Err(fault) => return Err(fault),
        }
        Ok(true)
    })))
}

fn read_file(path: &Path) -> Result<Reader<MultipleChoiceExample>> {
    let mut budget = Budget::new();
    json_records(path, Layout::Document, move |json, place, queue| {
        let article = article(json).map_err(|reason| place.bad(reason))?;
        questions(article, &place, &mut budget, queue)
    })
}

fn article(json: Json<'_>) -> Result<Article, String> {
    let Form { question, questions } = json.parse()?;
    if question.is_none() || questions.is_some() {
        return json.parse();
    }
    let Flat { article, question, options, answer } = json.parse()?;
    let answers = answer.map(|answer| vec![answer]);
    Ok(Article { article, questions: vec![question], options: vec![options], answers })
}

fn questions(
    article: Article,
    place: &Place,
    budget: &mut Budget,
    queue: &mut Queue<MultipleChoiceExample>,
) -> Result<(), Fault> {
    let Article { article, questions, options, answers } = article;
    let count = questions.len();
    let answered = answers.as_ref().map_or(count, Vec::len);
    if options.len() != count || answered != count {
        let found = format!("{} `options` and {answered} `answers`", options.len());
        let expected = format!("expected as many as there are `questions`, {count}");
        return Err(place.bad(format!("{expected}, found {found}")));
    }
    for (i, (question, options)) in questions.iter().zip(&options).enumerate() {
        budget.take(place, article.len(), 1)?;
        let blanks = question.matches('_').count().max(1);
        for option in options {
            budget.take(place, question.len() + blanks.saturating_mul(option.len()), 1)?;
        }
        let answer = answers.as_ref().map(|answers| answers[i].as_str());
        queue.add(place.clone(), example(&article, i, question, options, answer));
    }
    Ok(())
}

fn example(
    article: &str,
    number: usize,
    question: &str,
    options: &[String],
    answer: Option<&str>,
) -> Result<MultipleChoiceExample, String> {
    if options.is_empty() {
        return Err(format!("options[{number}]: expected at least one, found none"));
    }
    Ok(MultipleChoiceExample {
        prompt: article.to_owned(),
        choices: options.iter().map(|option| choice(question, option)).collect(),
        label: answer.map(|answer| letter(number, answer, options.len())).transpose()?,
    })
}

fn choice(question: &str, option: &str) -> String {
    match question.contains('_') {
        true => question.replace('_', option),
        false => format!("{question} {option}"),
    }
}

/// `A` is the first.
fn letter(question: usize, answer: &str, options: usize) -> Result<ChoiceLabel, String> {
    let mut letters = ('A'..='Z').take(options);
    let index = letters.position(|letter| answer == letter.to_string());
    index.map(ChoiceLabel::Index).ok_or_else(|| {
        let found = shortened(answer);
        format!("answers[{question}]: expected one of the first {options} letters, found {found:?}")
    })
}

fn article_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect_files(directory, MAX_DEPTH, &mut files)?;
    if files.is_empty() {
        return Err(Error::format(directory, "expected files named *.txt or *.json, found none"));
    }
    Ok(files)
}

fn collect_files(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let io = |error| Error::io(directory, error);
    let entries = fs::read_dir(directory).map_err(io)?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry.map_err(io)?.path())).collect::<Result<_>>()?;
    paths.retain(|path| !is_of_the_system(path));
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if depth > 1 {
                collect_files(&path, depth - 1, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|end| ENDS.iter().any(|known| end.eq_ignore_ascii_case(known)))
        {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether it is none of the data set's, but what an operating system or an archive has put there.
fn is_of_the_system(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name == "__MACOSX"
}
