//! Softmax of columns: lines of a panel hold one score each of up to 64 queries.
//!
//! A line's values stay in their lanes, so that nothing is added up across a register. Sums run
//! over the lines in ascending order.

use crate::kernels::isa::multiversion;
use crate::kernels::product::blocking::MAX_PANEL;
use crate::kernels::rows::math::exp2_below_1;

#[inline(always)]
fn larger(x: f32, y: f32) -> f32 {
    if x > y { x } else { y }
}

multiversion! {
    /// Raises `largest` to the largest value of each column, if that is more. (NaN may hide others:
    /// their column's exponentials add up to NaN anyway.)
    pub(in crate::kernels) fn raise(lines: &[f32], largest: &mut [f32]) {
        let width = largest.len();
        let fours = lines.chunks_exact(4 * width);
        for line in fours.remainder().chunks_exact(width) {
            largest.iter_mut().zip(line).for_each(|(max, &x)| *max = larger(x, *max));
        }
        for four in fours {
            let (pair, other) = four.split_at(2 * width);
            let ((a, b), (c, d)) = (pair.split_at(width), other.split_at(width));
            for ((max, (&a, &b)), (&c, &d)) in largest.iter_mut().zip(a.iter().zip(b)).zip(c.iter().zip(d)) {
                *max = larger(larger(larger(a, b), larger(c, d)), *max);
            }
        }
    }
}

/// What makes sums of products of bytes the scores that they stand for.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Dequantization<'a> {
    /// What a step of each line's key is worth.
    pub(in crate::kernels) line_scales: &'a [f32],
    /// What a step of each column's query is worth.
    pub(in crate::kernels) scales: &'a [f32],
    /// What is to be taken off each column's sums.
    pub(in crate::kernels) corrections: &'a [u32],
}

multiversion! {
    /// Replaces sums of products of bytes, which are the bits of `lines`, by scores, and raises
    /// `largest` as [`raise`] does.
    pub(in crate::kernels) fn dequantize<'a>(lines: &mut [f32], by: Dequantization<'a>, largest: &mut [f32]) {
        let Dequantization { line_scales, scales, corrections } = by;
        let whole = (
            <&[f32; MAX_PANEL]>::try_from(scales),
            <&[u32; MAX_PANEL]>::try_from(corrections),
            <&mut [f32; MAX_PANEL]>::try_from(&mut *largest),
        );
        if let (Ok(scales), Ok(corrections), Ok(largest)) = whole {
            // Copies, which overlap nothing and so stay in registers.
            let (scales, corrections, mut most) = (*scales, *corrections, *largest);
            for (line, &of_line) in lines.as_chunks_mut::<MAX_PANEL>().0.iter_mut().zip(line_scales) {
                for (j, x) in line.iter_mut().enumerate() {
                    *x = score(*x, corrections[j], of_line, scales[j]);
                    most[j] = larger(*x, most[j]);
                }
            }
            *largest = most;
        } else {
            for (line, &of_line) in lines.chunks_exact_mut(scales.len()).zip(line_scales) {
                let columns = scales.iter().zip(corrections).zip(&mut *largest);
                for (x, ((&scale, &correction), largest)) in line.iter_mut().zip(columns) {
                    *x = score(*x, correction, of_line, scale);
                    *largest = larger(*x, *largest);
                }
            }
        }
    }
}

/// What a sum, the bits of x, stands for.
#[inline(always)]
fn score(x: f32, correction: u32, of_line: f32, of_column: f32) -> f32 {
    x.to_bits().wrapping_sub(correction).cast_signed() as f32 * (of_line * of_column)
}

