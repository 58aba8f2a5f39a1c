//! When and how work is split over rayon's threads.

use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::kernels::threads::crew;

/// Multiply-adds below which handing work to another thread costs more than it saves (some tens of
/// microseconds).
const GRAIN: usize = 1 << 20;

/// The same where threads wait for work together, and it takes less than a microsecond.
const CREW_GRAIN: usize = 1 << 17;

/// What one value of an element-wise pass counts as, in multiply-adds.
const PASS: usize = 8;

/// Tasks per thread: enough that a thread that was interrupted does not keep the others waiting for
/// long.
const TASKS_PER_THREAD: usize = 8;

/// Working memory of a task. It holds whatever the task before left in it.
pub(crate) struct Buffers {
    pub(in crate::kernels) floats: Vec<f32>,
    pub(in crate::kernels) more_floats: Vec<f32>,
    pub(in crate::kernels) words: Vec<u32>,
    pub(in crate::kernels) sums: Vec<u32>,
}

impl Buffers {
    const fn new() -> Self {
        Self { floats: Vec::new(), more_floats: Vec::new(), words: Vec::new(), sums: Vec::new() }
    }
}

thread_local! {
    /// Whether this thread is to do all by itself, because others are busy with the like.
    static ALONE: Cell<bool> = const { Cell::new(false) };

    /// The buffers of tasks on this thread. Kept, so that a steady state allocates nothing.
    static BUFFERS: RefCell<Buffers> =
        const { RefCell::new(Buffers::new()) };
}

/// Calls from outside of their pool that no thread has begun.
static CALLS_WAITING: AtomicUsize = AtomicUsize::new(0);

/// How many threads may share work that this thread starts.
pub(crate) fn threads() -> usize {
    if ALONE.get() { 1 } else { rayon::current_num_threads() }
}

/// The product of sizes: how many multiply-adds something is. On a machine of 32 bits it may be
/// more than there are numbers for.
pub(in crate::kernels) fn work<const N: usize>(sizes: [usize; N]) -> usize {
    sizes.into_iter().fold(1, usize::saturating_mul)
}

/// Whether `work` multiply-adds are worth being handed to other threads, if there are any.
fn is_worth(work: usize) -> bool {
    let grain = if crew::is_leading() { CREW_GRAIN } else { GRAIN };
    work >= 2 * grain && threads() > 1
}

/// Runs `task` for every item. Several items are shared out to the threads of the current rayon
/// pool, and each is done by one thread alone; for a single item, threads share what `task` does.
pub(crate) fn for_each_alone<T: Send>(items: Vec<T>, task: impl Fn(T) + Send + Sync) {
    if threads() == 1 {
        return items.into_iter().for_each(task);
    }
    if items.len() == 1 {
        return together(|| items.into_iter().for_each(task));
    }
    items.into_par_iter().with_max_len(1).for_each(|item| alone(|| task(item)));
}

/// Runs `call` on this thread alone.
fn alone(call: impl FnOnce()) {
    /// Takes the mark back, also where the call panics.
    struct Alone(bool);
    impl Drop for Alone {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }
    let _alone = Alone(ALONE.replace(true));
    call();
}

/// As [`for_each_part`], each by one thread alone: it may call what threads would share elsewhere.
pub(crate) fn for_each_part_alone<T: Send>(
    parts: impl Iterator<Item = T>,
    task: impl Fn(T) + Sync,
) {
    for_each_part(parts, |part| alone(|| task(part)));
}

/// Runs `call` on the current rayon pool, so that the many small parallel sections in it start from
/// one of its threads: starting one from outside costs a wake-up each time. With a single thread,
/// nothing is handed over.
pub(crate) fn in_pool<R: Send>(call: impl FnOnce() -> R + Send) -> R {
    if rayon::current_num_threads() == 1 || rayon::current_thread_index().is_some() {
        return call();
    }
    waiting(|begins| {
        rayon::scope(|_| {
            begins();
            call()
        })
    })
}

