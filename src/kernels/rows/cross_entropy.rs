//! Cross-entropy of rows of logits, and its gradient.

use rayon::prelude::*;

use crate::kernels::Isa;
use crate::kernels::isa::multiversion;
use crate::kernels::rows::math::exp;
use crate::kernels::rows::vector::{max, sum};
use crate::kernels::threads::parallel;

/// What is known of a row of logits against its label.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowLoss {
    /// −ln softmax(row)\[label].
    pub(crate) loss: f64,
    /// Whether the label has the largest logit (the first of equals).
    pub(crate) correct: bool,
}

multiversion! {
    /// Cross-entropy of a row of logits against a class; the row becomes `scale` times its
    /// gradient.
    fn cross_entropy_row(label: usize, scale: f32, row: &mut [f32], result: &mut RowLoss) {
        let largest = max(row);
        let of_label = row[label];
        let first = row.iter().position(|&x| x == largest);
        for x in row.iter_mut() {
            *x = exp::<FMA>(*x - largest);
        }
        let total = sum(row, |x| x);
        let factor = scale / total;
        row.iter_mut().for_each(|x| *x *= factor);
        row[label] -= scale;
        *result = RowLoss {
            loss: f64::from(largest) - f64::from(of_label) + f64::from(total).ln(),
            correct: first == Some(label),
        };
    }
}

/// Cross-entropy of each row `[C]` of logits against its class; rows become `scale` times their
/// gradients. Labels must have been checked.
pub(crate) fn cross_entropy_backward(
    isa: Isa,
    logits: &mut [f32],
    labels: &[usize],
    scale: f32,
) -> Vec<RowLoss> {
    let width = logits.len() / labels.len().max(1);
    assert!(labels.iter().all(|&label| label < width) && logits.len() == width * labels.len());
    let row = |(row, &label): (&mut [f32], &usize)| {
        let mut result = RowLoss::default();
        cross_entropy_row(isa, label, scale, row, &mut result);
        result
    };
    if parallel::rows_per_task(labels.len(), width) >= labels.len() {
        return logits.chunks_exact_mut(width.max(1)).zip(labels).map(row).collect();
    }
    logits.par_chunks_exact_mut(width).zip(labels).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn cross_entropy_and_its_gradient() {
        for isa in Isa::available() {
            for width in [1, 2, 17, 300] {
                let logits = reference::noise(3 * width, 5, 4.0);
                let labels = [0, width - 1, width / 2];
                let mut gradients = logits.clone();
                let rows = cross_entropy_backward(isa, &mut gradients, &labels, 0.5);
                let all = logits.chunks(width).zip(gradients.chunks(width)).zip(labels);
                for (((logits, gradients), label), found) in all.zip(rows) {
                    let row: Vec<f64> = logits.iter().map(|&x| f64::from(x)).collect();
                    let mut expected = reference::softmax(&row);
                    assert!((found.loss + expected[label].ln()).abs() < 1e-5);
                    assert_eq!(found.correct, row.iter().all(|&x| x <= row[label]));
                    expected[label] -= 1.0;
                    expected.iter_mut().for_each(|x| *x *= 0.5);
                    reference::assert_close(gradients, &expected, 1e-6, "gradient");
                }
            }
        }
        let rows = cross_entropy_backward(
            Isa::available().next().unwrap(),
            &mut [1e4, -1e4, f32::NAN, 0.0],
            &[1, 0],
            1.0,
        );
        assert!((rows[0].loss - 2e4).abs() < 1.0 && !rows[0].correct);
        assert!(rows[1].loss.is_nan());
    }
}
