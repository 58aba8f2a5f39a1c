//! Between `f32` and bytes.
//!
//! Weights are signed bytes, symmetric about zero, with a scale per output. What they are
//! multiplied with comes as bytes from 0 to 255 and a zero point per token, because the outputs of
//! GELU lie nearly all on one side of zero. A few channels that are much larger than the rest stay
//! out of this, and are multiplied in `f32` ([`Outliers`]).
//!
//! As in [`convert`](crate::kernels::product::convert), every operation rounds once, so that all
//! instruction sets give the same bits.

use rayon::prelude::*;

use crate::kernels::isa::multiversion;
use crate::kernels::product::precision::Encoding;
use crate::kernels::product::seven_bits::{self, Excess, most_excess};

/// The largest magnitude of a signed byte, and the number of steps from zero to it.
const STEPS: f32 = 127.0;

/// The steps between the least and the largest of a row with a zero point, where inputs are of
/// eight bits. Not 255: with the zero point rounded, the largest could come out as 256.
const STEPS_ACROSS: f32 = 254.0;

/// 1.5·2²³: adding it rounds to a whole number, which then stands in the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// What one step of a row that is symmetric about zero is worth: its largest magnitude / 127. NaN
/// if there is one in the row.
#[inline(always)]
pub(in crate::kernels) fn scale(row: &[f32]) -> f32 {
    // As integers, magnitudes are in the same order, and NaN is above all of them.
    f32::from_bits(row.iter().map(|x| x.to_bits() & 0x7fff_ffff).fold(0, u32::max)) / STEPS
}

/// What one step of an output's weights is worth: [`scale`] to 17 bits, so that a byte times it is
/// exact. What was rounded to bytes once is therefore rounded to the same bytes and the same scale
/// again.
pub(crate) fn weight_scale(row: &[f32]) -> f32 {
    let scale = scale(row);
    if scale.is_finite() { f32::from_bits((scale.to_bits() + 0x40) & !0x7f) } else { scale }
}

/// A weight as the byte that is nearest, given its row's [`weight_scale`].
pub(crate) fn round_to_byte(x: f32, scale: f32) -> i8 {
    quantize(x, inverse(scale))
}

/// What a row is multiplied by to be quantised: 1 / scale, and 0 where the scale is too small to
/// have an inverse.
#[inline(always)]
pub(in crate::kernels) fn inverse(scale: f32) -> f32 {
    if scale < f32::MIN_POSITIVE { 0.0 } else { 1.0 / scale }
}

/// The nearest whole number of steps, ties to even, −127 to 127. Anything if the row's scale is not
/// finite, which makes its products NaN.
#[inline(always)]
pub(in crate::kernels) fn quantize(x: f32, inverse: f32) -> i8 {
    steps(x, inverse, 0.0) as u8 as i8
}

/// The nearest whole number to x · `inverse` + `zero`, in the lowest bits.
#[inline(always)]
fn steps(x: f32, inverse: f32, zero: f32) -> u32 {
    (x * inverse + (ROUND + zero)).to_bits()
}

/// How a row with a zero point is read: x = `scale` · (byte − `zero`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::kernels) struct Range {
    pub(in crate::kernels) scale: f32,
    /// 0 to 255.
    pub(in crate::kernels) zero: i32,
}

impl Range {
    /// The one with so many steps from the least to the largest of a row. Its scale is NaN if there
    /// is one in the row.
    #[inline(always)]
    pub(in crate::kernels) fn across(low: f32, high: f32, steps_across: f32) -> Self {
        let scale = (high - low) / steps_across;
        Self { scale, zero: i32::from(steps(-low, inverse(scale), 0.0) as u8) }
    }

    /// The row's values as bytes.
    #[inline(always)]
    pub(in crate::kernels) fn quantize(self, row: &[f32], bytes: &mut [u8]) {
        let (inverse, zero) = (inverse(self.scale), self.zero as f32);
        bytes.iter_mut().zip(row).for_each(|(to, &x)| *to = steps(x, inverse, zero) as u8);
    }
}

/// The least and the largest of a row and of zero; NaN if there is one in the row. What `mask` has
/// no bits for is left out.
#[inline(always)]
fn extremes(row: &[f32], mask: &[u32]) -> (f32, f32) {
    // As signed integers, positive numbers are in their order and all negative ones below; as
    // unsigned integers, negative numbers come after all positive ones, in the order of their
    // magnitudes. NaN is beyond both.
    let (mut high, mut low) = (0, 1 << 31);
    let mut take = |bits: u32| {
        high = high.max(bits.cast_signed());
        low = low.max(bits);
    };
    match mask {
        [] => row.iter().for_each(|x| take(x.to_bits())),
        mask => row.iter().zip(mask).for_each(|(x, mask)| take(x.to_bits() & mask)),
    }
    (f32::from_bits(low), f32::from_bits(high.cast_unsigned()))
}

/// Channels of the inputs of a matrix that are multiplied in `f32`: they are so much larger than
/// the others that these would be left with a few steps of a byte.
#[derive(Default)]
pub(crate) struct Outliers {
    /// In ascending order.
    channels: Vec<usize>,
    /// No bits for these channels, all bits for the others; empty if there are none.
    mask: Vec<u32>,
}

impl Outliers {
    /// Those channels, ascending, of `k`.
    pub(in crate::kernels) fn new(channels: &[usize], k: usize) -> Self {
        assert!(channels.is_sorted_by(|a, b| a < b) && channels.last().is_none_or(|&c| c < k));
        let mut mask = Vec::new();
        if !channels.is_empty() {
            mask = vec![u32::MAX; k];
            channels.iter().for_each(|&channel| mask[channel] = 0);
        }
        Self { channels: channels.to_vec(), mask }
    }

