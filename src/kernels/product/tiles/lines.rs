//! The loop that nearly all register tiles are: line by line through a panel.

use super::kernel::{Lines, Machine, Place, SumOf};

/// Adds the products of all lines to the totals.
///
/// # Safety
/// The processor has the instructions of the kernel; memory is accessible as [`Place`] says.
#[inline(always)]
pub(super) unsafe fn through<K: Lines, const M: usize, const V: usize>(
    place: Place,
    rows: [*const u32; M],
    mut totals: [[SumOf<K>; V]; M],
) -> [[SumOf<K>; V]; M] {
    let Place { panel, depth, width, mut next, next_step, .. } = place;
    let unroll = K::Machine::UNROLL;
    let mut start = 0;
    // What is ahead of the last lines is where the next tile begins, most likely at the panel's
    // start again.
    let turn = (depth - depth.min(K::Machine::LINES_AHEAD), panel);
    for (end, ahead) in [turn, (depth, panel.wrapping_sub(depth * width))] {
        let lines = Panel { panel, ahead, width };
        let unrolled = start + (end - start) / unroll * unroll;
        for p in (start..unrolled).step_by(unroll) {
            // SAFETY: fetching takes any place; lines before `end` lie within the panel, by this
            // function's contract.
            unsafe {
                K::Machine::fetch_next(next);
                next = next.wrapping_add(unroll * next_step);
                for row in rows {
                    // May lie past the row, where fetching does nothing.
                    K::Machine::fetch_input(row.wrapping_add(p * K::WORDS));
                }
                for u in 0..unroll {
                    line::<K, M, V>(p + u, lines, &rows, &mut totals);
                }
            }
        }
        for p in unrolled..end {
            // SAFETY: the line lies within the panel, by this function's contract.
            unsafe { line::<K, M, V>(p, lines, &rows, &mut totals) };
        }
        start = end;
    }
    totals
}

/// Where lines are: `ahead` is what line 0 would be of those that are fetched.
#[derive(Clone, Copy)]
struct Panel {
    panel: *const u32,
    ahead: *const u32,
    width: usize,
}

/// Adds the products of one line of a panel with one word (or two) of each row.
///
/// # Safety
/// As for [`through`]; the line lies within the panel.
#[inline(always)]
unsafe fn line<K: Lines, const M: usize, const V: usize>(
    p: usize,
    Panel { panel, ahead, width }: Panel,
    rows: &[*const u32; M],
    totals: &mut [[SumOf<K>; V]; M],
) {
    let lanes = K::Machine::LANES;
    // SAFETY: the processor has the instructions, by this function's contract.
    let mut lines = [unsafe { K::Machine::zero_words() }; V];
    for (v, line) in lines.iter_mut().enumerate() {
        // May lie past the panel, where fetching does nothing.
        let ahead = ahead.wrapping_add((p + K::Machine::LINES_AHEAD) * width + v * lanes);
        // SAFETY: within line p of the panel, by this function's contract.
        *line = unsafe {
            K::Machine::fetch(ahead);
            K::Machine::load_words(panel.add(p * width + v * lanes))
        };
    }
    for (m, totals) in totals.iter_mut().enumerate() {
        for (v, total) in totals.iter_mut().enumerate() {
            // SAFETY: within row m, by this function's contract. The weights are the same for all
            // rows, so that they are computed once.
            *total = unsafe { K::step(*total, rows[m].add(p * K::WORDS), K::weights(lines[v])) };
        }
    }
}
