//! Matrices of bytes, as models in int8 are saved: a scale for each output, and a few columns of `f32` (see
//! [`Int8Outliers`](crate::Int8Outliers)).
//!
//! | tensor | type, shape | |
//! |---|---|---|
//! | `X.weight` | i8 `[out, in]` | −127 to 127; −128 stands for the next value of the same row of `X.weight_outliers` |
//! | `X.weight_scale` | f32 `[out]` | what a step of each row is worth |
//! | `X.weight_outliers` | f32 `[out, channels]` | left out where there are none |
//!
//! A checkpoint shows the three as one tensor, `X.weight`, which is read as `f32`. Scales have 17 bits, so every product
//! with a byte is exact, and rounding the matrix to bytes again gives the same bytes and scales.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewD};

use super::dtype::DType;
use super::names;
use super::tensor::{TensorInfo, row_major};
use crate::config::AlbertConfig;
use crate::kernels::bytes::{round_to_byte, weight_scale};
use crate::{Error, Result};

const SCALE: &str = "_scale";
const OUTLIERS: &str = "_outliers";

/// The byte in whose place a value of `f32` stands.
const OUTLIER: i8 = i8::MIN;

/// What belongs to a matrix of bytes.
#[derive(Debug)]
pub(super) struct Quantized {
    scales: TensorInfo,
    outliers: Option<TensorInfo>,
}

/// Gives each matrix of bytes what belongs to it, which is no longer a tensor by itself then.
///
/// # Errors
/// [`Error::Tensor`] if scales or outliers do not have a row for each output, or are not of `f32`.
pub(super) fn join(tensors: &mut BTreeMap<String, TensorInfo>) -> Result<()> {
    let is_matrix = |tensor: &TensorInfo| tensor.dtype == DType::I8 && tensor.shape.len() == 2;
    let matrices = tensors.iter().filter(|(_, tensor)| is_matrix(tensor));
    let names: Vec<String> = matrices.map(|(name, _)| name.clone()).collect();
    for name in names {
        let (scale, outliers) = (format!("{name}{SCALE}"), format!("{name}{OUTLIERS}"));
        let Some(scales) = tensors.remove(&scale) else { continue };
        let parts = [(scale, Some(&scales)), (outliers.clone(), tensors.get(&outliers))];
        let rows = tensors.get(&name).map_or(0, |matrix| matrix.shape[0]);
        for ((part, tensor), columns) in parts.iter().zip([1..=1, 1..=usize::MAX]) {
            let Some(tensor) = tensor else { continue };
            let is_right = match tensor.shape[..] {
                [count] => count == rows && columns.contains(&1),
                [count, width] => count == rows && columns.contains(&width),
                _ => false,
            };
            if !is_right || tensor.dtype != DType::F32 {
                let expected = format!("f32, a row for each of the {rows} of `{name}`");
                let found = format!("{} {:?}", tensor.dtype, tensor.shape);
                return Err(tensor.source.tensor_error(part, &expected, found));
            }
        }
        let outliers = tensors.remove(&outliers);
        if let Some(matrix) = tensors.get_mut(&name) {
            matrix.quantized = Some(Arc::new(Quantized { scales, outliers }));
        }
    }
    Ok(())
}

impl Quantized {
    /// Reads a matrix of bytes as `f32`, row by row.
    pub(super) fn fill(&self, matrix: &TensorInfo, name: &str, values: &mut [f32]) -> Result<()> {
        let refuse =
            |expected: &str, found: String| matrix.source.tensor_error(name, expected, found);
        if matrix.strides != row_major(&matrix.shape) {
            return Err(refuse("a matrix row by row", format!("strides {:?}", matrix.strides)));
        }
        let columns = matrix.shape[1];
        let scales = self.scales.read(name)?;
        let outliers = self.outliers.as_ref().map(|outliers| outliers.read(name)).transpose()?;
        let outliers = outliers.as_ref().and_then(|outliers| outliers.as_slice()).unwrap_or(&[]);
        let per_row = outliers.len() / matrix.shape[0].max(1);
        let mut bytes = vec![0; columns];
        for (row, (values, &scale)) in values.chunks_exact_mut(columns).zip(&scales).enumerate() {
            matrix.source.read_exact_at(matrix.offset + (row * columns) as u64, &mut bytes)?;
            let mut outliers = outliers[row * per_row..(row + 1) * per_row].iter();
            for (value, byte) in values.iter_mut().zip(&bytes) {
                let byte = byte.cast_signed();
                *value = match byte {
                    OUTLIER => *outliers.next().ok_or_else(|| {
                        let found = format!("more in row {row}");
                        refuse("as many bytes −128 in each row as there are outliers", found)
                    })?,
                    _ => f32::from(byte) * scale,
                };
            }
            if outliers.len() > 0 {
                let found = format!("fewer in row {row}");
                return Err(refuse("as many bytes −128 in each row as there are outliers", found));
            }
        }
        Ok(())
    }
}

/// A tensor of a file of bytes.
pub(super) enum Stored<'a> {
    /// As it is.
    Floats(ArrayViewD<'a, f32>),
    /// A matrix of bytes.
    Bytes { shape: [usize; 2], bytes: Vec<u8> },
    /// What belongs to one.
    Values { shape: Vec<usize>, values: Vec<f32> },
}

/// What is stored of a model's parameters, whose matrices are rounded to bytes already.
///
/// # Errors
/// [`Error::Config`] if the configuration does not say what the outliers are.
pub(super) fn stored<'a>(
    config: &AlbertConfig,
    tensors: Vec<(String, ArrayViewD<'a, f32>)>,
) -> Result<Vec<(String, Stored<'a>)>> {
    let Some(outliers) = &config.int8_outliers else {
        return Err(Error::config("int8_outliers", "those of a model in int8", "none"));
    };
    let mut stored = Vec::new();
    for (name, values) in tensors {
        match (names::int8_outliers(&name, config, outliers), values.view().into_dimensionality()) {
            (Some(channels), Ok(matrix)) => store(&mut stored, name, &matrix, channels),
            _ => stored.push((name, Stored::Floats(values))),
        }
    }
    Ok(stored)
}

fn store(
    stored: &mut Vec<(String, Stored<'_>)>,
    name: String,
    matrix: &ArrayView2<'_, f32>,
    channels: &[usize],
) {
    let (rows, columns) = matrix.dim();
    let (mut bytes, mut scales) = (Vec::with_capacity(rows * columns), Vec::with_capacity(rows));
    let mut outliers = Vec::with_capacity(rows * channels.len());
    for row in matrix.outer_iter() {
        let mut row = row.to_vec();
        outliers.extend(channels.iter().map(|&channel| std::mem::take(&mut row[channel])));
        let scale = weight_scale(&row);
        let start = bytes.len();
        bytes.extend(row.iter().map(|&x| round_to_byte(x, scale).cast_unsigned()));
        for &channel in channels {
            bytes[start + channel] = OUTLIER.cast_unsigned();
        }
        scales.push(scale);
    }
    let scale = Stored::Values { shape: vec![rows], values: scales };
    stored.push((format!("{name}{SCALE}"), scale));
    if !channels.is_empty() {
        let outliers = Stored::Values { shape: vec![rows, channels.len()], values: outliers };
        stored.push((format!("{name}{OUTLIERS}"), outliers));
    }
    stored.push((name, Stored::Bytes { shape: [rows, columns], bytes }));
}
