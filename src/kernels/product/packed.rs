//! A matrix laid out the way the register tiles read it.
//!
//! A weight matrix [n, k] (n outputs, k inputs) is cut into panels of 64 or 16 outputs
//! ([`Blocking`]). Within a panel the inputs follow each other in lines, each with its outputs side
//! by side, so that a tile reads memory strictly forwards:
//!
//! ```text
//! panel 0: lines of 64 outputs │ panel 1: lines of 64 outputs │ … │ last panel: lines of 16, 32, 48 or 64
//! ```
//!
//! An element of a line is a word of 32 bits whatever the precision: one `f32`, two bfloat16 or
//! four bytes, which are the weights of as many inputs that follow each other. So the layout, and
//! what walks over it, is the same for all. The last panel's outputs are filled up with zeros to
//! whole registers, and the last word of inputs likewise.

use rayon::prelude::*;

use crate::kernels::isa::Isa;
use crate::kernels::product::blocking::{Blocking, LANES};
use crate::kernels::product::bytes::{self, Outliers};
use crate::kernels::product::convert;
use crate::kernels::product::precision::{Encoding, Precision};
use crate::kernels::product::seven_bits;
use crate::kernels::product::transpose::transpose_blocks;
use crate::kernels::threads::pages::Aligned;

/// A matrix [n, k], packed once for any number of products.
pub(crate) struct PackedMatrix {
    words: Aligned<u32>,
    n: usize,
    k: usize,
    precision: Precision,
    blocking: Blocking,
    /// What brings sums of bytes back to the weights' scale; empty in other precisions.
    quantization: Quantization,
    outliers: Outliers,
}

/// What is known of the outputs of a matrix of bytes.
#[derive(Default)]
pub(in crate::kernels) struct Quantization {
    /// What a byte of each output is worth.
    pub(in crate::kernels) scales: Vec<f32>,
    /// The sum of each output's bytes: what inputs bring in for each step of their zero point.
    pub(in crate::kernels) sums: Vec<i32>,
    /// The weights of the outliers, panel by panel as the others are: a line of outputs for each.
    outliers: Vec<f32>,
    /// Which lines may be added up two by two, panel by panel, where inputs are of seven bits.
    pairs: Vec<u8>,
}

/// Packs rows of `depth` words into one panel of at least that many outputs; outputs past them are
/// zero.
pub(in crate::kernels) fn pack_panel<W: Word>(
    isa: Isa,
    rows: &[&[W]],
    depth: usize,
    panel: &mut [W],
) {
    let width = panel.len() / depth;
    assert!(width >= rows.len() && width.is_multiple_of(LANES) && panel.len() == width * depth);
    assert!(rows.iter().all(|row| row.len() == depth));
    for block in (0..width).step_by(LANES) {
        let sources: [&[W]; LANES] =
            std::array::from_fn(|i| rows.get(block + i).copied().unwrap_or_default());
        // As many lines as are transposed sixteen at a time.
        let done = transpose_blocks(isa, sources, &mut panel[block..], width);
        for (p, line) in panel.chunks_exact_mut(width).enumerate().skip(done) {
            for (value, source) in line[block..block + LANES].iter_mut().zip(sources) {
                *value = source.get(p).copied().unwrap_or_default();
            }
        }
    }
}

/// Types of 32 bits, any of which are valid.
///
/// # Safety
/// That is what implementing it promises.
pub(in crate::kernels) unsafe trait Word: Copy + Default {}

// SAFETY: 32 bits, any of them valid.
unsafe impl Word for f32 {}

// SAFETY: 32 bits, any of them valid.
unsafe impl Word for u32 {}

