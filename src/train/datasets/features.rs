//! Features: examples as ids and labels, ready for batches.

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::text::Encoding;
use crate::train::TrainingBatch;

/// One sequence of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputSequence {
    /// Rows of the embedding table.
    pub ids: Vec<u32>,
    /// 0 for the first text, 1 for the second.
    pub type_ids: Vec<u32>,
}

impl From<Encoding> for InputSequence {
    fn from(encoding: Encoding) -> Self {
        Self { ids: encoding.ids, type_ids: encoding.type_ids }
    }
}

/// An example as ids and labels.
pub trait Features: Send + Sync {
    /// The labels of a batch.
    type Labels;

    /// The sequences of tokens: one, or one per choice. All examples of a batch have the same number.
    fn inputs(&self) -> &[InputSequence];

    /// The labels of examples whose sequences are those of `batch`.
    ///
    /// # Errors
    /// [`Error::Input`] if an example has no label, or labels differ in kind.
    fn labels(features: &[&Self], batch: &Batch) -> Result<Self::Labels>;

    /// Whether the example has a label, which training requires.
    fn is_labelled(&self) -> bool {
        true
    }

    /// A text that identifies the label of this example, by which a data set is recognised when training resumes.
    fn label_text(&self) -> String;
}

/// The inputs of examples without labels, for prediction.
///
/// # Errors
/// [`Error::Input`] if there are none.
pub fn inputs_of<F: Features>(features: &[&F]) -> Result<Batch> {
    let sequences = features.iter().flat_map(|features| features.inputs());
    Batch::from_ids_and_types(sequences.map(|input| (&input.ids[..], &input.type_ids[..])))
}

/// A batch of examples, all of as many sequences.
///
/// # Errors
/// [`Error::Input`] if there are none, or a label is missing.
pub fn collate<F: Features>(features: &[&F]) -> Result<TrainingBatch<F::Labels>> {
    let batch = inputs_of(features)?;
    let labels = F::labels(features, &batch)?;
    Ok(TrainingBatch { batch, labels })
}

/// The features, if they can be learnt from.
///
/// # Errors
/// [`Error::Input`] if they have no label.
pub fn labelled<F: Features>(features: F) -> Result<F> {
    match features.is_labelled() {
        true => Ok(features),
        false => Err(Error::input("label", "one", "none")),
    }
}

/// The error of an example that should be learnt from and is of a file without labels.
pub(super) fn unlabelled(example: usize) -> Error {
    Error::input(format!("label of example {example} of a batch"), "one", "none")
}

/// A text as an error shows it: its first 80 characters.
pub(super) fn shortened(text: &str) -> String {
    shortened_to(text, 80)
}

pub(super) fn shortened_to(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
