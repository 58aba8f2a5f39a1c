//! What training does row by row: the LayerNorm that remembers, and backward passes of LayerNorm
//! and softmax.

use crate::kernels::isa::multiversion;
use crate::kernels::product::convert::Strided;
use crate::kernels::rows::dropout::{Dropout, Stream};
use crate::kernels::rows::vector::{LANES, Norm, sum};

multiversion! {
    /// LayerNorm of `rows` + `residual`, into `out`. `rows` become what is multiplied by the weight
    /// (the normalised values), and `factors` receives 1 / √(variance + ε) of each row.
    pub(crate) fn layer_norm_saving<'a>(
        norm: Norm<'a>,
        residual: &[f32],
        rows: &mut [f32],
        factors: &mut [f32],
        out: &mut [f32],
    ) {
        let width = norm.weight.len();
        let mut residual = residual.chunks_exact(width);
        let rows = rows.chunks_exact_mut(width).zip(out.chunks_exact_mut(width));
        for ((row, out), saved) in rows.zip(factors) {
            if let Some(residual) = residual.next() {
                row.iter_mut().zip(residual).for_each(|(x, residual)| *x += residual);
            }
            let mean = sum(row, |x| x) / width as f32;
            let variance = sum(row, |x| (x - mean) * (x - mean)) / width as f32;
            let factor = 1.0 / (variance + norm.eps).sqrt();
            *saved = factor;
            let row = row.iter_mut().zip(out);
            for ((x, out), (&weight, &bias)) in row.zip(norm.weight.iter().zip(norm.bias)) {
                *x = (*x - mean) * factor;
                *out = *x * weight + bias;
            }
        }
    }
}

multiversion! {
    /// The backward pass of [`layer_norm_saving`]: `normalized` and `factors` are what it saved,
    /// `d_out` the gradient of its output. `normalized` becomes the gradient of its input;
    /// gradients of weight and bias are added.
    pub(crate) fn layer_norm_backward(
        weight: &[f32],
        normalized: &mut [f32],
        factors: &[f32],
        d_out: &[f32],
        d_weight: &mut [f32],
        d_bias: &mut [f32],
    ) {
        let width = weight.len();
        let rows = normalized.chunks_exact_mut(width).zip(d_out.chunks_exact(width));
        for ((row, d_out), &factor) in rows.zip(factors) {
            for ((d_weight, &d), &x) in d_weight.iter_mut().zip(d_out).zip(row.iter()) {
                *d_weight += d * x;
            }
            d_bias.iter_mut().zip(d_out).for_each(|(d_bias, d)| *d_bias += d);
            let mean = dot(d_out, weight) / width as f32;
            let mean_of_products = dot3(d_out, weight, row) / width as f32;
            for ((x, &d), &weight) in row.iter_mut().zip(d_out).zip(weight) {
                *x = factor * (d * weight - mean - *x * mean_of_products);
            }
        }
    }
}

/// Σ a·b, in [`LANES`] partial sums that are added up in a fixed order.
#[inline(always)]
pub(in crate::kernels) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += a * b;
    }
    sum(&lanes, |x| x)
}

/// Σ a·b·c, likewise.
#[inline(always)]
fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let (c, c_rest) = c.as_chunks::<LANES>();
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for (((lane, &a), &b), &c) in lanes.iter_mut().zip(a).zip(b).zip(c) {
            *lane += a * b * c;
        }
    }
    for (((lane, &a), &b), &c) in lanes.iter_mut().zip(a_rest).zip(b_rest).zip(c_rest) {
        *lane += a * b * c;
    }
    sum(&lanes, |x| x)
}

multiversion! {
    /// Σ a·b of each pair of rows.
    pub(in crate::kernels) fn row_dots<'a>(a: Strided<'a>, b: Strided<'a>, out: &mut [f32]) {
        for (i, out) in out.iter_mut().enumerate().take(a.count) {
            *out = dot(a.row(i), b.row(i));
        }
    }
}

/// What the backward pass of softmax needs besides probabilities and their gradients.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct SoftmaxBackward<'a> {
    /// What scores were multiplied by.
    pub(in crate::kernels) scale: f32,
    /// 1 / Σ of each row: `probabilities` come without it.
    pub(in crate::kernels) factors: &'a [f32],
    /// Σ d·p of each row.
    pub(in crate::kernels) dots: &'a [f32],
    /// Dropout of the probabilities, and the stream of the first row and the distance to the next
    /// row's.
    pub(in crate::kernels) dropout: Option<(Dropout, u64, u64)>,
}

