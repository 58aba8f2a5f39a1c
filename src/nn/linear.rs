//! y = x·Wᵀ + b.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2};

use super::{contiguous, contiguous_mut};
use crate::error::{Error, Result};
use crate::kernels::activation::Nonlinearity;
use crate::kernels::convert::{InputBuffer, Inputs};
use crate::kernels::gemm::{Epilogue, Weights, multiply, multiply_columns};
use crate::kernels::packed::PackedMatrix;
use crate::kernels::{Isa, Precision};

/// The parameters of a linear layer, in PyTorch's layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Array2<f32>,
    /// `[out]`.
    pub bias: Array1<f32>,
}

impl Linear {
    /// A layer of zeros.
    pub fn zeros(inputs: usize, outputs: usize) -> Self {
        Self { weight: Array2::zeros((outputs, inputs)), bias: Array1::zeros(outputs) }
    }

    /// Checks that inputs and outputs are not empty, and that every output has a bias.
    ///
    /// # Errors
    /// [`Error::Input`] that names the mismatch.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { weight, bias } = self;
        if weight.is_empty() {
            let found = format!("{:?}", weight.shape());
            return Err(Error::input(
                "shape of a linear layer's weight",
                "[out, in], neither of them 0",
                found,
            ));
        }
        if bias.len() != weight.nrows() {
            let (expected, found) = (weight.nrows().to_string(), bias.len().to_string());
            return Err(Error::input("length of a linear layer's bias", expected, found));
        }
        Ok(())
    }
}

/// A linear layer, or several over the same input as one, packed to be executed.
pub(crate) struct PackedLinear {
    isa: Isa,
    weight: PackedMatrix,
    bias: Vec<f32>,
}

impl PackedLinear {
    /// Packs layers with the same number of inputs; their outputs follow each other. Shapes must have been checked.
    pub(crate) fn new<const N: usize>(isa: Isa, precision: Precision, layers: [Linear; N]) -> Self {
        Self::with_outliers(isa, precision, layers, &[])
    }

    /// As [`new`](Self::new). In int8, these inputs are multiplied in single precision.
    pub(crate) fn with_outliers<const N: usize>(
        isa: Isa,
        precision: Precision,
        layers: [Linear; N],
        outliers: &[usize],
    ) -> Self {
        let inputs = layers.first().map_or(0, |layer| layer.weight.ncols());
        let (mut matrices, mut bias) = (Vec::with_capacity(N), Vec::new());
        for Linear { weight, bias: of_layer } in layers {
            assert_eq!(weight.ncols(), inputs, "layers packed as one have the same inputs");
            assert_eq!(
                weight.nrows(),
                of_layer.len(),
                "a linear layer has a bias for every output"
            );
            matrices.push(into_values(weight));
            bias.extend(of_layer);
        }
        Self { isa, weight: PackedMatrix::new(isa, matrices, inputs, precision, outliers), bias }
    }

    /// The parameters of outputs `first..first + count`, bit-identical to those that were packed.
    pub(crate) fn unpack(&self, first: usize, count: usize) -> Linear {
        let mut layer = Linear::zeros(self.weight.k(), count);
        for (i, mut row) in layer.weight.outer_iter_mut().enumerate() {
            row.iter_mut().zip(self.weight.row(first + i)).for_each(|(to, from)| *to = from);
        }
        layer.bias.iter_mut().zip(&self.bias[first..]).for_each(|(to, from)| *to = *from);
        layer
    }

    pub(crate) fn inputs(&self) -> usize {
        self.weight.k()
    }

    pub(crate) fn outputs(&self) -> usize {
        self.weight.n()
    }

    /// Brings rows `[T, in]` into the form that the products below read.
    pub(crate) fn encode<'a>(&self, x: &'a [f32], buffer: &'a mut InputBuffer) -> Inputs<'a> {
        buffer.encode(self.isa, &self.weight, x)
    }

    /// nonlinearity(x·Wᵀ + b) of encoded rows `[T, in]`, into `out` `[T, out]`.
    pub(crate) fn forward_into(&self, x: Inputs<'_>, nonlinearity: Nonlinearity, out: &mut [f32]) {
        let epilogue = Epilogue { bias: &self.bias, nonlinearity };
        multiply(self.isa, x, Weights::Packed(&self.weight), epilogue, out);
    }

    /// x·Wᵀ + b in certain columns of `out` `[T, out]`. Others may be overwritten with what belongs there, or not at all.
    pub(crate) fn forward_columns_into(
        &self,
        x: Inputs<'_>,
        columns: Range<usize>,
        out: &mut [f32],
    ) {
        let epilogue = Epilogue { bias: &self.bias, nonlinearity: Nonlinearity::Identity };
        multiply_columns(self.isa, x, Weights::Packed(&self.weight), columns, epilogue, out);
    }

    /// nonlinearity(x·Wᵀ + b), `[T, in]` to `[T, out]`.
    pub(crate) fn forward(
        &self,
        x: ArrayView2<'_, f32>,
        nonlinearity: Nonlinearity,
    ) -> Array2<f32> {
        let mut out = Array2::zeros((x.nrows(), self.outputs()));
        let x = x.as_standard_layout();
        let mut buffer = InputBuffer::default();
        self.forward_into(
            self.encode(contiguous(&x), &mut buffer),
            nonlinearity,
            contiguous_mut(&mut out),
        );
        out
    }
}

/// The values of an array, row by row, without a copy if that is how they lie.
fn into_values(array: Array2<f32>) -> Vec<f32> {
    let len = array.len();
    if !array.is_standard_layout() {
        return array.iter().copied().collect();
    }
    match array.into_raw_vec_and_offset() {
        (values, Some(0) | None) if values.len() == len => values,
        (values, offset) => {
            let start = offset.unwrap_or(0);
            values[start..start + len].to_vec()
        }
    }
}
