//! Bringing nearer what will be needed soon, while something else is computed.

use crate::kernels::product::convert::Strided;

/// Values in a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 16;

/// Has a row brought into the second cache.
pub(in crate::kernels) fn fetch(rows: Strided<'_>, row: usize) {
    #[cfg(target_arch = "x86_64")]
    for values in rows.row(row).chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads and writes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(values.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (rows, row);
}

/// Things to be done evenly over a number of steps: many fetches at once would keep others waiting.
pub(in crate::kernels) struct Evenly {
    count: usize,
    steps: usize,
    step: usize,
    done: usize,
}

impl Evenly {
    pub(in crate::kernels) fn new(count: usize, steps: usize) -> Self {
        Self { count, steps, step: 0, done: 0 }
    }

    /// Calls `task` with the numbers of what is due in one step.
    pub(in crate::kernels) fn step(&mut self, task: impl Fn(usize)) {
        self.step += 1;
        while self.done < self.count && self.done * self.steps < self.step * self.count {
            task(self.done);
            self.done += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_none_much_earlier_than_others() {
        for (count, steps) in [(0, 3), (1, 1), (7, 3), (3, 7), (128, 88)] {
            let (mut evenly, done) = (Evenly::new(count, steps), std::cell::RefCell::new(vec![]));
            for _ in 0..steps {
                let before = done.borrow().len();
                evenly.step(|number| done.borrow_mut().push(number));
                assert!(done.borrow().len() - before <= count.div_ceil(steps));
            }
            assert!(done.borrow().iter().copied().eq(0..count), "{count} in {steps} steps");
        }
    }
}
