//! Tiles of 512-bit registers. There are 32: 24 sums, four of weights, and one for a word of activations.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::x86_64::avx512_tile;
use crate::kernels::product::tiles::body::{by_size, pair_body, tile_body};
use crate::kernels::product::tiles::tile::{ROWS, Tile};

avx512_tile! { tile_body!
    /// Multiply-adds of `f32`.
    fn float, float_tile, features: "avx512f",
    registers: __m512 as _mm512_setzero_ps, lanes: 16, line: _mm512_setzero_ps and _mm512_loadu_ps, sums: _mm512_loadu_ps and _mm512_storeu_ps,
    input: f32, words: 1, at most: 6 by 4,
    weights: |line| line,
    step: |sum, x, weights| _mm512_fmadd_ps(_mm512_set1_ps(*x.cast::<f32>()), weights, sum),
}

avx512_tile! { tile_body!
    /// Pairs of bfloat16 with `vdpbf16ps`.
    fn bf16, bf16_tile, features: "avx512f,avx512bf16",
    registers: __m512 as _mm512_setzero_ps, lanes: 16, line: _mm512_setzero_si512 and _mm512_loadu_si512, sums: _mm512_loadu_ps and _mm512_storeu_ps,
    input: u32, words: 1, at most: 6 by 4,
    weights: |line| line,
    // The transmutes only rename a register of 512 bits.
    step: |sum, x, weights| _mm512_dpbf16_ps(
        sum,
        transmute::<__m512i, __m512bh>(_mm512_set1_epi32(x.read().cast_signed())),
        transmute::<__m512i, __m512bh>(weights),
    ),
}

avx512_tile! { tile_body!
    /// Pairs of bfloat16 as `vdpbf16ps` multiplies them, the second before the first. The products are exact in `f32`, so
    /// that a fused multiply-add rounds where that instruction does.
    fn bf16_emulated, bf16_emulated_tile, features: "avx512f",
    registers: __m512 as _mm512_setzero_ps, lanes: 16, line: _mm512_setzero_si512 and _mm512_loadu_si512, sums: _mm512_loadu_ps and _mm512_storeu_ps,
    input: u32, words: 2, at most: 6 by 2,
    weights: |line| (
        _mm512_castsi512_ps(_mm512_and_si512(line, _mm512_set1_epi32(-0x1_0000))),
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(line)),
    ),
    step: |sum, x, weights| {
        let sum = _mm512_fmadd_ps(_mm512_set1_ps(*x.cast::<f32>()), weights.0, sum);
        _mm512_fmadd_ps(_mm512_set1_ps(*x.add(1).cast::<f32>()), weights.1, sum)
    },
}

avx512_tile! { tile_body!
    /// Fours of bytes with `vpdpbusd`.
    fn int8, int8_tile, features: "avx512f,avx512vnni",
    registers: __m512i as _mm512_setzero_si512, lanes: 16, line: _mm512_setzero_si512 and _mm512_loadu_si512, sums: _mm512_loadu_si512 and _mm512_storeu_si512,
    input: u32, words: 1, at most: 6 by 4,
    weights: |line| line,
    step: |sum, x, weights| {
        _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(x.read().cast_signed()), weights)
    },
}

avx512_tile! { tile_body!
    /// Fours of bytes by way of 16-bit integers, which no product of two bytes overflows.
    fn int8_emulated, int8_emulated_tile, features: "avx512f,avx512bw",
    registers: __m512i as _mm512_setzero_si512, lanes: 16, line: _mm512_setzero_si512 and _mm512_loadu_si512, sums: _mm512_loadu_si512 and _mm512_storeu_si512,
    input: u32, words: 2, at most: 6 by 2,
    weights: |line| (
        _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(line)),
        _mm512_srai_epi16::<8>(line),
    ),
    step: |sum, x, weights| {
        let first = _mm512_madd_epi16(_mm512_set1_epi32(x.read().cast_signed()), weights.0);
        let second = _mm512_madd_epi16(_mm512_set1_epi32(x.add(1).read().cast_signed()), weights.1);
        _mm512_add_epi32(_mm512_add_epi32(sum, first), second)
    },
}

avx512_tile! { pair_body!
    /// Fours of bytes, the inputs of seven bits, with `vpmaddubsw`.
    fn int8_pairs, int8_pairs_tile, features: "avx512f,avx512bw",
    registers: __m512i as _mm512_setzero_si512, lanes: 16, sums: _mm512_loadu_si512 and _mm512_storeu_si512, at most: 6 by 2,
    input: _mm512_set1_epi32, product: _mm512_maddubs_epi16, both: _mm512_add_epi16,
    widen: |sums| _mm512_madd_epi16(sums, _mm512_set1_epi16(1)), add: _mm512_add_epi32,
}

/// Transposes sixteen words of each of sixteen rows: word j of row i becomes word i of line j, lines being `width` apart.
///
/// # Safety
/// The processor has AVX-512F; every row is readable for sixteen words, and `to` writable for sixteen lines of sixteen.
#[target_feature(enable = "avx512f")]
pub(in crate::kernels) unsafe fn transpose(rows: [*const u32; 16], to: *mut u32, width: usize) {
    // Loops rather than closures, which would not be compiled for these instructions.
    let mut pairs = [_mm512_setzero_si512(); 16];
    for i in (0..16).step_by(2) {
        // SAFETY: by this function's contract.
        let (first, second) =
            unsafe { (_mm512_loadu_si512(rows[i].cast()), _mm512_loadu_si512(rows[i + 1].cast())) };
        pairs[i] = _mm512_unpacklo_epi32(first, second);
        pairs[i + 1] = _mm512_unpackhi_epi32(first, second);
    }
    // fours[4i + j]: in each 128 bits, word j of rows 4i to 4i + 3.
    let mut fours = [_mm512_setzero_si512(); 16];
    for i in (0..16).step_by(4) {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for j in 0..4 {
        let (first, second) = (fours[j], fours[4 + j]);
        let (third, fourth) = (fours[8 + j], fours[12 + j]);
        // 128 bits at a time: words j and j + 8 of eight rows, then words j + 4 and j + 12.
        let low = _mm512_shuffle_i32x4::<0b10_00_10_00>(first, second);
        let low_rest = _mm512_shuffle_i32x4::<0b10_00_10_00>(third, fourth);
        let high = _mm512_shuffle_i32x4::<0b11_01_11_01>(first, second);
        let high_rest = _mm512_shuffle_i32x4::<0b11_01_11_01>(third, fourth);
        let lines = [
            (j, _mm512_shuffle_i32x4::<0b10_00_10_00>(low, low_rest)),
            (j + 8, _mm512_shuffle_i32x4::<0b11_01_11_01>(low, low_rest)),
            (j + 4, _mm512_shuffle_i32x4::<0b10_00_10_00>(high, high_rest)),
            (j + 12, _mm512_shuffle_i32x4::<0b11_01_11_01>(high, high_rest)),
        ];
        for (line, words) in lines {
            // SAFETY: by this function's contract.
            unsafe { _mm512_storeu_si512(to.add(line * width).cast(), words) };
        }
    }
}
