//! Products with a packed matrix: `out[T, n] = nonlinearity(a[T, k] · weightᵀ[k, n] + bias)`.
//!
//! The unit of work is a register tile: up to six rows of activations times one panel of up to 64 outputs, over all of
//! k, in registers. Its sums go through a scratch of 1.5 KB that never leaves the first cache, where bias and
//! nonlinearity are applied on the way out. Every sum runs over k in ascending order, whatever the tile's shape.

use std::marker::PhantomData;

use super::activation::{self, Nonlinearity};
use super::isa::{Isa, Level};
use super::packed::{LANES, PANEL, PackedMatrix, pack_panel, panel_width};
#[cfg(target_arch = "x86_64")]
use super::x86_64;
use super::{parallel, portable, vector};

/// Rows of a register tile.
pub(super) const ROWS: usize = 6;

/// Rows of activations that one task multiplies with one panel: enough to be worth fetching the panel for.
const ROWS_PER_TASK: usize = 8 * ROWS;

/// Where a tile leaves its sums.
pub(super) type Scratch = [[f32; PANEL]; ROWS];

/// What is done to a product on its way out.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// n values that are added to each row; none if empty.
    pub(crate) bias: &'a [f32],
    /// What is applied after that.
    pub(crate) nonlinearity: Nonlinearity,
}

/// A weight matrix [n, k] in either layout.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    /// Packed beforehand.
    Packed(&'a PackedMatrix),
    /// As rows, for a matrix that is also used otherwise (the word embeddings that the decoder is tied to): each panel
    /// is packed on the fly.
    Rows { rows: &'a [f32], k: usize },
}

impl Weights<'_> {
    fn n(&self) -> usize {
        match self {
            Self::Packed(matrix) => matrix.n(),
            Self::Rows { rows, k } => rows.len() / k,
        }
    }

    fn k(&self) -> usize {
        match self {
            Self::Packed(matrix) => matrix.k(),
            Self::Rows { k, .. } => *k,
        }
    }

    /// The panel with that index, built in `buffer` if need be.
    fn panel<'b>(&'b self, index: usize, buffer: &'b mut Vec<f32>) -> &'b [f32] {
        match self {
            Self::Packed(matrix) => matrix.panel(index),
            Self::Rows { rows, k } => {
                let n = self.n();
                buffer.resize(panel_width(n, index) * k, 0.0);
                let count = (n - index * PANEL).min(PANEL);
                pack_panel(&rows[index * PANEL * k..], count, *k, buffer);
                buffer
            }
        }
    }
}

/// `out[T, n] = nonlinearity(a[T, k] · weightsᵀ + bias)`, over the threads of the current rayon pool.
pub(crate) fn multiply(
    isa: Isa,
    a: &[f32],
    weights: Weights<'_>,
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) {
    let (n, k) = (weights.n(), weights.k());
    let rows = a.len() / k;
    assert_eq!(a.len(), rows * k, "activations [T, {k}]");
    assert_eq!(out.len(), rows * n, "outputs [T, {n}]");
    assert!(epilogue.bias.is_empty() || epilogue.bias.len() == n, "bias [{n}]");
    let row_blocks = rows.div_ceil(match weights {
        Weights::Packed(_) => ROWS_PER_TASK,
        // Packing a panel costs as much as a few rows' products, so it is done once for all rows.
        Weights::Rows { .. } => rows.max(1),
    });
    let rows_per_block = rows.div_ceil(row_blocks.max(1));
    let panels = n.div_ceil(PANEL);
    let out = Output::new(out, n);
    // Tasks that share a panel follow each other.
    parallel::for_each(rows * n * k, panels * row_blocks, |buffer, task| {
        let (index, block) = (task / row_blocks, task % row_blocks);
        let panel = weights.panel(index, buffer);
        let columns = index * PANEL..n.min((index + 1) * PANEL);
        let bias = if epilogue.bias.is_empty() { &[] } else { &epilogue.bias[columns.clone()] };
        for first in (block * rows_per_block..rows.min((block + 1) * rows_per_block)).step_by(ROWS)
        {
            let count = ROWS.min(rows.min((block + 1) * rows_per_block) - first);
            let mut scratch = [[0.0; PANEL]; ROWS];
            tile(isa, &a[first * k..], k, count, panel, panel.len() / k, &mut scratch);
            for (i, sums) in scratch.iter_mut().take(count).enumerate() {
                let sums = &mut sums[..columns.len()];
                vector::add(isa, bias, sums);
                activation::apply(isa, epilogue.nonlinearity, sums);
                // SAFETY: this task alone writes these columns of this row, and both lie within `out`.
                unsafe { out.row(first + i, columns.start, columns.len()) }.copy_from_slice(sums);
            }
        }
    });
}

/// A matrix that tasks write disjoint parts of.
pub(super) struct Output<'a> {
    start: *mut f32,
    stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is borrowed for as long as this lives, and all access is through `row`, whose callers promise