multiversion! {
    /// Of rows of probabilities, all but for a factor, and of the gradients of what became of them
    /// by dropout: makes the former what dropout made of them, and the latter gradients of the
    /// scores before they were scaled.
    pub(in crate::kernels) fn softmax_backward<'a>(
        softmax: SoftmaxBackward<'a>,
        width: usize,
        probabilities: &mut [f32],
        d_scores: &mut [f32],
    ) {
        let SoftmaxBackward { scale, factors, dots, dropout } = softmax;
        let rows = probabilities.chunks_exact_mut(width).zip(d_scores.chunks_exact_mut(width));
        for (i, ((row, d_row), (&factor, &dot))) in
            rows.zip(factors.iter().zip(dots)).enumerate()
        {
            match dropout {
                None => {
                    for (p, d) in row.iter_mut().zip(d_row) {
                        *p *= factor;
                        *d = *p * (*d - dot) * scale;
                    }
                }
                Some((dropout, first, step)) => {
                    let stream: Stream = dropout.row(first + i as u64 * step);
                    for (index, (p, d)) in (0u32..).zip(row.iter_mut().zip(d_row)) {
                        let kept = stream.factor(index);
                        *p *= factor;
                        *d = *p * (*d * kept - dot) * scale;
                        *p *= kept;
                    }
                }
            }
        }
    }
}

multiversion! {
    /// `sum` += `x`, value by value.
    pub(crate) fn add(x: &[f32], sum: &mut [f32]) {
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Isa, reference};

    /// Σ d·LayerNorm(x), in double precision.
    fn norm_product(x: &[f64], weight: &[f32], bias: &[f32], eps: f64, d: &[f32]) -> f64 {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let terms = x.iter().zip(weight.iter().zip(bias)).zip(d);
        terms
            .map(|((x, (&w, &b)), &d)| {
                let y = (x - mean) / (variance + eps).sqrt() * f64::from(w) + f64::from(b);
                y * f64::from(d)
            })
            .sum()
    }

    #[test]
    fn layer_norm_gradients_are_those_of_central_differences() {
        for isa in Isa::available() {
            for width in [1, 5, 16, 37] {
                let [x, d] = [1, 2].map(|seed| reference::noise(2 * width, seed, 2.0));
                let [weight, bias] = [3, 4].map(|seed| reference::noise(width, seed, 1.0));
                let eps = 1e-3;
                let norm = Norm { weight: &weight, bias: &bias, eps: eps as f32 };
                let (mut rows, mut factors) = (x.clone(), vec![0.0; 2]);
                let mut out = vec![0.0; 2 * width];
                layer_norm_saving(isa, norm, &[], &mut rows, &mut factors, &mut out);
                for (row, out) in x.chunks(width).zip(out.chunks(width)) {
                    let expected = reference::layer_norm(row, &weight, &bias, eps);
                    reference::assert_close(out, &expected, 1e-5, "forward");
                }
                let normalized = rows.clone();
                let (mut d_weight, mut d_bias) = (vec![0.5; width], vec![0.5; width]);
                let gradients = (&mut d_weight, &mut d_bias);
                layer_norm_backward(
                    isa,
                    &weight,
                    &mut rows,
                    &factors,
                    &d,
                    gradients.0,
                    gradients.1,
                );
                for (r, (row, d)) in x.chunks(width).zip(d.chunks(width)).enumerate() {
                    let expected: Vec<f64> = (0..width)
                        .map(|i| {
                            let at = |h: f64| {
                                let mut x: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
                                x[i] += h;
                                norm_product(&x, &weight, &bias, eps, d)
                            };
                            (at(1e-5) - at(-1e-5)) / 2e-5
                        })
                        .collect();
                    reference::assert_close(&rows[r * width..][..width], &expected, 2e-5, "input");
                }
                for i in 0..width {
                    let products = normalized[i] * d[i] + normalized[width + i] * d[width + i];
                    assert!((d_weight[i] - 0.5 - products).abs() < 1e-5);
                    assert!((d_bias[i] - 0.5 - d[i] - d[width + i]).abs() < 1e-6);
                }
            }
        }
    }
}
