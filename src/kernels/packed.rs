//! A matrix laid out the way the register tiles read it.
//!
//! A weight matrix [n, k] (n outputs, k inputs) is cut into panels of [`PANEL`] outputs. Within a panel the k inputs
//! follow each other, each with its outputs side by side, so that a tile reads memory strictly forwards:
//!
//! ```text
//! panel 0: k rows of 64 outputs │ panel 1: k rows of 64 outputs │ … │ last panel: k rows of 16, 32, 48 or 64
//! ```
//!
//! The last panel's outputs are filled up with zeros to whole registers.

/// Outputs in a full panel: four 512-bit registers.
pub(super) const PANEL: usize = 64;

/// Outputs in a register, and the unit that panels are filled up to.
pub(super) const LANES: usize = 16;

/// Sixteen values on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// A matrix [n, k], packed once for any number of products.
pub(crate) struct PackedMatrix {
    lines: Vec<Line>,
    n: usize,
    k: usize,
}

/// Outputs of the panel with that index, filled up to whole registers.
pub(super) fn panel_width(n: usize, panel: usize) -> usize {
    (n - panel * PANEL).min(PANEL).next_multiple_of(LANES)
}

/// Packs `rows` [count, k] into one panel of at least that many outputs; outputs past them are zero.
pub(super) fn pack_panel(rows: &[f32], count: usize, k: usize, panel: &mut [f32]) {
    let width = panel.len() / k;
    for block in (0..width).step_by(LANES) {
        let filled = count.saturating_sub(block).min(LANES);
        let sources: [&[f32]; LANES] =
            std::array::from_fn(|i| if i < filled { &rows[(block + i) * k..][..k] } else { &[] });
        for (p, line) in panel.chunks_exact_mut(width).enumerate() {
            for (value, source) in line[block..block + LANES].iter_mut().zip(sources) {
                *value = source.get(p).copied().unwrap_or(0.0);
            }
        }
    }
}

impl PackedMatrix {
    /// Packs the matrices `[n_i, k]`, one below the other, into one.
    pub(crate) fn new(matrices: &[&[f32]], k: usize) -> Self {
        assert!(
            k > 0 && matrices.iter().all(|matrix| matrix.len().is_multiple_of(k)),
            "rows of k = {k}"
        );
        let n: usize = matrices.iter().map(|matrix| matrix.len() / k).sum();
        let lines = n.div_ceil(LANES) * k;
        let mut packed = Self { lines: vec![Line([0.0; LANES]); lines], n, k };
        // A panel may straddle two matrices, so rows are gathered before they are packed.
        let mut rows = matrices.iter().flat_map(|matrix| matrix.chunks_exact(k));
        let mut gathered = Vec::with_capacity(PANEL * k);
        for panel in 0..packed.panels() {
            gathered.clear();
            rows.by_ref().take(PANEL).for_each(|row| gathered.extend_from_slice(row));
            let count = gathered.len() / k;
            pack_panel(&gathered, count, k, packed.panel_mut(panel));
        }
        packed
    }

    /// Outputs.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Inputs.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    pub(super) fn panels(&self) -> usize {
        self.n.div_ceil(PANEL)
    }

    /// The values of one panel: k rows of its width.
    pub(super) fn panel(&self, index: usize) -> &[f32] {
        let (start, end) = self.bounds(index);
        &floats(&self.lines)[start..end]
    }

    fn panel_mut(&mut self, index: usize) -> &mut [f32] {
        let (start, end) = self.bounds(index);
        &mut floats_mut(&mut self.lines)[start..end]
    }

    fn bounds(&self, panel: usize) -> (usize, usize) {
        let start = panel * PANEL * self.k;
        (start, start + panel_width(self.n, panel) * self.k)
    }

    /// Row `row` of the matrix as it was before packing.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        assert!(row < self.n);
        let panel = row / PANEL;
        let width = panel_width(self.n, panel);
        self.panel(panel).chunks_exact(width).map(move |line| line[row % PANEL])
    }
}

/// The lines as the values that they consist of.
fn floats(lines: &[Line]) -> &[f32] {
    // SAFETY: a `Line` is sixteen `f32` without padding (size and alignment 64), valid for any bits.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as above, and the borrow is unique.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        for (counts, k) in [(vec![1], 1), (vec![64], 3), (vec![26, 26, 26], 7), (vec![65, 200], 5)]
        {
            let matrices: Vec<Vec<f32>> = counts
                .iter()
                .zip(1..)
                .map(|(count, seed)| reference::noise(count * k, seed, 1.0))
                .collect();
            let slices: Vec<&[f32]> = matrices.iter().map(Vec::as_slice).collect();
            let packed = PackedMatrix::new(&slices, k);
            let rows: Vec<Vec<f32>> = (0..packed.n()).map(|i| packed.row(i).collect()).collect();
            assert_eq!(rows.concat(), matrices.concat());
        }
    }
}
