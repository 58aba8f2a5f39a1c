//! Between `f32` and the narrower types that weights and activations are multiplied in; for bytes,
//! with [`bytes`](crate::kernels::product::bytes).
//!
//! All of it is written in integers and in `f32` operations that round once, so that every
//! instruction set gives the same bits.

use std::ops::Range;

use crate::kernels::isa::{Isa, multiversion};
use crate::kernels::product::bytes::{self, Rows};
use crate::kernels::product::packed::PackedMatrix;
use crate::kernels::product::precision::{Encoding, Precision};
use crate::kernels::product::seven_bits::{Excess, most_excess};
use crate::kernels::threads::parallel;
use crate::kernels::threads::split::split;

/// The bits of the nearest bfloat16, ties to even; what would be subnormal becomes 0, as
/// `vdpbf16ps` takes it for 0.
#[inline(always)]
pub(in crate::kernels) fn bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // A NaN keeps its sign and becomes quiet: rounding could make it infinite.
    let rounded = if magnitude > 0x7f80_0000 { bits | 0x0040_0000 } else { rounded };
    let rounded = if magnitude < 0x0080_0000 { bits & 0x8000_0000 } else { rounded };
    (rounded >> 16) as u16
}

/// The `f32` of a bfloat16's bits.
#[inline(always)]
pub(in crate::kernels) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The width of nearly all models' heads: rows of a length that the compiler knows take a third of
/// the time.
const HEAD: usize = 64;

/// Appends a row of weights as words; what is missing in the last is 0.
pub(in crate::kernels) fn weights(row: &[f32], precision: Precision, words: &mut Vec<u32>) {
    match precision {
        Precision::F32 => words.extend(row.iter().map(|x| x.to_bits())),
        Precision::Bf16 => words.extend(row.chunks(2).map(|pair| {
            let half = |i: usize| pair.get(i).map_or(0, |&x| u32::from(bf16(x)));
            half(0) | half(1) << 16
        })),
        Precision::Int8 => {
            let inverse = bytes::inverse(bytes::weight_scale(row));
            words.extend(row.chunks(4).map(|four| {
                let byte = |i: usize| four.get(i).map_or(0, |&x| bytes::quantize(x, inverse) as u8);
                u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
            }));
        }
    }
}

/// The weights in a word, of which the first [`Precision::inputs_per_word`] count.
pub(in crate::kernels) fn values(word: u32, precision: Precision, scale: f32) -> [f32; 4] {
    match precision {
        Precision::F32 => [f32::from_bits(word), 0.0, 0.0, 0.0],
        Precision::Bf16 => [from_bf16(word as u16), from_bf16((word >> 16) as u16), 0.0, 0.0],
        Precision::Int8 => word.to_le_bytes().map(|byte| f32::from(byte as i8) * scale),
    }
}

/// Rows of activations in the form that products with weights of some precision read.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(in crate::kernels) rows: usize,
    pub(in crate::kernels) k: usize,
    pub(in crate::kernels) precision: Precision,
    pub(in crate::kernels) values: Values<'a>,
}

impl<'a> Inputs<'a> {
    /// Rows [T, k] for weights of `f32`, which need no encoding.
    pub(crate) fn floats(rows: &'a [f32], k: usize) -> Self {
        let count = rows.len() / k;
        assert_eq!(rows.len(), count * k, "activations [T, {k}]");
        Self { rows: count, k, precision: Precision::F32, values: Values::Floats(rows) }
    }
}

#[derive(Clone, Copy)]
pub(in crate::kernels) enum Values<'a> {
    /// As they were.
    Floats(&'a [f32]),
    /// Pairs of bfloat16, as many words per row as a panel has lines, or twice as many.
    Halves { words: &'a [u32], encoding: Encoding },
    /// Fours of bytes, likewise.
    Bytes { words: &'a [u32], encoding: Encoding, steps: Steps<'a> },
}

/// What rows of bytes are worth.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Steps<'a> {
    pub(in crate::kernels) scales: &'a [f32],
    /// What stands for zero in each row.
    pub(in crate::kernels) zeros: &'a [i32],
    /// The values of channels that are multiplied in `f32`, `[T, channels]`.
    pub(in crate::kernels) outliers: &'a [f32],
    /// What is beyond seven bits, `[T, most_excess(k)]` if that is the encoding.
    pub(in crate::kernels) excess: &'a [Excess],
}

/// Memory for activations while they are multiplied, to be used again and again.
#[derive(Default)]
pub(crate) struct InputBuffer {
    words: Vec<u32>,
    floats: Vec<f32>,
    zeros: Vec<i32>,
    excess: Vec<Excess>,
}

impl InputBuffer {
    /// Bytes that it holds on to.
    pub(crate) fn capacity(&self) -> usize {
        let Self { words, floats, zeros, excess } = self;
        size_of::<u32>() * (words.capacity() + floats.capacity() + zeros.capacity())
            + size_of::<Excess>() * excess.capacity()
    }

