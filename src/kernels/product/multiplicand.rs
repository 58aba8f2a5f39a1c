//! Products of activations with activations: those of attention, and gradients of weights.

use crate::kernels::isa::Isa;
use crate::kernels::product::convert::{self, Strided};
use crate::kernels::product::packed::{Word, bits};
use crate::kernels::product::precision::{Encoding, Precision};
use crate::kernels::product::tiles::tile::{self, ROWS, Tile};

/// What activations are multiplied with each other as: `f32`, or words of two bfloat16.
pub(in crate::kernels) trait Multiplicand: Word {
    /// Inputs per word.
    const INPUTS: usize;

    /// Words of a row of activations per line of a panel.
    fn words(isa: Isa) -> usize;

    /// Rows of activations as tiles take them, in `buffer` if they have to be converted.
    fn encode<'a>(isa: Isa, rows: Strided<'a>, buffer: &'a mut [Self]) -> EncodedRows<'a, Self>;

    /// Rows of keys, as a panel has them, but one after the other.
    fn keys<'a>(isa: Isa, keys: Strided<'a>, buffer: &'a mut [Self]) -> EncodedRows<'a, Self>;

    /// A line of a panel whose inputs are rows, from as many of them as a word has inputs; missing
    /// ones are empty.
    fn line(isa: Isa, rows: [&[f32]; 2], line: &mut [Self]);

    /// Lines of `width` values as a panel that has them as its inputs, in `buffer` if they have to
    /// be converted.
    fn panel<'a>(isa: Isa, lines: &'a [f32], width: usize, buffer: &'a mut [Self]) -> &'a [Self];

    fn tile(isa: Isa, tile: Tile<'_, Self>, sums: &mut [u32]);
}

/// Rows of activations as tiles take them.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct EncodedRows<'a, W> {
    pub(in crate::kernels) words: &'a [W],
    /// Words from row to row.
    pub(in crate::kernels) stride: usize,
}

/// One panel of outputs.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Panel<'a, W> {
    pub(in crate::kernels) words: &'a [W],
    pub(in crate::kernels) width: usize,
}

/// Where a product goes.
pub(in crate::kernels) struct Destination<'a> {
    pub(in crate::kernels) out: &'a mut [f32],
    /// Whether the products are added to what is there.
    pub(in crate::kernels) accumulate: bool,
}

/// `out[rows, width] = inputs · panel`, or with that added to it, on this thread: the sums of a
/// whole panel lie where they are wanted. `before_tile` is called for every tile.
pub(in crate::kernels) fn multiply_panel<W: Copy>(
    isa: Isa,
    multiply: impl Fn(Isa, Tile<'_, W>, &mut [u32]),
    EncodedRows { words: inputs, stride }: EncodedRows<'_, W>,
    Panel { words: panel, width }: Panel<'_, W>,
    Destination { out, accumulate }: Destination<'_>,
    mut before_tile: impl FnMut(),
) {
    let (rows, depth) = (out.len() / width, panel.len() / width);
    // Tiles of nearly the same height: eight rows are twice four, not six and two.
    let tiles = rows.div_ceil(ROWS);
    let (height, higher) = (rows / tiles, rows % tiles);
    let (mut inputs, mut out) = (inputs, out);
    for tile in 0..tiles {
        let rows = height + usize::from(tile < higher);
        let (sums, below) = out.split_at_mut(rows * width);
        let tile =
            Tile { inputs, stride, rows, panel, depth, width, accumulate, next: &[], pairs: &[] };
        before_tile();
        multiply(isa, tile, bits(sums));
        out = below;
        inputs = inputs.get(rows * stride..).unwrap_or_default();
    }
}

impl Multiplicand for f32 {
    const INPUTS: usize = 1;

    fn words(_: Isa) -> usize {
        1
    }

    fn encode<'a>(_: Isa, rows: Strided<'a>, _: &'a mut [Self]) -> EncodedRows<'a, Self> {
        EncodedRows { words: rows.values, stride: rows.stride }
    }

    fn keys<'a>(_: Isa, keys: Strided<'a>, _: &'a mut [Self]) -> EncodedRows<'a, Self> {
        EncodedRows { words: keys.values, stride: keys.stride }
    }

    fn line(_: Isa, [row, _]: [&[f32]; 2], line: &mut [Self]) {
        line[..row.len()].copy_from_slice(row);
    }

    fn panel<'a>(_: Isa, lines: &'a [f32], _: usize, _: &'a mut [Self]) -> &'a [Self] {
        lines
    }

    fn tile(isa: Isa, tile: Tile<'_, Self>, sums: &mut [u32]) {
        tile::float(isa, tile, sums);
    }
}

impl Multiplicand for u32 {
    const INPUTS: usize = 2;

    fn words(isa: Isa) -> usize {
        Encoding::of(Precision::Bf16, isa).words()
    }

    fn encode<'a>(isa: Isa, rows: Strided<'a>, buffer: &'a mut [Self]) -> EncodedRows<'a, Self> {
        let encoding = Encoding::of(Precision::Bf16, isa);
        let stride = rows.width.div_ceil(2) * encoding.words();
        let buffer = &mut buffer[..rows.count * stride];
        convert::encode_rows(isa, encoding, rows, buffer, &mut []);
        EncodedRows { words: buffer, stride }
    }

    fn keys<'a>(isa: Isa, keys: Strided<'a>, buffer: &'a mut [Self]) -> EncodedRows<'a, Self> {
        let stride = keys.width.div_ceil(2);
        let buffer = &mut buffer[..keys.count * stride];
        convert::encode_rows(isa, Encoding::Bf16, keys, buffer, &mut []);
        EncodedRows { words: buffer, stride }
    }

    fn line(isa: Isa, [first, second]: [&[f32]; 2], line: &mut [Self]) {
        convert::pair_bf16(isa, first, second, line);
    }

    fn panel<'a>(isa: Isa, lines: &'a [f32], width: usize, buffer: &'a mut [Self]) -> &'a [Self] {
        let pairs = lines.chunks(2 * width);
        let panel = &mut buffer[..pairs.len() * width];
        for (line, pair) in panel.chunks_exact_mut(width).zip(pairs) {
            let (first, second) = pair.split_at(width);
            Self::line(isa, [first, second], line);
        }
        panel
    }

    fn tile(isa: Isa, tile: Tile<'_, Self>, sums: &mut [u32]) {
        tile::bf16(isa, tile, sums);
    }
}
