//! The kernels one by one, for this repository's benchmarks (feature `internals`).
//!
//! Not part of the public API: thin wrappers, which change whenever the kernels do. Shapes that do
//! not fit panic.

mod backward;
mod peak;

use crate::error::Result;
use crate::kernels::attention::{self, Asking, Heads, Queries, Sequence};
use crate::kernels::isa::{Isa, multiversion};
use crate::kernels::product::blocking::MAX_PANEL;
use crate::kernels::product::convert::{InputBuffer, Inputs};
use crate::kernels::product::gemm::{Epilogue, Weights, multiply};
use crate::kernels::product::packed::PackedMatrix;
use crate::kernels::product::precision::Precision;
use crate::kernels::rows::activation::{self, Nonlinearity};
use crate::kernels::rows::vector;

pub use backward::weight_gradient;
pub use peak::Peak;

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug)]
pub struct InstructionSet(Isa);

impl InstructionSet {
    /// All that this processor has.
    pub fn available() -> Vec<Self> {
        Isa::available().map(Self).collect()
    }

    /// The one that models are built for.
    ///
    /// # Errors
    /// As [`instruction_set`](crate::instruction_set).
    pub fn current() -> Result<Self> {
        Isa::current().map(Self)
    }

    /// Its name, as `NDALBERT_ISA` takes it.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The precisions in which activations are multiplied with each other: in attention, and for
    /// gradients of weights.
    pub fn activation_precisions(self) -> Vec<Precision> {
        let is_own = |precision: &Precision| {
            *precision == Precision::F32 || precision.narrows_activations(self.0)
        };
        [Precision::F32, Precision::Bf16].into_iter().filter(is_own).collect()
    }

    /// softmax(`scale`·row) over rows of `width` values, in place but for a factor for each, on
    /// this thread.
    pub fn softmax(self, rows: &mut [f32], width: usize, scale: f32, factors: &mut [f32]) {
        vector::softmax(self.0, rows, width, scale, factors);
    }

    /// LayerNorm of rows plus `residual` (none if empty), in place.
    pub fn layer_norm(self, (weight, bias): (&[f32], &[f32]), residual: &[f32], rows: &mut [f32]) {
        let norm = vector::Norm { weight, bias, eps: 1e-12 };
        vector::layer_norm(self.0, norm, residual, rows);
    }

    /// GELU by tanh, as products apply it on their way out, on this thread.
    pub fn gelu(self, values: &[f32], out: &mut [f32]) {
        gelu(self.0, values, out);
    }
}

multiversion! {
    /// A tile's row at a time, as in a product.
    fn gelu(values: &[f32], out: &mut [f32]) {
        for (values, out) in values.chunks(MAX_PANEL).zip(out.chunks_mut(MAX_PANEL)) {
            out.copy_from_slice(values);
            activation::apply_inline::<FMA>(Nonlinearity::GeluTanh, out);
        }
    }
}

/// Memory for activations while they are multiplied.
#[derive(Default)]
pub struct Encoder(InputBuffer);

/// Activations as products read them.
#[derive(Clone, Copy)]
pub struct Encoded<'a>(Inputs<'a>);

impl Encoder {
    /// Rounds or quantises rows `[T, k]` for products with a matrix; in single precision they stay
    /// where they are.
    pub fn encode<'a>(&'a mut self, matrix: &Matrix, rows: &'a [f32]) -> Encoded<'a> {
        Encoded(self.0.encode(matrix.isa, &matrix.packed, rows))
    }
}

/// A packed weight matrix [n, k].
pub struct Matrix {
    isa: Isa,
    packed: PackedMatrix,
}

impl Matrix {
    /// Packs rows [n, k].
    pub fn new(isa: InstructionSet, precision: Precision, rows: &[f32], k: usize) -> Self {
        Self::with_outliers(isa, precision, rows, k, &[])
    }

    /// As [`new`](Self::new). In int8, these inputs are multiplied in single precision.
    pub fn with_outliers(
        isa: InstructionSet,
        precision: Precision,
        rows: &[f32],
        k: usize,
        outliers: &[usize],
    ) -> Self {
        let packed = PackedMatrix::new(isa.0, vec![rows.to_vec()], k, precision, outliers);
        Self { isa: isa.0, packed }
    }

    /// The product with activations [T, k] that were encoded for this instruction set and
    /// precision, into `out` [T, n].
    pub fn multiply(&self, inputs: Encoded<'_>, out: &mut [f32]) {
        self.multiply_and(Nonlinearity::Identity, inputs, out);
    }

    /// As [`multiply`](Self::multiply), with GELU by tanh on the way out.
    pub fn multiply_with_gelu(&self, inputs: Encoded<'_>, out: &mut [f32]) {
        self.multiply_and(Nonlinearity::GeluTanh, inputs, out);
    }

    fn multiply_and(&self, nonlinearity: Nonlinearity, inputs: Encoded<'_>, out: &mut [f32]) {
        let epilogue = Epilogue { bias: &[], nonlinearity };
        multiply(self.isa, inputs.0, Weights::Packed(&self.packed), epilogue, out);
    }
}

/// Self-attention over sequences of certain lengths.
pub struct Attention {
    isa: Isa,
    sequences: Vec<Sequence>,
    heads: Heads,
}

impl Attention {
    /// As it is in a model of that precision. Heads are given by their count and size.
    pub fn new(
        isa: InstructionSet,
        precision: Precision,
        lengths: &[usize],
        (count, size): (usize, usize),
    ) -> Self {
        let sequences = lengths.iter().scan(0, |end, &tokens| {
            let start = *end;
            *end += tokens;
            Some(Sequence { start, tokens, keys: (0..tokens).collect() })
        });
        let heads = Heads::new(isa.0, precision, count, size);
        Self { isa: isa.0, sequences: sequences.collect(), heads }
    }

    /// `context` [T, A·D] of queries, keys and values [T, 3·A·D].
    pub fn run(&self, qkv: &[f32], context: &mut [f32]) {
        let Self { isa, sequences, heads } = self;
        attention::attention(
            *isa,
            qkv,
            sequences,
            *heads,
            Asking { queries: Queries::All, dropout: None },
            context,
            &mut [],
        );
    }
}
