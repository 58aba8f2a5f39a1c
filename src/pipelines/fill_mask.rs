//! Predicts the words for the `[MASK]`s of a text.

use std::fmt;

use ndarray::{ArrayView1, Axis};
use rayon::prelude::*;
use serde::Serialize;

use super::base::{Base, impl_construction};
use super::pipeline::{Group, Pipeline, Prepared};
use super::ranking::{best, check_finite};
use crate::batch::Packed;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::heads::AlbertForMaskedLM;
use crate::nn::softmax;
use crate::text::Encoding;

/// The number of masks for which scores of the whole vocabulary are held in memory at a time.
const MASKS_AT_A_TIME: usize = 64;

/// The most probable words for each `[MASK]` of a text (`fill-mask` in transformers).
///
/// ```
/// use ndalbert::pipelines::{FillMask, Pipeline};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");
/// let fill = FillMask::from_pretrained(directory)?;
/// let masks = fill.run("我们可以使用神经网[MASK]来训[MASK]模型。")?;
/// assert_eq!(masks.len(), 2);
/// assert_eq!((masks[0][0].token_str.as_str(), masks[1][0].token_str.as_str()), ("络", "练"));
///
/// // Only some words are of interest.
/// let fill = fill.targets(&["东", "西"])?;
/// assert_eq!(fill.run("太阳从[MASK]边升起.")?[0].len(), 2);
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// The probabilities of several masks are independent of each other.
#[derive(Debug)]
pub struct FillMask {
    base: Base<AlbertForMaskedLM>,
    top_k: usize,
    targets: Option<Vec<u32>>,
}

impl_construction!(FillMask, AlbertForMaskedLM, |base| {
    Ok(Self { base, top_k: 5, targets: None })
});

/// A word that could stand in a mask's place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MaskPrediction {
    /// Its probability among all words of the vocabulary.
    pub score: f32,
    /// Its id.
    pub token: u32,
    /// The word itself, decoded.
    pub token_str: String,
    /// The whole text, decoded, with the word in place of this mask. It includes special tokens if there are several masks, since the other masks are special tokens.
    pub sequence: String,
}

/// The word and its probability: `Paris 0.973`.
impl fmt::Display for MaskPrediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.3}", self.token_str, self.score)
    }
}

impl FillMask {
    /// The number of words returned for each mask, best first; by default 5.
    #[must_use]
    pub fn top_k(mut self, count: usize) -> Self {
        self.top_k = count;
        self
    }

    /// Restricts the candidate words. A word that is not a token of the vocabulary is represented by its first token. Scores remain probabilities among all words.
    ///
    /// # Errors
    /// [`Error::Input`] if no word is left because all are empty, or if one is outside the model's vocabulary.
    pub fn targets(mut self, words: &[impl AsRef<str>]) -> Result<Self> {
        let mut ids = Vec::with_capacity(words.len());
        for word in words {
            let tokenizer = &self.base.tokenizer;
            let id = match tokenizer.token_to_id(word.as_ref()) {
                Some(id) => Some(id),
                None => tokenizer.encode_ids(word.as_ref())?.first().copied(),
            };
            ids.extend(id);
        }
        let size = self.base.model.config().vocab_size;
        if let Some(id) = ids.iter().find(|&&id| id as usize >= size) {
            let expected = format!("ids below vocab_size = {size}");
            return Err(Error::input("targets", expected, id.to_string()));
        }
        if ids.is_empty() {
            return Err(Error::input("targets", "at least one word", "none"));
        }
        ids.sort_unstable();
        ids.dedup();
        self.targets = Some(ids);
        Ok(self)
    }

    /// The columns of the tokens to be guessed.
    fn masks(&self, encoding: &Encoding) -> Result<Vec<usize>> {
        let mask = self.base.tokenizer.mask_token_id();
        let columns: Vec<usize> =
            (0..encoding.len()).filter(|&column| encoding.ids[column] == mask).collect();
        if columns.is_empty() {
            let tokenizer = &self.base.tokenizer;
            let mask = tokenizer.id_to_token(mask).unwrap_or_default();
            let most = tokenizer.truncation().map_or(0, |truncation| truncation.max_length);
            let cut = if encoding.len() < most { "" } else { " before the text is cut" };
            let found = format!("none in {} tokens{cut}", encoding.len());
            return Err(Error::input("text", format!("at least one {mask}"), found));
        }
        Ok(columns)
    }

