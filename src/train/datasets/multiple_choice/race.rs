//! RACE (Lai et al. 2017): questions about an article, four options each.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ChoiceLabel, MultipleChoiceExample};
use crate::error::{Error, Result};
use crate::files::MAX_JSON;
use crate::train::datasets::examples::Examples;
use crate::train::datasets::features::shortened;
use crate::train::datasets::json::{json_document, json_lines};

/// How deep below the given directory articles are looked for: `train/high/1.txt`.
const MAX_DEPTH: usize = 3;

#[derive(Deserialize)]
struct Article {
    article: String,
    questions: Vec<String>,
    options: Vec<Vec<String>>,
    answers: Option<Vec<String>>,
}

/// Reads RACE: a directory of `.txt` (or `.json`) files with an article each, in the order of their names, those of its
/// subdirectories (`high`, `middle`) too; or a file with such an object per line.
///
/// The article is the prompt. A choice is the question with the option: in place of its `_` if it has one, else behind it, as google-research/albert
/// and transformers have it. Without `answers`, examples have no label.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`], which name the file, the line and the question.
pub fn read_race(path: impl AsRef<Path>) -> Result<Examples<MultipleChoiceExample>> {
    let path = path.as_ref();
    let mut articles: Box<dyn FnMut() -> Result<Option<Vec<_>>> + Send> = if path.is_dir() {
        let mut files = article_files(path)?.into_iter();
        Box::new(move || files.next().map(|file| read_article(&file)).transpose())
    } else {
        let mut lines = json_lines(path, examples)?;
        Box::new(move || lines.next().transpose())
    };
    let mut waiting = VecDeque::new();
    Ok(Examples::from_reader(move || {
        while waiting.is_empty() {
            let Some(article) = articles()? else { break };
            waiting = article.into();
        }
        Ok(waiting.pop_front())
    }))
}

fn read_article(path: &Path) -> Result<Vec<MultipleChoiceExample>> {
    examples(json_document(path, MAX_JSON)?).map_err(|reason| Error::format(path, reason))
}

fn examples(article: Article) -> Result<Vec<MultipleChoiceExample>, String> {
    let Article { article, questions, options, answers } = article;
    let count = questions.len();
    let answered = answers.as_ref().map_or(count, Vec::len);
    if options.len() != count || answered != count {
        let found = format!("{} `options` and {answered} `answers`", options.len());
        return Err(format!("expected as many as there are `questions`, {count}, found {found}"));
    }
    let mut found = Vec::with_capacity(count);
    for (i, (question, options)) in questions.iter().zip(&options).enumerate() {
        if options.is_empty() {
            return Err(format!("options[{i}]: expected at least one, found none"));
        }
        let label = answers.as_ref().map(|answers| letter(i, &answers[i], options.len()));
        found.push(MultipleChoiceExample {
            prompt: article.clone(),
            choices: options.iter().map(|option| choice(question, option)).collect(),
            label: label.transpose()?,
        });
    }
    Ok(found)
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
    paths.sort();
    for path in paths {
        if path.is_dir() && depth > 1 {
            collect_files(&path, depth - 1, files)?;
        } else if path.extension().is_some_and(|end| end == "txt" || end == "json") {
            files.push(path);
        }
    }
    Ok(())
}