impl PackedMatrix {
    /// Packs the matrices `[n_i, k]`, one below the other, into one, for the bodies of an
    /// instruction set.
    ///
    /// Takes as little memory as it can besides: a single matrix of `f32` is packed where it is,
    /// and of several each is freed before the next is packed. `outliers`, ascending, are the
    /// inputs that a matrix of bytes takes as `f32`; in other precisions there are none.
    pub(crate) fn new(
        isa: Isa,
        matrices: Vec<Vec<f32>>,
        k: usize,
        precision: Precision,
        outliers: &[usize],
    ) -> Self {
        assert!(
            k > 0 && matrices.iter().all(|matrix| matrix.len().is_multiple_of(k)),
            "rows of k = {k}"
        );
        assert!(k <= precision.max_inputs(), "{k} inputs are too many for {precision}");
        let n = matrices.iter().map(|matrix| matrix.len() / k).sum::<usize>();
        let mut quantization = Quantization::default();
        let outliers = match precision {
            Precision::Int8 => Outliers::new(outliers, k),
            Precision::F32 | Precision::Bf16 => Outliers::default(),
        };
        let words = match <[Vec<f32>; 1]>::try_from(matrices) {
            Ok([matrix]) if precision == Precision::F32 && n.is_multiple_of(LANES) => {
                pack_in_place(isa, matrix, k)
            }
            matrices => {
                let matrices = matrices.map_or_else(|matrices| matrices, Vec::from);
                pack(isa, matrices, (n, k), precision, &outliers, &mut quantization)
            }
        };
        let blocking = Blocking::of(isa);
        if cfg!(target_arch = "x86_64")
            && Encoding::for_weights(precision, isa) == Encoding::Unsigned7
        {
            let depth = k.div_ceil(precision.inputs_per_word());
            let panels = words.par_chunks(blocking.panel * depth);
            let pairs = panels.map(|panel| seven_bits::pairs(panel, panel.len() / depth));
            quantization.pairs = pairs.flat_map_iter(|pairs| pairs).collect();
        }
        words.collapse();
        Self { words, n, k, precision, blocking, quantization, outliers }
    }

    /// Packs the transpose of matrices `[n_i, k]` that lie one below the other: k outputs, and
    /// inputs for each of their rows. It multiplies gradients of outputs to those of inputs; there
    /// is none of bytes.
    pub(crate) fn transposed(
        isa: Isa,
        matrices: &[&[f32]],
        k: usize,
        precision: Precision,
    ) -> Self {
        let rows: Vec<&[f32]> = matrices.iter().flat_map(|m| m.chunks_exact(k)).collect();
        let blocking = Blocking::of(isa);
        let depth = rows.len().div_ceil(precision.inputs_per_word());
        let mut words = Aligned::zeros(k.next_multiple_of(LANES) * depth);
        let panels = words.par_chunks_mut(blocking.panel * depth);
        panels.enumerate().for_each(|(index, panel)| {
            let columns = blocking.outputs(k, index);
            let lines = panel.chunks_exact_mut(blocking.width(k, index));
            for (line, rows) in lines.zip(rows.chunks(precision.inputs_per_word())) {
                let first = &rows[0][columns.clone()];
                match precision {
                    Precision::F32 => {
                        line.iter_mut().zip(first).for_each(|(word, x)| *word = x.to_bits());
                    }
                    Precision::Bf16 => {
                        let second = rows.get(1).map_or(&[][..], |row| &row[columns.clone()]);
                        convert::pair_bf16(isa, first, second, &mut line[..first.len()]);
                    }
                    Precision::Int8 => unreachable!("gradients are not of bytes"),
                }
            }
        });
        let (n, k, quantization) = (k, rows.len(), Quantization::default());
        Self { words, n, k, precision, blocking, quantization, outliers: Outliers::default() }
    }

