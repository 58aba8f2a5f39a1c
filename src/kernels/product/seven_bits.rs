//! Products of bytes with `vpmaddubsw`, for x86 processors without VNNI.
//!
//! That instruction multiplies unsigned bytes by signed ones and adds two products that are next to
//! each other. It saturates at 16 bits. With inputs of 0 to 129 it cannot, because 129 · 127 · 2 =
//! 32,766. Two things follow:
//!
//! * **Inputs are of seven bits.** A row has as many steps as leave nearly all of its values within 130 of them, around
//!   zero. What a few values are beyond is kept apart ([`Excess`]), multiplied exactly, and added
//!   to the sums. Outputs of GELU, which are nearly all small, have 254 steps as on other
//!   processors.
//! * **Two lines of a panel are added up in 16 bits** where their weights are so small that it cannot overflow either,
//!   which is known when they are packed ([`pairs`]). That is so for most lines, and spares one of
//!   four multiplications.
//!
//! So the sums are exact, but the steps of some rows are coarser than on processors with VNNI.

use std::ops::Range as Span;

use crate::kernels::isa::multiversion;
use crate::kernels::product::blocking::LANES;
use crate::kernels::product::bytes::{self, Range};

/// The largest input. WebAssembly's product is defined up to 127 alone.
pub(in crate::kernels) const WINDOW: u8 = if cfg!(target_arch = "wasm32") { 127 } else { 129 };

/// The most that the weights of either sign may come to that are multiplied and added up in 16
/// bits.
const MOST_WEIGHTS: i32 = i16::MAX as i32 / WINDOW as i32;

/// Steps across a row, the finest first, that are tried while too many values lie beyond the
/// window.
const FINER_STEPS: [i32; 2] = [254, 180];

/// Steps across a row with which none lies beyond: rounding may add one.
const STEPS_ACROSS: i32 = WINDOW as i32 - 1;

/// What a value is beyond the window, in steps; none if it is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::kernels) struct Excess {
    pub(in crate::kernels) channel: u32,
    pub(in crate::kernels) steps: i32,
}

/// How many values of a row of `k` may lie beyond the window: each costs as much as a few that do
/// not.
pub(in crate::kernels) fn most_excess(k: usize) -> usize {
    k / 64
}

/// Encodes a row that reaches from `low` to `high` but for the outliers, which become zero. Returns
/// what a step is worth, and what stands for zero.
#[inline(always)]
pub(in crate::kernels) fn encode(
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

/// Takes `base` off all values and cuts off what is then beyond the window. Leaves them as they are
/// if there is more of that than `excess` has room for.
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
    pub(in crate::kernels) fn add_excess(
        excess: &[Excess],
        rows: Span<usize>,
        k: usize,
        panel: &[u32],
        width: usize,
        sums: &mut [u32],
    ) {
        let most = most_excess(k);
        for (row, sums) in rows.zip(sums.chunks_exact_mut(width)) {
            let excess = &excess[row * most..][..most];
            let count = excess.iter().position(|excess| excess.steps == 0).unwrap_or(most);
            // A register of sums at a time, which stays one.
            for (block, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                for excess in &excess[..count] {
                    let (line, place) = (excess.channel as usize / 4, excess.channel % 4);
                    let words = &panel[line * width + block * LANES..][..LANES];
                    for (sum, word) in sums.iter_mut().zip(words) {
                        let weight = (word << (24 - 8 * place)).cast_signed() >> 24;
                        *sum = sum.wrapping_add((weight * excess.steps).cast_unsigned());
                    }
                }
            }
        }
    }
}

/// For each two lines of a panel, whether they may be added up in 16 bits (1) or not (0). The last
/// may be one alone.
pub(in crate::kernels) fn pairs(panel: &[u32], width: usize) -> impl Iterator<Item = u8> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Isa, reference};

    /// The bytes of two lines, one for each output, as words.
    fn panel(width: usize, bytes: impl Fn(usize, usize) -> i8) -> Vec<u32> {
        let words = (0..2 * width).map(|i| {
            let (line, output) = (i / width, i % width);
            let four = std::array::from_fn(|place| bytes(output, 4 * line + place) as u8);
            u32::from_le_bytes(four)
        });
        words.collect()
    }

    /// What is said to fit 16 bits does so with the largest inputs, and one step more would not.
    #[test]
    fn lines_are_added_up_only_where_16_bits_have_room() {
        let noise = reference::noise(64 * 8, 3, 127.0);
        for trial in 0..200 {
            let size = trial as f32 / 100.0;
            let byte = |output: usize, i: usize| {
                (noise[(output * 8 + i + 37 * trial) % noise.len()] * size).clamp(-127.0, 127.0)
                    as i8
            };
            let largest = (0..16).flat_map(|output| {
                [[0, 1, 4, 5], [2, 3, 6, 7]].map(|four| {
                    let sum = |sign: i32| {
                        four.map(|i| (sign * i32::from(byte(output, i))).max(0)).iter().sum::<i32>()
                    };
                    sum(1).max(sum(-1)) * i32::from(WINDOW)
                })
            });
            let fits = largest.max().unwrap() <= i32::from(i16::MAX);
            let found: Vec<u8> = pairs(&panel(16, byte), 16).collect();
            assert_eq!(found, [u8::from(fits)], "trial {trial}");
        }
        let single = &panel(16, |_, _| -127)[..16];
        assert_eq!(pairs(single, 16).collect::<Vec<u8>>(), [1], "one line never overflows");
        assert!(i32::from(WINDOW) * 127 * 2 <= i32::from(i16::MAX));
    }

    #[test]
    fn what_is_beyond_is_added() {
        let (width, k) = (16, 128);
        let panel: Vec<u32> = panel(width, |output, i| (output * 8 + i) as i8 - 60).repeat(k / 8);
        let weight = |output: usize, channel: usize| (output * 8 + channel % 8) as i32 - 60;
        let rows = [[(127, -5), (3, 126)], [(64, 7), (0, 0)], [(0, 0), (0, 0)]];
        let excess: Vec<Excess> =
            rows.as_flattened().iter().map(|&(channel, steps)| Excess { channel, steps }).collect();
        for isa in Isa::available() {
            let mut sums = vec![1000_u32; 2 * width];
            add_excess(isa, &excess, 0..2, k, &panel, width, &mut sums);
            for (i, sum) in sums.iter().enumerate() {
                let (row, output) = (i / width, i % width);
                let of = |(channel, steps): (u32, i32)| weight(output, channel as usize) * steps;
                let expected = 1000 + rows[row].map(of).iter().sum::<i32>();
                assert_eq!(sum.cast_signed(), expected, "{isa}");
            }
        }
    }
}
