//! Tiles of 512-bit registers. There are 32: 24 sums, four of weights, and one for a word of
//! activations.

// Every function here is one operation, whose contract is that of the trait; nothing else is unsafe
// in them.
#![allow(unsafe_op_in_unsafe_fn)]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::cover::tile;
use super::kernel::{FloatSums, Kernel, Lines, Machine, Place, Size, SumOf, WordSums, WordsOf};
use super::lines;
use super::pairs::{self, Pairs};

/// AVX-512 F and BW. A panel is brought from the second cache into the first eight lines ahead:
/// panels are read strictly forwards, but faster than the processor's own prefetching keeps up
/// with. A line is so much work that counting lines costs nothing.
pub(super) struct Avx512;

impl Machine for Avx512 {
    type Floats = __m512;
    type Words = __m512i;

    const LANES: usize = 16;
    const LINES_AHEAD: usize = 8;
    const UNROLL: usize = 1;
    const FLOAT: Size = Size { rows: 6, registers: 4 };
    const SPLIT_BF16: Size = Size { rows: 6, registers: 2 };

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn enter<K: Kernel, const M: usize, const V: usize>(place: Place) {
        tile::<K, M, V>(place);
    }

    #[inline(always)]
    unsafe fn fetch(ahead: *const u32) {
        _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
    }

    #[inline(always)]
    unsafe fn fetch_input(_: *const u32) {}

    #[inline(always)]
    unsafe fn fetch_next(next: *const u8) {
        _mm_prefetch::<_MM_HINT_T1>(next.cast());
    }

    #[inline(always)]
    unsafe fn zero_floats() -> __m512 {
        _mm512_setzero_ps()
    }

    #[inline(always)]
    unsafe fn load_floats(from: *const u32) -> __m512 {
        _mm512_loadu_ps(from.cast())
    }

    #[inline(always)]
    unsafe fn store_floats(to: *mut u32, floats: __m512) {
        _mm512_storeu_ps(to.cast(), floats);
    }

    #[inline(always)]
    unsafe fn splat_float(x: f32) -> __m512 {
        _mm512_set1_ps(x)
    }

    #[inline(always)]
    unsafe fn multiply_add(x: __m512, y: __m512, sum: __m512) -> __m512 {
        _mm512_fmadd_ps(x, y, sum)
    }

    #[inline(always)]
    unsafe fn zero_words() -> __m512i {
        _mm512_setzero_si512()
    }

    #[inline(always)]
    unsafe fn load_words(from: *const u32) -> __m512i {
        _mm512_loadu_si512(from.cast())
    }

    #[inline(always)]
    unsafe fn store_words(to: *mut u32, words: __m512i) {
        _mm512_storeu_si512(to.cast(), words);
    }

    #[inline(always)]
    unsafe fn splat_word(word: u32) -> __m512i {
        _mm512_set1_epi32(word.cast_signed())
    }

    #[inline(always)]
    unsafe fn as_floats(words: __m512i) -> __m512 {
        _mm512_castsi512_ps(words)
    }

    #[inline(always)]
    unsafe fn high_halves(words: __m512i) -> __m512 {
        _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(-0x1_0000)))
    }

    #[inline(always)]
    unsafe fn low_halves(words: __m512i) -> __m512 {
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words))
    }
}

/// Pairs of bfloat16 with `vdpbf16ps`.
pub(super) struct Bf16;

impl Kernel for Bf16 {
    type Machine = Avx512;
    type Input = u32;
    type Sums = FloatSums<Avx512>;

    const AT_MOST: Size = Size { rows: 6, registers: 4 };

    #[inline(always)]
    unsafe fn through<const M: usize, const V: usize>(
        place: Place,
        rows: [*const u32; M],
        totals: [[SumOf<Self>; V]; M],
    ) -> [[SumOf<Self>; V]; M] {
        lines::through::<Self, M, V>(place, rows, totals)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn enter<const M: usize, const V: usize>(place: Place) {
        tile::<Self, M, V>(place);
    }
}

impl Lines for Bf16 {
    type Weights = WordsOf<Self>;

    const WORDS: usize = 1;

    #[inline(always)]
    unsafe fn weights(line: WordsOf<Self>) -> WordsOf<Self> {
        line
    }

    #[inline(always)]
    unsafe fn step(sum: SumOf<Self>, x: *const u32, weights: WordsOf<Self>) -> SumOf<Self> {
        // The transmutes only rename a register of 512 bits.
        _mm512_dpbf16_ps(
            sum,
            transmute::<__m512i, __m512bh>(Avx512::splat_word(x.read())),
            transmute::<__m512i, __m512bh>(weights),
        )
    }
}

/// Fours of bytes with `vpdpbusd`.
pub(super) struct Int8;

impl Kernel for Int8 {
    type Machine = Avx512;
    type Input = u32;
    type Sums = WordSums<Avx512>;

    const AT_MOST: Size = Size { rows: 6, registers: 4 };

    #[inline(always)]
    unsafe fn through<const M: usize, const V: usize>(
        place: Place,
        rows: [*const u32; M],
        totals: [[SumOf<Self>; V]; M],
    ) -> [[SumOf<Self>; V]; M] {
        lines::through::<Self, M, V>(place, rows, totals)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
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
        _mm512_dpbusd_epi32(sum, Avx512::splat_word(x.read()), weights)
    }
}

/// Fours of bytes by way of 16-bit integers, which no product of two bytes overflows.
pub(super) struct Int8Sixteens;

impl Kernel for Int8Sixteens {
    type Machine = Avx512;
    type Input = u32;
    type Sums = WordSums<Avx512>;

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

impl Lines for Int8Sixteens {
    type Weights = [WordsOf<Self>; 2];

    const WORDS: usize = 2;

    #[inline(always)]
    unsafe fn weights(line: WordsOf<Self>) -> [WordsOf<Self>; 2] {
        [_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(line)), _mm512_srai_epi16::<8>(line)]
    }

    #[inline(always)]
    unsafe fn step(sum: SumOf<Self>, x: *const u32, weights: [WordsOf<Self>; 2]) -> SumOf<Self> {
        let first = _mm512_madd_epi16(Avx512::splat_word(x.read()), weights[0]);
        let second = _mm512_madd_epi16(Avx512::splat_word(x.add(1).read()), weights[1]);
        _mm512_add_epi32(_mm512_add_epi32(sum, first), second)
    }
}

/// Fours of bytes, the inputs of seven bits, with `vpmaddubsw`.
pub(super) struct Int8Pairs;

impl Kernel for Int8Pairs {
    type Machine = Avx512;
    type Input = u32;
    type Sums = WordSums<Avx512>;

    const AT_MOST: Size = Size { rows: 6, registers: 2 };

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
        _mm512_maddubs_epi16(x, line)
    }

    #[inline(always)]
    unsafe fn both(first: WordsOf<Self>, second: WordsOf<Self>) -> WordsOf<Self> {
        _mm512_add_epi16(first, second)
    }

    #[inline(always)]
    unsafe fn widen(sums: WordsOf<Self>) -> WordsOf<Self> {
        _mm512_madd_epi16(sums, _mm512_set1_epi16(1))
    }

    #[inline(always)]
    unsafe fn add(first: WordsOf<Self>, second: WordsOf<Self>) -> WordsOf<Self> {
        _mm512_add_epi32(first, second)
    }
}
