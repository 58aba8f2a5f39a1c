//! The location of a tensor, checked against its file.

use std::path::Path;
use std::sync::Arc;

use super::dtype::DType;
use super::quantized::Quantized;
use super::source::Source;
use crate::Result;

/// The most dimensions that a tensor may have. ALBERT's have at most two.
pub(super) const MAX_DIMS: usize = 8;

/// What one that has more is called.
pub(super) const MANY_DIMS: &str = "a tensor of more than 8 dimensions";

/// A tensor of a checkpoint: its shape, its type, and the location of its elements.
///
/// A value of this type was checked: all elements are within the file, and there are at most as many as the file has bytes.
#[derive(Debug, Clone)]
pub struct TensorInfo {
    pub(super) source: Arc<Source>,
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) offset: u64,
    /// What makes bytes the `f32` that they stand for.
    pub(super) quantized: Option<Arc<Quantized>>,
    /// The CRC-32C of the elements' bytes, which then follow each other in the file.
    pub(super) checksum: Option<u32>,
}

/// A run of bytes in a file that holds a tensor's elements, perhaps together with others'.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    /// The first byte.
    pub start: u64,
    /// How many bytes.
    pub len: u64,
}

/// A tensor as a file describes it, nothing checked.
#[derive(Debug)]
pub(super) struct Layout {
    /// The elements' type.
    pub dtype: DType,
    /// The sizes of the dimensions.
    pub shape: Vec<usize>,
    /// For each dimension, how many elements to step over.
    pub strides: Vec<usize>,
    /// The first element, counted in elements from the storage's start.
    pub offset: u64,
}

impl TensorInfo {
    /// Its number of bytes in the file, including scales and outliers of an int8 matrix; `None` if its type has no size.
    pub fn size(&self) -> Option<usize> {
        let parts = self.quantized.iter().flat_map(|quantized| quantized.parts());
        parts.fold(self.dtype.size().map(|size| size * self.len()), |sum, part| {
            Some(sum? + part.size()?)
        })
    }

    /// The type of the elements in the file.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The stride of each dimension in elements; 0 where one element is repeated.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether a dimension has size 0.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The file with the elements.
    pub fn file(&self) -> &Path {
        self.source.path()
    }

    /// The offset of the first element in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether two tensors are the same elements of the same file.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
            && (self.offset, self.dtype) == (other.offset, other.dtype)
            && (&self.shape, &self.strides) == (&other.shape, &other.strides)
    }

    /// Why a tensor that nothing is wrong with cannot be read.
    pub(super) fn unreadable(source: &Source, layout: &Layout) -> Option<&'static str> {
        if layout.shape.len() > MAX_DIMS {
            return Some(MANY_DIMS);
        }
        let elements = element_count(&layout.shape).unwrap_or(0);
        let is_repeated = layout.strides.contains(&0) && elements > source.len();
        is_repeated.then_some("a view that repeats its elements more often than the file has bytes")
    }

    /// The tensor `name` of `source`, its elements at `layout` in `storage`.
    ///
    /// # Errors
    ///
    /// `Error::Tensor` if its size overflows, if it has more than [`MAX_DIMS`] dimensions, if the storage does not
    /// lie in the file, if an element does not lie in the storage, or if a repeated (stride 0) or overlapping view
    /// has more elements than the file has bytes: reading it would take memory out of all proportion.
    pub(super) fn new(
        source: &Arc<Source>,
        name: &str,
        storage: Storage,
        layout: Layout,
    ) -> Result<Self> {
        let refuse = |expected: String, found: String| source.tensor_error(name, expected, found);
        let Layout { dtype, shape, strides, offset } = layout;
        if shape.len() > MAX_DIMS || shape.len() != strides.len() {
            return Err(refuse(
                format!("at most {MAX_DIMS} dimensions and a stride for each"),
                format!("{} dimensions and {} strides", shape.len(), strides.len()),
            ));
        }
        if storage.start.checked_add(storage.len).is_none_or(|end| end > source.len()) {
            return Err(refuse(
                format!("its data within the file of {} bytes", source.len()),
                format!("{} bytes from byte {}", storage.len, storage.start),
            ));
        }
        let overflow = || refuse("a size that fits in memory".into(), format!("shape {shape:?}"));
        let elements = element_count(&shape).ok_or_else(overflow)?;
        // Types of less than a byte occur only in safetensors, which has checked them by bits; they are never read.
        let size = dtype.size().unwrap_or(0) as u64;
        let reach = reach(&shape, &strides, offset).and_then(|elements| elements.checked_mul(size));
        if reach.is_none_or(|bytes| bytes > storage.len) {
            return Err(refuse(
                format!("every element within the {} bytes of its storage", storage.len),
                format!("shape {shape:?}, strides {strides:?}, offset {offset} of {dtype}"),
            ));
        }
        if elements > source.len() {
            return Err(refuse(
                format!("at most as many elements as its file has bytes, {}", source.len()),
                format!("{elements} elements (shape {shape:?}, strides {strides:?})"),
            ));
        }
        let offset = storage.start + offset * size;
        let source = Arc::clone(source);
        Ok(Self { source, dtype, shape, strides, offset, quantized: None, checksum: None })
    }
}

/// The strides of a tensor stored row by row. Saturates where the size overflows, which [`TensorInfo::new`] refuses.
pub(super) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut stride = 1usize;
    let mut strides: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let next = stride.saturating_mul(size);
            std::mem::replace(&mut stride, next)
        })
        .collect();
    strides.reverse();
    strides
}

/// The number of elements; `None` if it, or what ndarray computes of a shape (the product of the sizes that are not
/// 0, as `isize`, in bytes of `f32`), overflows.
fn element_count(shape: &[usize]) -> Option<u64> {
    let nonzero = shape
        .iter()
        .filter(|&&size| size != 0)
        .try_fold(size_of::<f32>(), |product, &size| product.checked_mul(size))?;
    isize::try_from(nonzero).ok()?;
    let empty = shape.contains(&0);
    Some(if empty { 0 } else { (nonzero / size_of::<f32>()) as u64 })
}

/// The number of elements from the start of the storage to the tensor's last element.
fn reach(shape: &[usize], strides: &[usize], offset: u64) -> Option<u64> {
    if shape.contains(&0) {
        return Some(offset);
    }
    let last = shape.iter().zip(strides).try_fold(offset, |position, (&size, &stride)| {
        position.checked_add((size as u64 - 1).checked_mul(stride as u64)?)
    })?;
    last.checked_add(1)
}
