//! Element-wise nonlinearities.

use crate::kernels::rows::math::{erf, exp, exp2, multiply_add, polynomial, tanh};

/// A nonlinearity as arithmetic; [`nn::Activation`](crate::nn::Activation) maps names to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonlinearity {
    /// x
    Identity,
    /// x·Φ(x), with the error function
    Gelu,
    /// ½x(1 + tanh(√(2/π)(x + 0.044715x³)))
    GeluTanh,
    /// max(x, 0)
    Relu,
    /// x·σ(x)
    Silu,
    /// tanh x
    Tanh,
    /// x·tanh(ln(1 + eˣ))
    Mish,
}

#[inline(always)]
fn gelu<const FMA: bool>(x: f32) -> f32 {
    0.5 * x * (1.0 + erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn gelu_tanh<const FMA: bool>(x: f32) -> f32 {
    // ½(1 + tanh u) = 1 / (1 + exp(−2u)): one exponential, and nothing cancels where x is very
    // negative. The factors are −2√(2/π)·log₂e, and 0.044715 times that.
    const LINEAR: f32 = -2.302_208_2;
    const CUBIC: f32 = -0.102_943_24;
    let factor = multiply_add::<FMA>(x * x, CUBIC, LINEAR);
    x / (1.0 + exp2::<FMA>(x * factor))
}

/// GELU with an error of at most 1e-4 + 2e-6·|x| (and of a thousandth of it, where it is small),
/// for values that are rounded to bytes next: a hundredth of a byte's step where the largest of a
/// row is 1. It takes half the instructions, and no division.
#[inline(always)]
fn gelu_for_bytes<const FMA: bool>(x: f32, approximation: GeluApproximation) -> f32 {
    let GeluApproximation { end, coefficients } = approximation;
    // Not `max`, which would turn NaN into a number.
    let x = if x < -end { -end } else { x };
    let inner = if x > end { end } else { x };
    let odd = inner * polynomial::<FMA, _>(inner * inner, coefficients);
    x * (0.5 + odd)
}

/// Φ(x) as ½ + x·P(x²) from −end to end, where it is 0 and 1.
struct GeluApproximation {
    end: f32,
    coefficients: [f32; 8],
}

// Least squares weighted anew until the largest error of x·Φ(x) was least, under the constraint
// that Φ(end) = 1.
const ERF_GELU: GeluApproximation = GeluApproximation {
    end: 4.2,
    coefficients: [
        0.398_465_87,
        -0.065_528_2,
        0.009_298_228,
        -9.506_573e-4,
        6.689_067e-5,
        -3.037_93e-6,
        7.941_334e-8,
        -9.017_525e-10,
    ],
};
const TANH_GELU: GeluApproximation = GeluApproximation {
    end: 4.1,
    coefficients: [
        0.398_494_24,
        -0.065_879_285,
        0.009_524_362,
        -0.001_007_287,
        7.414_182e-5,
        -3.544_176_5e-6,
        9.776_713e-8,
        -1.172_342_3e-9,
    ],
};

#[inline(always)]
fn relu(x: f32) -> f32 {
    // Not `max`, which would turn NaN into 0.
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn silu<const FMA: bool>(x: f32) -> f32 {
    x / (1.0 + exp::<FMA>(-x))
}

#[inline(always)]
fn mish<const FMA: bool>(x: f32) -> f32 {
    // tanh(ln(1 + e)) = (e² + 2e) / (e² + 2e + 2); from 20 on it is 1 to the last bit.
    let e = exp::<FMA>(x.clamp(-87.0, 20.0));
    let n = e * (e + 2.0);
    x * (n / (n + 2.0))
}

/// A loop over values.
pub(in crate::kernels) trait Loop {
    /// Runs it, with `f` for every value.
    fn run(self, f: impl Fn(f32) -> f32);
}

/// Runs a loop with the nonlinearity: compiled once for each, so that the choice is made outside of
/// it. To be inlined where the instruction set is chosen.
#[inline(always)]
pub(in crate::kernels) fn run_inline<const FMA: bool>(
    nonlinearity: Nonlinearity,
    values: impl Loop,
) {
    match nonlinearity {
        Nonlinearity::Identity => values.run(
            #[inline(always)]
            |x| x,
        ),
        Nonlinearity::Gelu => values.run(gelu::<FMA>),
        Nonlinearity::GeluTanh => values.run(gelu_tanh::<FMA>),
        Nonlinearity::Relu => values.run(relu),
        Nonlinearity::Silu => values.run(silu::<FMA>),
        Nonlinearity::Tanh => values.run(tanh::<FMA>),
        Nonlinearity::Mish => values.run(mish::<FMA>),
    }
}

/// As [`run_inline`], for values that are rounded to bytes next.
#[inline(always)]
pub(in crate::kernels) fn run_inline_for_bytes<const FMA: bool>(
    nonlinearity: Nonlinearity,
    values: impl Loop,
) {
    match nonlinearity {
        Nonlinearity::Gelu => values.run(
            #[inline(always)]
            |x| gelu_for_bytes::<FMA>(x, ERF_GELU),
        ),
        Nonlinearity::GeluTanh => values.run(
            #[inline(always)]
            |x| gelu_for_bytes::<FMA>(x, TANH_GELU),
        ),
        others => run_inline::<FMA>(others, values),
    }
}

/// Every value, replaced by what becomes of it.
struct InPlace<'a>(&'a mut [f32]);

impl Loop for InPlace<'_> {
    #[inline(always)]
    fn run(self, f: impl Fn(f32) -> f32) {
        self.0.iter_mut().for_each(|value| *value = f(*value));
    }
}

/// Applies the nonlinearity to every value, in place; to be inlined where the instruction set is
/// chosen.
#[inline(always)]
pub(in crate::kernels) fn apply_inline<const FMA: bool>(
    nonlinearity: Nonlinearity,
    values: &mut [f32],
) {
    run_inline::<FMA>(nonlinearity, InPlace(values));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::multiversion;
    use crate::kernels::{Isa, reference};

    multiversion! {
        fn apply(nonlinearity: Nonlinearity, values: &mut [f32]) {
            apply_inline::<FMA>(nonlinearity, values);
        }
    }

    multiversion! {
        fn apply_for_bytes(nonlinearity: Nonlinearity, values: &mut [f32]) {
            run_inline_for_bytes::<FMA>(nonlinearity, InPlace(values));
        }
    }

    #[test]
    fn gelu_for_bytes_is_within_a_hundredth_of_a_step() {
        let step = if cfg!(miri) { 997 } else { 1 };
        let grid = (0..24_001).step_by(step).map(|i| (i as f32 - 12_000.0) * 1e-3);
        let mut inputs: Vec<f32> = grid.collect();
        inputs.extend([-1e30, -200.0, -0.0, 88.0, 200.0, 1e9]);
        for isa in Isa::available() {
            for nonlinearity in [Nonlinearity::Gelu, Nonlinearity::GeluTanh] {
                let mut outputs = inputs.clone();
                apply_for_bytes(isa, nonlinearity, &mut outputs);
                for (&x, &y) in inputs.iter().zip(&outputs) {
                    let expected = reference::nonlinearity(nonlinearity, f64::from(x));
                    let error = (f64::from(y) - expected).abs();
                    let bound = match x.abs() {
                        0.0..0.1 => 1e-3 * expected.abs(),
                        _ => 1e-4 + 2e-6 * expected.abs(),
                    };
                    assert!(error <= bound, "{isa} {nonlinearity:?}({x}) = {y}, not {expected}");
                }
                let mut nan = [f32::NAN];
                apply_for_bytes(isa, nonlinearity, &mut nan);
                assert!(nan[0].is_nan(), "{nonlinearity:?} swallows NaN");
            }
        }
    }

    #[test]
    fn every_nonlinearity_on_every_instruction_set() {
        // −12 to 12 in uneven steps, and the far ends.
        let mut inputs: Vec<f32> = (0..2_401).map(|i| (i as f32 - 1200.0) * 0.010_007).collect();
        inputs.extend([-1e30, -200.0, -88.0, 0.0, -0.0, 88.0, 200.0, 1e9]);
        for isa in Isa::available() {
            for nonlinearity in [
                Nonlinearity::Identity,
                Nonlinearity::Gelu,
                Nonlinearity::GeluTanh,
                Nonlinearity::Relu,
                Nonlinearity::Silu,
                Nonlinearity::Tanh,
                Nonlinearity::Mish,
            ] {
                let mut outputs = inputs.clone();
                apply(isa, nonlinearity, &mut outputs);
                for (&x, &y) in inputs.iter().zip(&outputs) {
                    let expected = reference::nonlinearity(nonlinearity, f64::from(x));
                    let error = (f64::from(y) - expected).abs() / f64::from(x).abs().max(1.0);
                    assert!(error < 3e-7, "{isa} {nonlinearity:?}({x}) = {y}, expected {expected}");
                }
                let mut nan = [f32::NAN];
                apply(isa, nonlinearity, &mut nan);
                assert!(nan[0].is_nan(), "{nonlinearity:?} swallows NaN");
            }
        }
    }
}
