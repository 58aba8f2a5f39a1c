//! Memory that begins at a cache line, and lies on large pages where it is large.
//!
//! A packed layer of ALBERT-base is 28 MB in `f32`: seven thousand pages of 4 KB, more than a
//! processor keeps the places of (some two thousand), so that every application would look most of
//! them up again. With pages of 2 MB wherever a matrix fills one, it is some ten of these and a few
//! thousand small ones. Linux gives them to those who ask.

use std::ops::{Deref, DerefMut};

/// A large page of x86-64, and of ARM's with pages of 4 KB.
const PAGE: usize = 2 << 20;

/// Linux 6.1's, which `libc` has for some C libraries only.
#[cfg(target_os = "linux")]
const MADV_COLLAPSE: libc::c_int = 25;

/// What is fetched into a cache at a time.
const LINE: usize = 64;

/// Values that begin at a cache line (a register of 512 bits that is written across two of them
/// takes twice as long), or at a large page if they fill one.
pub(crate) struct Aligned<T> {
    /// With room to begin there.
    values: Vec<T>,
    offset: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// Zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let is_large = len * size_of::<T>() >= PAGE;
        // What is not touched takes no memory as a rule, only addresses.
        let align = if is_large { PAGE } else { LINE };
        let aligned = Self::new(vec![T::default(); len + align / size_of::<T>()], len, align);
        advise(&aligned, Advice::Give);
        aligned
    }

    /// Zeros that begin at a cache line, on whatever pages there are.
    pub(crate) fn on_lines(len: usize) -> Self {
        Self::from_vec(vec![T::default(); len + LINE / size_of::<T>()], len)
    }

    /// Makes of a vector room for `len` values, from a cache line on. What it held is still at the
    /// vector's beginning, which may be a little before this: see [`parts`](Self::parts).
    pub(in crate::kernels) fn from_vec(values: Vec<T>, len: usize) -> Self {
        assert!(values.len() >= len + LINE / size_of::<T>(), "room for a cache line");
        Self::new(values, len, LINE)
    }

    fn new(values: Vec<T>, len: usize, align: usize) -> Self {
        // Where no offset is known, values lie as they do, which costs speed alone.
        let offset = values.as_ptr().align_offset(align);
        let offset = if offset <= values.len() - len { offset } else { 0 };
        Self { values, offset, len }
    }
}

impl<T> Aligned<T> {
    /// The values that there is memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.values.capacity()
    }

    /// Everything that is held, and where this begins in it.
    pub(in crate::kernels) fn parts(&mut self) -> (&mut [T], usize) {
        (&mut self.values, self.offset)
    }

    /// Has what is in here moved to large pages, as far as it fills them and is not there yet.
    pub(in crate::kernels) fn collapse(&self) {
        advise(self, Advice::Collapse);
    }
}

impl<T: Copy + Default> Default for Aligned<T> {
    fn default() -> Self {
        Self::on_lines(0)
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[self.offset..self.offset + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[self.offset..self.offset + self.len]
    }
}

/// What is asked of the system.
enum Advice {
    /// Large pages for what is touched from now on.
    Give,
    /// Large pages in place of those that are there.
    Collapse,
}

/// Asks for large pages below values that these fill. That it may not be heard is no matter.
fn advise<T>(values: &[T], advice: Advice) {
    #[cfg(target_os = "linux")]
    {
        let start = values.as_ptr() as usize;
        let end = start + size_of_val(values);
        let (first, last) = (start.next_multiple_of(PAGE), end / PAGE * PAGE);
        if first >= last {
            return;
        }
        let advice = match advice {
            Advice::Give => libc::MADV_HUGEPAGE,
            Advice::Collapse => MADV_COLLAPSE,
        };
        // SAFETY: whole pages of memory that is borrowed. What is in them stays as it is, whatever
        // pages they are.
        unsafe { libc::madvise(first as *mut libc::c_void, last - first, advice) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (values, advice);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_begin_at_a_line_and_large_ones_at_a_page() {
        for (len, align) in [(1, LINE), (1000, LINE), (PAGE / 4, PAGE), (3 * PAGE / 4 + 5, PAGE)] {
            let zeros = Aligned::<u32>::zeros(len);
            assert_eq!((zeros.len(), zeros.as_ptr() as usize % align), (len, 0));
            assert!(zeros.iter().all(|&x| x == 0));
        }
        assert!(Aligned::<u32>::zeros(0).is_empty());
    }

    /// Memory that other pages lie beneath in the end holds what it held.
    #[test]
    fn what_is_moved_to_large_pages_stays_what_it_is() {
        let len = 3 * PAGE / 4 + 5;
        let values: Vec<u32> = (0..).take(len + LINE / 4).collect();
        let mut moved = Aligned::from_vec(values, len);
        let (values, offset) = moved.parts();
        values.copy_within(..len, offset);
        moved.collapse();
        assert_eq!(moved.as_ptr() as usize % LINE, 0);
        assert!(moved.iter().copied().eq((0..).take(len)));
    }
}
