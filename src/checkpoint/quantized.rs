//! Matrices of bytes, as models in int8 are saved: a scale for each output, and a few columns of `f32` (see
//! [`Int8Outliers`](crate::Int8Outliers)).
//!
//! | tensor | type, shape | |
//! |---|---|---|
//! | `X.weight` | i8 `[out, in]` | −127 to 127; −128 stands for the next value of the same row of `X.weight_outliers` |
//! | `X.weight_scale` | f32 `[out]` | the step of each row |
//! | `X.weight_outliers` | f32 `[out, channels]` | left out where there are none |
//!
//! A checkpoint shows the three as one tensor, `X.weight`, which is read as `f32`. Scales have 17 bits, so every product
//! with a byte is exact, and rounding the matrix to bytes again gives the same bytes and scales.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewD};

use super::dtype::DType;
use super::names;
use super::tensor::TensorInfo;
use crate::config::AlbertConfig;
use crate::kernels::bytes::{round_to_byte, weight_scale};
use crate::{Error, Result};

const SCALE: &str = "_scale";
const OUTLIERS: &str = "_outliers";

/// The byte in whose place a value of `f32` stands.
const OUTLIER: i8 = i8::MIN;

/// How many bytes are read at once, if a row has no more.
const CHUNK: usize = 256 << 10;

/// What belongs to a matrix of bytes.
#[derive(Debug)]
pub(super) struct Quantized {
    scales: Part,
    outliers: Option<Part>,
}

/// A tensor that is shown as a part of another.
#[derive(Debug)]
struct Part {
    name: String,
    tensor: TensorInfo,
}

/// Attaches scales and outliers to each int8 matrix; they are then no longer separate tensors. Whether it fits is checked
/// when the matrix is read: a file may have other networks, too, with scales of another kind.
pub(super) fn join(tensors: &mut BTreeMap<String, TensorInfo>) {
    let is_matrix = |tensor: &TensorInfo| tensor.dtype == DType::I8 && tensor.shape.len() == 2;
    let matrices = tensors.iter().filter(|(_, tensor)| is_matrix(tensor));
    let names: Vec<String> = matrices.map(|(name, _)| name.clone()).collect();
    for name in names {
        let mut part = |suffix| {
            let name = format!("{name}{suffix}");
            tensors.remove(&name).map(|tensor| Part { name, tensor })
        };
        let Some(scales) = part(SCALE) else { continue };
        let outliers = part(OUTLIERS);
        if let Some(matrix) = tensors.get_mut(&name) {
            matrix.quantized = Some(Arc::new(Quantized { scales, outliers }));
        }
    }
}

impl Part {
    /// Reads it, if it is of f32 and has for each row of a matrix no more values than `most`.
    fn read(&self, rows: usize, most: usize) -> Result<Vec<f32>> {
        let Self { name, tensor } = self;
        let is_right = match tensor.shape[..] {
            [count] => count == rows,
            [count, width] => count == rows && (1..=most).contains(&width),
            _ => false,
        };
        if !is_right || tensor.dtype != DType::F32 {
            let expected = match most {
                1 => format!("f32 [{rows}], a value for each row of bytes"),
                _ => format!("f32 [{rows}, n], up to {most} values for each row of bytes"),
            };
            let found = format!("{} {:?}", tensor.dtype, tensor.shape);
            return Err(tensor.source.tensor_error(name, expected, found));
        }
        Ok(tensor.read(name)?.into_raw_vec_and_offset().0)
    }
}

impl Quantized {
    /// The tensors that it consists of.
    pub(super) fn parts(&self) -> impl Iterator<Item = &TensorInfo> {
        iter::once(&self.scales).chain(&self.outliers).map(|part| &part.tensor)
    }

    /// Reads a matrix of bytes, which has some, as `f32`.
    pub(super) fn fill(&self, matrix: &TensorInfo, name: &str, values: &mut [f32]) -> Result<()> {
        let (rows, columns) = (matrix.shape[0], matrix.shape[1]);
        let scales = self.scales.read(rows, 1)?;
        let outliers = self.outliers.as_ref().map(|part| part.read(rows, columns)).transpose()?;
        let outliers = outliers.unwrap_or_default();
        let per_row = outliers.len() / rows;
        let at_once = (CHUNK / columns).max(1);
        let mut bytes = Vec::new();
        for (i, values) in values.chunks_mut(at_once * columns).enumerate() {
            let first = i * at_once;
            bytes.resize(values.len(), 0);
            matrix.source.read_exact_at(matrix.offset + (first * columns) as u64, &mut bytes)?;
            let filled = values.chunks_exact_mut(columns).zip(bytes.chunks_exact(columns));
            for ((row, (values, bytes)), scale) in (first..).zip(filled).zip(&scales[first..]) {
                let outliers = &outliers[row * per_row..(row + 1) * per_row];
                let count = bytes.iter().filter(|&&byte| is_outlier(byte)).count();
                if count != per_row {
                    let expected = format!(
                        "{per_row} bytes −128 in each row, one for each value of `{name}{OUTLIERS}`"
                    );
                    let found = format!("{count} in row {row}");
                    return Err(matrix.source.tensor_error(name, expected, found));
                }
                fill_row(bytes, *scale, outliers, values);
            }
        }
        Ok(())
    }
}

fn is_outlier(byte: u8) -> bool {
    byte.cast_signed() == OUTLIER
}

fn fill_row(bytes: &[u8], scale: f32, outliers: &[f32], values: &mut [f32]) {
    for (value, byte) in values.iter_mut().zip(bytes) {
        *value = f32::from(byte.cast_signed()) * scale;
    }
    if !outliers.is_empty() {
        let places = values.iter_mut().zip(bytes).filter(|(_, byte)| is_outlier(**byte));
        places.zip(outliers).for_each(|((value, _), outlier)| *value = *outlier);
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

/// The stored form of a model's parameters, whose matrices were rounded to int8.
///
/// # Errors
/// [`Error::Config`] if the configuration lacks the outliers.
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
        // Rows with NaN may round to anything; −128 would stand for an outlier.
        let byte = |&x: &f32| round_to_byte(x, scale).max(-i8::MAX).cast_unsigned();
        bytes.extend(row.iter().map(byte));
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