multiversion! {
    /// For each column of a panel of signed bytes, four to a word, the sum of all of them times
    /// `factor`.
    pub(in crate::kernels) fn byte_sums(panel: &[u32], factor: i32, sums: &mut [u32]) {
        sums.fill(0);
        if factor == 0 {
            return;
        }
        for line in panel.chunks_exact(sums.len()) {
            for (sum, word) in sums.iter_mut().zip(line) {
                let word = word.cast_signed();
                let four = (word << 24 >> 24) + (word << 16 >> 24) + (word << 8 >> 24) + (word >> 24);
                *sum = sum.wrapping_add(four.cast_unsigned());
            }
        }
        sums.iter_mut().for_each(|sum| *sum = sum.wrapping_mul(factor.cast_unsigned()));
    }
}

multiversion! {
    /// Replaces each x by 2^(`factor`·(x − the column's largest)), and adds that to the column's
    /// sum.
    pub(in crate::kernels) fn exponentials(lines: &mut [f32], factor: f32, largest: &[f32], sums: &mut [f32]) {
        match (<&[f32; MAX_PANEL]>::try_from(largest), <&mut [f32; MAX_PANEL]>::try_from(&mut *sums)) {
            // A length that the compiler knows takes fewer instructions per line.
            (Ok(largest), Ok(sums)) => {
                for line in lines.as_chunks_mut::<MAX_PANEL>().0 {
                    exponential::<FMA>(line, factor, largest, sums);
                }
            }
            _ => {
                for line in lines.chunks_exact_mut(largest.len()) {
                    exponential::<FMA>(line, factor, largest, sums);
                }
            }
        }
    }
}

#[inline(always)]
fn exponential<const FMA: bool>(line: &mut [f32], factor: f32, largest: &[f32], sums: &mut [f32]) {
    for ((x, &largest), sum) in line.iter_mut().zip(largest).zip(sums) {
        *x = exp2_below_1::<FMA>(*x - largest, factor);
        *sum += *x;
    }
}

multiversion! {
    /// `out` = `row`·`factor`
    pub(in crate::kernels) fn scale(row: &[f32], factor: f32, out: &mut [f32]) {
        out.iter_mut().zip(row).for_each(|(out, x)| *out = x * factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Isa, reference};

    /// Weights of `lines`, all at once, and their sums.
    fn softmax(isa: Isa, mut lines: Vec<f32>, width: usize, factor: f32) -> (Vec<f32>, Vec<f32>) {
        let (mut largest, mut sums) = (vec![f32::NEG_INFINITY; width], vec![0.0; width]);
        raise(isa, &lines, &mut largest);
        exponentials(isa, &mut lines, factor, &largest, &mut sums);
        (lines, sums)
    }

    #[test]
    fn columns_match_the_reference() {
        for isa in Isa::available() {
            for (width, count) in [(16, 1), (16, 7), (48, 4), (64, 1), (64, 130)] {
                let lines = reference::noise(count * width, 3, 9.0);
                let (weights, sums) = softmax(isa, lines.clone(), width, 0.7);
                for (column, &sum) in sums.iter().enumerate() {
                    let of = |lines: &[f32]| -> Vec<f32> {
                        lines.iter().skip(column).step_by(width).copied().collect()
                    };
                    let scores: Vec<f64> =
                        of(&lines).iter().map(|&x| f64::from(x) * 0.7 * 2f64.ln()).collect();
                    let found: Vec<f32> = of(&weights).iter().map(|x| x / sum).collect();
                    let what = format!("{isa} {count} lines of {width}");
                    reference::assert_close(&found, &reference::softmax(&scores), 1e-6, &what);
                }
            }
        }
    }

    #[test]
    fn large_scores_do_no_harm_and_nan_stays() {
        for isa in Isa::available() {
            let line = |x: f32| [x; 16];
            let (weights, sums) =
                softmax(isa, [line(1e30), line(-1e30), line(1e30)].concat(), 16, 1.0);
            assert!(sums.iter().all(|&sum| sum == 2.0) && weights[16] < 1e-30, "{isa}");
            let (_, sums) = softmax(isa, [line(1.0), line(f32::NAN), line(3.0)].concat(), 16, 1.0);
            assert!(sums.iter().all(|sum| sum.is_nan()), "{isa}");
        }
    }
}