/// Counts as a call that waits for a thread until it begins.
pub(in crate::kernels) fn waiting<R>(call: impl FnOnce(fn()) -> R) -> R {
    CALLS_WAITING.fetch_add(1, Ordering::Relaxed);
    call(|| {
        CALLS_WAITING.fetch_sub(1, Ordering::Relaxed);
    })
}

/// Whether some call waits for a thread.
pub(in crate::kernels) fn calls_are_waiting() -> bool {
    CALLS_WAITING.load(Ordering::Relaxed) > 0
}

/// Runs `call`, in which this thread starts many small parallel sections, one after the other.
pub(crate) fn together<R: Send>(call: impl FnOnce() -> R + Send) -> R {
    if threads() == 1 { call() } else { crew::together(call) }
}

/// Runs `task(0..count)`, on the current rayon pool where `work` multiply-adds in all are worth it.
///
/// What a task computes must not depend on what is in its buffers, nor on the thread that runs it;
/// and it must not start parallel work of its own.
pub(crate) fn for_each(work: usize, count: usize, task: impl Fn(&mut Buffers, usize) + Sync) {
    let run = |index| BUFFERS.with_borrow_mut(|buffers| task(buffers, index));
    if count <= 1 || !is_worth(work) {
        (0..count).for_each(run);
    } else if !crew::run(count, &run) {
        let tasks_per_job = (GRAIN / (work / count).max(1)).max(1);
        (0..count).into_par_iter().with_min_len(tasks_per_job).for_each(run);
    }
}

/// Into how many pieces a product of `rows` rows is to be cut, where `others` tasks share each
/// piece: as few as keep all threads busy, since longer ones use what they fetch more often.
pub(crate) fn pieces(others: usize) -> usize {
    match threads() {
        1 => 1,
        threads => (TASKS_PER_THREAD * threads).div_ceil(others.max(1)),
    }
}

/// How many rows of `width` values each task of an element-wise pass should have: all of them, if
/// one thread should do all.
pub(crate) fn rows_per_task(rows: usize, width: usize) -> usize {
    let is_worth = is_worth(work([rows, width, PASS]));
    if is_worth { rows.div_ceil(TASKS_PER_THREAD * threads()) } else { rows.max(1) }
}

/// Runs `task` for every part of an element-wise pass, which are rows as many as [`rows_per_task`]
/// says, or a few such.
pub(crate) fn for_each_part<T: Send>(parts: impl Iterator<Item = T>, task: impl Fn(T) + Sync) {
    let parts: Vec<Mutex<Option<T>>> = parts.map(|part| Mutex::new(Some(part))).collect();
    let run = |index: usize| {
        // Nobody else has it, and nothing can panic that holds it.
        if let Some(part) = parts[index].lock().ok().and_then(|mut part| part.take()) {
            task(part);
        }
    };
    if parts.len() == 1 || threads() == 1 {
        (0..parts.len()).for_each(run);
    } else if !crew::run(parts.len(), &run) {
        (0..parts.len()).into_par_iter().for_each(run);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Instant;

    use super::*;

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn items_are_done_side_by_side_each_by_one_thread() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let here = AtomicUsize::new(0);
        pool.install(|| {
            assert_eq!(threads(), 2);
            for_each_alone(vec![(), ()], |()| {
                assert_eq!(threads(), 1);
                here.fetch_add(1, Ordering::Relaxed);
                let start = Instant::now();
                while here.load(Ordering::Relaxed) < 2 {
                    assert!(start.elapsed().as_secs() < 60, "nobody else came");
                    std::thread::yield_now();
                }
            });
            let failing = AssertUnwindSafe(|| for_each_alone(vec![0, 1], |_| panic!("it fails")));
            assert!(catch_unwind(failing).is_err());
        });
        assert_eq!(pool.broadcast(|_| threads()), [2, 2], "no thread stays alone");
    }

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
