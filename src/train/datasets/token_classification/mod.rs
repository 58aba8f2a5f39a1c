//! Token classification: a tag for each word.

mod conll;
mod survey;

use ndarray::Array2;

use super::features::{Features, InputSequence};
use super::labels::LabelNames;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::nn::loss::IGNORE_INDEX;
use crate::text::AlbertTokenizer;

pub use conll::{ConllColumns, read_conll};

/// A sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClassificationExample {
    /// Its words.
    pub words: Vec<String>,
    /// As many tags.
    pub tags: Vec<String>,
}

/// Which tokens of a word get its label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenLabelling {
    /// The first; the others are ignored. The labels then determine which word a tag belongs to.
    #[default]
    FirstToken,
    /// All; tokens after the first get the inner label (`I-PER` for `B-PER`), if it exists: `label_all_tokens`
    /// of transformers' `run_ner`.
    AllTokens,
}

/// A sentence, as ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClassificationFeatures {
    input: InputSequence,
    labels: Vec<i64>,
}

impl TokenClassificationFeatures {
    /// Encodes the words, truncated as set in the tokenizer (truncated words are lost, as in `run_ner`), and assigns each token a label, aligned as in `run_ner`; special tokens get −100, which is ignored.
    ///
    /// # Errors
    /// As [`AlbertTokenizer::encode_words`], and [`Error::Input`] if there are not as many tags as words, or one is none of
    /// `names`.
    pub fn new(
        tokenizer: &AlbertTokenizer,
        names: &LabelNames,
        labelling: TokenLabelling,
        example: &TokenClassificationExample,
    ) -> Result<Self> {
        let TokenClassificationExample { words, tags } = example;
        if tags.len() != words.len() {
            return Err(Error::input("tags", words.len().to_string(), tags.len().to_string()));
        }
        let ids: Vec<usize> = tags.iter().map(|tag| names.id(tag)).collect::<Result<_>>()?;
        let encoding = tokenizer.encode_words(words)?;
        let mut last = None;
        let mut label = |&word: &Option<u32>| {
            let is_first = word != last;
            last = word;
            let id = ids[word? as usize];
            match labelling {
                _ if is_first => Some(id),
                TokenLabelling::FirstToken => None,
                TokenLabelling::AllTokens => Some(inside(names, id)),
            }
        };
        let labels = encoding.word_ids.iter().map(|word| match label(word) {
            Some(id) => id as i64,
            None => IGNORE_INDEX,
        });
        Ok(Self { labels: labels.collect(), input: encoding.into() })
    }

    /// The label of each token, −100 where none counts.
    pub fn token_labels(&self) -> &[i64] {
        &self.labels
    }
}

/// The label of a word inside a span for that of the word at its beginning, where there are such.
fn inside(names: &LabelNames, id: usize) -> usize {
    let begins = names.names().get(id).and_then(|name| name.strip_prefix("B-"));
    begins.and_then(|kind| names.find(&format!("I-{kind}"))).unwrap_or(id)
}

impl Features for TokenClassificationFeatures {
    /// `[B, S]`; −100 is ignored.
    type Labels = Array2<i64>;

    fn inputs(&self) -> &[InputSequence] {
        std::slice::from_ref(&self.input)
    }

    fn labels(features: &[&Self], batch: &Batch) -> Result<Array2<i64>> {
        let mut labels = Array2::from_elem((features.len(), batch.padded_length()), IGNORE_INDEX);
        for (mut row, features) in labels.outer_iter_mut().zip(features) {
            row.iter_mut().zip(&features.labels).for_each(|(to, &from)| *to = from);
        }
        Ok(labels)
    }

    fn label_text(&self) -> String {
        format!("{:?}", self.labels)
    }
}

/// The names of what was predicted and of what is right, for each token whose label counts: what
/// [`SpanScores`](crate::train::metrics::SpanScores) compares.
///
/// # Errors
/// [`Error::Input`] if the lengths differ, or an id has no name.
pub fn aligned_tags<'a>(
    names: &'a LabelNames,
    predictions: &[i64],
    labels: &[i64],
) -> Result<(Vec<&'a str>, Vec<&'a str>)> {
    if predictions.len() != labels.len() {
        let (expected, found) = (labels.len().to_string(), predictions.len().to_string());
        return Err(Error::input("predictions", expected, found));
    }
    let name = |id: i64| Ok(names.names()[names.check(id as f64)?].as_str());
    let counted = predictions.iter().zip(labels).filter(|(_, label)| **label != IGNORE_INDEX);
    counted.map(|(&prediction, &label)| Ok((name(prediction)?, name(label)?))).collect()
}
