//! Blocks of sixteen rows turned into columns with 512-bit registers.

use std::arch::x86_64::*;

/// Transposes sixteen words of each of sixteen rows: word j of row i becomes word i of line j,
/// lines being `width` apart.
///
/// # Safety
/// The processor has AVX-512F; every row is readable for sixteen words, and `to` writable for
/// sixteen lines of sixteen.
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