    pub(crate) fn channels(&self) -> &[usize] {
        &self.channels
    }

    /// Takes the outliers out of rows of weights `[n, k]`, where they leave zeros: `[n, channels]`.
    pub(in crate::kernels) fn take_from(&self, rows: &mut [f32], k: usize) -> Vec<f32> {
        let mut taken = Vec::with_capacity(rows.len() / k * self.channels.len());
        for row in rows.chunks_exact_mut(k) {
            taken.extend(self.channels.iter().map(|&channel| std::mem::take(&mut row[channel])));
        }
        taken
    }
}

/// Rounds rows of weights `[n, k]` to what they would be as bytes, but for the outliers among their
/// inputs.
pub(crate) fn round_weights(rows: &mut [f32], k: usize, outliers: &[usize]) {
    let outliers = Outliers::new(outliers, k);
    rows.par_chunks_exact_mut(k).for_each(|row| {
        let kept = outliers.take_from(row, k);
        let scale = weight_scale(row);
        let inverse = inverse(scale);
        row.iter_mut().for_each(|x| *x = f32::from(quantize(*x, inverse)) * scale);
        for (&channel, weight) in outliers.channels.iter().zip(kept) {
            row[channel] = weight;
        }
    });
}

/// Where rows of bytes go: what each is worth, and its outliers.
pub(in crate::kernels) struct Rows<'a> {
    pub(in crate::kernels) words: &'a mut [u32],
    pub(in crate::kernels) scales: &'a mut [f32],
    /// What the zero is in the encoding at hand.
    pub(in crate::kernels) zeros: &'a mut [i32],
    /// `[T, channels]`
    pub(in crate::kernels) outliers: &'a mut [f32],
    /// What is beyond seven bits, if that is the encoding: [`most_excess`] for each row.
    pub(in crate::kernels) excess: &'a mut [Excess],
}

multiversion! {
    /// Encodes rows of `k` values with a zero point each.
    pub(in crate::kernels) fn encode_with_zeros<'a>(encoding: Encoding, rows: &[f32], k: usize, outliers: &Outliers, to: Rows<'a>) {
        let Rows { words, scales, zeros, outliers: values, excess } = to;
        let Outliers { channels, mask } = outliers;
        let stride = words.len() / scales.len();
        let mut words = words.chunks_exact_mut(stride);
        let mut values = values.chunks_exact_mut(channels.len().max(1));
        let mut excess = excess.chunks_exact_mut(most_excess(k).max(1));
        for ((row, scale), zero) in rows.chunks_exact(k).zip(scales).zip(zeros) {
            let (Some(words), (low, high)) = (words.next(), extremes(row, mask)) else { return };
            (*scale, *zero) = if encoding == Encoding::Unsigned7 {
                let excess = excess.next().unwrap_or_default();
                seven_bits::encode(row, channels, (low, high), words, excess)
            } else {
                let range = Range::across(low, high, STEPS_ACROSS);
                let zero = range.zero - encoding.middle();
                to_bytes(row, inverse(range.scale), zero, words);
                channels.iter().for_each(|&channel| clear(channel, zero as u8, words));
                (range.scale, zero)
            };
            if let Some(values) = values.next() {
                values.iter_mut().zip(channels).for_each(|(to, &channel)| *to = row[channel]);
            }
        }
    }
}

/// Makes the byte of a channel the one that stands for zero.
#[inline(always)]
fn clear(channel: usize, zero: u8, words: &mut [u32]) {
    let (word, shift) = (&mut words[channel / 4], 8 * (channel % 4));
    *word = *word & !(0xff << shift) | u32::from(zero) << shift;
}

/// Encodes a row that is symmetric about zero, for which a byte stands; returns what a step is
/// worth.
#[inline(always)]
pub(in crate::kernels) fn encode_symmetric(row: &[f32], zero: i32, words: &mut [u32]) -> f32 {
    let scale = scale(row);
    to_bytes(row, inverse(scale), zero, words);
    scale
}

/// The same as 16-bit integers: fours of values, the last filled up with 0, as two words, the first
/// and third, then the second and fourth.
#[inline(always)]
pub(in crate::kernels) fn encode_sixteens(row: &[f32], words: &mut [u32]) -> f32 {
    let scale = scale(row);
    let inverse = inverse(scale);
    let encode = |four: [f32; 4]| {
        let [a, b, c, d] = four.map(|x| u32::from(steps(x, inverse, 0.0) as u16));
        [a | c << 16, b | d << 16]
    };
    let (fours, rest) = row.as_chunks::<4>();
    let (pairs, _) = words.as_chunks_mut::<2>();
    pairs.iter_mut().zip(fours).for_each(|(to, &four)| *to = encode(four));
    if let (Some(to), false) = (pairs.get_mut(fours.len()), rest.is_empty()) {
        *to = encode(std::array::from_fn(|i| rest.get(i).copied().unwrap_or(0.0)));
    }
    scale
}

#[inline(always)]
fn to_bytes(row: &[f32], inverse: f32, zero: i32, words: &mut [u32]) {
    let bytes = bytes(words);
    let (filled, rest) = bytes.split_at_mut(row.len());
    let byte = |x| steps(x, inverse, zero as f32) as u8;
    filled.iter_mut().zip(row).for_each(|(to, &x)| *to = byte(x));
    rest.fill(zero as u8);
    // They were written in the order of memory.
    if cfg!(target_endian = "big") {
        words.iter_mut().for_each(|word| *word = word.to_le());
    }
}

/// The bytes of words, in the order of memory.
pub(in crate::kernels) fn bytes(words: &mut [u32]) -> &mut [u8] {
    // SAFETY: four bytes have the size of a u32 and no stricter alignment; any bits are valid.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 4) }
}

#[cfg(test)]
pub(in crate::kernels) mod tests;
