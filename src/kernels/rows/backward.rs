//! What training does row by row: the LayerNorm that remembers, and backward passes of LayerNorm, softmax, nonlinearities
//! and cross-entropy.

use crate::kernels::isa::multiversion;
use crate::kernels::product::convert::Strided;
use crate::kernels::rows::activation::Nonlinearity;
use crate::kernels::rows::dropout::{Dropout, Stream};
use crate::kernels::rows::math::{erf, exp, tanh};
use crate::kernels::rows::vector::{LANES, Norm, max, sum};

multiversion! {
    /// LayerNorm of `rows` + `residual`, into `out`. `rows` become what is multiplied by the weight (the normalised values), and
    /// `factors` receives 1 / √(variance + ε) of each row.
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
    /// The backward pass of [`layer_norm_saving`]: `normalized` and `factors` are what it saved, `d_out` the gradient of
    /// its output. `normalized` becomes the gradient of its input; gradients of weight and bias are added.
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
    /// Dropout of the probabilities, and the stream of the first row and the distance to the next row's.
    pub(in crate::kernels) dropout: Option<(Dropout, u64, u64)>,
}

multiversion! {
    /// Of rows of probabilities, all but for a factor, and of the gradients of what became of them by dropout: makes the
    /// former what dropout made of them, and the latter gradients of the scores before they were scaled.
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
    /// `out` = f(`x`), value by value.
    pub(crate) fn activate(nonlinearity: Nonlinearity, x: &[f32], out: &mut [f32]) {
        out.copy_from_slice(x);
        crate::kernels::rows::activation::apply_inline::<FMA>(nonlinearity, out);
    }
}

multiversion! {
    /// `x` = `d`·f′(`x`), value by value: the gradient of what a nonlinearity f was applied to.
    pub(crate) fn activation_backward(nonlinearity: Nonlinearity, d: &[f32], x: &mut [f32]) {
        // One loop each, so that the choice is made outside of it.
        macro_rules! each {
            ($f:expr) => {
                for (x, &d) in x.iter_mut().zip(d) {
                    *x = d * $f(*x);
                }
            };
        }
        match nonlinearity {
            Nonlinearity::Identity => x.copy_from_slice(d),
            Nonlinearity::Gelu => each!(gelu_derivative::<FMA>),
            Nonlinearity::GeluTanh => each!(gelu_tanh_derivative::<FMA>),
            Nonlinearity::Relu => each!(relu_derivative),
            Nonlinearity::Silu => each!(silu_derivative::<FMA>),
            Nonlinearity::Tanh => each!(tanh_derivative::<FMA>),
            Nonlinearity::Mish => each!(mish_derivative::<FMA>),
        }
    }
}

/// Φ(x) + x·φ(x)
#[inline(always)]
fn gelu_derivative<const FMA: bool>(x: f32) -> f32 {
    const INVERSE_SQRT_TWO_PI: f32 = 0.398_942_3;
    let cumulative = 0.5 + 0.5 * erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2);
    cumulative + x * INVERSE_SQRT_TWO_PI * exp::<FMA>(-0.5 * x * x)
}

/// With s = σ(2u), u = √(2/π)(x + 0.044715x³): s + x·s·(1 − s)·2u′
#[inline(always)]
fn gelu_tanh_derivative<const FMA: bool>(x: f32) -> f32 {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    // Where the exponential would overflow, the derivative has long been 0 or 1.
    let x = x.clamp(-12.0, 12.0);
    let squared = x * x;
    let e = exp::<FMA>(-TWICE_SQRT_2_OVER_PI * x * (1.0 + 0.044_715 * squared));
    let s = 1.0 / (1.0 + e);
    // 1 − s = e·s, which does not cancel.
    s + x * s * (e * s) * TWICE_SQRT_2_OVER_PI * (1.0 + 0.134_145 * squared)
}

#[inline(always)]
fn relu_derivative(x: f32) -> f32 {
    // As PyTorch has it, 0 at 0; and NaN stays NaN.
    if x > 0.0 {
        1.0
    } else if x <= 0.0 {
        0.0
    } else {
        x
    }
}

#[inline(always)]
fn silu_derivative<const FMA: bool>(x: f32) -> f32 {
    let x = x.clamp(-87.0, 87.0);
    let e = exp::<FMA>(-x);
    let s = 1.0 / (1.0 + e);
    s * (1.0 + x * (e * s))
}

