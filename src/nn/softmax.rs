//! From scores to probabilities.

use ndarray::{Array, ArrayView, Axis, Dimension};

/// exp(xᵢ) / Σ exp(xⱼ) over the last axis: the probabilities of logits `[…, C]`.
///
/// ```
/// use ndalbert::{ndarray::array, nn::softmax};
///
/// let probabilities = softmax(array![[0.0, 0.0], [1e4, -1e4]].view());
/// assert_eq!(probabilities, array![[0.5, 0.5], [1.0, 0.0]]);
/// ```
pub fn softmax<D: Dimension>(logits: ArrayView<'_, f32, D>) -> Array<f32, D> {
    let mut probabilities = logits.to_owned();
    let Some(last) = probabilities.ndim().checked_sub(1) else {
        // A single logit is an axis of length 1.
        probabilities.mapv_inplace(|x| if x.is_finite() { 1.0 } else { f32::NAN });
        return probabilities;
    };
    for mut lane in probabilities.lanes_mut(Axis(last)) {
        // Subtracting the maximum changes nothing but keeps exp from overflowing.
        let max = lane.fold(f32::NEG_INFINITY, |max, &x| max.max(x));
        lane.mapv_inplace(|x| (x - max).exp());
        let sum: f64 = lane.iter().map(|&x| f64::from(x)).sum();
        lane.mapv_inplace(|x| (f64::from(x) / sum) as f32);
    }
    probabilities
}

#[cfg(test)]
mod tests {
    use ndarray::{arr0, arr1};

    use super::*;

    #[test]
    fn a_single_logit_is_certain_with_an_axis_or_without() {
        for logit in [0.0, -3.5, 1e30] {
            assert_eq!(softmax(arr0(logit).view()), arr0(1.0));
            assert_eq!(softmax(arr1(&[logit]).view()), arr1(&[1.0]));
        }
        for logit in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(softmax(arr0(logit).view()).into_scalar().is_nan());
            assert!(softmax(arr1(&[logit]).view())[0].is_nan());
        }
    }
}
