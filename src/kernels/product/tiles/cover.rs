//! Covers a tile with as few smaller ones as there are registers for.

use super::kernel::{Kernel, Machine, Place, SumOf, Sums};
use super::tile::{ROWS, Tile};

/// A product by one kernel. Its sums go to the first `rows` rows of `width` in `sums`.
///
/// # Safety
/// The processor has the instructions of the kernel; sizes are as [`Tile`]'s `check` demands, and
/// there is one of `pairs` for every two lines if the kernel goes through them two at a time.
#[inline(always)]
pub(super) unsafe fn cover<K: Kernel>(tile: Tile<'_, K::Input>, sums: &mut [u32]) {
    const { assert!(K::AT_MOST.rows <= ROWS && K::AT_MOST.registers <= 4) };
    let Tile { inputs, stride, rows, panel, depth, width, accumulate, next, pairs } = tile;
    let lanes = K::Machine::LANES;
    let (inputs, panel) = (inputs.as_ptr().cast::<u32>(), panel.as_ptr().cast::<u32>());
    let (sums, pairs) = (sums.as_mut_ptr(), pairs.as_ptr());
    // Evenly over the lines; too much to fetch all of it leaves out some. Where there is nothing,
    // what is fetched is in the cache already: a place that no memory is at would be looked for
    // each time.
    let (next, next_step) = if next.is_empty() {
        (panel.cast::<u8>(), 0)
    } else {
        (next.as_ptr().cast::<u8>(), size_of_val(next) / depth)
    };
    let mut row = 0;
    while row < rows {
        let count = (rows - row).min(K::AT_MOST.rows);
        let mut column = 0;
        while column < width {
            let registers = ((width - column) / lanes).min(K::AT_MOST.registers);
            // SAFETY: rows `row..row + count` and that many registers from `column` on lie within
            // the tile.
            unsafe {
                let place = Place {
                    inputs: inputs.add(row * stride),
                    stride,
                    panel: panel.add(column),
                    depth,
                    width,
                    sums: sums.add(row * width + column),
                    accumulate,
                    next,
                    next_step,
                    pairs,
                };
                match count {
                    1 => by_registers::<K, 1>(registers, place),
                    2 => by_registers::<K, 2>(registers, place),
                    3 => by_registers::<K, 3>(registers, place),
                    4 => by_registers::<K, 4>(registers, place),
                    5 => by_registers::<K, 5>(registers, place),
                    _ => by_registers::<K, 6>(registers, place),
                }
            }
            column += registers * lanes;
        }
        row += count;
    }
}

/// Calls a tile with a number of registers as its constant.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn by_registers<K: Kernel, const M: usize>(registers: usize, place: Place) {
    // SAFETY: by this function's contract.
    unsafe {
        match registers {
            1 => sized::<K, M, 1>(place),
            2 => sized::<K, M, 2>(place),
            3 => sized::<K, M, 3>(place),
            _ => sized::<K, M, 4>(place),
        }
    }
}

/// Calls a tile, and has those compiled alone that are called.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn sized<K: Kernel, const M: usize, const V: usize>(place: Place) {
    if const { M <= K::AT_MOST.rows && V <= K::AT_MOST.registers } {
        // SAFETY: by this function's contract.
        unsafe { K::enter::<M, V>(place) }
    } else {
        unreachable!("larger than the kernel's tiles");
    }
}

/// A tile of `M` rows by `V` registers of outputs, over all lines of a panel.
///
/// # Safety
/// The processor has the instructions of the kernel; memory is accessible as [`Place`] says.
#[inline(always)]
pub(super) unsafe fn tile<K: Kernel, const M: usize, const V: usize>(place: Place) {
    let Place { inputs, stride, width, sums, accumulate, .. } = place;
    let lanes = K::Machine::LANES;
    // SAFETY: by this function's contract.
    let mut totals: [[SumOf<K>; V]; M] = [[unsafe { K::Sums::zero() }; V]; M];
    if accumulate {
        for (m, totals) in totals.iter_mut().enumerate() {
            for (v, total) in totals.iter_mut().enumerate() {
                // SAFETY: within row m, by this function's contract.
                *total = unsafe { K::Sums::load(sums.add(m * width + v * lanes)) };
            }
        }
    }
    // Rows are 0, 1 or 2 distances from one of two places, as instructions can say.
    let middle = opaque(inputs.wrapping_add(3 * stride));
    let mut rows = [inputs; M];
    for (m, row) in rows.iter_mut().enumerate() {
        *row = if m < 3 {
            inputs.wrapping_add(m * stride)
        } else {
            middle.wrapping_add((m - 3) * stride)
        };
    }
    // SAFETY: by this function's contract.
    let totals = unsafe { K::through::<M, V>(place, rows, totals) };
    for (m, totals) in totals.into_iter().enumerate() {
        for (v, total) in totals.into_iter().enumerate() {
            // SAFETY: within row m, by this function's contract.
            unsafe { K::Sums::store(sums.add(m * width + v * lanes), total) };
        }
    }
}

/// The same pointer, but the compiler does not know that. (It would compute places that follow from
/// each other anew for every line, more instructions than the processor can begin while it
/// multiplies.)
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block)] // Nothing is read through it.
fn opaque(mut place: *const u32) -> *const u32 {
    // SAFETY: no instruction at all.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) place, options(pure, nomem, nostack, preserves_flags));
    }
    place
}

/// WebAssembly has no such thing to say.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn opaque(place: *const u32) -> *const u32 {
    place
}
