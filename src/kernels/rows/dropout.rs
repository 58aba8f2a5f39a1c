//! Dropout whose every decision is a function of a seed and of where it is taken, not of who takes
//! it when.
//!
//! There is no generator that would have to be passed on: threads, groups of sequences and the
//! second computation of a layer (gradient checkpointing) draw the same.

use crate::kernels::isa::multiversion;
use crate::kernels::product::blocking::MAX_PANEL;

/// Dropout at one place of the model: which rate, and from which stream of random numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    key: u64,
    /// What is drawn below that is dropped.
    threshold: u32,
    /// What is kept is multiplied by that.
    factor: f32,
}

/// The random numbers of one row.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Stream {
    start: u32,
    key: u32,
    threshold: u32,
    factor: f32,
}

impl Dropout {
    /// Dropout of `rate` (0 to 1) at a place; none at a rate of 0.
    pub(crate) fn new(rate: f64, seed: u64, place: u64) -> Option<Self> {
        if rate <= 0.0 {
            return None;
        }
        let factor = if rate < 1.0 { (1.0 / (1.0 - rate)) as f32 } else { 0.0 };
        // From 2³² on, a conversion gives the largest integer.
        let threshold = (rate * 4_294_967_296.0) as u32;
        Some(Self { key: mix(mix(seed) ^ place), threshold, factor })
    }

    /// The random numbers of one row.
    #[inline(always)]
    pub(in crate::kernels) fn row(self, row: u64) -> Stream {
        let bits = mix(self.key ^ row);
        let (start, key) = (bits as u32, (bits >> 32) as u32);
        Stream { start, key, threshold: self.threshold, factor: self.factor }
    }

    /// Drops values of `rows`, in place. The first has the stream `first`, and every other one
    /// `step` further.
    pub(crate) fn apply(
        self,
        isa: crate::kernels::Isa,
        (first, step): (u64, u64),
        width: usize,
        rows: &mut [f32],
    ) {
        apply_rows(isa, self, first, step, width, rows);
    }
}

multiversion! {
    /// Drops values of lines of `width` columns, in place, where what [`Dropout::apply`] takes for
    /// rows are columns, and the lines their values from `index` on. `streams` are the first
    /// column's, and how far it is to the next one's.
    pub(in crate::kernels) fn apply_columns(
        dropout: Dropout,
        streams: (u64, u64),
        index: u32,
        width: usize,
        lines: &mut [f32],
    ) {
        let (first, step) = streams;
        let streams: [Stream; MAX_PANEL] =
            std::array::from_fn(|i| dropout.row(first.wrapping_add(i as u64 * step)));
        for (index, line) in (index..).zip(lines.chunks_exact_mut(width)) {
            for (x, stream) in line.iter_mut().zip(&streams) {
                *x *= stream.factor(index);
            }
        }
    }
}

multiversion! {
    fn apply_rows(dropout: Dropout, first: u64, step: u64, width: usize, rows: &mut [f32]) {
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            dropout.row(first + i as u64 * step).apply(row);
        }
    }
}

impl Stream {
    /// What value `index` is multiplied by.
    #[inline(always)]
    pub(in crate::kernels) fn factor(self, index: u32) -> f32 {
        let bits = hash(self.start.wrapping_add(index), self.key);
        if bits < self.threshold { 0.0 } else { self.factor }
    }

    /// Drops values of a row, in place.
    #[inline(always)]
    pub(in crate::kernels) fn apply(self, row: &mut [f32]) {
        for (index, x) in (0u32..).zip(row) {
            *x *= self.factor(index);
        }
    }
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A 32-bit hash of a counter by a key: two rounds of multiplication and shifts, which vectorise.
#[inline(always)]
fn hash(x: u32, key: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d) ^ key;
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;

    fn mask(rate: f64, seed: u64, place: u64, isa: Isa) -> Vec<f32> {
        let mut rows = vec![1.0; 300 * 257];
        if let Some(dropout) = Dropout::new(rate, seed, place) {
            dropout.apply(isa, (5, 1), 257, &mut rows);
        }
        rows
    }

    #[test]
    fn as_many_are_dropped_as_the_rate_says_and_the_mean_stays() {
        for isa in Isa::available() {
            for rate in [0.0, 0.1, 0.5, 0.9] {
                let rows = mask(rate, 3, 1, isa);
                let dropped = rows.iter().filter(|&&x| x == 0.0).count() as f64;
                let deviation = (rate * (1.0 - rate) / rows.len() as f64).sqrt();
                let share = dropped / rows.len() as f64;
                assert!((share - rate).abs() <= 5.0 * deviation, "{share} of {rate}");
                let kept = (1.0 / (1.0 - rate)) as f32;
                assert!(rows.iter().all(|&x| x == 0.0 || x == kept));
            }
            assert!(mask(1.0, 3, 1, isa).iter().all(|&x| x == 0.0));
        }
    }

    #[test]
    fn neighbours_seeds_and_places_are_independent() {
        let isa = Isa::available().next().unwrap();
        let base = mask(0.5, 3, 1, isa);
        let shifted: Vec<f32> = base[1..].to_vec();
        let next_row: Vec<f32> = base[257..].to_vec();
        for other in [mask(0.5, 4, 1, isa), mask(0.5, 3, 2, isa), shifted, next_row] {
            let both = base.iter().zip(&other).filter(|(x, y)| **x == 0.0 && **y == 0.0).count();
            let share = both as f64 / other.len() as f64;
            assert!((share - 0.25).abs() < 0.01, "{share}");
        }
    }

    #[test]
    fn columns_are_dropped_as_rows_are() {
        for isa in Isa::available() {
            let rows = mask(0.3, 9, 0, isa);
            for (width, first) in [(16, 0), (64, 200)] {
                let mut lines = vec![1.0; 57 * width];
                let dropout = Dropout::new(0.3, 9, 0).unwrap();
                apply_columns(isa, dropout, (5, 1), first, width, &mut lines);
                for (i, line) in lines.chunks(width).enumerate() {
                    for (column, &x) in line.iter().enumerate() {
                        assert_eq!(x, rows[column * 257 + first as usize + i], "{isa}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_where_a_call_begins() {
        for isa in Isa::available() {
            let whole = mask(0.3, 9, 0, isa);
            let mut part = vec![1.0; 2 * 257];
            Dropout::new(0.3, 9, 0).unwrap().apply(isa, (5 + 7, 1), 257, &mut part);
            assert_eq!(part, whole[7 * 257..9 * 257]);
        }
    }
}
