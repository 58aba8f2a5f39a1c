//! How matrices are cut into panels.

use std::ops::Range;

use crate::kernels::isa::Isa;
#[cfg(target_arch = "x86_64")]
use crate::kernels::isa::Vectors;

/// The most outputs in a panel: four 512-bit registers.
pub(in crate::kernels) const MAX_PANEL: usize = 64;

/// Outputs in a register, and the unit that panels are filled up to.
pub(in crate::kernels) const LANES: usize = 16;

/// How matrices are cut for the tiles of an instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernels) struct Blocking {
    /// Outputs in a full panel.
    pub(in crate::kernels) panel: usize,
    /// Lines of a panel, an even number, that a product goes through with all rows of a task before
    /// it goes on to the next.
    pub(in crate::kernels) depth: usize,
    /// The most rows of activations that a task multiplies with a panel before it goes on to the
    /// next.
    pub(in crate::kernels) rows: usize,
}

impl Blocking {
    pub(in crate::kernels) fn of(isa: Isa) -> Self {
        match isa.vectors() {
            // A tile is as wide as the panel, and reads 192 KB of it from the second cache while it
            // computes.
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 => Self { panel: MAX_PANEL, depth: 768, rows: usize::MAX },
            // Tiles of fewer registers are fed from the first cache: 16 KB. They go over the
            // activations four times as often, so that these are to stay in the second.
            _ => Self { panel: LANES, depth: 256, rows: 120 },
        }
    }

    /// Outputs of the panel with that index, filled up to whole registers.
    pub(in crate::kernels) fn width(self, n: usize, index: usize) -> usize {
        (n - index * self.panel).min(self.panel).next_multiple_of(LANES)
    }

    /// The outputs that a panel has, without those that it is filled up with.
    pub(in crate::kernels) fn outputs(self, n: usize, index: usize) -> Range<usize> {
        index * self.panel..n.min((index + 1) * self.panel)
    }
}
