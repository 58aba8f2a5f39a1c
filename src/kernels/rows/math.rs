//! Scalar functions without branches or table look-ups, so that a loop over one is vectorised.
//!
//! Coefficients are Chebyshev interpolants computed for this crate; the errors stated are the
//! largest seen against double precision over the stated range (`docs/numerics.md`). NaN in, NaN
//! out. `FMA` says whether a fused multiply-add is one instruction (elsewhere it would be a
//! function call): it takes half of a polynomial's operations.

use std::f32::consts::{FRAC_2_SQRT_PI, LOG2_E};

/// x·y + z
#[inline(always)]
pub(in crate::kernels) fn multiply_add<const FMA: bool>(x: f32, y: f32, z: f32) -> f32 {
    if FMA { x.mul_add(y, z) } else { x * y + z }
}

/// Evaluates a polynomial, lowest coefficient first, by Horner's rule.
#[inline(always)]
pub(in crate::kernels) fn polynomial<const FMA: bool, const N: usize>(
    x: f32,
    coefficients: [f32; N],
) -> f32 {
    let mut sum = coefficients[N - 1];
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = multiply_add::<FMA>(sum, x, coefficient);
    }
    sum
}

/// e^x, relative error below 2e-7; results below the smallest normal number come out as that
/// number's neighbourhood (about 1e-38) instead of 0, and above 88.37 as the value there.
#[inline(always)]
pub(in crate::kernels) fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5·2^23 rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.37);
    let rounded = multiply_add::<FMA>(x, LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = multiply_add::<FMA>(-n, LN2_LOW, multiply_add::<FMA>(-n, LN2_HIGH, x));
    let p = polynomial::<FMA, _>(
        r,
        [1.0, 1.0, 0.5, 0.166_664_15, 0.041_666_35, 0.008_375_126, 0.001_394_110_8],
    );
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(exponent)
}

/// 2^x, relative error below 2e-7; the values at −126 and 127 beyond these.
#[inline(always)]
#[allow(clippy::approx_constant)] // The second coefficient is near ln 2, but fits better.
pub(in crate::kernels) fn exp2<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5·2^23 + 127 rounds to a whole number, which then stands in the lowest bits as an
    // exponent.
    const ROUND: f32 = 12_583_039.0;
    let x = x.clamp(-126.0, 127.0);
    let rounded = x + ROUND;
    let r = x - (rounded - ROUND);
    let p = polynomial::<FMA, _>(
        r,
        [1.0, 0.693_147, 0.240_222_42, 0.055_507_336, 0.009_671_513, 0.001_326_472_7],
    );
    p * f32::from_bits(rounded.to_bits() << 23)
}

/// 2^(x·factor) of x that are not above 0, relative error below 2e-7; 1 for x = 0, and 2^-100 for
/// whatever would be less: what is added to a number of order 1 does not change it, and products
/// with it do not become subnormal, which would be slow.
#[inline(always)]
#[allow(clippy::approx_constant)] // The second coefficient is near ln 2, but fits better.
pub(in crate::kernels) fn exp2_below_1<const FMA: bool>(x: f32, factor: f32) -> f32 {
    // Adding 1.5·2^23 + 127 rounds to a whole number, which then stands in the lowest bits as an
    // exponent.
    const ROUND: f32 = 12_583_039.0;
    let lowest = -100.0 / factor;
    let x = if x < lowest { lowest } else { x };
    let rounded = multiply_add::<FMA>(x, factor, ROUND);
    let r = multiply_add::<FMA>(x, factor, ROUND - rounded);
    let p = polynomial::<FMA, _>(
        r,
        [1.0, 0.693_147, 0.240_222_42, 0.055_507_336, 0.009_671_513, 0.001_326_472_7],
    );
    p * f32::from_bits(rounded.to_bits() << 23)
}

/// tanh x, absolute error below 2e-7, relative error below 3e-7 near 0.
#[inline(always)]
pub(in crate::kernels) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let squared = x * x;
    let near = x * polynomial::<FMA, _>(
        squared,
        [1.0, -0.333_332_5, 0.133_309_17, -0.053_704_277, 0.020_536_972, -0.005_599_785],
    );
    let far = 1.0 - 2.0 / (exp::<FMA>(2.0 * x) + 1.0);
    if squared < 0.39 { near } else { far }
}