    /// Brings `rows` [T, k] into the form that products with a matrix read.
    pub(crate) fn encode<'a>(
        &'a mut self,
        isa: Isa,
        matrix: &PackedMatrix,
        rows: &'a [f32],
    ) -> Inputs<'a> {
        let (k, precision) = (matrix.k(), matrix.precision());
        let encoding = Encoding::for_weights(precision, isa);
        if encoding == Encoding::F32 {
            return Inputs::floats(rows, k);
        }
        let count = rows.len() / k;
        assert_eq!(rows.len(), count * k, "activations [T, {k}]");
        let stride = k.div_ceil(precision.inputs_per_word()) * encoding.words();
        // Nothing that is left of the rows before is read: every word is written.
        let [words] = split(&mut self.words, [count * stride]);
        let block = parallel::rows_per_task(count, k);
        let parts = rows.chunks(block * k).zip(words.chunks_mut(block * stride));
        if precision == Precision::Bf16 {
            parallel::for_each_part(parts, |(rows, words)| {
                encode_rows(isa, encoding, Strided::dense(rows, k), words, &mut []);
            });
            return Inputs {
                rows: count,
                k,
                precision,
                values: Values::Halves { words, encoding },
            };
        }
        let channels = matrix.outliers().channels().len();
        let [scales, outliers] = split(&mut self.floats, [count, count * channels]);
        let [zeros] = split(&mut self.zeros, [count]);
        let most = if encoding == Encoding::Unsigned7 { most_excess(k) } else { 0 };
        let [excess] = split(&mut self.excess, [count * most]);
        let steps = scales.chunks_mut(block).zip(zeros.chunks_mut(block));
        let (mut rest, mut rest_of_excess) = (&mut *outliers, &mut *excess);
        let parts = parts.zip(steps).map(|((rows, words), (scales, zeros))| {
            let outliers = rest.split_off_mut(..scales.len() * channels).unwrap_or_default();
            let excess = rest_of_excess.split_off_mut(..scales.len() * most).unwrap_or_default();
            (rows, Rows { words, scales, zeros, outliers, excess })
        });
        parallel::for_each_part(parts, |(rows, to)| {
            bytes::encode_with_zeros(isa, encoding, rows, k, matrix.outliers(), to);
        });
        let steps = Steps { scales, zeros, outliers, excess };
        Inputs { rows: count, k, precision, values: Values::Bytes { words, encoding, steps } }
    }
}

/// Rows of values that need not follow each other directly, such as one head's queries.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    /// From the first row's first value on.
    pub(crate) values: &'a [f32],
    /// The distance from row to row.
    pub(crate) stride: usize,
    pub(crate) width: usize,
    pub(crate) count: usize,
}

impl<'a> Strided<'a> {
    /// Rows that follow each other directly.
    pub(crate) fn dense(values: &'a [f32], width: usize) -> Self {
        Self { values, stride: width, width, count: values.len() / width }
    }

    /// `count` rows from `first` on, certain columns of each.
    pub(crate) fn part(self, first: usize, count: usize, columns: Range<usize>) -> Self {
        assert!(first + count <= self.count && columns.end <= self.width);
        let values = &self.values[first * self.stride + columns.start..];
        Self { values, stride: self.stride, width: columns.len(), count }
    }

    /// One row; empty past the last.
    pub(in crate::kernels) fn row(self, index: usize) -> &'a [f32] {
        if index < self.count { &self.values[index * self.stride..][..self.width] } else { &[] }
    }
}

multiversion! {
    /// A panel of pairs of bfloat16 as one of `f32` with twice the lines: the second of each pair,
    /// then the first, which is the order in which `vdpbf16ps` adds, and that of
    /// [`Encoding::Bf16Split`].
    pub(in crate::kernels) fn widen(panel: &[u32], width: usize, out: &mut [f32]) {
        for (line, out) in panel.chunks_exact(width).zip(out.chunks_exact_mut(2 * width)) {
            let (seconds, firsts) = out.split_at_mut(width);
            for ((second, first), &word) in seconds.iter_mut().zip(firsts).zip(line) {
                *second = f32::from_bits(word & 0xffff_0000);
                *first = f32::from_bits(word << 16);
            }
        }
    }
}

