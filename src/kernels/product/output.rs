//! A matrix that several threads write at once, each its own part.

use std::marker::PhantomData;
use std::ops::Range;

/// A matrix that tasks write disjoint parts of.
pub(in crate::kernels) struct Output<'a> {
    start: *mut f32,
    len: usize,
    stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is borrowed for as long as this lives, and all access is through `row`, whose
// callers promise not to overlap.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(in crate::kernels) fn new(values: &'a mut [f32], stride: usize) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), stride, borrow: PhantomData }
    }

    /// Has columns of a row brought into the cache while something else is computed, to be written
    /// then.
    pub(in crate::kernels) fn fetch(&self, row: usize, columns: &Range<usize>) {
        #[cfg(target_arch = "x86_64")]
        for column in columns.clone().step_by(16) {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            let place = self.start.wrapping_add(row * self.stride + column);
            // SAFETY: a prefetch reads and writes nothing, wherever it points.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(place.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (row, columns);
    }

    /// Columns `first..first + count` of a row.
    ///
    /// # Safety
    /// They lie within the matrix, and nobody else reads or writes them meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub(in crate::kernels) unsafe fn row(
        &self,
        row: usize,
        first: usize,
        count: usize,
    ) -> &mut [f32] {
        debug_assert!(row * self.stride + first + count <= self.len);
        // SAFETY: by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.stride + first), count) }
    }
}
