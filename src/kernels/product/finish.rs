//! What is done to the sums of a product's tile on their way out: scale (if they are of bytes),
//! bias, nonlinearity.
//!
//! A tile at a time, so that the constants of a nonlinearity are fetched once for all of its rows.

use std::ops::Range;

use crate::kernels::isa::multiversion;
use crate::kernels::product::blocking::MAX_PANEL;
use crate::kernels::product::convert::Steps;
use crate::kernels::product::output::Output;
use crate::kernels::rows::activation::{self, Loop, Nonlinearity};
use crate::kernels::rows::math::multiply_add;

/// No bias.
pub(in crate::kernels) const ZEROS: [f32; MAX_PANEL] = [0.0; MAX_PANEL];

/// What is made of the sums of a tile's rows, `width` each, on their way to certain columns of the
/// output.
pub(in crate::kernels) struct Finish<'a> {
    pub(in crate::kernels) sums: &'a mut [u32],
    pub(in crate::kernels) width: usize,
    /// Of these columns.
    pub(in crate::kernels) bias: &'a [f32],
    pub(in crate::kernels) out: &'a Output<'a>,
    pub(in crate::kernels) rows: Range<usize>,
    pub(in crate::kernels) columns: Range<usize>,
}

impl Finish<'_> {
    /// Calls `finish` with the number of each row, in all and in the tile, its sums, and where they
    /// belong.
    #[inline(always)]
    fn rows(&self, finish: impl Fn((usize, usize), &[u32], &mut [f32])) {
        let Self { ref sums, width, out, ref rows, ref columns, .. } = *self;
        for (i, row) in rows.clone().enumerate() {
            // Not by `chunks_exact`, which divides.
            let sums = &sums[i * width..][..width];
            // SAFETY: the task that this is done for alone writes these columns of these rows,
            // which are in `out`.
            finish((row, i), sums, unsafe { out.row(row, columns.start, columns.len()) });
        }
    }
}

/// [`Finish`] of products of floating-point numbers.
struct Floats<'a>(Finish<'a>);

impl Loop for Floats<'_> {
    #[inline(always)]
    fn run(self, f: impl Fn(f32) -> f32) {
        let value = |sum: u32, bias: f32| f(f32::from_bits(sum) + bias);
        match <&[f32; MAX_PANEL]>::try_from(self.0.bias) {
            Ok(&bias) => self.0.rows(
                #[inline(always)]
                |_, sums, out| whole(sums, out, |j, sum| value(sum, bias[j])),
            ),
            _ => self.0.rows(
                #[inline(always)]
                |_, sums, out| {
                    for ((out, &sum), &bias) in out.iter_mut().zip(sums).zip(self.0.bias) {
                        *out = value(sum, bias);
                    }
                },
            ),
        }
    }
}

/// Fills a whole panel's row with what is made of each of its sums. Of a length that the compiler
/// knows, and by way of a copy that it knows to overlap nothing, which takes a fraction of the
/// instructions.
#[inline(always)]
fn whole(sums: &[u32], out: &mut [f32], value: impl Fn(usize, u32) -> f32) {
    let ([sums], [out]) = (sums.as_chunks::<MAX_PANEL>().0, out.as_chunks_mut::<MAX_PANEL>().0)
    else {
        unreachable!("as many sums and outputs as biases")
    };
    let mut values = [0.0; MAX_PANEL];
    for (j, to) in values.iter_mut().enumerate() {
        *to = value(j, sums[j]);
    }
    *out = values;
}

/// [`Finish`] of products of bytes.
pub(in crate::kernels) struct Bytes<'a> {
    pub(in crate::kernels) finish: Finish<'a>,
    /// Of all rows, and their outliers.
    pub(in crate::kernels) steps: Steps<'a>,
    /// Of these columns.
    pub(in crate::kernels) scales: &'a [f32],
    pub(in crate::kernels) sums: &'a [i32],
    /// The weights of the outliers, a line of the panel's width for each.
    pub(in crate::kernels) outliers: &'a [f32],
}

/// [`Bytes`] on their way out: each sum is brought to scale, and gets its bias, onto which the
/// products of the outliers were added one after the other, whatever the tile's shape.
struct Scaled<'a, const FMA: bool>(Bytes<'a>);

