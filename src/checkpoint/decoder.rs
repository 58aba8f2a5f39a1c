//! Which tensors of a masked-LM decoder are not tied.
//!
//! The values decide. A decoder that repeats the word embeddings is tied to them, and one that
//! differs keeps its own values even where `config.json` ties it, as in transformers 5.
//! `tie_word_embeddings: false` is taken at its word, so that a decoder which begins as a copy of
//! the word embeddings can be trained separately.

use std::collections::BTreeMap;

use super::names::{DECODER_BIAS, DECODER_WEIGHT, Tie};
use super::{Checkpoint, UntiedTensor};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};

/// Decides which tensors are tied, and maps the names of a checkpoint's tensors (canonical → the file's)
/// those of the model's parameters: copies are removed, and a tensor that is missing is replaced by
/// the one that it is tied to, or that is tied to it.
///
/// Returns the configuration to load, and the pairs that it unties.
///
/// # Errors
/// [`Error::Tensor`] if the tensors of a pair have different shapes, unless this is ignored,
/// or if one of them cannot be read.
pub(super) fn settle(
    checkpoint: &Checkpoint,
    names: &mut BTreeMap<String, &str>,
    config: &AlbertConfig,
    has_decoder: bool,
    ignore_mismatched_sizes: bool,
) -> Result<(AlbertConfig, Vec<UntiedTensor>)> {
    let mut untied = Vec::new();
    let mut differ = |tie, is_tied| {
        let Some(pair) = names_of(names, tie).filter(|_| has_decoder && is_tied) else {
            return Ok(false);
        };
        if are_equal(checkpoint, &pair, ignore_mismatched_sizes)? {
            names.remove(tie.tensor);
            return Ok(false);
        }
        untied.push(pair);
        Ok::<_, Error>(true)
    };
    let weights_differ = differ(DECODER_WEIGHT, config.tie_word_embeddings)?;
    let biases_differ = differ(DECODER_BIAS, config.ties_decoder_bias())?;
    let mut fields = config.to_fields();
    fields.tie_word_embeddings &= !weights_differ;
    // With a matrix of its own, a decoder has a bias of its own, too.
    fields.tie_decoder_bias &= weights_differ || !biases_differ;
    let config = AlbertConfig::new(fields)?;
    if config.tie_word_embeddings {
        complete(names, DECODER_WEIGHT, true);
    }
    if has_decoder {
        // transformers 4 stores a single bias, whether the matrix is tied or not.
        complete(names, DECODER_BIAS, config.ties_decoder_bias());
    }
    Ok((config, untied))
}

/// The file's names of a pair, if it has both.
fn names_of(names: &BTreeMap<String, &str>, tie: Tie) -> Option<UntiedTensor> {
    let name = |canonical| names.get(canonical).map(|&name| name.to_owned());
    Some(UntiedTensor { name: name(tie.tensor)?, tied_to: name(tie.to)? })
}

/// Whether two tensors have the same values. Those that are not numbers are equal to each other.
fn are_equal(
    checkpoint: &Checkpoint,
    UntiedTensor { name, tied_to }: &UntiedTensor,
    ignore_mismatched_sizes: bool,
) -> Result<bool> {
    let (Some(own), Some(other)) = (checkpoint.get(name), checkpoint.get(tied_to)) else {
        return Ok(false);
    };
    if own.shape() != other.shape() {
        if ignore_mismatched_sizes {
            return Ok(false);
        }
        let expected = format!("shape {:?}, as `{tied_to}` has", other.shape());
        let found = format!("{:?}", own.shape());
        return Err(Error::tensor(checkpoint.path(), name, expected, found));
    }
    // torch's files store a tensor once that several names have.
    if own.is_same_place(other) {
        return Ok(true);
    }
    let (own, other) = (checkpoint.read(name)?, checkpoint.read(tied_to)?);
    let mut pairs = own.iter().zip(&other);
    Ok(pairs.all(|(a, b)| a == b || (a.is_nan() && b.is_nan())))
}

/// Has a tensor stand in for the other one of its pair that the file lacks. Where the two are tied,
/// it is the parameter's alone.
fn complete(names: &mut BTreeMap<String, &str>, Tie { tensor, to }: Tie, is_tied: bool) {
    match (names.get(tensor).copied(), names.get(to).copied()) {
        (Some(own), None) => {
            names.insert(to.to_owned(), own);
            if is_tied {
                names.remove(tensor);
            }
        }
        (None, Some(other)) if !is_tied => {
            names.insert(tensor.to_owned(), other);
        }
        _ => {}
    }
}