    /// The words for the masks at some of a batch's places (item of the group, column).
    fn fill(
        &self,
        group: Group<'_, Vec<usize>>,
        states: &Packed,
        places: &[(usize, usize)],
    ) -> Result<Vec<Result<Vec<MaskPrediction>>>> {
        let (model, items) = (&self.base.model, group.0);
        let starts = states.layout().first_rows().collect::<Vec<_>>();
        let rows: Vec<usize> = places.iter().map(|&(item, column)| starts[item] + column).collect();
        let states = states.rows().select(Axis(0), &rows);
        let logits = model.head().forward(states.view(), model.albert().word_embeddings())?;
        let words = (0..places.len()).into_par_iter().map(|place| {
            let (item, column) = places[place];
            let Prepared { encodings, kept } = &items[item];
            self.words(&encodings[0], column, kept.len() == 1, logits.row(place))
        });
        Ok(words.collect())
    }

    /// The words for one mask.
    fn words(
        &self,
        encoding: &Encoding,
        column: usize,
        is_only: bool,
        logits: ArrayView1<'_, f32>,
    ) -> Result<Vec<MaskPrediction>> {
        check_finite("logits", logits)?;
        let probabilities = softmax(logits);
        let (scores, targets): (Vec<f32>, _) = match &self.targets {
            None => (probabilities.to_vec(), None),
            Some(ids) => {
                (ids.iter().map(|&id| probabilities[id as usize]).collect(), Some(ids.as_slice()))
            }
        };
        let mut ids = encoding.ids.clone();
        let mut word = |place: usize| {
            let token = targets.map_or(place as u32, |ids| ids[place]);
            ids[column] = token;
            Ok(MaskPrediction {
                score: scores[place],
                token,
                token_str: self.decode(&[token], false)?,
                sequence: self.decode(&ids, is_only)?,
            })
        };
        best(&scores, self.top_k).into_iter().map(&mut word).collect()
    }

    /// The text of ids, passing over padding in sentences and over ids that the model has and the tokenizer has not.
    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        let tokenizer = &self.base.tokenizer;
        let is_word = |id: u32| {
            (ids.len() == 1 || id != tokenizer.pad_token_id())
                && tokenizer.id_to_token(id).is_some()
        };
        let ids: Vec<u32> = ids.iter().copied().filter(|&id| is_word(id)).collect();
        tokenizer.decode(&ids, skip_special_tokens)
    }
}

impl Pipeline for FillMask {
    type Input = String;
    /// For each mask its words, best first.
    type Output = Vec<Vec<MaskPrediction>>;
    /// The masks' columns.
    type Kept = Vec<usize>;

    fn prepare(&self, text: String) -> Result<Prepared<Vec<usize>>> {
        let encoding = self.base.tokenizer.encode(&text)?;
        let kept = self.masks(&encoding)?;
        Ok(Prepared { encodings: vec![encoding], kept })
    }

    fn infer(&self, group: Group<'_, Vec<usize>>) -> Result<Vec<Result<Self::Output>>> {
        let states = self.base.model.albert().forward(&group.batch()?)?.last_hidden_state;
        let places = |(item, prepared): (usize, &Prepared<Vec<usize>>)| {
            prepared.kept.iter().map(|&column| (item, column)).collect::<Vec<_>>()
        };
        let places: Vec<(usize, usize)> = group.0.iter().enumerate().flat_map(places).collect();
        let mut outputs: Vec<Result<Self::Output>> =
            group.0.iter().map(|_| Ok(Vec::new())).collect();
        for places in places.chunks(MASKS_AT_A_TIME) {
            let words = self.fill(group, &states, places)?;
            for (&(item, _), words) in places.iter().zip(words) {
                match (&mut outputs[item], words) {
                    (Ok(masks), Ok(words)) => masks.push(words),
                    (output @ Ok(_), Err(error)) => *output = Err(error),
                    (Err(_), _) => {}
                }
            }
        }
        Ok(outputs)
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
