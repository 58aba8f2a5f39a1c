//! Tiles of 256-bit registers. There are 16: twelve sums at most, and the rest for weights and activations.

use std::arch::x86_64::*;

use super::x86_64::avx2_tile;
use crate::kernels::product::tiles::body::{by_size, pair_body, tile_body};
use crate::kernels::product::tiles::tile::{ROWS, Tile};

avx2_tile! { tile_body!
    /// Multiply-adds of `f32`.
    fn float, float_tile, features: "avx2,fma",
    registers: __m256 as _mm256_setzero_ps, lanes: 8, line: _mm256_setzero_ps and _mm256_loadu_ps, sums: _mm256_loadu_ps and _mm256_storeu_ps,
    input: f32, words: 1, at most: 6 by 2,
    weights: |line| line,
    step: |sum, x, weights| _mm256_fmadd_ps(_mm256_set1_ps(*x.cast::<f32>()), weights, sum),
}

avx2_tile! { tile_body!
    /// Pairs of bfloat16 as `vdpbf16ps` multiplies them: see the body for AVX-512.
    fn bf16, bf16_tile, features: "avx2,fma",
    registers: __m256 as _mm256_setzero_ps, lanes: 8, line: _mm256_setzero_si256 and _mm256_loadu_si256, sums: _mm256_loadu_ps and _mm256_storeu_ps,
    input: u32, words: 2, at most: 4 by 2,
    weights: |line| (
        _mm256_castsi256_ps(_mm256_and_si256(line, _mm256_set1_epi32(-0x1_0000))),
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(line)),
    ),
    step: |sum, x, weights| {
        let sum = _mm256_fmadd_ps(_mm256_set1_ps(*x.cast::<f32>()), weights.0, sum);
        _mm256_fmadd_ps(_mm256_set1_ps(*x.add(1).cast::<f32>()), weights.1, sum)
    },
}

avx2_tile! { tile_body!
    /// Fours of bytes with `vpdpbusd`.
    fn int8, int8_tile, features: "avx2,avxvnni",
    registers: __m256i as _mm256_setzero_si256, lanes: 8, line: _mm256_setzero_si256 and _mm256_loadu_si256, sums: _mm256_loadu_si256 and _mm256_storeu_si256,
    input: u32, words: 1, at most: 6 by 2,
    weights: |line| line,
    step: |sum, x, weights| {
        _mm256_dpbusd_avx_epi32(sum, _mm256_set1_epi32(x.read().cast_signed()), weights)
    },
}

avx2_tile! { tile_body!
    /// Fours of bytes by way of 16-bit integers: see the body for AVX-512.
    fn int8_emulated, int8_emulated_tile, features: "avx2",
    registers: __m256i as _mm256_setzero_si256, lanes: 8, line: _mm256_setzero_si256 and _mm256_loadu_si256, sums: _mm256_loadu_si256 and _mm256_storeu_si256,
    input: u32, words: 2, at most: 6 by 1,
    weights: |line| (
        _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(line)),
        _mm256_srai_epi16::<8>(line),
    ),
    step: |sum, x, weights| {
        let first = _mm256_madd_epi16(_mm256_set1_epi32(x.read().cast_signed()), weights.0);
        let second = _mm256_madd_epi16(_mm256_set1_epi32(x.add(1).read().cast_signed()), weights.1);
        _mm256_add_epi32(_mm256_add_epi32(sum, first), second)
    },
}

avx2_tile! { pair_body!
    /// Fours of bytes, the inputs of seven bits, with `vpmaddubsw`.
    fn int8_pairs, int8_pairs_tile, features: "avx2",
    registers: __m256i as _mm256_setzero_si256, lanes: 8, sums: _mm256_loadu_si256 and _mm256_storeu_si256, at most: 6 by 1,
    input: _mm256_set1_epi32, product: _mm256_maddubs_epi16, both: _mm256_add_epi16,
    widen: |sums| _mm256_madd_epi16(sums, _mm256_set1_epi16(1)), add: _mm256_add_epi32,
}
