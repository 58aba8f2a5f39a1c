//! The register tiles for WebAssembly: registers of 128 bits, of which browsers on x86 have 16.
//!
//! What instructions there are is known when the program is compiled: `-C target-feature=+simd128`,
//! or `+simd128,+relaxed-simd` for a multiply-add that is fused and a product of bytes that is one
//! instruction wherever the processor has them.

// Every function here is one operation, whose contract is that of the trait; nothing else is unsafe
// in them.
#![allow(unsafe_op_in_unsafe_fn)]

use std::arch::wasm32::*;

use super::cover::tile;
use super::kernel::{Kernel, Lines, Machine, Place, Size, SumOf, WordSums, WordsOf};
use super::lines;

/// The operations of registers of 128 bits; if `RELAXED`, the multiply-add rounds once where the
/// processor has one that does.
pub(super) struct Wasm<const RELAXED: bool>;

impl<const RELAXED: bool> Machine for Wasm<RELAXED> {
    type Floats = v128;
    type Words = v128;

    const LANES: usize = 4;
    const LINES_AHEAD: usize = 0;
    const UNROLL: usize = 4;
    const FLOAT: Size = Size { rows: 6, registers: 2 };
    const SPLIT_BF16: Size = Size { rows: 4, registers: 2 };

    #[inline(never)]
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
    unsafe fn zero_floats() -> v128 {
        f32x4_splat(0.0)
    }

    #[inline(always)]
    unsafe fn load_floats(from: *const u32) -> v128 {
        v128_load(from.cast())
    }

    #[inline(always)]
    unsafe fn store_floats(to: *mut u32, floats: v128) {
        v128_store(to.cast(), floats);
    }

    #[inline(always)]
    unsafe fn splat_float(x: f32) -> v128 {
        f32x4_splat(x)
    }

    #[inline(always)]
    unsafe fn multiply_add(x: v128, y: v128, sum: v128) -> v128 {
        #[cfg(target_feature = "relaxed-simd")]
        if RELAXED {
            return f32x4_relaxed_madd(x, y, sum);
        }
        f32x4_add(sum, f32x4_mul(x, y))
    }

    #[inline(always)]
    unsafe fn zero_words() -> v128 {
        i32x4_splat(0)
    }

    #[inline(always)]
    unsafe fn load_words(from: *const u32) -> v128 {
        v128_load(from.cast())
    }

    #[inline(always)]
    unsafe fn store_words(to: *mut u32, words: v128) {
        v128_store(to.cast(), words);
    }

    #[inline(always)]
    unsafe fn splat_word(word: u32) -> v128 {
        u32x4_splat(word)
    }

    #[inline(always)]
    unsafe fn as_floats(words: v128) -> v128 {
        words
    }

    #[inline(always)]
    unsafe fn high_halves(words: v128) -> v128 {
        v128_and(words, u32x4_splat(0xffff_0000))
    }

    #[inline(always)]
    unsafe fn low_halves(words: v128) -> v128 {
        u32x4_shl(words, 16)
    }
}

/// The operations that every browser has.
pub(super) type Simd128 = Wasm<false>;

/// Those with relaxed SIMD.
#[cfg(target_feature = "relaxed-simd")]
pub(super) type RelaxedSimd = Wasm<true>;

/// Fours of signed bytes by way of 16-bit integers, which no product of two bytes overflows.
pub(super) struct Int8;

impl Kernel for Int8 {
    type Machine = Simd128;
    type Input = u32;
    type Sums = WordSums<Simd128>;

    const AT_MOST: Size = Size { rows: 4, registers: 2 };

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
    type Weights = [v128; 2];

    const WORDS: usize = 1;

    #[inline(always)]
    unsafe fn weights(line: WordsOf<Self>) -> [v128; 2] {
        [i16x8_shr(i16x8_shl(line, 8), 8), i16x8_shr(line, 8)]
    }

    #[inline(always)]
    unsafe fn step(sum: SumOf<Self>, x: *const u32, weights: [v128; 2]) -> SumOf<Self> {
        let x = Simd128::splat_word(x.read());
        let first = i32x4_dot_i16x8(i16x8_shr(i16x8_shl(x, 8), 8), weights[0]);
        let second = i32x4_dot_i16x8(i16x8_shr(x, 8), weights[1]);
        i32x4_add(i32x4_add(sum, first), second)
    }
}

/// Fours of bytes, the inputs of seven bits, with the relaxed dot product: the results of which are
/// not defined if an input has the eighth. ([`seven_bits`](crate::kernels::product::seven_bits)
/// sees to that.)
#[cfg(target_feature = "relaxed-simd")]
pub(super) struct Int8Relaxed;

#[cfg(target_feature = "relaxed-simd")]
impl Kernel for Int8Relaxed {
    type Machine = RelaxedSimd;
    type Input = u32;
    type Sums = WordSums<RelaxedSimd>;

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

#[cfg(target_feature = "relaxed-simd")]
impl Lines for Int8Relaxed {
    type Weights = v128;

    const WORDS: usize = 1;

    #[inline(always)]
    unsafe fn weights(line: WordsOf<Self>) -> v128 {
        line
    }

    #[inline(always)]
    unsafe fn step(sum: SumOf<Self>, x: *const u32, weights: v128) -> SumOf<Self> {
        i32x4_relaxed_dot_i8x16_i7x16_add(weights, Simd128::splat_word(x.read()), sum)
    }
}
