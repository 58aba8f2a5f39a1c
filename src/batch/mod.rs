//! Batches without padding inside, and outputs that can be padded again.
//!
//! A [`Batch`] holds the tokens of all its sequences one after the other. Every layer works on `[T, features]`, where T is the number of tokens that are not masked; only attention uses the boundaries of sequences. Padding therefore costs nothing, and the output of a sequence does not depend on the rest of the batch.

mod build;
mod packed;

use std::sync::Arc;

use ndarray::Array2;

use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::attention::Sequence;

pub use build::{BatchBuilder, Id};
pub use packed::{AttentionProbabilities, Packed};

/// Token sequences, packed and ready for a model.
///
/// From sequences of ids:
///
/// ```
/// use ndalbert::Batch;
///
/// let batch = Batch::from_sequences(&[vec![2, 7, 8, 3], vec![2, 9, 3]])?;
/// assert_eq!((batch.num_sequences(), batch.num_tokens()), (2, 7));
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// From padded arrays, as in transformers:
///
/// ```
/// use ndalbert::{Batch, ndarray::array};
///
/// let ids = array![[2_i64, 7, 8, 3], [2, 9, 3, 0]];
/// let mask = array![[1_i64, 1, 1, 1], [1, 1, 1, 0]];
/// let batch = Batch::padded(ids.view()).attention_mask(mask.view()).build()?;
/// assert_eq!((batch.num_sequences(), batch.num_tokens()), (2, 7));
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) words: Words,
    pub(crate) type_ids: Vec<u32>,
    pub(crate) position_ids: Vec<u32>,
    pub(crate) layout: Arc<Layout>,
}

/// The words of a batch, token by token.
#[derive(Clone, Debug)]
pub(crate) enum Words {
    /// Ids into the word embeddings, `[T]`.
    Ids(Vec<u32>),
    /// The embeddings themselves, `[T, E]`.
    Embeddings(Array2<f32>),
}

/// The layout of a batch: which column of the padded array each token came from.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The sequences, for attention.
    pub(crate) sequences: Vec<Sequence>,
    /// The column that each packed token had in the padded array.
    pub(crate) columns: Vec<u32>,
    /// S, the number of columns of the padded array.
    pub(crate) padded_length: usize,
}

impl Layout {
    /// The packed rows of a sequence's real tokens.
    ///
    /// The first token of a sequence is in the batch even where the mask excludes it, because the pooler reads it, as
    /// it does in transformers. It attends to others but is not attended to, and has no output.
    pub(crate) fn real_rows(&self, sequence: usize) -> std::ops::Range<usize> {
        let Sequence { start, tokens, keys } = &self.sequences[sequence];
        start + tokens - keys.len()..start + tokens
    }

    /// The packed row of each sequence's first token.
    pub(crate) fn first_rows(&self) -> impl Iterator<Item = usize> {
        self.sequences.iter().map(|sequence| sequence.start)
    }

    /// The packed row of a real token, by sequence and column.
    pub(crate) fn row_of(&self, sequence: usize, column: usize) -> Option<usize> {
        if sequence >= self.sequences.len() {
            return None;
        }
        let rows = self.real_rows(sequence);
        let start = rows.start;
        let found = self.columns[rows].binary_search(&u32::try_from(column).ok()?);
        found.ok().map(|i| start + i)
    }
}

impl Batch {
    /// A batch of sequences of ids without padding, all of token type 0, positions counted from 0.
    ///
    /// # Errors
    /// [`Error::Input`] if there are no sequences or one of them is empty.
    pub fn from_sequences<S: AsRef<[u32]>>(sequences: &[S]) -> Result<Self> {
        let types: Vec<Vec<u32>> =
            sequences.iter().map(|sequence| vec![0; sequence.as_ref().len()]).collect();
        let pairs =
            sequences.iter().zip(&types).map(|(ids, types)| (ids.as_ref(), types.as_slice()));
        Self::from_ids_and_types(pairs)
    }

    /// A batch of sequences of ids with their token types, positions counted from 0.
    ///
    /// # Errors
    /// [`Error::Input`] if there are no sequences, one of them is empty, or ids and types differ in number.
    pub fn from_ids_and_types<'a>(
        sequences: impl IntoIterator<Item = (&'a [u32], &'a [u32])>,
    ) -> Result<Self> {
        let mut packer = build::Packer::default();
        let (mut words, mut type_ids) = (Vec::new(), Vec::new());
        for (i, (ids, types)) in sequences.into_iter().enumerate() {
            if ids.len() != types.len() {
                let (expected, found) = (ids.len().to_string(), types.len().to_string());
                return Err(Error::input(format!("token types of sequence {i}"), expected, found));
            }
            packer.push(ids.len(), |_| true)?;
            words.extend_from_slice(ids);
            type_ids.extend_from_slice(types);
        }
        let layout = packer.finish()?;
        let position_ids = layout.columns.clone();
        Ok(Self { words: Words::Ids(words), type_ids, position_ids, layout: Arc::new(layout) })
    }

    /// B, the number of sequences.
    pub fn num_sequences(&self) -> usize {
        self.layout.sequences.len()
    }

    /// T, the number of tokens that are computed. This includes a masked first token of a sequence, because the pooler reads it.
    pub fn num_tokens(&self) -> usize {
        self.type_ids.len()
    }

    /// S, the number of columns of padded arrays, of inputs and outputs alike.
    pub fn padded_length(&self) -> usize {
        self.layout.padded_length
    }

    /// The rows of a sequence's tokens among the batch's T.
    ///
    /// They are those of `last_hidden_state.rows()`, except that a masked first token of a sequence has a row here.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn token_rows(&self, sequence: usize) -> std::ops::Range<usize> {
        let Sequence { start, tokens, .. } = self.layout.sequences[sequence];
        start..start + tokens
    }

    /// Checks ids against what the model has embeddings for.
    ///
    /// # Errors
    /// [`Error::Input`] that names the sequence, the column and the id.
    pub(crate) fn check(&self, config: &AlbertConfig) -> Result<()> {
        match &self.words {
            Words::Ids(ids) => self.check_ids("input_ids", ids, "vocab_size", config.vocab_size)?,
            Words::Embeddings(rows) if rows.ncols() != config.embedding_size => {
                let expected = format!("embedding_size = {}", config.embedding_size);
                return Err(Error::input(
                    "inputs_embeds width",
                    expected,
                    rows.ncols().to_string(),
                ));
            }
            Words::Embeddings(_) => {}
        }
        self.check_ids(
            "token_type_ids",
            &self.type_ids,
            "type_vocab_size",
            config.type_vocab_size,
        )?;
        let positions = config.max_position_embeddings;
        self.check_ids("position_ids", &self.position_ids, "max_position_embeddings", positions)
    }

    fn check_ids(&self, what: &str, ids: &[u32], field: &str, limit: usize) -> Result<()> {
        let Some(row) = ids.iter().position(|&id| id as usize >= limit) else { return Ok(()) };
        let of_row = |s: &Sequence| (s.start..s.start + s.tokens).contains(&row);
        let sequence = self.layout.sequences.iter().position(of_row).unwrap_or_default();
        let column = self.layout.columns[row];
        let hint = if what == "position_ids" { " (truncate longer texts)" } else { "" };
        let expected = format!("an id below {field} = {limit}{hint}");
        Err(Error::input(format!("{what}[{sequence}, {column}]"), expected, ids[row].to_string()))
    }
}
