//! Softmax of columns: lines of a panel hold one score each of up to 64 queries.
//!
//! A line's values stay in their lanes, so that nothing is added up across a register. Sums run over the lines in
//! ascending order.

use super::isa::multiversion;
use super::math::exp2_below_1;
use super::packed::MAX_PANEL;

#[inline(always)]
fn larger(x: f32, y: f32) -> f32 {
    if x > y { x } else { y }
}

multiversion! {
    /// Raises `largest` to the largest value of each column, if that is more. (NaN may hide others: their column's
    /// exponentials add up to NaN anyway.)
    pub(super) fn raise(lines: &[f32], largest: &mut [f32]) {
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

multiversion! {
    /// Replaces each x by 2^(`factor`·(x − the column's largest)), and adds that to the column's sum.
    pub(super) fn exponentials(lines: &mut [f32], factor: f32, largest: &[f32], sums: &mut [f32]) {
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
    pub(super) fn scale(row: &[f32], factor: f32, out: &mut [f32]) {
        out.iter_mut().zip(row).for_each(|(out, x)| *out = x * factor);
    }
}
