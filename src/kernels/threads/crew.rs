//! Threads that stay together for as long as one call takes.
//!
//! A forward pass of a short batch is a hundred products of some tens of microseconds, one after
//! the other. Waking a thread up for each would take as long as the product, so here threads are
//! asked once, and then wait for the next job without sleeping: handing one over takes less than a
//! microsecond.
//!
//! Each member begins with tasks of its own that follow each other, the same for every job of as
//! many tasks: what they read, the panels of a shared layer, is near when that layer is applied
//! again. Then it takes what others have left. Nobody has to come: a leader whose helpers are busy
//! elsewhere does all tasks itself. And nobody has to stay: where other calls wait for a thread,
//! helpers leave between two jobs, so that a long call does not keep short ones waiting.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::kernels::threads::parallel::calls_are_waiting;

/// How often a thread looks for work before it lets others of the system have the processor between
/// two looks: some ten microseconds, longer than what is done between two jobs.
const LOOKS: u32 = 1 << 10;

thread_local! {
    /// The crew that this thread leads; null if there is none.
    static LED: Cell<*const Crew> = const { Cell::new(ptr::null()) };
}

type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// A leader and its helpers.
pub(in crate::kernels) struct Crew {
    /// Of each member.
    tickets: Vec<Ticket>,
    /// Tasks of the job that have ended.
    ended: AtomicUsize,
    /// The job: how many tasks, and what they do. Written by the leader between jobs only.
    job: UnsafeCell<Option<(usize, *const Task<'static>)>>,
    /// What a task panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Helpers that are here.
    helping: AtomicUsize,
    is_over: AtomicBool,
}

/// Which job it is (the upper half) and how many of a member's tasks nobody has taken yet. In a
/// cache line of its own, and in that line's neighbour, which is fetched with it.
#[repr(align(128))]
struct Ticket(AtomicU64);

// SAFETY: `job` is written only while no task of a job is left to be taken or under way, and read
// only by who took one: the ticket's release and acquire stand between the two. What it points to
// is `Sync`.
unsafe impl Sync for Crew {}

/// Runs `lead` with the threads of the current rayon pool as helpers of what this thread starts in
/// it by [`Crew::run`].
pub(in crate::kernels) fn together<R: Send>(lead: impl FnOnce() -> R + Send) -> R {
    /// Sends the helpers home, also where the leader panics.
    struct Led<'a>(&'a Crew, *const Crew);
    impl Drop for Led<'_> {
        fn drop(&mut self) {
            LED.set(self.1);
            self.0.is_over.store(true, Ordering::Release);
            // They are about to leave. Who waits for them as rayon does might be given another's
            // whole call to do meanwhile.
            wait_until(|| self.0.helping.load(Ordering::Acquire) == 0);
        }
    }
    let members = rayon::current_num_threads();
    let crew = Crew {
        tickets: (0..members).map(|_| Ticket(AtomicU64::new(0))).collect(),
        ended: AtomicUsize::new(0),
        job: UnsafeCell::new(None),
        panic: Mutex::new(None),
        helping: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    };
    let led = &crew;
    rayon::scope(|scope| {
        for member in 1..members {
            scope.spawn(move |_| led.help(member));
        }
        // Whoever leads a crew already leads it again afterwards.
        let _led = Led(led, LED.replace(led));
        lead()
    })
}

/// Whether this thread leads a crew.
pub(in crate::kernels) fn is_leading() -> bool {
    !LED.get().is_null()
}

/// Runs `task(0..count)` with the crew that this thread leads. Returns whether there is one.
pub(in crate::kernels) fn run(count: usize, task: &Task<'_>) -> bool {
    let crew = LED.get();
    if crew.is_null() {
        return false;
    }
    // A task that starts tasks has none of the crew's: it would wait for itself.
    LED.set(ptr::null());
    // SAFETY: it is set only while `together` holds the crew.
    let result = catch_unwind(AssertUnwindSafe(|| unsafe { &*crew }.run(count, task)));
    LED.set(crew);
    result.unwrap_or_else(|panic| resume_unwind(panic));
    true
}

