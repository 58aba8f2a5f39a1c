//! A matrix laid out the way the register tiles read it.
//!
//! A weight matrix [n, k] (n outputs, k inputs) is cut into panels of [`PANEL`] outputs. Within a panel the inputs
//! follow each other in lines, each with its outputs side by side, so that a tile reads memory strictly forwards:
//!
//! ```text
//! panel 0: lines of 64 outputs │ panel 1: lines of 64 outputs │ … │ last panel: lines of 16, 32, 48 or 64
//! ```
//!
//! An element of a line is a word of 32 bits whatever the precision: one `f32`, two bfloat16 or four bytes, which are
//! the weights of as many inputs that follow each other. So the layout, and what walks over it, is the same for all.
//! The last panel's outputs are filled up with zeros to whole registers, and the last word of inputs likewise.

use rayon::prelude::*;

use super::convert;
use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::isa::Vectors;
use super::precision::{Encoding, Precision};
#[cfg(target_arch = "x86_64")]
use super::x86_64::avx512;

/// Outputs in a full panel: four 512-bit registers.
pub(super) const PANEL: usize = 64;

/// Outputs in a register, and the unit that panels are filled up to.
pub(super) const LANES: usize = 16;

/// Lines of a panel that products go through with all rows of a task before the next: 192 KB of weights.
pub(super) const DEPTH_PER_PART: usize = 768;

/// Sixteen words on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; LANES]);

/// A matrix [n, k], packed once for any number of products.
pub(crate) struct PackedMatrix {
    lines: Vec<Line>,
    n: usize,
    k: usize,
    precision: Precision,
    /// What brings sums of bytes back to the weights' scale; empty in other precisions.
    quantization: Quantization,
}

/// What is known of the outputs of a matrix of bytes.
#[derive(Default)]
pub(super) struct Quantization {
    /// What a byte of each output is worth.
    pub(super) scales: Vec<f32>,
    /// What is to be taken off each output's sum, because the inputs come with an offset.
    pub(super) corrections: Vec<i32>,
}

/// Outputs of the panel with that index, filled up to whole registers.
pub(super) fn panel_width(n: usize, panel: usize) -> usize {
    (n - panel * PANEL).min(PANEL).next_multiple_of(LANES)
}

/// Packs rows of `depth` words into one panel of at least that many outputs; outputs past them are zero.
pub(super) fn pack_panel<W: Word>(isa: Isa, rows: &[&[W]], depth: usize, panel: &mut [W]) {
    let width = panel.len() / depth;
    assert!(width >= rows.len() && width.is_multiple_of(LANES) && panel.len() == width * depth);
    assert!(rows.iter().all(|row| row.len() == depth));
    for block in (0..width).step_by(LANES) {
        let sources: [&[W]; LANES] =
            std::array::from_fn(|i| rows.get(block + i).copied().unwrap_or_default());
        let is_whole = block + LANES <= rows.len();
        // As many lines as are transposed sixteen at a time.
        let done =
            if is_whole { transpose_blocks(isa, sources, &mut panel[block..], width) } else { 0 };
        for (p, line) in panel.chunks_exact_mut(width).enumerate().skip(done) {
            for (value, source) in line[block..block + LANES].iter_mut().zip(sources) {
                *value = source.get(p).copied().unwrap_or_default();
            }
        }
    }
}

/// Writes sixteen rows of the same length as columns of lines that are `width` apart, sixteen lines at a time, where the
/// processor has a good way to. Returns how many lines it wrote.
#[cfg(target_arch = "x86_64")]
fn transpose_blocks<W: Word>(isa: Isa, rows: [&[W]; LANES], to: &mut [W], width: usize) -> usize {
    let lines = rows[0].len() / LANES * LANES;
    if isa.vectors() != Vectors::Avx512 || lines == 0 {
        return 0;
    }
    assert!(rows.iter().all(|row| row.len() >= lines));
    assert!(to.len() >= (lines - 1) * width + LANES);
    let rows = rows.map(|row| row.as_ptr().cast::<u32>());
    for p in (0..lines).step_by(LANES) {
        // SAFETY: the `Isa` proves the instructions, the assertions the sizes; a `Word` has 32 bits.
        unsafe {
            let rows = rows.map(|row| row.add(p));
            avx512::transpose(rows, to.as_mut_ptr().cast::<u32>().add(p * width), width);
        }
    }
    lines
}

#[cfg(not(target_arch = "x86_64"))]
fn transpose_blocks<W: Word>(_: Isa, _: [&[W]; LANES], _: &mut [W], _: usize) -> usize {
    0
}

/// Types of 32 bits, any of which are valid.
///
/// # Safety
/// That is what implementing it promises.
pub(super) unsafe trait Word: Copy + Default {}

// SAFETY: 32 bits, any of them valid.
unsafe impl Word for f32 {}

// SAFETY: 32 bits, any of them valid.
unsafe impl Word for u32 {}

