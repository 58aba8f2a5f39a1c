//! One buffer for several things.

/// Bytes that are fetched into a cache at a time.
const CACHE_LINE: usize = 64;

/// Parts of a buffer, after making room for them, each from a cache line on. What is in them is
/// whatever was left there.
pub(in crate::kernels) fn split<T: Copy + Default, const N: usize>(
    buffer: &mut Vec<T>,
    sizes: [usize; N],
) -> [&mut [T]; N] {
    let line = CACHE_LINE / size_of::<T>();
    let len = sizes.iter().map(|size| size.next_multiple_of(line)).sum::<usize>() + line;
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    // Where no offset is known, parts lie as they do, which costs speed alone.
    let offset = buffer.as_ptr().align_offset(CACHE_LINE);
    let mut rest = &mut buffer[if offset < line { offset } else { 0 }..];
    sizes.map(|size| {
        let (part, after) = std::mem::take(&mut rest).split_at_mut(size.next_multiple_of(line));
        rest = after;
        &mut part[..size]
    })
}