impl Crew {
    fn run(&self, count: usize, task: &Task<'_>) {
        assert!(u32::try_from(count).is_ok(), "fewer tasks than 2³²");
        // SAFETY: only the lifetime is forgotten. Nobody calls it after this function has returned,
        // which waits for all tasks.
        let task = unsafe {
            std::mem::transmute::<*const Task<'_>, *const Task<'static>>(ptr::from_ref(task))
        };
        // SAFETY: no task of an earlier job is left or under way.
        unsafe { *self.job.get() = Some((count, task)) };
        self.ended.store(0, Ordering::Relaxed);
        for (member, Ticket(ticket)) in self.tickets.iter().enumerate() {
            let job = (ticket.load(Ordering::Relaxed) >> 32).wrapping_add(1);
            let tasks = self.end(member, count) - self.end(member.wrapping_sub(1), count);
            ticket.store(job << 32 | tasks as u64, Ordering::Release);
        }
        self.take_all(0);
        wait_until(|| self.ended.load(Ordering::Acquire) == count);
        let panic = self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Where a member's own tasks end among `count`; 0 for the one before the first.
    fn end(&self, member: usize, count: usize) -> usize {
        member.wrapping_add(1) * count / self.tickets.len()
    }

    /// Takes tasks until the leader has no more, or somebody else wants a thread.
    fn help(&self, member: usize) {
        self.helping.fetch_add(1, Ordering::Relaxed);
        let has_own = || has_tasks(self.tickets[member].0.load(Ordering::Relaxed));
        let is_to_leave = || self.is_over.load(Ordering::Acquire) || calls_are_waiting();
        while !is_to_leave() {
            wait_until(|| is_to_leave() || has_own());
            self.take_all(member);
        }
        self.helping.fetch_sub(1, Ordering::Release);
    }

    /// Does a member's own tasks, and then those that others have not begun.
    fn take_all(&self, member: usize) {
        let members = self.tickets.len();
        (member..member + members).for_each(|owner| while self.take_one(owner % members) {});
    }

    /// Does the next of a member's tasks, if there is one.
    fn take_one(&self, owner: usize) -> bool {
        let Ticket(next) = &self.tickets[owner];
        let mut ticket = next.load(Ordering::Relaxed);
        loop {
            if !has_tasks(ticket) {
                return false;
            }
            let taken = next.compare_exchange_weak(
                ticket,
                ticket - 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match taken {
                Ok(_) => break,
                Err(now) => ticket = now,
            }
        }
        // SAFETY: the job does not change before the task just taken has ended.
        let Some((count, task)) = (unsafe { *self.job.get() }) else { return false };
        let index = self.end(owner, count) - (ticket as u32) as usize;
        // SAFETY: `run` waits for this task, and so what it borrows is still there.
        let result = catch_unwind(AssertUnwindSafe(|| unsafe { &*task }(index)));
        if let Err(panic) = result {
            self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(panic);
        }
        self.ended.fetch_add(1, Ordering::Release);
        true
    }
}

fn has_tasks(ticket: u64) -> bool {
    ticket as u32 > 0
}

/// Looks again and again.
fn wait_until(is_so: impl Fn() -> bool) {
    let mut looks = 0;
    while !is_so() {
        if looks < LOOKS {
            looks += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn every_task_of_every_job_runs_once() {
        for threads in [1, 2, 5] {
            let sums: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
            pool(threads).install(|| {
                together(|| {
                    for job in 0..2_000 {
                        let count = job % (sums.len() + 1);
                        assert!(run(count, &|index| {
                            sums[index].fetch_add(1, Ordering::Relaxed);
                        }));
                        let sum: usize =
                            sums.iter().map(|sum| sum.swap(0, Ordering::Relaxed)).sum();
                        assert_eq!(sum, count);
                    }
                });
            });
        }
        assert!(!run(3, &|_| unreachable!("nobody leads")));
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn a_crew_within_a_crew_leaves_the_outer_one_led() {
        pool(2).install(|| {
            together(|| {
                assert!(together(|| run(3, &|_| ())));
                assert!(run(3, &|_| ()), "still led");
            });
            assert!(!is_leading());
        });
    }

    /// Waits until so many have come here, and not for ever.
    fn meet(here: &AtomicUsize, count: usize) {
        let start = std::time::Instant::now();
        here.fetch_add(1, Ordering::Relaxed);
        while here.load(Ordering::Relaxed) < count {
            assert!(start.elapsed().as_secs() < 60, "nobody else came");
            std::thread::yield_now();
        }
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn tasks_are_done_side_by_side() {
        for threads in [2, 3] {
            pool(threads).install(|| {
                together(|| {
                    for _ in 0..20 {
                        let here = AtomicUsize::new(0);
                        run(threads, &|_| meet(&here, threads));
                    }
                });
            });
        }
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn helpers_leave_where_another_call_waits() {
        let pool = pool(2);
        let (began, other) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pool.install(|| {
                    together(|| {
                        // Both threads of the pool are in here.
                        run(2, &|_| meet(&began, 2));
                        began.fetch_add(1, Ordering::Relaxed);
                        let start = std::time::Instant::now();
                        while other.load(Ordering::Relaxed) == 0 {
                            run(2, &|_| ());
                            assert!(start.elapsed().as_secs() < 60, "the other call waits");
                        }
                    });
                });
            });
            while began.load(Ordering::Relaxed) < 3 {
                std::thread::yield_now();
            }
            crate::kernels::threads::parallel::waiting(|begins| {
                pool.install(|| {
                    begins();
                    other.fetch_add(1, Ordering::Relaxed)
                })
            });
        });
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn helpers_that_are_busy_are_not_waited_for() {
        let pool = pool(2);
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        pool.spawn(move || receiver.recv().unwrap());
        pool.install(|| {
            let done = AtomicUsize::new(0);
            together(|| {
                run(10, &|_| {
                    done.fetch_add(1, Ordering::Relaxed);
                })
            });
            assert_eq!(done.into_inner(), 10);
        });
        sender.send(()).unwrap();
    }

    #[test]
    #[cfg_attr(target_family = "wasm", ignore = "needs threads")]
    fn a_panic_reaches_the_leader_and_ends_the_crew() {
        let pool = pool(3);
        for failing in 0..8 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.install(|| {
                    together(|| run(8, &|index| assert!(index != failing, "task fails")))
                })
            }));
            assert!(caught.is_err());
        }
        assert!(!pool.install(is_leading));
        assert!(pool.install(|| together(|| run(1, &|_| ()))));
    }
}