    /// Outputs.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Inputs.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    pub(in crate::kernels) fn precision(&self) -> Precision {
        self.precision
    }

    pub(in crate::kernels) fn blocking(&self) -> Blocking {
        self.blocking
    }

    pub(in crate::kernels) fn quantization(&self) -> &Quantization {
        &self.quantization
    }

    pub(in crate::kernels) fn outliers(&self) -> &Outliers {
        &self.outliers
    }

    /// The weights of the outliers in one panel: a line of its width for each.
    pub(in crate::kernels) fn outlier_panel(&self, index: usize) -> &[f32] {
        let count = self.outliers.channels().len();
        let start = index * self.blocking.panel * count;
        &self.quantization.outliers[start..start + self.blocking.width(self.n, index) * count]
    }

    /// Which lines of one panel may be added up two by two; empty where that is not asked.
    pub(in crate::kernels) fn pairs(&self, index: usize) -> &[u8] {
        let count = self.depth().div_ceil(2);
        self.quantization.pairs.get(index * count..(index + 1) * count).unwrap_or_default()
    }

    fn panels(&self) -> usize {
        self.n.div_ceil(self.blocking.panel)
    }

    fn depth(&self) -> usize {
        self.k.div_ceil(self.precision.inputs_per_word())
    }

    /// The words of one panel: lines of its width.
    pub(in crate::kernels) fn panel(&self, index: usize) -> &[u32] {
        let start = index * self.blocking.panel * self.depth();
        &self.words[start..start + self.blocking.width(self.n, index) * self.depth()]
    }

    /// The first lines, as many as a product reads first, of the panel after that one; empty if
    /// there is none.
    pub(in crate::kernels) fn next_panel(&self, index: usize) -> &[u32] {
        let next = index + 1;
        if next >= self.panels() {
            return &[];
        }
        let panel = self.panel(next);
        &panel[..panel.len().min(self.blocking.depth * self.blocking.width(self.n, next))]
    }

    /// The values of one panel of a matrix of `f32`.
    pub(in crate::kernels) fn float_panel(&self, index: usize) -> &[f32] {
        assert_eq!(self.precision, Precision::F32);
        floats(self.panel(index))
    }

    /// Row `row` of the matrix as it was before packing, but for what the precision took away.
    pub(crate) fn row(&self, row: usize) -> Vec<f32> {
        assert!(row < self.n);
        let (panel, place) = (row / self.blocking.panel, row % self.blocking.panel);
        let width = self.blocking.width(self.n, panel);
        let scale = self.quantization.scales.get(row).copied().unwrap_or(1.0);
        let per_word = self.precision.inputs_per_word();
        let words = self.panel(panel).chunks_exact(width).map(|line| line[place]);
        let values = words.flat_map(|word| {
            convert::values(word, self.precision, scale).into_iter().take(per_word)
        });
        let mut values: Vec<f32> = values.take(self.k).collect();
        let outliers = self.outlier_panel(panel).chunks_exact(width).map(|line| line[place]);
        for (&channel, weight) in self.outliers.channels().iter().zip(outliers) {
            values[channel] = weight;
        }
        values
    }
}

/// Packs matrices of n rows of k values in all.
fn pack(
    isa: Isa,
    mut matrices: Vec<Vec<f32>>,
    (n, k): (usize, usize),
    precision: Precision,
    outliers: &Outliers,
    quantization: &mut Quantization,
) -> Aligned<u32> {
    let Blocking { panel, .. } = Blocking::of(isa);
    if matrices.iter().any(|matrix| !matrix.len().is_multiple_of(panel * k)) {
        // A panel would straddle two of them.
        matrices = vec![matrices.concat()];
    }
    let depth = k.div_ceil(precision.inputs_per_word());
    let mut words = Aligned::zeros(n.next_multiple_of(LANES) * depth);
    let mut rest = &mut words[..];
    for mut matrix in matrices {
        if precision == Precision::Int8 {
            quantization.extend(isa, &mut matrix, k, outliers);
        }
        let rows = matrix.len() / k;
        let (packed, after) = rest.split_at_mut(rows.next_multiple_of(LANES) * depth);
        rest = after;
        packed.par_chunks_mut(panel * depth).zip(matrix.par_chunks(panel * k)).for_each_init(
            Vec::new,
            |gathered, (panel, rows)| {
                gathered.clear();
                rows.chunks_exact(k).for_each(|row| convert::weights(row, precision, gathered));
                let rows: Vec<&[u32]> = gathered.chunks_exact(depth).collect();
                pack_panel(isa, &rows, depth, panel);
            },
        );
    }
    words
}

