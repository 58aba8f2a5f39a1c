//! The global norm of gradients, and clipping.

use rayon::prelude::*;

use super::values::{CHUNK, ValuesMut, sum_of_squares, values, views, views_mut};
use crate::error::{Error, Result};
use crate::nn::Parameters;

/// What PyTorch adds to the norm that it divides by.
const EPSILON: f64 = 1e-6;

/// The Euclidean norm of all values of a tree as one vector.
///
/// Sums run in double precision in an order that depends only on the sizes of arrays, so the norm is bit-identical on any number of threads. It is infinite or NaN if a value is.
pub fn global_norm(gradients: &impl Parameters) -> f64 {
    let arrays: Vec<_> = views(gradients).into_iter().map(values).collect();
    let chunks: Vec<&[f32]> = arrays.iter().flat_map(|array| array.chunks(CHUNK)).collect();
    let sums: Vec<f64> = chunks.into_par_iter().map(sum_of_squares).collect();
    sums.iter().sum::<f64>().sqrt()
}

/// Scales gradients so that their [`global_norm`] is at most `max_norm`, and returns what it was before.
///
/// Like `torch.nn.utils.clip_grad_norm_`, which multiplies larger gradients by `max_norm / (norm + 1e-6)`. google-research's `tf.clip_by_global_norm` omits the 1e-6, which at the customary `max_norm` of 1 makes a difference of at most one
/// part in a million.
///
/// If the returned norm is infinite or NaN, the gradients are unchanged and must not be used: skip the step, or stop.
///
/// # Errors
/// [`Error::Input`] if `max_norm` is not greater than 0.
pub fn clip_global_norm(gradients: &mut impl Parameters, max_norm: f64) -> Result<f64> {
    if max_norm.is_nan() || max_norm <= 0.0 {
        return Err(Error::input("maximal norm", "a number above 0", max_norm.to_string()));
    }
    let norm = global_norm(gradients);
    let factor = max_norm / (norm + EPSILON);
    if norm.is_finite() && factor < 1.0 {
        scale(gradients, factor as f32);
    }
    Ok(norm)
}

fn scale(tree: &mut impl Parameters, factor: f32) {
    let mut arrays: Vec<_> = views_mut(tree).into_iter().map(ValuesMut::new).collect();
    let chunks = arrays.iter_mut().flat_map(|array| array.slice().chunks_mut(CHUNK));
    let chunks: Vec<&mut [f32]> = chunks.collect();
    chunks.into_par_iter().for_each(|chunk| chunk.iter_mut().for_each(|value| *value *= factor));
    arrays.into_iter().for_each(ValuesMut::store);
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use ndarray::{Array1, Array2, ShapeBuilder, array};

    use super::*;
    use crate::nn::Linear;

    fn gradients() -> Linear {
        Linear { weight: array![[3.0, 0.0], [0.0, -4.0]], bias: array![12.0, 0.0] }
    }

    #[test]
    fn the_norm_is_that_of_all_arrays_together() {
        assert_eq!(global_norm(&gradients()), 13.0);
        assert_eq!(global_norm(&Linear::zeros(3, 2)), 0.0);
        assert_eq!(global_norm(&Array1::from_elem(4, f32::MAX)), 2.0 * f64::from(f32::MAX));
    }

    #[test]
    fn only_what_is_longer_is_scaled() {
        let mut clipped = gradients();
        assert_eq!(clip_global_norm(&mut clipped, 1.3).unwrap(), 13.0);
        assert_relative_eq!(clipped.bias[0], 1.2, max_relative = 1e-6);
        assert_relative_eq!(clipped.weight[[1, 1]], -0.4, max_relative = 1e-6);
        for max_norm in [13.1, f64::INFINITY] {
            let mut same = gradients();
            assert_eq!(clip_global_norm(&mut same, max_norm).unwrap(), 13.0);
            assert_eq!(same, gradients());
        }
    }

    #[test]
    fn the_limit_is_pytorchs_to_its_epsilon() {
        let mut tiny = array![3e-6f32, 4e-6];
        clip_global_norm(&mut tiny, 3e-6).unwrap();
        // torch.nn.utils.clip_grad_norm_: 3e-6 / (5e-6 + 1e-6) = 1/2.
        assert_relative_eq!(tiny[0], 1.5e-6, max_relative = 1e-6);
        assert_relative_eq!(tiny[1], 2e-6, max_relative = 1e-6);
    }

    #[test]
    fn gradients_that_are_not_finite_are_reported_and_left_alone() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut gradients = gradients();
            gradients.weight[[0, 1]] = bad;
            assert!(!clip_global_norm(&mut gradients, 1.0).unwrap().is_finite());
            assert_eq!((gradients.bias[0], gradients.weight[[1, 1]]), (12.0, -4.0));
        }
    }

    #[test]
    fn a_limit_that_is_none_is_refused() {
        for max_norm in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            let error = clip_global_norm(&mut gradients(), max_norm).unwrap_err().to_string();
            assert!(error.contains("maximal norm"), "{error}");
        }
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn neither_threads_nor_memory_layout_change_a_bit() {
        let value = |i: usize| ((i * 7919 % 1013) as f32 - 500.0) / 997.0;
        let rows = Array2::from_shape_fn((301, 257), |(i, j)| value(i * 257 + j));
        let mut columns = Array2::zeros((301, 257).f());
        columns.assign(&rows);
        let run = |threads, mut tree: Array2<f32>| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let norm = pool.install(|| clip_global_norm(&mut tree, 1.0).unwrap());
            (norm.to_bits(), tree)
        };
        let expected = run(1, rows.clone());
        assert_ne!(expected.1, rows);
        assert_eq!(run(3, rows), expected);
        assert_eq!(run(2, columns), expected);
    }
}
