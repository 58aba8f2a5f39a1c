//! The register tiles for NEON: 32 registers of 128 bits.

// Every function here is one operation, whose contract is that of the trait; nothing else is unsafe
// in them.
#![allow(unsafe_op_in_unsafe_fn)]

use std::arch::aarch64::*;

use super::cover::tile;
use super::kernel::{Kernel, Lines, Machine, Place, Size, SumOf, WordSums, WordsOf};
use super::lines;

/// NEON. Fetching ahead is left to the processor.
pub(super) struct Neon;

impl Machine for Neon {
    type Floats = float32x4_t;
    type Words = uint32x4_t;

    const LANES: usize = 4;
    const LINES_AHEAD: usize = 0;
    const UNROLL: usize = 4;
    const FLOAT: Size = Size { rows: 6, registers: 4 };
    const SPLIT_BF16: Size = Size { rows: 6, registers: 2 };

    #[target_feature(enable = "neon")]
    unsafe fn enter<K: Kernel, const M: usize, const V: usize>(place: Place) {
        tile::<K, M, V>(place);
    }

    #[inline(always)]
    unsafe fn fetch(_: *const u32) {}

    #[inline(always)]
    unsafe fn fetch_input(_: *const u32) {}

    #[inline(always)]
    unsafe fn fetch_next(_: *const u8) {}

    #[inline(always)]
    unsafe fn zero_floats() -> float32x4_t {
        vdupq_n_f32(0.0)
    }

    #[inline(always)]
    unsafe fn load_floats(from: *const u32) -> float32x4_t {
        vld1q_f32(from.cast())
    }

    #[inline(always)]
    unsafe fn store_floats(to: *mut u32, floats: float32x4_t) {
        vst1q_f32(to.cast(), floats);
    }

    #[inline(always)]
    unsafe fn splat_float(x: f32) -> float32x4_t {
        vdupq_n_f32(x)
    }

    #[inline(always)]
    unsafe fn multiply_add(x: float32x4_t, y: float32x4_t, sum: float32x4_t) -> float32x4_t {
        vfmaq_f32(sum, x, y)
    }

    #[inline(always)]
    unsafe fn zero_words() -> uint32x4_t {
        vdupq_n_u32(0)
    }

    #[inline(always)]
    unsafe fn load_words(from: *const u32) -> uint32x4_t {
        vld1q_u32(from)
    }

    #[inline(always)]
    unsafe fn store_words(to: *mut u32, words: uint32x4_t) {
        vst1q_u32(to, words);
    }

    #[inline(always)]
    unsafe fn splat_word(word: u32) -> uint32x4_t {
        vdupq_n_u32(word)
    }

    #[inline(always)]
    unsafe fn as_floats(words: uint32x4_t) -> float32x4_t {
        vreinterpretq_f32_u32(words)
    }

    #[inline(always)]
    unsafe fn high_halves(words: uint32x4_t) -> float32x4_t {
        vreinterpretq_f32_u32(vandq_u32(words, vdupq_n_u32(0xffff_0000)))
    }

    #[inline(always)]
    unsafe fn low_halves(words: uint32x4_t) -> float32x4_t {
        vreinterpretq_f32_u32(vshlq_n_u32::<16>(words))
    }
}

/// Fours of bytes by way of 16-bit products, which no product of two bytes overflows.
pub(super) struct Int8;

impl Kernel for Int8 {
    type Machine = Neon;
    type Input = u32;
    type Sums = WordSums<Neon>;

    const AT_MOST: Size = Size { rows: 6, registers: 2 };

    #[inline(always)]
    unsafe fn through<const M: usize, const V: usize>(
        place: Place,
        rows: [*const u32; M],
        totals: [[SumOf<Self>; V]; M],
    ) -> [[SumOf<Self>; V]; M] {
        lines::through::<Self, M, V>(place, rows, totals)
    }
}

impl Lines for Int8 {
    type Weights = int8x16_t;

    const WORDS: usize = 1;

    #[inline(always)]
    unsafe fn weights(line: WordsOf<Self>) -> int8x16_t {
        vreinterpretq_s8_u32(line)
    }

    #[inline(always)]
    unsafe fn step(sum: SumOf<Self>, x: *const u32, weights: int8x16_t) -> SumOf<Self> {
        let x = vreinterpretq_s8_u32(Neon::splat_word(x.read()));
        let low = vpaddlq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(weights)));
        let high = vpaddlq_s16(vmull_high_s8(x, weights));
        vaddq_u32(sum, vreinterpretq_u32_s32(vpaddq_s32(low, high)))
    }
}

/// Fours of bytes with `sdot`.
pub(super) struct Int8Dot;

impl Kernel for Int8Dot {
    type Machine = Neon;
    type Input = u32;
    type Sums = WordSums<Neon>;

    const AT_MOST: Size = Size { rows: 6, registers: 4 };

    #[inline(always)]
    unsafe fn through<const M: usize, const V: usize>(
        place: Place,
        rows: [*const u32; M],
        totals: [[SumOf<Self>; V]; M],
    ) -> [[SumOf<Self>; V]; M] {
        lines::through::<Self, M, V>(place, rows, totals)
    }

    #[target_feature(enable = "neon,dotprod")]
    unsafe fn enter<const M: usize, const V: usize>(place: Place) {
        tile::<Self, M, V>(place);
    }
}

impl Lines for Int8Dot {
    type Weights = int8x16_t;

