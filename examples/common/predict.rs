//! What a model makes of features.

use ndalbert::train::datasets::{Features, inputs_of};
use ndalbert::{Batch, Result};

/// How many examples go through the model at a time.
const BATCH_SIZE: usize = 32;

/// The predictions for all features, of which `predict` makes those of a batch.
pub fn predict<F: Features, T>(
    features: &[F],
    predict: impl Fn(&Batch) -> Result<Vec<T>>,
) -> Result<Vec<T>> {
    let mut predictions = Vec::with_capacity(features.len());
    for chunk in features.chunks(BATCH_SIZE) {
        predictions.extend(predict(&inputs_of(&chunk.iter().collect::<Vec<_>>())?)?);
    }
    Ok(predictions)
}
