//! Register tiles: a few rows of activations times one panel, over all inputs, summed up in
//! registers.
//!
//! There is a body for every precision and instruction set. All bodies of one precision of
//! [`Precision::Bf16`] and [`Precision::Int8`](crate::kernels::product::precision::Precision) give
//! the same bits: `vdpbf16ps` and `vpdpbusd` are used where the processor has them, and emulated
//! exactly (but for sums below 1e-38, which `vdpbf16ps` makes 0) elsewhere. With packed weights,
//! x86 without VNNI multiplies inputs of seven bits
//! ([`seven_bits`](crate::kernels::product::seven_bits)), exactly as well. Every sum runs over the
//! inputs in ascending order (in bfloat16 the second of each pair before the first, as `vdpbf16ps`
//! does), whatever the tile's shape.
//!
//! [`Precision::Bf16`]: crate::kernels::product::precision::Precision::Bf16

#[cfg(target_arch = "x86_64")]
use super::avx2::{self, Avx2};
#[cfg(target_arch = "x86_64")]
use super::avx512::{self, Avx512};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"))]
use super::cover::cover;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"))]
use super::kernel::{Float, SplitBf16};
#[cfg(target_arch = "aarch64")]
use super::neon::{self, Neon};
use super::portable;
#[cfg(target_feature = "relaxed-simd")]
use super::wasm32::RelaxedSimd;
#[cfg(target_feature = "simd128")]
use super::wasm32::{self, Simd128};
use crate::kernels::isa::{Isa, Level};
use crate::kernels::product::blocking::{LANES, MAX_PANEL};
use crate::kernels::product::precision::{Encoding, Precision};

/// Rows of a register tile.
pub(in crate::kernels) const ROWS: usize = 6;

/// What a tile multiplies: `f32`, or words of narrower values.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Tile<'a, W> {
    /// From the first row's first value on.
    pub(in crate::kernels) inputs: &'a [W],
    /// The distance from row to row.
    pub(in crate::kernels) stride: usize,
    /// How many rows, 1 to [`ROWS`].
    pub(in crate::kernels) rows: usize,
    /// `depth` lines of `width` words.
    pub(in crate::kernels) panel: &'a [W],
    /// At least 1.
    pub(in crate::kernels) depth: usize,
    /// A multiple of [`LANES`], up to [`MAX_PANEL`].
    pub(in crate::kernels) width: usize,
    /// Whether the products are added to what is in the sums, rather than to 0.
    pub(in crate::kernels) accumulate: bool,
    /// What is to be brought into the second cache meanwhile: this tile's share of the panel that
    /// comes next.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128")),
        allow(dead_code, reason = "the portable body leaves fetching to the processor")
    )]
    pub(in crate::kernels) next: &'a [W],
    /// Which two lines may be added up in 16 bits
    /// ([`seven_bits`](crate::kernels::product::seven_bits)), where inputs are of so many.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128")),
        allow(dead_code, reason = "asked by kernels for x86 alone")
    )]
    pub(in crate::kernels) pairs: &'a [u8],
}

impl<W> Tile<'_, W> {
    /// Checks that all that a body reads and writes is there, `words` of each row for every line.
    fn check(&self, words: usize, sums: &[u32]) {
        let Self { inputs, stride, rows, panel, depth, width, .. } = self;
        assert!(width.is_multiple_of(LANES) && *width <= MAX_PANEL && panel.len() == depth * width);
        assert!(*depth > 0);
        assert!((1..=ROWS).contains(rows) && inputs.len() >= (rows - 1) * stride + depth * words);
        assert!(sums.len() >= rows * width);
    }
}