    const WORDS: usize = 1;

    #[inline(always)]
    unsafe fn weights(line: WordsOf<Self>) -> int8x16_t {
        vreinterpretq_s8_u32(line)
    }

    #[inline(always)]
    unsafe fn step(sum: SumOf<Self>, x: *const u32, weights: int8x16_t) -> SumOf<Self> {
        let x = vreinterpretq_s8_u32(Neon::splat_word(x.read()));
        vreinterpretq_u32_s32(sdot(vreinterpretq_s32_u32(sum), x, weights))
    }
}

/// Fours of bytes with `smmla`, which multiplies two rows with two outputs, two lines of a panel at
/// a time. Integers are added up, so that the order of the lines does not matter.
pub(super) struct Int8Matrix;

impl Kernel for Int8Matrix {
    type Machine = Neon;
    type Input = u32;
    type Sums = WordSums<Neon>;

    const AT_MOST: Size = Size { rows: 6, registers: 4 };

    /// While lines are gone through, the totals of two rows are those of two outputs each: of the
    /// first and second output of both rows, and of the third and fourth. A row that is alone is
    /// multiplied with `sdot`.
    #[inline(always)]
    unsafe fn through<const M: usize, const V: usize>(
        Place { panel, depth, width, .. }: Place,
        rows: [*const u32; M],
        mut totals: [[SumOf<Self>; V]; M],
    ) -> [[SumOf<Self>; V]; M] {
        exchange(&mut totals);
        for p in (0..depth).step_by(2) {
            let is_alone = p + 1 == depth;
            let mut lines = [[vdupq_n_u32(0); V]; 2];
            for v in 0..V {
                lines[0][v] = vld1q_u32(panel.add(p * width + 4 * v));
                if !is_alone {
                    lines[1][v] = vld1q_u32(panel.add((p + 1) * width + 4 * v));
                }
            }
            // Both words of a row; zero for that of a line that is not there.
            let mut words = [vdup_n_u32(0); M];
            for (m, words) in words.iter_mut().enumerate() {
                *words = if is_alone {
                    vset_lane_u32::<0>(rows[m].add(p).read(), vdup_n_u32(0))
                } else {
                    vld1_u32(rows[m].add(p))
                };
            }
            for v in 0..V {
                let low = vreinterpretq_s8_u32(vzip1q_u32(lines[0][v], lines[1][v]));
                let high = vreinterpretq_s8_u32(vzip2q_u32(lines[0][v], lines[1][v]));
                for m in (0..M / 2 * 2).step_by(2) {
                    let x = vreinterpretq_s8_u32(vcombine_u32(words[m], words[m + 1]));
                    totals[m][v] = smmla(totals[m][v], x, low);
                    totals[m + 1][v] = smmla(totals[m + 1][v], x, high);
                }
                if M % 2 == 1 {
                    let mut sum = vreinterpretq_s32_u32(totals[M - 1][v]);
                    let x = vreinterpretq_s8_u32(vdupq_lane_u32::<0>(words[M - 1]));
                    sum = sdot(sum, x, vreinterpretq_s8_u32(lines[0][v]));
                    let x = vreinterpretq_s8_u32(vdupq_lane_u32::<1>(words[M - 1]));
                    sum = sdot(sum, x, vreinterpretq_s8_u32(lines[1][v]));
                    totals[M - 1][v] = vreinterpretq_u32_s32(sum);
                }
            }
        }
        exchange(&mut totals);
        totals
    }

    #[target_feature(enable = "neon,dotprod,i8mm")]
    unsafe fn enter<const M: usize, const V: usize>(place: Place) {
        tile::<Self, M, V>(place);
    }
}

/// Exchanges the third and fourth total of the first row of two with the first and second of the
/// other.
#[inline(always)]
unsafe fn exchange<const M: usize, const V: usize>(totals: &mut [[uint32x4_t; V]; M]) {
    for m in (0..M / 2 * 2).step_by(2) {
        for v in 0..V {
            let (first, second) =
                (vreinterpretq_u64_u32(totals[m][v]), vreinterpretq_u64_u32(totals[m + 1][v]));
            totals[m][v] = vreinterpretq_u32_u64(vzip1q_u64(first, second));
            totals[m + 1][v] = vreinterpretq_u32_u64(vzip2q_u64(first, second));
        }
    }
}

/// `smmla`: adds the products of two rows of eight bytes with two others to four sums. Its
/// intrinsic is not stable.
#[target_feature(enable = "neon,i8mm")]
fn smmla(sum: uint32x4_t, x: int8x16_t, weights: int8x16_t) -> uint32x4_t {
    let mut sum = vreinterpretq_s32_u32(sum);
    // SAFETY: the instruction changes nothing but its first register, and the feature is enabled.
    unsafe {
        std::arch::asm!(
            "smmla {sum:v}.4s, {x:v}.16b, {weights:v}.16b",
            sum = inout(vreg) sum,
            x = in(vreg) x,
            weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    vreinterpretq_u32_s32(sum)
}

/// `sdot`: adds the four products of bytes in each word to a sum. Its intrinsic is not stable.
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sum: int32x4_t, x: int8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction changes nothing but its first register, and the feature is enabled.
    unsafe {
        std::arch::asm!(
            "sdot {sum:v}.4s, {x:v}.16b, {weights:v}.16b",
            sum = inout(vreg) sum,
            x = in(vreg) x,
            weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