/// The Gauss error function, absolute error below 2e-7.
#[inline(always)]
pub(in crate::kernels) fn erf<const FMA: bool>(x: f32) -> f32 {
    let squared = x * x;
    let near = x * polynomial::<FMA, _>(
        squared,
        [
            FRAC_2_SQRT_PI - f32::EPSILON,
            -0.376_123_43,
            0.112_803_17,
            -0.026_715_055,
            0.004_921_762,
            -5.648_06e-4,
        ],
    );
    // erfc(|x|) = t·exp(P(t) − x²) with t = 1 / (1 + |x|/2)
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    let p = polynomial::<FMA, _>(
        t,
        [
            -1.264_570_6,
            0.982_914_4,
            0.507_719_93,
            -0.492_129_03,
            1.429_099_6,
            -2.585_158_8,
            2.152_540_2,
            -0.872_269,
            0.141_853_2,
        ],
    );
    let far = (1.0 - t * exp::<FMA>(p - squared)).copysign(x);
    if squared < 1.0 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    /// Every 97th float between −`limit` and `limit`, and so at every order of magnitude.
    fn floats(limit: f32) -> impl Iterator<Item = f32> {
        let positive = (0..=limit.to_bits()).step_by(9_973).map(f32::from_bits);
        positive.clone().chain(positive.map(|x| -x))
    }

    /// Whether `mul_add` rounds once where it is no instruction, which the C library of MinGW gets
    /// wrong. In kernels it is one.
    const HAS_MUL_ADD: bool = !cfg!(all(windows, target_env = "gnu"));

    #[test]
    fn exp_is_accurate() {
        exp_is_accurate_with::<false>();
        exp_is_accurate_with::<true>();
    }

    #[test]
    fn exp2_is_accurate() {
        exp2_is_accurate_with::<false>();
        if HAS_MUL_ADD {
            exp2_is_accurate_with::<true>();
        }
    }

    fn exp2_is_accurate_with<const FMA: bool>() {
        for x in floats(126.0) {
            let expected = f64::from(x).exp2();
            let error = (f64::from(exp2::<FMA>(x)) / expected - 1.0).abs();
            assert!(error < 2e-7, "2^{x}: {error:e}");
        }
        assert_eq!((exp2::<FMA>(-1e30), exp2::<FMA>(1e30)), (2f32.powi(-126), 2f32.powi(127)));
        assert!(exp2::<FMA>(f32::NAN).is_nan());
    }

    fn exp_is_accurate_with<const FMA: bool>() {
        for x in floats(87.0) {
            let expected = f64::from(x).exp();
            let error = (f64::from(exp::<FMA>(x)) - expected).abs() / expected;
            assert!(error < 2e-7, "exp({x}) is off by {error:e} of its value");
        }
        assert!(exp::<FMA>(-1e9) < 2e-38 && exp::<FMA>(-1e9) >= 0.0);
        assert!(exp::<FMA>(1e9).is_finite());
        assert!(exp::<FMA>(f32::NAN).is_nan());
    }

    #[test]
    fn exp2_below_1_is_accurate() {
        exp2_below_1_is_accurate_with::<false>();
        if HAS_MUL_ADD {
            exp2_below_1_is_accurate_with::<true>();
        }
    }

    fn exp2_below_1_is_accurate_with<const FMA: bool>() {
        for factor in [1.0, 0.125, LOG2_E] {
            for x in floats(99.0 / factor).filter(|x| *x <= 0.0) {
                let expected = (f64::from(x) * f64::from(factor)).exp2();
                let error = (f64::from(exp2_below_1::<FMA>(x, factor)) - expected).abs() / expected;
                // Without a fused multiply-add, the product is rounded, too.
                let bound = if FMA { 2e-7 } else { 2e-7 + 1e-7 * f64::from(x * factor).abs() };
                assert!(error < bound, "2^({x}·{factor}) is off by {error:e} of its value");
            }
            assert_eq!(exp2_below_1::<FMA>(0.0, factor), 1.0);
            let least = exp2_below_1::<FMA>(f32::MIN, factor);
            assert!(least > 0.0 && least < 1e-30, "{least}");
            assert!(exp2_below_1::<FMA>(f32::NAN, factor).is_nan());
        }
    }

    #[test]
    fn tanh_is_accurate() {
        tanh_is_accurate_with::<false>();
        tanh_is_accurate_with::<true>();
    }

    fn tanh_is_accurate_with<const FMA: bool>() {
        for x in floats(30.0) {
            let expected = f64::from(x).tanh();
            let error = (f64::from(tanh::<FMA>(x)) - expected).abs();
            assert!(error < 2e-7, "tanh({x}) is off by {error:e}");
            if x.abs() > 1e-30 && x.abs() < 0.1 {
                assert!(error / expected.abs() < 3e-7, "tanh({x}) is off by {error:e}");
            }
        }
        assert!(tanh::<FMA>(f32::NAN).is_nan());
        assert_eq!((tanh::<FMA>(f32::INFINITY), tanh::<FMA>(f32::NEG_INFINITY)), (1.0, -1.0));
    }

    #[test]
    fn erf_is_accurate() {
        erf_is_accurate_with::<false>();
        erf_is_accurate_with::<true>();
    }

    fn erf_is_accurate_with<const FMA: bool>() {
        for x in floats(10.0) {
            let error = (f64::from(erf::<FMA>(x)) - reference::erf(f64::from(x))).abs();
            assert!(error < 2e-7, "erf({x}) is off by {error:e}");
        }
        assert!(erf::<FMA>(f32::NAN).is_nan());
        assert_eq!((erf::<FMA>(f32::INFINITY), erf::<FMA>(f32::NEG_INFINITY)), (1.0, -1.0));
    }
}
