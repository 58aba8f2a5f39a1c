//! The register tiles for NEON: 32 registers of 128 bits.

use std::arch::aarch64::*;

use crate::kernels::product::tiles::body::{by_size, tile_body};
use crate::kernels::product::tiles::tile::{ROWS, Tile};

/// A tile that leaves fetching ahead to the processor.
macro_rules! neon_tile {
    ($($body:tt)*) => {
        tile_body! {
            fetch: |_ahead| 0 lines: ();
            fetch input: |_input| ();
            fetch next: |_next| ();
            unroll: 4;
            $($body)*
        }
    };
}

neon_tile! {
    /// Multiply-adds of `f32`.
    fn float, float_tile, features: "neon",
    registers: float32x4_t as zero_f32, lanes: 4, line: zero_f32 and vld1q_f32,
    sums: vld1q_f32 and vst1q_f32,
    input: f32, words: 1, at most: 6 by 4,
    weights: |line| line,
    step: |sum, x, weights| vfmaq_f32(sum, vdupq_n_f32(*x.cast::<f32>()), weights),
}

neon_tile! {
    /// Pairs of bfloat16 as `vdpbf16ps` multiplies them: see the body for AVX-512. (`bfdot` rounds otherwise.)
    fn bf16, bf16_tile, features: "neon",
    registers: float32x4_t as zero_f32, lanes: 4, line: zero_u32 and vld1q_u32,
    sums: vld1q_f32 and vst1q_f32,
    input: u32, words: 2, at most: 6 by 2,
    weights: |line| (
        vreinterpretq_f32_u32(vandq_u32(line, vdupq_n_u32(0xffff_0000))),
        vreinterpretq_f32_u32(vshlq_n_u32::<16>(line)),
    ),
    step: |sum, x, weights| {
        let sum = vfmaq_f32(sum, vdupq_n_f32(*x.cast::<f32>()), weights.0);
        vfmaq_f32(sum, vdupq_n_f32(*x.add(1).cast::<f32>()), weights.1)
    },
}

neon_tile! {
    /// Fours of bytes by way of 16-bit products, which no product of two bytes overflows.
    fn int8, int8_tile, features: "neon",
    registers: int32x4_t as zero_s32, lanes: 4, line: zero_s8 and vld1q_s8,
    sums: vld1q_s32 and vst1q_s32,
    input: u32, words: 1, at most: 6 by 2,
    weights: |line| line,
    step: |sum, x, weights| {
        let x = vreinterpretq_s8_u32(vdupq_n_u32(*x));
        let low = vpaddlq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(weights)));
        let high = vpaddlq_s16(vmull_high_s8(x, weights));
        vaddq_s32(sum, vpaddq_s32(low, high))
    },
}

neon_tile! {
    /// Fours of bytes with `sdot`.
    fn int8_dot, int8_dot_tile, features: "neon,dotprod",
    registers: int32x4_t as zero_s32, lanes: 4, line: zero_s8 and vld1q_s8,
    sums: vld1q_s32 and vst1q_s32,
    input: u32, words: 1, at most: 6 by 4,
    weights: |line| line,
    step: |sum, x, weights| sdot(sum, vreinterpretq_s8_u32(vdupq_n_u32(*x)), weights),
}

fn zero_f32() -> float32x4_t {
    // SAFETY: NEON is part of the target.
    unsafe { vdupq_n_f32(0.0) }
}

fn zero_u32() -> uint32x4_t {
    // SAFETY: NEON is part of the target.
    unsafe { vdupq_n_u32(0) }
}

fn zero_s8() -> int8x16_t {
    // SAFETY: NEON is part of the target.
    unsafe { vdupq_n_s8(0) }
}

fn zero_s32() -> int32x4_t {
    // SAFETY: NEON is part of the target.
    unsafe { vdupq_n_s32(0) }
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
