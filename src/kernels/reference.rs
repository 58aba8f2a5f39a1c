//! The oracle of the kernels' tests: the same mathematics, naively, in double precision.

use crate::kernels::rows::activation::Nonlinearity;

/// Seeded values, uniform in ±`scale`, from a multiplicative congruential generator.
pub(crate) fn noise(count: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next() * scale).collect()
}

/// Fails where a value is further from what was expected than `tolerance`.
pub(crate) fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= tolerance, "{what}: element {i} is {found}, expected {expected}");
    }
}

/// 2/√π ∫₀ˣ exp(−t²) dt by its Taylor series, or by the continued fraction of erfc where that
/// converges slowly.
pub(crate) fn erf(x: f64) -> f64 {
    let a = x.abs();
    let scale = 2.0 / std::f64::consts::PI.sqrt();
    let value = if a < 3.0 {
        let (mut term, mut sum) = (a, a);
        for n in 1..80 {
            term *= -a * a / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        scale * sum
    } else {
        let mut fraction = a;
        for n in (1..60).rev() {
            fraction = a + f64::from(n) / 2.0 / fraction;
        }
        1.0 - (-a * a).exp() / std::f64::consts::PI.sqrt() / fraction
    };
    value.copysign(x)
}

pub(crate) fn nonlinearity(kind: Nonlinearity, x: f64) -> f64 {
    match kind {
        Nonlinearity::Identity => x,
        Nonlinearity::Gelu => 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
        Nonlinearity::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        Nonlinearity::Relu => x.max(0.0),
        Nonlinearity::Silu => x / (1.0 + (-x).exp()),
        Nonlinearity::Tanh => x.tanh(),
        Nonlinearity::Mish => x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh(),
    }
}

pub(crate) fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = row.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.into_iter().map(|x| x / sum).collect()
}

pub(crate) fn layer_norm(row: &[f32], weight: &[f32], bias: &[f32], eps: f64) -> Vec<f64> {
    let n = row.len() as f64;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    let normed = row.iter().map(|&x| (f64::from(x) - mean) / (variance + eps).sqrt());
    normed
        .zip(weight.iter().zip(bias))
        .map(|(x, (&w, &b))| x * f64::from(w) + f64::from(b))
        .collect()
}

/// `a` [rows, k] times the transpose of `b` [n, k].
pub(crate) fn matmul(a: &[f32], b: &[f32], k: usize) -> Vec<f64> {
    let dot = |x: &[f32], y: &[f32]| -> f64 {
        x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    a.chunks(k).flat_map(|row| b.chunks(k).map(move |column| dot(row, column))).collect()
}
