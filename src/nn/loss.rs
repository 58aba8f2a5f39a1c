//! Losses as in transformers and PyTorch: means over the labels that count.
//!
//! Sums run in double precision.

use ndarray::{ArrayView1, ArrayView2};

use crate::error::{Error, Result};

/// The label of an ignored position.
pub const IGNORE_INDEX: i64 = -100;

/// The labels of a classifier.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Labels<'a> {
    /// One class index per row, `[B]`.
    Classes(&'a [i64]),
    /// One number per output, `[B, C]`: a distribution over classes, independent probabilities, or values to regress.
    Values(ArrayView2<'a, f32>),
}

/// Mean cross-entropy of `logits` `[N, C]` against class indices `[N]`, over those that are not `ignore_index`.
///
/// # Errors
/// [`Error::Input`] if the lengths differ, a label is not a class, or no label counts (PyTorch's NaN).
pub fn cross_entropy(
    logits: ArrayView2<'_, f32>,
    labels: &[i64],
    ignore_index: i64,
) -> Result<f32> {
    if logits.nrows() != labels.len() {
        return Err(Error::input("labels", logits.nrows().to_string(), labels.len().to_string()));
    }
    let (mut sum, mut count) = (0.0, 0u32);
    for (i, (row, &label)) in logits.outer_iter().zip(labels).enumerate() {
        if label == ignore_index {
            continue;
        }
        let class = usize::try_from(label).ok().filter(|&class| class < row.len());
        let Some(class) = class else {
            let expected = format!("a class below {} or {ignore_index}", row.len());
            return Err(Error::input(format!("labels[{i}]"), expected, label.to_string()));
        };
        sum += log_sum_exp(row) - f64::from(row[class]);
        count += 1;
    }
    if count == 0 {
        let expected = format!("at least one label that is not {ignore_index}");
        return Err(Error::input("labels", expected, "none"));
    }
    Ok((sum / f64::from(count)) as f32)
}

/// Mean over rows of −Σ target·log softmax(logits), for targets `[N, C]` that are distributions over classes.
///
/// # Errors
/// [`Error::Input`] if the shapes differ or there are no rows.
pub fn soft_cross_entropy(
    logits: ArrayView2<'_, f32>,
    targets: ArrayView2<'_, f32>,
) -> Result<f32> {
    check_shapes(logits, targets)?;
    let sum: f64 = logits
        .outer_iter()
        .zip(targets.outer_iter())
        .map(|(logits, targets)| {
            let normalizer = log_sum_exp(logits);
            let terms = logits.iter().zip(targets);
            // A class without weight adds nothing, even where its logit is −∞.
            terms
                .filter(|(_, target)| **target != 0.0)
                .map(|(&logit, &target)| f64::from(target) * (normalizer - f64::from(logit)))
                .sum::<f64>()
        })
        .sum();
    Ok((sum / logits.nrows() as f64) as f32)
}

/// Mean squared difference, over all elements of `[N, C]`.
///
/// # Errors
/// [`Error::Input`] if the shapes differ or there are no rows.
pub fn mean_squared_error(
    outputs: ArrayView2<'_, f32>,
    targets: ArrayView2<'_, f32>,
) -> Result<f32> {
    check_shapes(outputs, targets)?;
    let square = |(&x, &y): (&f32, &f32)| (f64::from(x) - f64::from(y)).powi(2);
    Ok((outputs.iter().zip(targets).map(square).sum::<f64>() / outputs.len() as f64) as f32)
}

/// Mean binary cross-entropy of independent logits against probabilities, over all elements of `[N, C]`.
///
/// # Errors
/// [`Error::Input`] if the shapes differ or there are no rows.
pub fn binary_cross_entropy_with_logits(
    logits: ArrayView2<'_, f32>,
    targets: ArrayView2<'_, f32>,
) -> Result<f32> {
    check_shapes(logits, targets)?;
    let term = |(&x, &y): (&f32, &f32)| {
        let (x, y) = (f64::from(x), f64::from(y));
        x.max(0.0) - x * y + (-x.abs()).exp().ln_1p()
    };
    Ok((logits.iter().zip(targets).map(term).sum::<f64>() / logits.len() as f64) as f32)
}

pub(crate) fn check_shapes(
    outputs: ArrayView2<'_, f32>,
    targets: ArrayView2<'_, f32>,
) -> Result<()> {
    if outputs.dim() != targets.dim() || outputs.is_empty() {
        let expected = format!("shape {:?} and at least one row", outputs.shape());
        return Err(Error::input("labels", expected, format!("{:?}", targets.shape())));
    }
    Ok(())
}

/// ln Σ eˣ, without overflow.
fn log_sum_exp(row: ArrayView1<'_, f32>) -> f64 {
    let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
    if max == f32::NEG_INFINITY && !row.iter().any(|x| x.is_nan()) {
        return f64::NEG_INFINITY;
    }
    let max = f64::from(max);
    max + row.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use ndarray::array;

    use super::*;

    #[test]
    fn cross_entropy_counts_only_labels_that_are_not_ignored() {
        let logits = array![[0.0, 0.0], [1.0, 3.0], [9.0, -9.0]];
        let expected = ((2f64).ln() + (1.0 + (-2f64).exp()).ln()) / 2.0;
        let loss = cross_entropy(logits.view(), &[0, 1, -100], IGNORE_INDEX).unwrap();
        assert_abs_diff_eq!(loss, expected as f32, epsilon = 1e-6);
    }

    #[test]
    fn labels_that_are_no_class_are_refused() {
        let logits = array![[0.0, 0.0]];
        for labels in [&[2][..], &[-1], &[0, 0], &[], &[-100]] {
            assert!(cross_entropy(logits.view(), labels, IGNORE_INDEX).is_err(), "{labels:?}");
        }
        assert!(soft_cross_entropy(logits.view(), array![[1.0]].view()).is_err());
    }

    #[test]
    fn a_sure_distribution_is_a_class() {
        let logits = array![[0.25, -1.0, 2.0], [5.0, 4.0, 3.0]];
        let hard = cross_entropy(logits.view(), &[1, 2], IGNORE_INDEX).unwrap();
        let targets = array![[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let soft = soft_cross_entropy(logits.view(), targets.view()).unwrap();
        assert_abs_diff_eq!(hard, soft, epsilon = 1e-6);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let logits = array![[1e4, -1e4]];
        assert_eq!(cross_entropy(logits.view(), &[0], IGNORE_INDEX).unwrap(), 0.0);
        let loss = binary_cross_entropy_with_logits(logits.view(), array![[0.0, 0.0]].view());
        assert_eq!(loss.unwrap(), 5e3);
    }
}
