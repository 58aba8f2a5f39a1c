//! Tiles of 256-bit registers. There are 16: twelve sums at most, and the rest for weights and
//! activations.

// Every function here is one operation, whose contract is that of the trait; nothing else is unsafe
// in them.
#![allow(unsafe_op_in_unsafe_fn)]

use std::arch::x86_64::*;

use super::cover::tile;
use super::kernel::{Kernel, Lines, Machine, Place, Size, SumOf, WordSums, WordsOf};
use super::lines;
use super::pairs::{self, Pairs};

/// AVX2 and FMA. The panel stays in the first cache; what has to be brought there is the
/// activations.
pub(super) struct Avx2;

impl Machine for Avx2 {
    type Floats = __m256;
    type Words = __m256i;

    const LANES: usize = 8;
    const LINES_AHEAD: usize = 0;
    const UNROLL: usize = 4;
    const FLOAT: Size = Size { rows: 6, registers: 2 };
    const SPLIT_BF16: Size = Size { rows: 4, registers: 2 };

    #[target_feature(enable = "avx2,fma")]
    unsafe fn enter<K: Kernel, const M: usize, const V: usize>(place: Place) {
        tile::<K, M, V>(place);
    }

    #[inline(always)]
    unsafe fn fetch(_: *const u32) {}

    #[inline(always)]
    unsafe fn fetch_input(input: *const u32) {
        _mm_prefetch::<_MM_HINT_T0>(input.wrapping_add(48).cast());
    }

    #[inline(always)]
    unsafe fn fetch_next(next: *const u8) {
        _mm_prefetch::<_MM_HINT_T1>(next.cast());
    }

    #[inline(always)]
    unsafe fn zero_floats() -> __m256 {
        _mm256_setzero_ps()
    }

    #[inline(always)]
    unsafe fn load_floats(from: *const u32) -> __m256 {
        _mm256_loadu_ps(from.cast())
    }

    #[inline(always)]
    unsafe fn store_floats(to: *mut u32, floats: __m256) {
        _mm256_storeu_ps(to.cast(), floats);
    }

    #[inline(always)]
    unsafe fn splat_float(x: f32) -> __m256 {
        _mm256_set1_ps(x)
    }

    #[inline(always)]
    unsafe fn multiply_add(x: __m256, y: __m256, sum: __m256) -> __m256 {
        _mm256_fmadd_ps(x, y, sum)
    }

    #[inline(always)]
    unsafe fn zero_words() -> __m256i {
        _mm256_setzero_si256()
    }

    #[inline(always)]
    unsafe fn load_words(from: *const u32) -> __m256i {
        _mm256_loadu_si256(from.cast())
    }

    #[inline(always)]
    unsafe fn store_words(to: *mut u32, words: __m256i) {
        _mm256_storeu_si256(to.cast(), words);
    }

    #[inline(always)]
    unsafe fn splat_word(word: u32) -> __m256i {
        _mm256_set1_epi32(word.cast_signed())
    }

    #[inline(always)]
    unsafe fn as_floats(words: __m256i) -> __m256 {
        _mm256_castsi256_ps(words)
    }

    #[inline(always)]
    unsafe fn high_halves(words: __m256i) -> __m256 {
        _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(-0x1_0000)))
    }

    #[inline(always)]
    unsafe fn low_halves(words: __m256i) -> __m256 {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words))
    }
}

/// Fours of bytes with `vpdpbusd`.
pub(super) struct Int8;

impl Kernel for Int8 {
    type Machine = Avx2;
    type Input = u32;
    type Sums = WordSums<Avx2>;

    const AT_MOST: Size = Size { rows: 6, registers: 2 };

    #[inline(always)]
    unsafe fn through<const M: usize, const V: usize>(
        place: Place,
        rows: [*const u32; M],
        totals: [[SumOf<Self>; V]; M],
    ) -> [[SumOf<Self>; V]; M] {
        lines::through::<Self, M, V>(place, rows, totals)
    }

    #[target_feature(enable = "avx2,fma,avxvnni")]
    unsafe fn enter<const M: usize, const V: usize>(place: Place) {
        tile::<Self, M, V>(place);
    }
}

impl Lines for Int8 {
    type Weights = WordsOf<Self>;

    const WORDS: usize = 1;

    #[inline(always)]
    unsafe fn weights(line: WordsOf<Self>) -> WordsOf<Self> {
        line
    }

    #[inline(always)]
    unsafe fn step(sum: SumOf<Self>, x: *const u32, weights: WordsOf<Self>) -> SumOf<Self> {
        _mm256_dpbusd_avx_epi32(sum, Avx2::splat_word(x.read()), weights)
    }
}

/// Fours of bytes by way of 16-bit integers, which no product of two bytes overflows.
pub(super) struct Int8Sixteens;

impl Kernel for Int8Sixteens {
    type Machine = Avx2;
    type Input = u32;
    type Sums = WordSums<Avx2>;

    const AT_MOST: Size = Size { rows: 6, registers: 1 };

    #[inline(always)]
    unsafe fn through<const M: usize, const V: usize>(
        place: Place,
        rows: [*const u32; M],
        totals: [[SumOf<Self>; V]; M],
    ) -> [[SumOf<Self>; V]; M] {
        lines::through::<Self, M, V>(place, rows, totals)
    }
}

impl Lines for Int8Sixteens {
    type Weights = [WordsOf<Self>; 2];

    const WORDS: usize = 2;

    #[inline(always)]
    unsafe fn weights(line: WordsOf<Self>) -> [WordsOf<Self>; 2] {
        [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(line)), _mm256_srai_epi16::<8>(line)]
    }

    #[inline(always)]
    unsafe fn step(sum: SumOf<Self>, x: *const u32, weights: [WordsOf<Self>; 2]) -> SumOf<Self> {
        let first = _mm256_madd_epi16(Avx2::splat_word(x.read()), weights[0]);
        let second = _mm256_madd_epi16(Avx2::splat_word(x.add(1).read()), weights[1]);
        _mm256_add_epi32(_mm256_add_epi32(sum, first), second)
    }
}

/// Fours of bytes, the inputs of seven bits, with `vpmaddubsw`.
pub(super) struct Int8Pairs;

impl Kernel for Int8Pairs {
    type Machine = Avx2;
    type Input = u32;
    type Sums = WordSums<Avx2>;

    const AT_MOST: Size = Size { rows: 6, registers: 1 };

    #[inline(always)]
    unsafe fn through<const M: usize, const V: usize>(
        place: Place,
        rows: [*const u32; M],
        totals: [[SumOf<Self>; V]; M],
    ) -> [[SumOf<Self>; V]; M] {
        pairs::through::<Self, M, V>(place, rows, totals)
    }
}

impl Pairs for Int8Pairs {
    #[inline(always)]
    unsafe fn product(x: WordsOf<Self>, line: WordsOf<Self>) -> WordsOf<Self> {
        _mm256_maddubs_epi16(x, line)
    }

    #[inline(always)]
    unsafe fn both(first: WordsOf<Self>, second: WordsOf<Self>) -> WordsOf<Self> {
        _mm256_add_epi16(first, second)
    }

    #[inline(always)]
    unsafe fn widen(sums: WordsOf<Self>) -> WordsOf<Self> {
        _mm256_madd_epi16(sums, _mm256_set1_epi16(1))
    }

    #[inline(always)]
    unsafe fn add(first: WordsOf<Self>, second: WordsOf<Self>) -> WordsOf<Self> {
        _mm256_add_epi32(first, second)
    }
}
