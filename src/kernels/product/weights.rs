//! The weights of a product, packed or not.

use crate::kernels::isa::Isa;
use crate::kernels::product::blocking::Blocking;
use crate::kernels::product::packed::{self, PackedMatrix, pack_panel};
use crate::kernels::product::precision::Precision;

/// A weight matrix [n, k] in either layout.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    /// Packed beforehand.
    Packed(&'a PackedMatrix),
    /// As rows, for a matrix that is also used otherwise (the word embeddings that the decoder is
    /// tied to): each panel is packed on the fly.
    Rows { rows: &'a [f32], k: usize },
}

impl<'a> Weights<'a> {
    pub(super) fn n(&self) -> usize {
        match self {
            Self::Packed(matrix) => matrix.n(),
            Self::Rows { rows, k } => rows.len() / k,
        }
    }

    pub(super) fn k(&self) -> usize {
        match self {
            Self::Packed(matrix) => matrix.k(),
            Self::Rows { k, .. } => *k,
        }
    }

    pub(super) fn precision(&self) -> Precision {
        match self {
            Self::Packed(matrix) => matrix.precision(),
            Self::Rows { .. } => Precision::F32,
        }
    }

    /// The panel of `f32` with that index, built in `buffer` if need be.
    pub(super) fn float_panel<'b>(
        &self,
        isa: Isa,
        index: usize,
        buffer: &'b mut Vec<f32>,
    ) -> &'b [f32]
    where
        'a: 'b,
    {
        match *self {
            Self::Packed(matrix) => matrix.float_panel(index),
            Self::Rows { rows, k } => {
                let n = self.n();
                let blocking = Blocking::of(isa);
                let outputs = blocking.outputs(n, index);
                buffer.resize(blocking.width(n, index) * k, 0.0);
                let rows: Vec<&[f32]> =
                    rows[outputs.start * k..outputs.end * k].chunks_exact(k).collect();
                pack_panel(isa, &rows, k, buffer);
                buffer
            }
        }
    }

    /// The part of the next panel that is multiplied first; empty if there is none that is packed.
    pub(super) fn next_float_panel(&self, index: usize) -> &'a [f32] {
        match *self {
            Self::Packed(matrix) => packed::floats(matrix.next_panel(index)),
            Self::Rows { .. } => &[],
        }
    }
}
