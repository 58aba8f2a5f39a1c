//! Products of bytes with `vpmaddubsw`, for x86 processors without VNNI.
//!
//! That instruction multiplies unsigned bytes by signed ones and adds two products that are next to each other. It
//! saturates at 16 bits. With inputs of 0 to 129 it cannot, because 129 · 127 · 2 = 32,766. Two things follow:
//!
//! * **Inputs are of seven bits.** A row has as many steps as leave nearly all of its values within 130 of them, around
//!   zero. What a few values are beyond is kept apart ([`Excess`]), multiplied exactly, and added to the sums. Outputs
//!   of GELU, which are nearly all small, have 254 steps as on other processors.
//! * **Two lines of a panel are added up in 16 bits** where their weights are so small that it cannot overflow either,
//!   which is known when they are packed ([`pairs`]). That is so for most lines, and spares one of four multiplications.
//!
//! So the sums are exact, but the steps of some rows are coarser than on processors with VNNI.

use std::ops::Range as Span;

use super::bytes::{self, Range};
use super::isa::multiversion;

/// The largest input.
const WINDOW: u8 = 129;

/// The most that the weights of either sign may come to that are multiplied and added up in 16 bits.
const MOST_WEIGHTS: i32 = i16::MAX as i32 / WINDOW as i32;

/// Steps across a row, the finest first, that are tried while too many values lie beyond the window.
const FINER_STEPS: [i32; 2] = [254, 180];

/// Steps across a row with which none lies beyond: rounding may add one.
const STEPS_ACROSS: i32 = WINDOW as i32 - 1;

/// What a value is beyond the window, in steps; none if it is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Excess {
    pub(super) channel: u32,
    pub(super) steps: i32,
}

/// How many values of a row of `k` may lie beyond the window: each costs as much as a few that do not.
pub(super) fn most_excess(k: usize) -> usize {
    k / 64
}

/// Encodes a row that reaches from `low` to `high` but for the outliers, which become zero. Returns what a step is worth,
/// and what stands for zero.
#[inline(always)]
pub(super) fn encode(
    row: &[f32],
    outliers: &[usize],
    (low, high): (f32, f32),
    words: &mut [u32],
    excess: &mut [Excess],
) -> (f32, i32) {
    let (values, padding) = bytes::bytes(words).split_at_mut(row.len());
    padding.fill(0);
    let mut result = (f32::NAN, 0);
    let mut is_done = false;
    for steps in FINER_STEPS.into_iter().chain([STEPS_ACROSS]) {
        let range = Range::across(low, high, steps as f32);
        range.quantize(row, values);
        outliers.iter().for_each(|&channel| values[channel] = range.zero as u8);
        let base = (range.zero - i32::from(WINDOW) / 2).clamp(0, steps - STEPS_ACROSS);
        result = (range.scale, range.zero - base);
        is_done = shift_into_window(values, base as u8, excess);
        if is_done {
            break;
        }
    }
    if !is_done {
        // There is a NaN in the row, or its reach is infinite: so are its products.
        values.fill(0);
        excess.fill(Excess::default());
    }
    if cfg!(target_endian = "big") {
        words.iter_mut().for_each(|word| *word = word.to_le());
    }
    result
}

/// Values looked through at a time: as many as a byte can count.
const BLOCK: usize = 128;

/// Takes `base` off all values and cuts off what is then beyond the window. Leaves them as they are if there is more of
/// that than `excess` has room for.
#[inline(always)]
fn shift_into_window(values: &mut [u8], base: u8, excess: &mut [Excess]) -> bool {
    // What is below the base wraps around to something large.
    let is_beyond = |value: u8| value.wrapping_sub(base) > WINDOW;
    let count_in = |values: &[u8]| values.iter().map(|&x| u8::from(is_beyond(x))).sum::<u8>();
    let count = values.chunks(BLOCK).map(|block| usize::from(count_in(block))).sum::<usize>();
    let Some((used, free)) = excess.split_at_mut_checked(count) else { return false };
    free.fill(Excess::default());
    let mut used = used.iter_mut();
    for (block, first) in values.chunks_mut(BLOCK).zip((0..).step_by(BLOCK)) {
        if used.len() > 0 && count_in(block) > 0 {
            let numbered = (first..).zip(&*block).filter(|&(_, &value)| is_beyond(value));
            for ((channel, &value), to) in numbered.zip(&mut used) {
                let steps = i32::from(value) - i32::from(base);
                let steps = steps - steps.clamp(0, i32::from(WINDOW));
                *to = Excess { channel, steps };
            }
        }
        block.iter_mut().for_each(|value| *value = value.saturating_sub(base).min(WINDOW));
    }
    true
}

multiversion! {
    /// Adds the products of what is beyond the window to sums of certain rows, `width` each.
    pub(super) fn add_excess(
        excess: &[Excess],
        rows: Span<usize>,
        k: usize,
        panel: &[u32],
        width: usize,
        sums: &mut [u32],
    ) {
        let most = most_excess(k);
        for (row, sums) in rows.zip(sums.chunks_exact_mut(width)) {
            for excess in &excess[row * most..][..most] {
                if excess.steps == 0 {
                    break;
                }
                let (line, place) = (excess.channel as usize / 4, excess.channel % 4);
                for (sum, word) in sums.iter_mut().zip(&panel[line * width..][..width]) {
                    let weight = (word << (24 - 8 * place)).cast_signed() >> 24;
                    *sum = sum.wrapping_add((weight * excess.steps).cast_unsigned());
                }
            }
        }
    }
}

/// For each two lines of a panel, whether they may be added up in 16 bits (1) or not (0). The last may be one alone.
pub(super) fn pairs(panel: &[u32], width: usize) -> impl Iterator<Item = u8> {
    panel.chunks(2 * width).map(move |lines| {
        let (first, second) = lines.split_at(width);
        let is_small = |output: usize| {
            let words = [first[output], second.get(output).copied().unwrap_or(0)];
            let weights = words.map(|word| word.to_le_bytes().map(|x| i32::from(x.cast_signed())));
            // Bytes next to each other are added up, and to those of the other line.
            [0, 2].into_iter().all(|half| {
                let four = weights.iter().flat_map(|weights| &weights[half..half + 2]);
                let (positive, negative) = four.fold((0, 0), |(positive, negative), &x| {
                    (positive + x.max(0), negative - x.min(0))
                });
                positive.max(negative) <= MOST_WEIGHTS
            })
        };
        u8::from((0..width).all(is_small))
    })
}