impl PackedMatrix {
    /// Packs the matrices `[n_i, k]`, one below the other, into one, for the bodies of an instruction set.
    pub(crate) fn new(isa: Isa, matrices: &[&[f32]], k: usize, precision: Precision) -> Self {
        assert!(
            k > 0 && matrices.iter().all(|matrix| matrix.len().is_multiple_of(k)),
            "rows of k = {k}"
        );
        assert!(k <= precision.max_inputs(), "{k} inputs are too many for {precision}");
        let rows: Vec<&[f32]> = matrices.iter().flat_map(|matrix| matrix.chunks_exact(k)).collect();
        let (n, depth) = (rows.len(), k.div_ceil(precision.inputs_per_word()));
        let quantization = match precision {
            Precision::Int8 => Quantization::of(&rows, Encoding::of(precision, isa).offset()),
            Precision::F32 | Precision::Bf16 => Quantization::default(),
        };
        let mut lines = vec![Line([0; LANES]); n.div_ceil(LANES) * depth];
        let panels = lines.par_chunks_mut(PANEL / LANES * depth).zip(rows.par_chunks(PANEL));
        panels.for_each_init(Vec::new, |gathered, (lines, rows)| {
            gathered.clear();
            rows.iter().for_each(|row| convert::weights(row, precision, gathered));
            let rows: Vec<&[u32]> = gathered.chunks_exact(depth).collect();
            pack_panel(isa, &rows, depth, words_mut(lines));
        });
        Self { lines, n, k, precision, quantization }
    }

    /// Outputs.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Inputs.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    pub(super) fn quantization(&self) -> &Quantization {
        &self.quantization
    }

    fn panels(&self) -> usize {
        self.n.div_ceil(PANEL)
    }

    fn depth(&self) -> usize {
        self.k.div_ceil(self.precision.inputs_per_word())
    }

    /// The words of one panel: lines of its width.
    pub(super) fn panel(&self, index: usize) -> &[u32] {
        let start = index * PANEL * self.depth();
        &words(&self.lines)[start..start + panel_width(self.n, index) * self.depth()]
    }

    /// The first lines, as many as a product reads first, of the panel after that one; empty if there is none.
    pub(super) fn next_panel(&self, index: usize) -> &[u32] {
        let next = index + 1;
        if next >= self.panels() {
            return &[];
        }
        let panel = self.panel(next);
        &panel[..panel.len().min(DEPTH_PER_PART * panel_width(self.n, next))]
    }

    /// The values of one panel of a matrix of `f32`.
    pub(super) fn float_panel(&self, index: usize) -> &[f32] {
        assert_eq!(self.precision, Precision::F32);
        floats(self.panel(index))
    }

    /// Row `row` of the matrix as it was before packing, but for what the precision took away.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        assert!(row < self.n);
        let panel = row / PANEL;
        let width = panel_width(self.n, panel);
        let scale = self.quantization.scales.get(row).copied().unwrap_or(1.0);
        let words = self.panel(panel).chunks_exact(width).map(move |line| line[row % PANEL]);
        let precision = self.precision;
        let per_word = precision.inputs_per_word();
        words
            .flat_map(move |word| {
                convert::values(word, precision, scale).into_iter().take(per_word)
            })
            .take(self.k)
    }
}

impl Quantization {
    fn of(rows: &[&[f32]], offset: i32) -> Self {
        let scales = rows.iter().map(|row| convert::scale(row)).collect();
        let sum = |row: &&[f32]| {
            let inverse = convert::inverse(convert::scale(row));
            let sum: i32 = row.iter().map(|&x| i32::from(convert::quantize(x, inverse))).sum();
            // A product with an offset may wrap around; so does the sum that this is taken off.
            sum.wrapping_mul(offset)
        };
        Self { scales, corrections: rows.iter().map(sum).collect() }
    }
}

/// The lines as the words that they consist of.
fn words(lines: &[Line]) -> &[u32] {
    // SAFETY: a `Line` is sixteen words without padding (size and alignment 64), valid for any bits.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

fn words_mut(lines: &mut [Line]) -> &mut [u32] {
    // SAFETY: as above, and the borrow is unique.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}

/// Words as the floating-point numbers that they are.
pub(super) fn floats(words: &[u32]) -> &[f32] {
    // SAFETY: `u32` and `f32` have one size and alignment, and any bits are valid for both.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let isa = Isa::available().next().unwrap();
        for (counts, k) in [(vec![1], 1), (vec![64], 3), (vec![26, 26, 26], 7), (vec![65, 200], 5)]
        {
            let matrices: Vec<Vec<f32>> = counts
                .iter()
                .zip(1..)
                .map(|(count, seed)| reference::noise(count * k, seed, 1.0))
                .collect();
            let slices: Vec<&[f32]> = matrices.iter().map(Vec::as_slice).collect();
            for (precision, error) in [
                (Precision::F32, 0.0),
                (Precision::Bf16, 1.0 / 256.0),
                (Precision::Int8, 0.5 / 127.0),
            ] {
                let packed = PackedMatrix::new(isa, &slices, k, precision);
                let rows: Vec<Vec<f32>> =
                    (0..packed.n()).map(|i| packed.row(i).collect()).collect();
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
