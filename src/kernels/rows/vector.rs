//! Row-wise softmax and LayerNorm.
//!
//! Sums run over [`LANES`] partial sums that are added up in a fixed order, which vectorises
//! whatever the width of the registers.

use crate::kernels::isa::{Isa, multiversion};
use crate::kernels::rows::math::exp;
use crate::kernels::threads::parallel;

/// Partial sums of a reduction: four 512-bit registers, so that no addition waits for the one
/// before, or as many more narrower ones.
pub(in crate::kernels) const LANES: usize = 64;

/// Adds up `f(x)` over a row.
#[inline(always)]
pub(in crate::kernels) fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += f(x);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The largest value of a row; NaN is passed over (the exponentials that follow keep it).
#[inline(always)]
pub(in crate::kernels) fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    let max = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    rest.iter().fold(max, |max, &x| max.max(x))
}

multiversion! {
    /// softmax(`scale`·row) over each row of `width` values, in place, but for a factor that
    /// `factors` receives for each row: it is for the caller to apply it where there is least to
    /// multiply. Rows must not be empty.
    pub(crate) fn softmax(rows: &mut [f32], width: usize, scale: f32, factors: &mut [f32]) {
        for (row, factor) in rows.chunks_exact_mut(width).zip(factors) {
            let largest = max(row) * scale;
            for x in row.iter_mut() {
                *x = exp::<FMA>(*x * scale - largest);
            }
            *factor = 1.0 / sum(row, |x| x);
        }
    }
}

/// What a LayerNorm multiplies by and adds, and the epsilon under its root.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) eps: f32,
}

/// LayerNorm over each row of `norm.weight.len()` values, in place, over the threads of the current
/// rayon pool. Where `residual` is not empty, it is added to the rows before.
pub(crate) fn layer_norm(isa: Isa, norm: Norm<'_>, residual: &[f32], rows: &mut [f32]) {
    let width = norm.weight.len();
    assert_eq!(norm.bias.len(), width, "weight and bias of a LayerNorm are of one length");
    assert!(rows.len().is_multiple_of(width), "rows of {width} values, not {}", rows.len());
    assert!(residual.is_empty() || residual.len() == rows.len(), "a residual for every row");
    let len = parallel::rows_per_task(rows.len() / width, width) * width;
    let parts = rows.chunks_mut(len).enumerate().map(|(i, rows)| {
        let residual = residual.get(i * len..i * len + rows.len()).unwrap_or_default();
        (rows, residual)
    });
    parallel::for_each_part(parts, |(rows, residual)| layer_norm_rows(isa, norm, residual, rows));
}

multiversion! {
    /// As [`layer_norm`], on this thread.
    ///
    /// The variance takes a second pass: with an epsilon of 1e-12, E[x²] − E[x]² would turn
    /// negative.
    fn layer_norm_rows<'a>(norm: Norm<'a>, residual: &[f32], rows: &mut [f32]) {
        let width = norm.weight.len();
        let mut residual = residual.chunks_exact(width);
        for row in rows.chunks_exact_mut(width) {
            if let Some(residual) = residual.next() {
                row.iter_mut().zip(residual).for_each(|(x, residual)| *x += residual);
            }
            let mean = sum(row, |x| x) / width as f32;
            let variance = sum(row, |x| (x - mean) * (x - mean)) / width as f32;
            let factor = 1.0 / (variance + norm.eps).sqrt();
            for ((x, &weight), &bias) in row.iter_mut().zip(norm.weight).zip(norm.bias) {
                *x = (*x - mean) * factor * weight + bias;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    fn normalized(isa: Isa, rows: &mut [f32], width: usize, scale: f32) {
        let mut factors = vec![f32::NAN; rows.len() / width];
        softmax(isa, rows, width, scale, &mut factors);
        for (row, factor) in rows.chunks_mut(width).zip(factors) {
            row.iter_mut().for_each(|x| *x *= factor);
        }
    }

    #[test]
    fn softmax_on_every_instruction_set() {
        for width in [1, 2, 3, 15, 16, 17, 31, 64, 129, 512] {
            let rows = reference::noise(3 * width, 7, 4.0);
            let expected: Vec<f64> = rows
                .chunks(width)
                .flat_map(|row| {
                    let scaled: Vec<f64> = row.iter().map(|&x| f64::from(x) * 0.7).collect();
                    reference::softmax(&scaled)
                })
                .collect();
            for isa in Isa::available() {
                let mut found = rows.clone();
                normalized(isa, &mut found, width, 0.7);
                reference::assert_close(&found, &expected, 5e-7, &format!("{isa} softmax {width}"));
            }
        }
    }

    #[test]
    fn softmax_survives_large_scores_and_keeps_nan() {
        for isa in Isa::available() {
            let mut row = [1e30, -1e30, 3.0, 1e30];
            normalized(isa, &mut row, 4, 1.0);
            assert!((row[0] - 0.5).abs() < 1e-6 && (row[3] - 0.5).abs() < 1e-6, "{row:?}");
            let mut row = [1.0, f32::NAN, 3.0];
            normalized(isa, &mut row, 3, 1.0);
            assert!(row.iter().all(|x| x.is_nan()), "{row:?}");
        }
    }

    #[test]
    fn layer_norm_on_every_instruction_set() {
        for width in [1, 2, 7, 16, 26, 100, 129, 768] {
            let (weight, bias) = (reference::noise(width, 1, 1.0), reference::noise(width, 2, 1.0));
            // A large offset: a one-pass variance would be far off.
            let rows: Vec<f32> =
                reference::noise(4 * width, 3, 1.0).iter().map(|x| x + 100.0).collect();
            let expected: Vec<f64> = rows
                .chunks(width)
                .flat_map(|row| reference::layer_norm(row, &weight, &bias, 1e-5))
                .collect();
            for isa in Isa::available() {
                let mut found = rows.clone();
                layer_norm(isa, Norm { weight: &weight, bias: &bias, eps: 1e-5 }, &[], &mut found);
                reference::assert_close(&found, &expected, 1e-4, &format!("{isa} norm {width}"));
            }
        }
    }

    #[test]
    #[should_panic(expected = "rows of 3 values, not 4")]
    fn layer_norm_of_half_a_row_is_refused() {
        let norm = Norm { weight: &[1.0; 3], bias: &[0.0; 3], eps: 1e-5 };
        layer_norm(Isa::available().next().unwrap(), norm, &[], &mut [0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "weight and bias of a LayerNorm")]
    fn layer_norm_without_a_bias_for_every_value_is_refused() {
        let norm = Norm { weight: &[1.0; 6], bias: &[0.0; 2], eps: 1e-5 };
        layer_norm(Isa::available().next().unwrap(), norm, &[], &mut [0.0; 6]);
    }

    #[test]
    fn every_instruction_set_with_fused_multiply_add_gives_the_same_bits() {
        let row = reference::noise(777, 5, 3.0);
        let weight = reference::noise(777, 6, 1.0);
        let results: Vec<Vec<f32>> = Isa::available()
            .filter(|isa| isa.name() != "portable")
            .map(|isa| {
                let mut found = row.clone();
                let norm = Norm { weight: &weight, bias: &weight, eps: 1e-12 };
                layer_norm(isa, norm, &row, &mut found);
                normalized(isa, &mut found, 777, 0.125);
                found
            })
            .collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
