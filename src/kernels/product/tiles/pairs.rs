//! The loop of tiles of bytes that go through a panel two lines at a time: see
//! [`seven_bits`](crate::kernels::product::seven_bits).

use super::kernel::{Kernel, Machine, Place, SumOf, WordsOf};

/// A [`Kernel`] that multiplies two lines of a panel at a time.
///
/// # Safety
/// As for [`Machine`].
pub(super) trait Pairs: Kernel {
    /// A word of activations times a register of the panel: sums of two products in 16 bits.
    unsafe fn product(x: WordsOf<Self>, line: WordsOf<Self>) -> WordsOf<Self>;

    /// The sum of two of these.
    unsafe fn both(first: WordsOf<Self>, second: WordsOf<Self>) -> WordsOf<Self>;

    /// The sums of two 16-bit numbers each in 32 bits.
    unsafe fn widen(sums: WordsOf<Self>) -> SumOf<Self>;

    /// The sum of two of those.
    unsafe fn add(first: SumOf<Self>, second: SumOf<Self>) -> SumOf<Self>;
}

/// Adds the products of all lines to the totals.
///
/// # Safety
/// The processor has the instructions of the kernel; memory is accessible as [`Place`] says, `pairs` too.
#[inline(always)]
pub(super) unsafe fn through<K: Pairs, const M: usize, const V: usize>(
    place: Place,
    rows: [*const u32; M],
    mut totals: [[SumOf<K>; V]; M],
) -> [[SumOf<K>; V]; M] {
    let Place { panel, depth, width, mut next, next_step, pairs, .. } = place;
    let (lanes, lines_ahead) = (K::Machine::LANES, K::Machine::LINES_AHEAD);
    for pair in 0..depth.div_ceil(2) {
        let p = 2 * pair;
        let is_alone = p + 1 == depth;
        // Ahead of the last lines is where the next tile begins, most likely at the panel's start again.
        let further =
            if p + lines_ahead < depth { p + lines_ahead } else { p + lines_ahead - depth };
        // SAFETY: lines p and p + 1 (unless p is the last), and word p and p + 1 of each row, lie within what this
        // function's contract demands; there is one of `pairs` for each two lines. Fetching takes any place.
        unsafe {
            let mut lines = [[K::Machine::zero_words(); V]; 2];
            #[allow(clippy::needless_range_loop, reason = "V is the index into both lines")]
            for v in 0..V {
                lines[0][v] = K::Machine::load_words(panel.add(p * width + v * lanes));
                if !is_alone {
                    lines[1][v] = K::Machine::load_words(panel.add((p + 1) * width + v * lanes));
                }
                for line in 0..2 {
                    K::Machine::fetch(panel.wrapping_add((further + line) * width + v * lanes));
                }
            }
            for _ in 0..2 {
                K::Machine::fetch_next(next);
                next = next.wrapping_add(next_step);
            }
            for row in rows {
                K::Machine::fetch_input(row.wrapping_add(p));
            }
            let is_small = pairs.add(pair).read() != 0;
            if is_alone {
                for (m, totals) in totals.iter_mut().enumerate() {
                    let x = K::Machine::splat_word(rows[m].add(p).read());
                    for (v, total) in totals.iter_mut().enumerate() {
                        *total = K::add(*total, K::widen(K::product(x, lines[0][v])));
                    }
                }
            } else if is_small {
                for (m, totals) in totals.iter_mut().enumerate() {
                    let x = K::Machine::splat_word(rows[m].add(p).read());
                    let y = K::Machine::splat_word(rows[m].add(p + 1).read());
                    for (v, total) in totals.iter_mut().enumerate() {
                        let sums = K::both(K::product(x, lines[0][v]), K::product(y, lines[1][v]));
                        *total = K::add(*total, K::widen(sums));
                    }
                }
            } else {
                for (m, totals) in totals.iter_mut().enumerate() {
                    let x = K::Machine::splat_word(rows[m].add(p).read());
                    let y = K::Machine::splat_word(rows[m].add(p + 1).read());
                    for (v, total) in totals.iter_mut().enumerate() {
                        let first = K::widen(K::product(x, lines[0][v]));
                        let second = K::widen(K::product(y, lines[1][v]));
                        *total = K::add(*total, K::add(first, second));
                    }
                }
            }
        }
    }
    totals
}
