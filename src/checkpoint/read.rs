//! The one reader: a tensor's bytes → `f32`, in pieces.

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewMutD, IxDyn};

use super::dtype::DType;
use super::tensor::TensorInfo;
use crate::Result;

/// How many bytes are read at once.
const CHUNK: usize = 256 << 10;

/// Elements up to this distance in bytes are read together with the gap; beyond it, each is read separately.
/// So a view costs at most a page or a system call for each of its elements, however it is laid out.
const MAX_GAP: u64 = 4096;

/// One dimension, or several that are one run both in the file and in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    count: usize,
    /// The step in the file, in elements.
    stride: u64,
    /// The step in the array that is being filled, in elements.
    into: usize,
}

impl TensorInfo {
    /// Reads the elements as `f32`, row by row whatever their order in the file.
    pub(super) fn read(&self, name: &str) -> Result<ArrayD<f32>> {
        let refuse =
            |expected: &str, found: String| self.source.tensor_error(name, expected, found);
        self.float_size(name)?;
        let len = self.len();
        let mut values = Vec::new();
        values
            .try_reserve_exact(len)
            .map_err(|_| refuse("a tensor that fits in memory", format!("{len} elements")))?;
        values.resize(len, 0.0);
        self.fill(name, &mut values)?;
        ArrayD::from_shape_vec(IxDyn(&self.shape), values)
            .map_err(|error| refuse("a shape", format!("{:?} ({error})", self.shape)))
    }

    /// As [`read`](Self::read), into an array of the same shape; through a copy only if its rows do not follow each
    /// other in memory.
    pub(super) fn read_into(&self, name: &str, mut values: ArrayViewMutD<'_, f32>) -> Result<()> {
        if self.shape != values.shape() {
            let expected = format!("shape {:?}", values.shape());
            return Err(self.source.tensor_error(name, expected, format!("{:?}", self.shape)));
        }
        if let Some(values) = values.as_slice_mut() {
            return self.fill(name, values);
        }
        values.assign(&self.read(name)?);
        Ok(())
    }

    /// Fills a slice that has room for exactly the elements.
    fn fill(&self, name: &str, values: &mut [f32]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        if let Some(quantized) = &self.quantized {
            return quantized.fill(self, name, values);
        }
        let size = self.float_size(name)?;
        self.verify(name)?;
        Filler { tensor: self, size, buffer: Vec::new(), values }.fill()
    }

    /// Compares the elements' bytes with their checksum, if the file has one.
    fn verify(&self, name: &str) -> Result<()> {
        let Some(expected) = self.checksum else { return Ok(()) };
        let len = self.len() as u64 * self.dtype.size().unwrap_or(0) as u64;
        let mut buffer = vec![0; len.min(CHUNK as u64) as usize];
        let (mut found, mut done) = (0, 0);
        while done < len {
            buffer.truncate((len - done).min(CHUNK as u64) as usize);
            self.source.read_exact_at(self.offset + done, &mut buffer)?;
            found = crc32c::crc32c_append(found, &buffer);
            done += buffer.len() as u64;
        }
        if found != expected {
            let (expected, found) = (format!("the CRC-32C {expected:08x}"), format!("{found:08x}"));
            return Err(self.source.tensor_error(name, expected, found));
        }
        Ok(())
    }

    /// The bytes of an element, if it is one that becomes an `f32`.
    fn float_size(&self, name: &str) -> Result<usize> {
        let is_float = self.dtype.is_float() || self.quantized.is_some();
        self.dtype.size().filter(|_| is_float).ok_or_else(|| {
            let found = self.dtype.to_string();
            self.source.tensor_error(name, "elements of f32, f16, bf16 or f64", found)
        })
    }
}

/// The runs of a tensor that is not empty, the longest step in the file first.
fn runs(shape: &[usize], strides: &[usize]) -> Vec<Run> {
    let mut into = 1;
    let mut dims: Vec<Run> = Vec::with_capacity(shape.len());
    for (&count, &stride) in shape.iter().zip(strides).rev() {
        if count != 1 {
            dims.push(Run { count, stride: stride as u64, into });
        }
        into *= count;
    }
    dims.sort_by_key(|run| std::cmp::Reverse((run.stride, run.into)));
    let mut runs: Vec<Run> = Vec::with_capacity(dims.len());
    for run in dims {
        match runs.last_mut() {
            Some(outer) if continues(outer, &run) => {
                *outer = Run { count: outer.count * run.count, ..run };
            }
            _ => runs.push(run),
        }
    }
    if runs.is_empty() {
        runs.push(Run { count: 1, stride: 1, into: 1 });
    }
    runs
}

