//! Activations in double precision, from their definitions.

use std::f64::consts::{FRAC_2_SQRT_PI, PI, SQRT_2};

use ndalbert::Activation;

/// The activation of a value.
pub fn apply(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Gelu | Activation::GeluPython => x * 0.5 * (1.0 + erf(x / SQRT_2)),
        Activation::GeluNew | Activation::GeluFast | Activation::GeluPytorchTanh => {
            0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::Relu => x.max(0.0),
        Activation::Silu | Activation::Swish => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::Mish => x * x.exp().ln_1p().tanh(),
        Activation::Linear => x,
        other => panic!("no reference for {other}"),
    }
}

/// The error function, by a series of terms of one sign: 2/√π · exp(−x²) · Σ 2ⁿ x²ⁿ⁺¹ /
/// (1·3·5·…·(2n + 1)).
pub fn erf(x: f64) -> f64 {
    // There, it differs from ±1 by less than the last bit.
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, 0.0_f64);
    let mut n = 1.0;
    while term.abs() > 1e-17 * sum.abs() {
        sum += term;
        n += 2.0;
        term *= 2.0 * x * x / n;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}