#[inline(always)]
fn tanh_derivative<const FMA: bool>(x: f32) -> f32 {
    let y = tanh::<FMA>(x);
    1.0 - y * y
}

/// With t = tanh(ln(1 + eˣ)): t + x·(1 − t²)·σ(x)
#[inline(always)]
fn mish_derivative<const FMA: bool>(x: f32) -> f32 {
    let clamped = x.clamp(-87.0, 20.0);
    let e = exp::<FMA>(clamped);
    let n = e * (e + 2.0);
    let t = n / (n + 2.0);
    // 1 − t² = 4(n + 1) / (n + 2)²
    t + clamped * (4.0 * (n + 1.0) / ((n + 2.0) * (n + 2.0))) * (e / (1.0 + e))
}

multiversion! {
    /// `sum` += `x`, value by value.
    pub(crate) fn add(x: &[f32], sum: &mut [f32]) {
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    }
}

/// What is known of a row of logits against its label.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowLoss {
    /// −ln softmax(row)\[label].
    pub(crate) loss: f64,
    /// Whether the label has the largest logit (the first of equals).
    pub(crate) correct: bool,
}

multiversion! {
    /// Cross-entropy of a row of logits against a class; the row becomes `scale` times its gradient.
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

/// Cross-entropy of each row `[C]` of logits against its class; rows become `scale` times their gradients. Labels must
/// have been checked.
pub(crate) fn cross_entropy_backward(
    isa: crate::kernels::Isa,
    logits: &mut [f32],
    labels: &[usize],
    scale: f32,
) -> Vec<RowLoss> {
    use rayon::prelude::*;
    let width = logits.len() / labels.len().max(1);
    assert!(labels.iter().all(|&label| label < width) && logits.len() == width * labels.len());
    let row = |(row, &label): (&mut [f32], &usize)| {
        let mut result = RowLoss::default();
        cross_entropy_row(isa, label, scale, row, &mut result);
        result
    };
    if crate::kernels::threads::parallel::rows_per_task(labels.len(), width) >= labels.len() {
        return logits.chunks_exact_mut(width.max(1)).zip(labels).map(row).collect();
    }
    logits.par_chunks_exact_mut(width).zip(labels).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Isa, reference};

    const ALL: [Nonlinearity; 7] = [
        Nonlinearity::Identity,
        Nonlinearity::Gelu,
        Nonlinearity::GeluTanh,
        Nonlinearity::Relu,
        Nonlinearity::Silu,
        Nonlinearity::Tanh,
        Nonlinearity::Mish,
    ];

    #[test]
    fn derivatives_are_those_of_central_differences() {
        let mut inputs: Vec<f32> = (0..2_401).map(|i| (i as f32 - 1200.5) * 0.010_007).collect();
        inputs.extend([-1e30, -200.0, -88.0, 88.0, 200.0, 1e30]);
        for isa in Isa::available() {
            for nonlinearity in ALL {
                let mut found = inputs.clone();
                activation_backward(isa, nonlinearity, &vec![3.0; inputs.len()], &mut found);
                for (&x, &y) in inputs.iter().zip(&found) {
                    let f = |x| reference::nonlinearity(nonlinearity, x);
                    let (x, h) = (f64::from(x), 1e-5 * f64::from(x).abs().max(1.0));
                    let expected = 3.0 * (f(x + h) - f(x - h)) / (2.0 * h);
                    let error = (f64::from(y) - expected).abs();
                    assert!(error < 3e-6, "{isa} {nonlinearity:?}′({x}) = {y}, not {expected}");
                }
                let mut nan = [f32::NAN];
                activation_backward(isa, nonlinearity, &[1.0], &mut nan);
                assert!(nonlinearity == Nonlinearity::Identity || nan[0].is_nan());
            }
        }
    }

    /// PyTorch's choice where there is no derivative.
    #[test]
    fn the_derivative_of_relu_at_zero_is_zero() {
        for isa in Isa::available() {
            let mut x = [0.0, -0.0, f32::MIN_POSITIVE];
            activation_backward(isa, Nonlinearity::Relu, &[2.0; 3], &mut x);
            assert_eq!(x, [0.0, 0.0, 2.0], "{isa}");
        }
    }

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