/// A product of `f32`. Its sums go to the first `rows` rows of `width` in `sums`, as the bits of
/// `f32`.
pub(in crate::kernels) fn float(isa: Isa, tile: Tile<'_, f32>, sums: &mut [u32]) {
    tile.check(1, sums);
    match isa.level() {
        Level::Portable => portable::float(tile, sums),
        // SAFETY: the `Isa` proves the instructions, the check the sizes.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::AvxVnni => unsafe { cover::<Float<Avx2>>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni | Level::Avx512Bf16 => unsafe {
            cover::<Float<Avx512>>(tile, sums);
        },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::Neon | Level::NeonDot | Level::NeonI8mm => unsafe {
            cover::<Float<Neon>>(tile, sums)
        },
        // SAFETY: as above.
        #[cfg(target_feature = "simd128")]
        Level::Simd128 => unsafe { cover::<Float<Simd128>>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_feature = "relaxed-simd")]
        Level::RelaxedSimd => unsafe { cover::<Float<RelaxedSimd>>(tile, sums) },
    }
}

/// A product of pairs of bfloat16, inputs in the encoding of this instruction set. Writes as
/// [`float`].
pub(in crate::kernels) fn bf16(isa: Isa, tile: Tile<'_, u32>, sums: &mut [u32]) {
    tile.check(Encoding::of(Precision::Bf16, isa).words(), sums);
    match isa.level() {
        Level::Portable => portable::bf16(tile, sums),
        // SAFETY: the `Isa` proves the instructions, the check the sizes.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::AvxVnni => unsafe { cover::<SplitBf16<Avx2>>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni => unsafe { cover::<SplitBf16<Avx512>>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Bf16 => unsafe { cover::<avx512::Bf16>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::Neon | Level::NeonDot | Level::NeonI8mm => unsafe {
            cover::<SplitBf16<Neon>>(tile, sums)
        },
        // SAFETY: as above.
        #[cfg(target_feature = "simd128")]
        Level::Simd128 => unsafe { cover::<SplitBf16<Simd128>>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_feature = "relaxed-simd")]
        Level::RelaxedSimd => unsafe { cover::<SplitBf16<RelaxedSimd>>(tile, sums) },
    }
}

/// A product of fours of bytes with packed weights, inputs in the encoding for them. Writes as
/// [`float`], but integers.
pub(in crate::kernels) fn int8_weights(isa: Isa, tile: Tile<'_, u32>, sums: &mut [u32]) {
    #[cfg(any(target_arch = "x86_64", target_feature = "relaxed-simd"))]
    if Encoding::for_weights(Precision::Int8, isa) == Encoding::Unsigned7 {
        tile.check(Encoding::Unsigned7.words(), sums);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(tile.pairs.len(), tile.depth.div_ceil(2), "pairs of lines");
        match isa.level() {
            // SAFETY: the `Isa` proves the instructions, the checks the sizes.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => return unsafe { cover::<avx2::Int8Pairs>(tile, sums) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => return unsafe { cover::<avx512::Int8Pairs>(tile, sums) },
            // SAFETY: as above.
            #[cfg(target_feature = "relaxed-simd")]
            Level::RelaxedSimd => return unsafe { cover::<wasm32::Int8Relaxed>(tile, sums) },
            _ => unreachable!("others have instructions for bytes"),
        }
    }
    int8(isa, tile, sums);
}

/// A product of fours of bytes, inputs in the encoding of this instruction set. Writes as
/// [`float`], but integers.
pub(in crate::kernels) fn int8(isa: Isa, tile: Tile<'_, u32>, sums: &mut [u32]) {
    tile.check(Encoding::of(Precision::Int8, isa).words(), sums);
    match isa.level() {
        Level::Portable => portable::int8(tile, sums),
        // SAFETY: the `Isa` proves the instructions, the check the sizes.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { cover::<avx2::Int8Sixteens>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => unsafe { cover::<avx2::Int8>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { cover::<avx512::Int8Sixteens>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni | Level::Avx512Bf16 => unsafe { cover::<avx512::Int8>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::Neon => unsafe { cover::<neon::Int8>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::NeonDot => unsafe { cover::<neon::Int8Dot>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::NeonI8mm => unsafe { cover::<neon::Int8Matrix>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_feature = "simd128")]
        Level::Simd128 => unsafe { cover::<wasm32::Int8>(tile, sums) },
        // SAFETY: as above.
        #[cfg(target_feature = "relaxed-simd")]
        Level::RelaxedSimd => unsafe { cover::<wasm32::Int8>(tile, sums) },
    }
}