// not to overlap.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(super) fn new(values: &'a mut [f32], stride: usize) -> Self {
        Self { start: values.as_mut_ptr(), stride, borrow: PhantomData }
    }

    /// Columns `first..first + count` of a row.
    ///
    /// # Safety
    /// They lie within the matrix, and nobody else reads or writes them meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn row(&self, row: usize, first: usize, count: usize) -> &mut [f32] {
        // SAFETY: by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.stride + first), count) }
    }
}

/// Rows of a matrix that need not follow each other directly, such as one head's queries.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    pub(super) count: usize,
}

/// `out[rows, n] = a[rows, k] · panels`, on this thread, where `panels` holds packed panels one after the other.
pub(super) fn multiply_panels(
    isa: Isa,
    a: Rows<'_>,
    panels: &[f32],
    (n, k): (usize, usize),
    out: &mut [f32],
) {
    for first in (0..a.count).step_by(ROWS) {
        let count = ROWS.min(a.count - first);
        let mut rest = panels;
        for column in (0..n).step_by(PANEL) {
            let width = panel_width(n, column / PANEL);
            let (panel, after) = rest.split_at(width * k);
            rest = after;
            let mut scratch = [[0.0; PANEL]; ROWS];
            tile(isa, &a.values[first * a.stride..], a.stride, count, panel, width, &mut scratch);
            let filled = PANEL.min(n - column);
            for (i, sums) in scratch.iter().take(count).enumerate() {
                out[(first + i) * n + column..][..filled].copy_from_slice(&sums[..filled]);
            }
        }
    }
}

/// One register tile: `rows` (1 to [`ROWS`]) rows of `a`, `stride` apart, times a panel of `width` outputs. Overwrites
/// the first `width` columns of the first `rows` rows of `out`.
pub(super) fn tile(
    isa: Isa,
    a: &[f32],
    stride: usize,
    rows: usize,
    panel: &[f32],
    width: usize,
    out: &mut Scratch,
) {
    let k = panel.len() / width;
    assert!(width.is_multiple_of(LANES) && width <= PANEL && panel.len() == k * width);
    assert!((1..=ROWS).contains(&rows) && a.len() >= (rows - 1) * stride + k);
    match isa.level() {
        Level::Portable => portable::tile(a, stride, rows, panel, width, out),
        // SAFETY: the `Isa` proves the instructions, the assertions above the sizes.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86_64::avx2(a, stride, rows, panel, width, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86_64::avx512(a, stride, rows, panel, width, out) },
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    const SIZES: [usize; 9] = [1, 2, 3, 7, 16, 17, 64, 65, 129];

    /// Every instruction set against the oracle, on sizes that are multiples of nothing.
    #[test]
    fn products_match_the_reference() {
        for rows in [0, 1, 2, 5, 6, 7, 13, 50, 101] {
            for n in SIZES {
                for k in SIZES {
                    check(rows, n, k);
                }
            }
        }
    }

    fn check(rows: usize, n: usize, k: usize) {
        let a = reference::noise(rows * k, 1, 1.0);
        let b = reference::noise(n * k, 2, 1.0);
        let bias = reference::noise(n, 3, 1.0);
        let plain = reference::matmul(&a, &b, k);
        let biased: Vec<f64> = plain
            .iter()
            .zip(bias.iter().cycle())
            .map(|(&x, &bias)| reference::nonlinearity(Nonlinearity::Gelu, x + f64::from(bias)))
            .collect();
        let packed = PackedMatrix::new(&[&b], k);
        for isa in Isa::available() {
            for weights in [Weights::Packed(&packed), Weights::Rows { rows: &b, k }] {
                let mut out = vec![f32::NAN; rows * n];
                let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
                multiply(isa, &a, weights, epilogue, &mut out);
                let what = format!("{isa} [{rows}, {k}]·[{k}, {n}]");
                reference::assert_close(&out, &plain, 1e-5, &what);
                let epilogue = Epilogue { bias: &bias, nonlinearity: Nonlinearity::Gelu };
                multiply(isa, &a, weights, epilogue, &mut out);
                reference::assert_close(&out, &biased, 1e-5, &what);
            }
        }
    }

    /// A row's product is the same to the bit alone, among others, packed or not, on one thread or two.
    #[test]
    fn a_row_does_not_depend_on_its_company() {
        let (rows, n, k) = (100, 200, 300);
        let a = reference::noise(rows * k, 1, 1.0);
        let b = reference::noise(n * k, 2, 1.0);
        let packed = PackedMatrix::new(&[&b], k);
        let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
        for isa in Isa::available() {
            let run = |threads, a: &[f32], weights| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut out = vec![0.0; a.len() / k * n];
                pool.install(|| multiply(isa, a, weights, epilogue, &mut out));
                out
            };
            let whole = run(1, &a, Weights::Packed(&packed));
            assert_eq!(whole, run(2, &a, Weights::Packed(&packed)));
            assert_eq!(whole, run(3, &a, Weights::Rows { rows: &b, k }));
            for i in [0, 5, 99] {
                let alone = run(2, &a[i * k..(i + 1) * k], Weights::Packed(&packed));
                assert_eq!(alone, whole[i * n..(i + 1) * n]);
            }
        }
    }
}
