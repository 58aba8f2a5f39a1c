//! The register tiles in ordinary Rust, for processors that have no bodies of their own.

use crate::kernels::product::blocking::LANES;
use crate::kernels::product::convert::from_bf16;
use crate::kernels::product::tiles::tile::Tile;

/// Multiply-adds of `f32`.
pub(in crate::kernels) fn float(tile: Tile<'_, f32>, sums: &mut [u32]) {
    product(tile, 1, sums, (f32::from_bits, f32::to_bits), |sum, x, weight| *sum += x[0] * weight);
}

/// Pairs of bfloat16 as `vdpbf16ps` multiplies them, the second before the first. The products are
/// exact in `f32`, so that adding them rounds where that instruction does.
pub(in crate::kernels) fn bf16(tile: Tile<'_, u32>, sums: &mut [u32]) {
    product(tile, 2, sums, (f32::from_bits, f32::to_bits), |sum, x, weights| {
        *sum += f32::from_bits(x[0]) * from_bf16((weights >> 16) as u16);
        *sum += f32::from_bits(x[1]) * from_bf16(weights as u16);
    });
}

/// Fours of bytes.
pub(in crate::kernels) fn int8(tile: Tile<'_, u32>, sums: &mut [u32]) {
    product(tile, 1, sums, (u32::cast_signed, i32::cast_unsigned), |sum, x, weights| {
        let byte = |word: u32, i: u32| i32::from((word >> (8 * i)) as u8 as i8);
        let product = |i| byte(x[0], i) * byte(weights, i);
        *sum = sum.wrapping_add(product(0) + product(1) + product(2) + product(3));
    });
}

/// Walks over a tile: two rows by sixteen outputs fit the registers of the smallest vector unit.
#[inline(always)]
fn product<W: Copy, S: Copy + Default>(
    tile: Tile<'_, W>,
    words: usize,
    sums: &mut [u32],
    (from_bits, to_bits): (impl Fn(u32) -> S, impl Fn(S) -> u32),
    add: impl Fn(&mut S, &[W], W),
) {
    let Tile { inputs, stride, rows, panel, depth, width, accumulate, .. } = tile;
    let row = |index: usize| inputs[index * stride..][..depth * words].chunks_exact(words);
    for first in (0..rows).step_by(2) {
        let second = (first + 1).min(rows - 1);
        for block in (0..width).step_by(LANES) {
            let mut totals = [first, second].map(|row| {
                let sum = |i| {
                    if accumulate { from_bits(sums[row * width + block + i]) } else { S::default() }
                };
                std::array::from_fn::<S, LANES, _>(sum)
            });
            let lines = panel.chunks_exact(width).map(|line| &line[block..block + LANES]);
            for ((line, x), y) in lines.zip(row(first)).zip(row(second)) {
                for (i, &weight) in line.iter().enumerate() {
                    add(&mut totals[0][i], x, weight);
                    add(&mut totals[1][i], y, weight);
                }
            }
            for (row, totals) in [first, second].into_iter().zip(totals) {
                sums[row * width + block..][..LANES].copy_from_slice(&totals.map(&to_bits));
            }
        }
    }
}
