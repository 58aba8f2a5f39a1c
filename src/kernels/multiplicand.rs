//! Products of activations with activations: those of attention, and gradients of weights.

use super::convert::{self, Strided};
use super::isa::Isa;
use super::packed::Word;
use super::precision::{Encoding, Precision};
use super::tile::{self, Sums, Tile};

/// What activations are multiplied with each other as: `f32`, or words of two bfloat16.
pub(super) trait Multiplicand: Word {
    /// Inputs per word.
    const INPUTS: usize;

    /// Words of a row of activations per line of a panel.
    fn words(isa: Isa) -> usize;

    /// Rows of activations as tiles take them, in `buffer` if they have to be converted.
    fn encode<'a>(isa: Isa, rows: Strided<'a>, buffer: &'a mut [Self]) -> (&'a [Self], usize);

    /// Rows of keys, as a panel has them, but one after the other.
    fn keys<'a>(isa: Isa, keys: Strided<'a>, buffer: &'a mut [Self]) -> (&'a [Self], usize);

    /// A line of a panel whose inputs are rows, from as many of them as a word has inputs; missing ones are empty.
    fn line(isa: Isa, rows: [&[f32]; 2], line: &mut [Self]);

    fn tile(isa: Isa, tile: Tile<'_, Self>, sums: &mut Sums);
}

impl Multiplicand for f32 {
    const INPUTS: usize = 1;

    fn words(_: Isa) -> usize {
        1
    }

    fn encode<'a>(_: Isa, rows: Strided<'a>, _: &'a mut [Self]) -> (&'a [Self], usize) {
        (rows.values, rows.stride)
    }

    fn keys<'a>(_: Isa, keys: Strided<'a>, _: &'a mut [Self]) -> (&'a [Self], usize) {
        (keys.values, keys.stride)
    }

    fn line(_: Isa, [row, _]: [&[f32]; 2], line: &mut [Self]) {
        line[..row.len()].copy_from_slice(row);
    }

    fn tile(isa: Isa, tile: Tile<'_, Self>, sums: &mut Sums) {
        tile::float(isa, tile, sums);
    }
}

impl Multiplicand for u32 {
    const INPUTS: usize = 2;

    fn words(isa: Isa) -> usize {
        Encoding::of(Precision::Bf16, isa).words()
    }

    fn encode<'a>(isa: Isa, rows: Strided<'a>, buffer: &'a mut [Self]) -> (&'a [Self], usize) {
        let encoding = Encoding::of(Precision::Bf16, isa);
        let stride = rows.width.div_ceil(2) * encoding.words();
        let buffer = &mut buffer[..rows.count * stride];
        convert::encode_rows(isa, encoding, rows, buffer, &mut []);
        (buffer, stride)
    }

    fn keys<'a>(isa: Isa, keys: Strided<'a>, buffer: &'a mut [Self]) -> (&'a [Self], usize) {
        let stride = keys.width.div_ceil(2);
        let buffer = &mut buffer[..keys.count * stride];
        convert::encode_rows(isa, Encoding::Bf16, keys, buffer, &mut []);
        (buffer, stride)
    }

    fn line(isa: Isa, [first, second]: [&[f32]; 2], line: &mut [Self]) {
        convert::pair_bf16(isa, first, second, line);
    }

    fn tile(isa: Isa, tile: Tile<'_, Self>, sums: &mut Sums) {
        tile::bf16(isa, tile, sums);
    }
}