multiversion! {
    /// Encodes rows, each into as many words as are its due; `scales` receives what a step of each
    /// is worth, if they are of bytes, which are then symmetric about zero.
    pub(in crate::kernels) fn encode_rows<'a>(
        encoding: Encoding,
        rows: Strided<'a>,
        words: &mut [u32],
        scales: &mut [f32],
    ) {
        let Strided { values, stride, width, count } = rows;
        for (index, words) in words.chunks_exact_mut(words.len() / count).enumerate() {
            let row = &values[index * stride..][..width];
            match encoding {
                Encoding::F32 => unreachable!("read as they are"),
                Encoding::Bf16 => pairs(row, words),
                Encoding::Bf16Split => {
                    let (two, rest) = row.as_chunks::<2>();
                    let (to, _) = words.as_chunks_mut::<2>();
                    let split = |x: f32| from_bf16(bf16(x)).to_bits();
                    to.iter_mut().zip(two).for_each(|(to, two)| *to = [split(two[1]), split(two[0])]);
                    if let (Some(to), [x]) = (to.get_mut(two.len()), rest) {
                        *to = [0, split(*x)];
                    }
                }
                Encoding::Unsigned7 => unreachable!("has a zero point"),
                Encoding::Signed16 => scales[index] = bytes::encode_sixteens(row, words),
                Encoding::Unsigned8 | Encoding::Signed8 => {
                    let zero = encoding.symmetric_zero();
                    scales[index] = match <&[f32; HEAD]>::try_from(row) {
                        // A copy, which nothing overlaps and which stays in registers.
                        Ok(&row) => bytes::encode_symmetric(&row, zero, &mut words[..HEAD / 4]),
                        Err(_) => bytes::encode_symmetric(row, zero, words),
                    };
                }
            }
        }
    }
}

/// Two values a word, the last filled up with 0.
#[inline(always)]
fn pairs(row: &[f32], words: &mut [u32]) {
    let (filled, rest) = halves(words).split_at_mut(row.len());
    filled.iter_mut().zip(row).for_each(|(to, &x)| *to = bf16(x));
    rest.fill(0);
    // They were written in the order of memory.
    if cfg!(target_endian = "big") {
        words.iter_mut().for_each(|word| *word = word.rotate_right(16));
    }
}

multiversion! {
    /// Pairs of bfloat16, one of `first` and one of `second` each; `second` may be empty, which
    /// stands for zeros.
    pub(in crate::kernels) fn pair_bf16(first: &[f32], second: &[f32], words: &mut [u32]) {
        if second.is_empty() {
            words.iter_mut().zip(first).for_each(|(word, &x)| *word = u32::from(bf16(x)));
        } else {
            for ((word, &x), &y) in words.iter_mut().zip(first).zip(second) {
                *word = u32::from(bf16(x)) | u32::from(bf16(y)) << 16;
            }
        }
    }
}

fn halves(words: &mut [u32]) -> &mut [u16] {
    // SAFETY: two u16 have the size of a u32 and no stricter alignment; any bits are valid.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn bfloat16_is_the_nearest_ties_to_even() {
        let cases = reference::noise(10_000, 4, 3.0).into_iter().chain([
            0.0,
            -0.0,
            1.0,
            f32::MAX,
            -f32::MAX,
            1.003_906_2,
            1.011_718_8,
            1e-20,
            f32::INFINITY,
        ]);
        for x in cases {
            let expected = half::bf16::from_f32(x);
            assert_eq!(bf16(x), expected.to_bits(), "{x}");
            assert_eq!(from_bf16(bf16(x)), expected.to_f32(), "{x}");
        }
        assert!(from_bf16(bf16(f32::NAN)).is_nan());
        assert_eq!(from_bf16(bf16(1e-39)), 0.0, "subnormal");
    }

    /// What each encoding holds is what the scalar functions say, on every instruction set and any
    /// length.
    #[test]
    fn rows_are_encoded_alike_on_every_instruction_set() {
        use Encoding::*;
        for k in [1, 2, 3, 4, 5, 15, 64, 67, 200] {
            let rows = reference::noise(3 * k, 6, 2.0);
            for isa in Isa::available() {
                for encoding in [Bf16, Bf16Split, Unsigned8, Signed8, Signed16] {
                    let per_word = if matches!(encoding, Bf16 | Bf16Split) { 2 } else { 4 };
                    let stride = k.div_ceil(per_word) * encoding.words();
                    let (mut words, mut scales) = (vec![7; 3 * stride], vec![0.0; 3]);
                    let strided = Strided { values: &rows, stride: k, width: k, count: 3 };
                    encode_rows(isa, encoding, strided, &mut words, &mut scales);
                    for (i, row) in rows.chunks(k).enumerate() {
                        let words = &words[i * stride..][..stride];
                        let inverse = bytes::inverse(bytes::scale(row));
                        let at = |j: usize| row.get(j).copied().unwrap_or(0.0);
                        for j in 0..k.next_multiple_of(per_word) {
                            let (group, place) = (j / per_word, j % per_word);
                            let quantized = bytes::quantize(at(j), inverse);
                            let byte = (words[group.min(stride - 1)] >> (8 * place)) as u8;
                            match encoding {
                                F32 | Unsigned7 => unreachable!(),
                                Bf16 => {
                                    assert_eq!((words[group] >> (16 * place)) as u16, bf16(at(j)))
                                }
                                Bf16Split => {
                                    let word = words[2 * group + 1 - place];
                                    assert_eq!(f32::from_bits(word), from_bf16(bf16(at(j))));
                                }
                                Unsigned8 => {
                                    assert_eq!(i32::from(byte) - 128, i32::from(quantized))
                                }
                                Signed8 => assert_eq!(byte as i8, quantized),
                                Signed16 => {
                                    let word = words[2 * group + place % 2] >> (16 * (place / 2));
                                    assert_eq!(word as i16, i16::from(quantized));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
