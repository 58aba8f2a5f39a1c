//! The register tile in ordinary Rust, for processors that have no body of their own.

use super::gemm::{ROWS, Scratch};
use super::packed::LANES;

/// `rows` rows of `a` times one panel; the contract is that of [`super::gemm::tile`].
pub(super) fn tile(
    a: &[f32],
    stride: usize,
    rows: usize,
    panel: &[f32],
    width: usize,
    out: &mut Scratch,
) {
    // Two rows by sixteen outputs fit the sixteen registers of the smallest vector unit.
    for first in (0..rows).step_by(2) {
        let second = (first + 1).min(rows - 1);
        for block in (0..width).step_by(LANES) {
            let mut sums = [[0.0f32; LANES]; 2];
            let k = panel.len() / width;
            let (x, y) = (&a[first * stride..][..k], &a[second * stride..][..k]);
            for ((line, &x), &y) in panel.chunks_exact(width).zip(x).zip(y) {
                let line = &line[block..block + LANES];
                for (i, &weight) in line.iter().enumerate() {
                    sums[0][i] += x * weight;
                    sums[1][i] += y * weight;
                }
            }
            out[first][block..block + LANES].copy_from_slice(&sums[0]);
            out[second][block..block + LANES].copy_from_slice(&sums[1]);
        }
    }
    debug_assert!(rows <= ROWS);
}
