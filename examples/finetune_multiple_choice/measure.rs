//! How good each exit of a model is.

use ndalbert::train::datasets::{ChoiceLabel, Features, MultipleChoiceFeatures};
use ndalbert::{AlbertForMultipleChoice, Result};

use super::argmax::argmax;
use super::finetune::Metrics;
use super::predict::predict;

/// The accuracy of each exit.
pub fn by_exit(
    model: &AlbertForMultipleChoice,
    features: &[MultipleChoiceFeatures],
) -> Result<Vec<Metrics>> {
    let mut right: Vec<usize> = Vec::new();
    for alike in features.chunk_by(|a, b| a.inputs().len() == b.inputs().len()) {
        let choices = alike[0].inputs().len();
        // Of each example, what all exits choose.
        let chosen = predict(alike, |batch| {
            let exits = model.forward_exits(batch, choices)?;
            let of = |i| exits.iter().map(|logits| argmax(logits.row(i))).collect::<Vec<_>>();
            Ok((0..batch.num_sequences() / choices).map(of).collect())
        })?;
        for (chosen, features) in chosen.iter().zip(alike) {
            right.resize(chosen.len(), 0);
            let label = features.label().map(label);
            let exits = right.iter_mut().zip(chosen);
            exits.for_each(|(right, &chosen)| *right += usize::from(label == Some(chosen)));
        }
    }
    let accuracy = |right| right as f64 / features.len() as f64;
    Ok(right.into_iter().map(|right| vec![("accuracy".to_owned(), accuracy(right))]).collect())
}

/// The choice that is right, or the likeliest.
fn label(label: &ChoiceLabel) -> i64 {
    match label {
        ChoiceLabel::Index(index) => *index as i64,
        ChoiceLabel::Distribution(values) => argmax(values),
    }
}
