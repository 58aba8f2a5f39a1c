//! Backward passes of nonlinearities, value by value.

use crate::kernels::isa::multiversion;
use crate::kernels::rows::activation::{self, Nonlinearity};
use crate::kernels::rows::math::{erf, exp, tanh};

multiversion! {
    /// `out` = f(`x`), value by value.
    pub(crate) fn activate(nonlinearity: Nonlinearity, x: &[f32], out: &mut [f32]) {
        out.copy_from_slice(x);
        activation::apply_inline::<FMA>(nonlinearity, out);
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
}
