//! One buffer for several things.

/// Parts of a buffer, after making room for them. What is in them is whatever was left there.
pub(super) fn split<T: Copy + Default, const N: usize>(
    buffer: &mut Vec<T>,
    sizes: [usize; N],
) -> [&mut [T]; N] {
    let len = sizes.iter().sum();
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    let mut rest = buffer.as_mut_slice();
    sizes.map(|size| {
        let (part, after) = std::mem::take(&mut rest).split_at_mut(size);
        rest = after;
        part
    })
}
