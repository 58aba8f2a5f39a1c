//! Scores, and the best of them.

use crate::error::{Error, Result};

/// The places of the `count` greatest scores, greatest first; of equal ones, the first first.
pub(super) fn best(scores: &[f32], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    let order = |&a: &usize, &b: &usize| scores[b].total_cmp(&scores[a]).then(a.cmp(&b));
    if count == 0 {
        return Vec::new();
    }
    if count < places.len() {
        places.select_nth_unstable_by(count - 1, order);
        places.truncate(count);
    }
    places.sort_unstable_by(order);
    places
}

/// Checks that a model's numbers are some.
pub(super) fn check_finite<'a>(
    what: &str,
    values: impl IntoIterator<Item = &'a f32>,
) -> Result<()> {
    match values.into_iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::input(what, "finite numbers", value.to_string())),
        None => Ok(()),
    }
}

/// 1 / (1 + exp(−x))
pub(super) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
