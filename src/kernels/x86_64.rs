//! The register tiles for AVX-512 and AVX2.

use std::arch::x86_64::*;

use super::gemm::Scratch;
use super::packed::{LANES, PANEL};

/// How many lines of a panel ahead are fetched from the second cache into the first. Panels are read strictly forwards,
/// but faster than the processor's own prefetching keeps up with.
const PREFETCH: usize = 8;

/// A tile of `M` rows by `V` registers of sixteen outputs, over all of k.
///
/// # Safety
/// The processor has AVX-512F. `a` is readable for k values at each of `M` rows that are `stride` apart, and `panel`
/// for k·16·V values.
#[target_feature(enable = "avx512f")]
unsafe fn tile_avx512<const M: usize, const V: usize>(
    a: *const f32,
    stride: usize,
    k: usize,
    panel: *const f32,
    out: &mut Scratch,
) {
    let mut sums = [[_mm512_setzero_ps(); V]; M];
    for p in 0..k {
        let mut weights = [_mm512_setzero_ps(); V];
        for (v, weight) in weights.iter_mut().enumerate() {
            // May lie past the panel, where a prefetch does nothing.
            let ahead = panel.wrapping_add(((p + PREFETCH) * V + v) * LANES);
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            // SAFETY: within the panel, by this function's contract.
            *weight = unsafe { _mm512_loadu_ps(panel.add((p * V + v) * LANES)) };
        }
        for (m, row) in sums.iter_mut().enumerate() {
            // SAFETY: within row m of `a`, by this function's contract.
            let x = _mm512_set1_ps(unsafe { *a.add(m * stride + p) });
            for (sum, &weight) in row.iter_mut().zip(&weights) {
                *sum = _mm512_fmadd_ps(x, weight, *sum);
            }
        }
    }
    for (row, sums) in out.iter_mut().zip(&sums) {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: a row of the scratch holds PANEL = 64 ≥ 16·V values.
            unsafe { _mm512_storeu_ps(row[v * LANES..].as_mut_ptr(), sum) };
        }
    }
}

/// A tile of `M` rows by sixteen outputs, over all of k.
///
/// # Safety
/// The processor has AVX2 and FMA. `a` is readable for k values at each of `M` rows that are `stride` apart, and
/// `panel` for 16 values at each of k lines that are `width` apart.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_avx2<const M: usize>(
    a: *const f32,
    stride: usize,
    k: usize,
    panel: *const f32,
    width: usize,
    out: &mut Scratch,
    block: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; M];
    for p in 0..k {
        // SAFETY: within line p of the panel, by this function's contract.
        let weights = unsafe {
            let line = panel.add(p * width);
            [_mm256_loadu_ps(line), _mm256_loadu_ps(line.add(8))]
        };
        for (m, row) in sums.iter_mut().enumerate() {
            // SAFETY: within row m of `a`, by this function's contract.
            let x = _mm256_set1_ps(unsafe { *a.add(m * stride + p) });
            row[0] = _mm256_fmadd_ps(x, weights[0], row[0]);
            row[1] = _mm256_fmadd_ps(x, weights[1], row[1]);
        }
    }
    for (row, sums) in out.iter_mut().zip(&sums) {
        let row = &mut row[block..block + LANES];
        // SAFETY: `row` holds sixteen values.
        unsafe {
            _mm256_storeu_ps(row.as_mut_ptr(), sums[0]);
            _mm256_storeu_ps(row.as_mut_ptr().add(8), sums[1]);
        }
    }
}

/// Calls `$tile` with `$rows` (1 to 6) as its first constant.
macro_rules! by_rows {
    ($rows:expr, $tile:ident $(, $v:literal)?; $args:tt) => {
        match $rows {
            1 => $tile::<1 $(, $v)?> $args,
            2 => $tile::<2 $(, $v)?> $args,
            3 => $tile::<3 $(, $v)?> $args,
            4 => $tile::<4 $(, $v)?> $args,
            5 => $tile::<5 $(, $v)?> $args,
            _ => $tile::<6 $(, $v)?> $args,
        }
    };
}

/// # Safety
/// The processor has AVX-512F; sizes as checked by [`super::gemm::tile`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn avx512(
    a: &[f32],
    stride: usize,
    rows: usize,
    panel: &[f32],
    width: usize,
    out: &mut Scratch,
) {
    let (k, a, panel) = (panel.len() / width, a.as_ptr(), panel.as_ptr());
    // SAFETY: forwarded from this function's contract.
    unsafe {
        match width {
            16 => by_rows!(rows, tile_avx512, 1; (a, stride, k, panel, out)),
            32 => by_rows!(rows, tile_avx512, 2; (a, stride, k, panel, out)),
            48 => by_rows!(rows, tile_avx512, 3; (a, stride, k, panel, out)),
            _ => by_rows!(rows, tile_avx512, 4; (a, stride, k, panel, out)),
        }
    }
}

/// # Safety
/// The processor has AVX2 and FMA; sizes as checked by [`super::gemm::tile`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2(
    a: &[f32],
    stride: usize,
    rows: usize,
    panel: &[f32],
    width: usize,
    out: &mut Scratch,
) {
    debug_assert!(width <= PANEL);
    let (k, a) = (panel.len() / width, a.as_ptr());
    for block in (0..width).step_by(LANES) {
        // SAFETY: forwarded from this function's contract; the block lies within the panel's width.
        unsafe {
            let panel = panel.as_ptr().add(block);
            by_rows!(rows, tile_avx2; (a, stride, k, panel, width, out, block));
        }
    }
}
