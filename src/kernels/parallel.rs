//! When and how work is split over rayon's threads.

use rayon::prelude::*;

/// Multiply-adds below which handing work to another thread costs more than it saves (some tens of microseconds).
const GRAIN: usize = 1 << 20;

/// Runs `task(0..count)`, on the current rayon pool where `work` multiply-adds in all are worth it.
///
/// Each call of `task` is given a buffer that belongs to its thread for that time and holds whatever the task before
/// left in it. What a task computes must not depend on that, nor on the thread that runs it.
pub(crate) fn for_each(work: usize, count: usize, task: impl Fn(&mut Vec<f32>, usize) + Sync) {
    if count <= 1 || work < 2 * GRAIN || rayon::current_num_threads() == 1 {
        let mut buffer = Vec::new();
        (0..count).for_each(|index| task(&mut buffer, index));
    } else {
        let tasks_per_job = (GRAIN / (work / count).max(1)).max(1);
        (0..count)
            .into_par_iter()
            .with_min_len(tasks_per_job)
            .for_each_init(Vec::new, |buffer, index| task(buffer, index));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_task_runs_once_whatever_the_work() {
        for work in [0, 10 * GRAIN, 1000 * GRAIN] {
            for count in [0, 1, 2, 7, 100] {
                let sums: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                for_each(work, count, |_, index| {
                    sums[index].fetch_add(1, Ordering::Relaxed);
                });
                assert!(sums.iter().all(|sum| sum.load(Ordering::Relaxed) == 1));
            }
        }
    }
}