/// Whether each step of `outer` begins where `inner` has ended, in the file and in memory.
fn continues(outer: &Run, inner: &Run) -> bool {
    inner.stride.checked_mul(inner.count as u64) == Some(outer.stride)
        && inner.into.checked_mul(inner.count) == Some(outer.into)
}

struct Filler<'a> {
    tensor: &'a TensorInfo,
    size: usize,
    buffer: Vec<u8>,
    values: &'a mut [f32],
}

impl Filler<'_> {
    /// Counts through all runs but the innermost, as an odometer does, and reads the innermost at each step.
    ///
    /// The sums cannot overflow: they are positions of elements, all of which `TensorInfo::new` found in the file.
    fn fill(&mut self) -> Result<()> {
        let runs = runs(&self.tensor.shape, &self.tensor.strides);
        let Some((inner, outer)) = runs.split_last() else { return Ok(()) };
        let mut index = vec![0usize; outer.len()];
        loop {
            let (mut from, mut to) = (0u64, 0usize);
            for (&i, run) in index.iter().zip(outer) {
                from += i as u64 * run.stride;
                to += i * run.into;
            }
            self.fill_run(inner, from, to)?;
            let mut advanced = false;
            for (i, run) in index.iter_mut().zip(outer).rev() {
                *i += 1;
                advanced = *i < run.count;
                if advanced {
                    break;
                }
                *i = 0;
            }
            if !advanced {
                return Ok(());
            }
        }
    }

    /// Reads one run, from element `from` of the tensor's storage into the values from `to`.
    fn fill_run(&mut self, run: &Run, from: u64, to: usize) -> Result<()> {
        let size = self.size as u64;
        let step = run.stride * size;
        let per_chunk = match step {
            0 => run.count,
            step if step > MAX_GAP => 1,
            step => (((CHUNK as u64 - size) / step) as usize + 1).min(run.count),
        };
        let mut done = 0;
        while done < run.count {
            let count = per_chunk.min(run.count - done);
            let bytes = if step > MAX_GAP { size } else { (count as u64 - 1) * step + size };
            self.buffer.resize(bytes as usize, 0);
            let position = self.tensor.offset + from * size + done as u64 * step;
            self.tensor.source.read_exact_at(position, &mut self.buffer)?;
            let values = self
                .values
                .get_mut(to + done * run.into..)
                .ok_or_else(|| self.tensor.source.error("a tensor larger than its shape"))?;
            let places = Places { step: step as usize, into: run.into, count };
            match self.tensor.dtype {
                DType::F64 => {
                    convert(&self.buffer, values, places, |e| f64::from_le_bytes(e) as f32)
                }
                DType::F32 => convert(&self.buffer, values, places, f32::from_le_bytes),
                DType::F16 => {
                    convert(&self.buffer, values, places, |e| f16::from_le_bytes(e).to_f32())
                }
                _ => convert(&self.buffer, values, places, |e| bf16::from_le_bytes(e).to_f32()),
            }
            done += count;
        }
        Ok(())
    }
}

/// Where the elements of a piece are and go.
#[derive(Debug, Clone, Copy)]
struct Places {
    /// The bytes from one element to the next.
    step: usize,
    /// The values from one element to the next.
    into: usize,
    count: usize,
}

/// Converts `count` elements of `N` bytes. An `f64` too large for `f32` becomes infinite, as in torch.
fn convert<const N: usize>(
    bytes: &[u8],
    values: &mut [f32],
    places: Places,
    decode: impl Fn([u8; N]) -> f32,
) {
    let Places { step, into, count } = places;
    if step == N && into == 1 {
        for (value, &element) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *value = decode(element);
        }
        return;
    }
    for (i, value) in values.iter_mut().step_by(into).take(count).enumerate() {
        if let Some(&element) = bytes.get(i * step..).and_then(<[u8]>::first_chunk::<N>) {
            *value = decode(element);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(count: usize, stride: u64, into: usize) -> Run {
        Run { count, stride, into }
    }

    #[test]
    fn dense_tensors_are_one_run() {
        assert_eq!(runs(&[2, 3, 4], &[12, 4, 1]), [run(24, 1, 1)]);
        assert_eq!(runs(&[1, 3, 1], &[99, 1, 7]), [run(3, 1, 1)]);
        assert_eq!(runs(&[], &[]), [run(1, 1, 1)]);
    }

    #[test]
    fn views_are_read_in_the_order_of_the_file() {
        // A transposed matrix, some columns of a matrix, a repeated row.
        assert_eq!(runs(&[3, 2], &[1, 3]), [run(2, 3, 1), run(3, 1, 2)]);
        assert_eq!(runs(&[3, 2], &[10, 1]), [run(3, 10, 2), run(2, 1, 1)]);
        assert_eq!(runs(&[4, 3], &[0, 1]), [run(3, 1, 1), run(4, 0, 3)]);
    }
}
