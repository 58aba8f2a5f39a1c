//! Products with a packed matrix: `out[T, n] = nonlinearity(a[T, k] · weightᵀ[k, n] + bias)`.
//!
//! The unit of work is a register tile: up to six rows of activations times one panel of up to 64 outputs, over all of
//! k, in registers. Its sums go through a scratch of 1.5 KB that never leaves the first cache, where bias and
//! nonlinearity are applied on the way out. Every sum runs over k in ascending order, whatever the tile's shape.

use std::marker::PhantomData;
use std::ops::Range;

use super::activation::{self, Nonlinearity};
use super::isa::{Isa, Level, multiversion};
use super::packed::{LANES, PANEL, PackedMatrix, pack_panel, panel_width};
#[cfg(target_arch = "x86_64")]
use super::x86_64;
use super::{parallel, portable};

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
    multiply_columns(isa, a, weights, 0..weights.n(), epilogue, out);
}

/// As [`multiply`], of certain outputs alone. Columns of `out` that share a panel with them are overwritten, too, with
/// what belongs there; the others are left as they are.
pub(crate) fn multiply_columns(
    isa: Isa,
    a: &[f32],
    weights: Weights<'_>,
    columns: Range<usize>,
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) {
    let (n, k) = (weights.n(), weights.k());
    let rows = a.len() / k;
    assert_eq!(a.len(), rows * k, "activations [T, {k}]");
    assert_eq!(out.len(), rows * n, "outputs [T, {n}]");
    assert!(epilogue.bias.is_empty() || epilogue.bias.len() == n, "bias [{n}]");
    assert!(columns.start <= columns.end && columns.end <= n, "columns of {n}");
    let panels = columns.start / PANEL..columns.end.div_ceil(PANEL);
    let rows_per_task = match weights {
        Weights::Packed(_) => ROWS_PER_TASK,
        // Packing a panel costs as much as a few rows' products, so it is done once for all rows.
        Weights::Rows { .. } => rows.max(1),
    };
    let blocks = rows.div_ceil(rows_per_task);
    let product = Product { isa, a, k, n, epilogue, out: Output::new(out, n) };
    let work = rows * k * panels.len() * PANEL;
    // Tasks that share a panel follow each other.
    parallel::for_each(work, panels.len() * blocks, |buffer, task| {
        let (index, block) = (panels.start + task / blocks, task % blocks);
        let rows = block * rows_per_task..rows.min((block + 1) * rows_per_task);
        product.panel(index, weights.panel(index, buffer), rows);
    });
}

/// What all tasks of one product share.
struct Product<'a> {
    isa: Isa,
    a: &'a [f32],
    k: usize,
    n: usize,
    epilogue: Epilogue<'a>,
    out: Output<'a>,
}

impl Product<'_> {
    /// Some rows times one panel.
    fn panel(&self, index: usize, panel: &[f32], rows: Range<usize>) {
        let (isa, k) = (self.isa, self.k);
        let columns = index * PANEL..self.n.min((index + 1) * PANEL);
        let Epilogue { bias, nonlinearity } = self.epilogue;
        let bias = if bias.is_empty() { bias } else { &bias[columns.clone()] };
        let mut scratch = [[0.0; PANEL]; ROWS];
        for first in rows.clone().step_by(ROWS) {
            let count = ROWS.min(rows.end - first);
            tile(isa, &self.a[first * k..], k, count, panel, panel.len() / k, &mut scratch);
            finish(isa, bias, nonlinearity, &mut scratch[..count]);
            for (i, sums) in scratch.iter().take(count).enumerate() {
                // SAFETY: the task that this is alone writes these columns of these rows, which lie within `out`.
                let row = unsafe { self.out.row(first + i, columns.start, columns.len()) };
                row.copy_from_slice(&sums[..columns.len()]);
            }
        }
    }
}

multiversion! {
    /// Adds a bias (if there is one) to the sums of a tile and applies a nonlinearity.
    fn finish(bias: &[f32], nonlinearity: Nonlinearity, rows: &mut [[f32; PANEL]]) {
        for row in rows.iter_mut() {
            row.iter_mut().zip(bias).for_each(|(sum, &bias)| *sum += bias);
        }
        activation::apply_inline(nonlinearity, rows.as_flattened_mut());
    }
}

/// A matrix that tasks write disjoint parts of.
pub(super) struct Output<'a> {
    start: *mut f32,
    len: usize,
    stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is borrowed for as long as this lives, and all access is through `row`, whose callers promise
// not to overlap.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(super) fn new(values: &'a mut [f32], stride: usize) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), stride, borrow: PhantomData }
    }

    /// Columns `first..first + count` of a row.
    ///
    /// # Safety
    /// They lie within the matrix, and nobody else reads or writes them meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn row(&self, row: usize, first: usize, count: usize) -> &mut [f32] {
        debug_assert!(row * self.stride + first + count <= self.len);
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

    /// Only the panels that were asked for are written.
    #[test]
    fn columns_are_those_of_the_whole_product() {
        let (rows, n, k) = (7, 300, 5);
        let (a, b) = (reference::noise(rows * k, 1, 1.0), reference::noise(n * k, 2, 1.0));
        let packed = PackedMatrix::new(&[&b], k);
        let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
        for isa in Isa::available() {
            let mut whole = vec![0.0; rows * n];
            multiply(isa, &a, Weights::Packed(&packed), epilogue, &mut whole);
            for (columns, written) in [(0..1, 0..64), (100..150, 64..192), (128..300, 128..300)] {
                let mut part = vec![f32::NAN; rows * n];
                multiply_columns(isa, &a, Weights::Packed(&packed), columns, epilogue, &mut part);
                for (i, (&found, &expected)) in part.iter().zip(&whole).enumerate() {
                    let is_right =
                        if written.contains(&(i % n)) { found == expected } else { found.is_nan() };
                    assert!(is_right, "{isa}: element {i} is {found}");
                }
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
