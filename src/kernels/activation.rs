//! Element-wise nonlinearities.

use super::math::{erf, exp, exp2, multiply_add, tanh};

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
    // ½(1 + tanh u) = 1 / (1 + exp(−2u)): one exponential, and nothing cancels where x is very negative. The factors are
    // −2√(2/π)·log₂e, and 0.044715 times that.
    const LINEAR: f32 = -2.302_208_2;
    const CUBIC: f32 = -0.102_943_24;
    let factor = multiply_add::<FMA>(x * x, CUBIC, LINEAR);
    x / (1.0 + exp2::<FMA>(x * factor))
}

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
pub(super) trait Loop {
    /// Runs it, with `f` for every value.
    fn run(self, f: impl Fn(f32) -> f32);
}

/// Runs a loop with the nonlinearity: compiled once for each, so that the choice is made outside of it. To be inlined where
/// the instruction set is chosen.
#[inline(always)]
pub(super) fn run_inline<const FMA: bool>(nonlinearity: Nonlinearity, values: impl Loop) {
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

/// Applies the nonlinearity to every value, in place; to be inlined where the instruction set is chosen.
#[inline(always)]
pub(super) fn apply_inline<const FMA: bool>(nonlinearity: Nonlinearity, values: &mut [f32]) {
    struct InPlace<'a>(&'a mut [f32]);
    impl Loop for InPlace<'_> {
        #[inline(always)]
        fn run(self, f: impl Fn(f32) -> f32) {
            self.0.iter_mut().for_each(|value| *value = f(*value));
        }
    }
    run_inline::<FMA>(nonlinearity, InPlace(values));
}

#[cfg(test)]
mod tests {
    use super::super::isa::multiversion;
    use super::super::{Isa, reference};
    use super::*;

    multiversion! {
        fn apply(nonlinearity: Nonlinearity, values: &mut [f32]) {
            apply_inline::<FMA>(nonlinearity, values);
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