/// Packs a matrix of a multiple of [`LANES`] rows of k values: its panels are as long as their rows
/// were.
fn pack_in_place(isa: Isa, matrix: Vec<f32>, k: usize) -> Aligned<u32> {
    let len = matrix.len();
    let mut words = Aligned::from_vec(with_room(matrix), len);
    let (values, offset) = words.parts();
    let Blocking { panel, .. } = Blocking::of(isa);
    let mut gathered = Vec::with_capacity(len.min(panel * k));
    // From the last to the first, because panels lie up to a line after their rows.
    for start in (0..len).step_by(panel * k).rev() {
        let end = len.min(start + panel * k);
        gathered.clear();
        gathered.extend_from_slice(&values[start..end]);
        let rows: Vec<&[u32]> = gathered.chunks_exact(k).collect();
        pack_panel(isa, &rows, k, &mut values[offset + start..offset + end]);
    }
    words
}

/// The bits of values, and room for as many more as are in a cache line.
fn with_room(mut values: Vec<f32>) -> Vec<u32> {
    values.reserve_exact(LANES);
    values.resize(values.len() + LANES, 0.0);
    let mut values = std::mem::ManuallyDrop::new(values);
    // SAFETY: the parts of a vector that is not dropped; `u32` and `f32` have one size and
    // alignment, and any bits are valid for both.
    unsafe { Vec::from_raw_parts(values.as_mut_ptr().cast(), values.len(), values.capacity()) }
}

impl Quantization {
    /// Takes in what is known of more outputs, and takes the outliers out of their rows.
    fn extend(&mut self, isa: Isa, rows: &mut [f32], k: usize, outliers: &Outliers) {
        let count = outliers.channels().len();
        if count > 0 {
            let weights = outliers.take_from(rows, k);
            let Blocking { panel, .. } = Blocking::of(isa);
            for weights in weights.chunks(panel * count) {
                let weights: Vec<&[f32]> = weights.chunks_exact(count).collect();
                let start = self.outliers.len();
                self.outliers.resize(start + weights.len().next_multiple_of(LANES) * count, 0.0);
                pack_panel(isa, &weights, count, &mut self.outliers[start..]);
            }
        }
        let of_row = |row: &[f32]| {
            let scale = bytes::weight_scale(row);
            let inverse = bytes::inverse(scale);
            (scale, row.iter().map(|&x| i32::from(bytes::quantize(x, inverse))).sum())
        };
        let rows: Vec<(f32, i32)> = rows.par_chunks(k).map(of_row).collect();
        self.scales.extend(rows.iter().map(|(scale, _)| scale));
        self.sums.extend(rows.iter().map(|(_, sum)| sum));
    }
}

/// The bits of floating-point numbers.
pub(in crate::kernels) fn bits(floats: &mut [f32]) -> &mut [u32] {
    // SAFETY: `u32` and `f32` have one size and alignment, and any bits are valid for both.
    unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), floats.len()) }
}

/// Words as the floating-point numbers that they are.
pub(in crate::kernels) fn floats(words: &[u32]) -> &[f32] {
    // SAFETY: `u32` and `f32` have one size and alignment, and any bits are valid for both.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn rows_come_back_as_they_were() {
        let isa = Isa::available().next().unwrap();
        for (counts, k) in [
            (vec![1], 1),
            (vec![64], 3),
            (vec![208], 40),
            (vec![26, 26, 26], 7),
            (vec![65, 200], 5),
            (vec![64, 128, 80], 33),
        ] {
            let matrices: Vec<Vec<f32>> = counts
                .iter()
                .zip(1..)
                .map(|(count, seed)| reference::noise(count * k, seed, 1.0))
                .collect();
            for (precision, error) in [
                (Precision::F32, 0.0),
                (Precision::Bf16, 1.0 / 256.0),
                (Precision::Int8, 0.5 / 127.0),
            ] {
                let packed = PackedMatrix::new(isa, matrices.clone(), k, precision, &[k / 2]);
                let rows: Vec<Vec<f32>> = (0..packed.n()).map(|i| packed.row(i)).collect();
                assert_eq!(rows.concat().len(), matrices.concat().len());
                for (row, expected) in rows.iter().zip(matrices.concat().chunks(k)) {
                    let largest = expected.iter().fold(0.0f32, |max, x| max.max(x.abs()));
                    for (x, y) in row.iter().zip(expected) {
                        assert!((x - y).abs() <= error * largest * 1.001, "{precision}: {x} {y}");
                    }
                }
            }
        }
    }
}
