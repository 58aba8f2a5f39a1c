//! What is done to the sums of a product's tile on their way out: scale (if they are of bytes), bias, nonlinearity.
//!
//! A tile at a time, so that the constants of a nonlinearity are fetched once for all of its rows.

use std::ops::Range;

use super::activation::{self, Loop, Nonlinearity};
use super::isa::multiversion;
use super::output::Output;
use super::packed::MAX_PANEL;

/// No bias.
pub(super) const ZEROS: [f32; MAX_PANEL] = [0.0; MAX_PANEL];

/// What is made of the sums of a tile's rows, `width` each, on their way to certain columns of the output.
pub(super) struct Finish<'a> {
    pub(super) sums: &'a [u32],
    pub(super) width: usize,
    /// Of these columns.
    pub(super) bias: &'a [f32],
    pub(super) out: &'a Output<'a>,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl Finish<'_> {
    /// Each row's sums, and where they belong.
    #[inline(always)]
    fn rows(&self) -> impl Iterator<Item = (usize, &[u32], &mut [f32])> {
        let Self { sums, width, out, ref rows, ref columns, .. } = *self;
        rows.clone().enumerate().map(move |(i, row)| {
            // Not by `chunks_exact`, which divides.
            let sums = &sums[i * width..][..width];
            // SAFETY: the task that this is done for alone writes these columns of these rows, which are in `out`.
            (row, sums, unsafe { out.row(row, columns.start, columns.len()) })
        })
    }
}

/// [`Finish`] of products of floating-point numbers.
struct Floats<'a>(Finish<'a>);

impl Loop for Floats<'_> {
    #[inline(always)]
    fn run(self, f: impl Fn(f32) -> f32) {
        for (_, sums, out) in self.0.rows() {
            for ((out, &sum), &bias) in out.iter_mut().zip(sums).zip(self.0.bias) {
                *out = f(f32::from_bits(sum) + bias);
            }
        }
    }
}

/// [`Finish`] of products of bytes.
pub(super) struct Bytes<'a> {
    pub(super) finish: Finish<'a>,
    /// Of all rows.
    pub(super) row_scales: &'a [f32],
    /// Of these columns.
    pub(super) scales: &'a [f32],
    pub(super) corrections: &'a [i32],
}

impl Loop for Bytes<'_> {
    #[inline(always)]
    fn run(self, f: impl Fn(f32) -> f32) {
        for (row, sums, out) in self.finish.rows() {
            let of_row = self.row_scales[row];
            let outputs = self.corrections.iter().zip(self.scales).zip(self.finish.bias);
            for ((out, &sum), ((&correction, &scale), &bias)) in
                out.iter_mut().zip(sums).zip(outputs)
            {
                let sum = sum.cast_signed().wrapping_sub(correction) as f32;
                *out = f(sum * (of_row * scale) + bias);
            }
        }
    }
}

multiversion! {
    /// Adds a bias to a tile's sums, applies a nonlinearity, and writes them.
    pub(super) fn finish<'a>(tile: Finish<'a>, nonlinearity: Nonlinearity) {
        activation::run_inline::<FMA>(nonlinearity, Floats(tile));
    }
}

multiversion! {
    /// Brings a tile's sums of products of bytes to scale, and goes on as [`finish`].
    pub(super) fn finish_quantized<'a>(tile: Bytes<'a>, nonlinearity: Nonlinearity) {
        activation::run_inline::<FMA>(nonlinearity, tile);
    }
}