impl<const FMA: bool> Loop for Scaled<'_, FMA> {
    #[inline(always)]
    fn run(self, f: impl Fn(f32) -> f32) {
        let Bytes { ref finish, outliers, .. } = self.0;
        let is_whole = finish.bias.len() == MAX_PANEL;
        match outliers.len() / finish.width {
            0 if is_whole => self.whole::<0>(f),
            1 if is_whole => self.whole::<1>(f),
            2 if is_whole => self.whole::<2>(f),
            3 if is_whole => self.whole::<3>(f),
            4 if is_whole => self.whole::<4>(f),
            channels => self.general(channels, f),
        }
    }
}

impl<const FMA: bool> Scaled<'_, FMA> {
    /// Of a whole panel with so many outliers, without a memory for what is added.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // The loop that was measured.
    fn whole<const CHANNELS: usize>(&self, f: impl Fn(f32) -> f32) {
        let Bytes { ref finish, steps, scales, sums: totals, outliers } = self.0;
        let lines = outliers.as_chunks::<MAX_PANEL>().0.first_chunk::<CHANNELS>();
        let arrays = (
            <&[f32; MAX_PANEL]>::try_from(finish.bias),
            <&[f32; MAX_PANEL]>::try_from(scales),
            <&[i32; MAX_PANEL]>::try_from(totals),
        );
        let ((Ok(&bias), Ok(&scales), Ok(&totals)), Some(lines)) = (arrays, lines) else {
            unreachable!("a whole panel")
        };
        finish.rows(
            #[inline(always)]
            |(row, _), sums, out| {
                let step = (steps.scales[row], steps.zeros[row]);
                let inputs = steps.outliers[row * CHANNELS..].first_chunk::<CHANNELS>();
                let &inputs = inputs.expect("outliers of every row");
                whole(
                    sums,
                    out,
                    #[inline(always)]
                    |j, sum| {
                        let mut added = bias[j];
                        for c in 0..CHANNELS {
                            added = multiply_add::<FMA>(inputs[c], lines[c][j], added);
                        }
                        f(scaled(sum, step, scales[j], totals[j]) + added)
                    },
                );
            },
        );
    }

    /// Of any number of columns and outliers.
    #[inline(always)]
    fn general(&self, channels: usize, f: impl Fn(f32) -> f32) {
        let Bytes { ref finish, steps, scales, sums: totals, outliers } = self.0;
        finish.rows(
            #[inline(always)]
            |(row, _), sums, out| {
                let step = (steps.scales[row], steps.zeros[row]);
                out.copy_from_slice(finish.bias);
                let inputs = &steps.outliers[row * channels..][..channels];
                for (&x, line) in inputs.iter().zip(outliers.chunks_exact(finish.width)) {
                    for (added, &weight) in out.iter_mut().zip(line) {
                        *added = multiply_add::<FMA>(x, weight, *added);
                    }
                }
                for (((out, &sum), &scale), &total) in
                    out.iter_mut().zip(sums).zip(scales).zip(totals)
                {
                    *out = f(scaled(sum, step, scale, total) + *out);
                }
            },
        );
    }
}

/// What a sum of products of bytes is worth, with its row's scale and zero, its column's scale and
/// the sum of that column's weights.
#[inline(always)]
fn scaled(sum: u32, (of_row, zero): (f32, i32), scale: f32, total: i32) -> f32 {
    // What wraps around in one of the two does so in the other.
    sum.cast_signed().wrapping_sub(zero.wrapping_mul(total)) as f32 * (of_row * scale)
}

multiversion! {
    /// Adds a bias to a tile's sums, applies a nonlinearity, and writes them.
    pub(in crate::kernels) fn finish<'a>(tile: Finish<'a>, nonlinearity: Nonlinearity) {
        activation::run_inline::<FMA>(nonlinearity, Floats(tile));
    }
}

multiversion! {
    /// Brings a tile's sums of products of bytes to scale, and goes on as [`finish`]. What comes
    /// out of them is rounded to bytes again before it is multiplied, so that a nonlinearity need
    /// not be exact.
    pub(in crate::kernels) fn finish_quantized<'a>(tile: Bytes<'a>, nonlinearity: Nonlinearity) {
        activation::run_inline_for_bytes::<FMA>(nonlinearity, Scaled::<FMA>(tile));
    }
}
