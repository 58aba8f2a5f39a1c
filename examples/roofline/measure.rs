//! Operations per second: of the instructions alone, and of what is made of them.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use ndalbert::Precision;
use ndalbert::internals::{Attention, Encoder, InstructionSet, Matrix, Peak};

use super::products::{Product, noise};

/// How long one run of a peak's loop takes: threads that start together do so within a small part
/// of it, and some runs escape whatever else the machine does.
const RUN: Duration = Duration::from_millis(2);

/// Runs of a peak's loop: many more than are needed for the processor to reach its clock.
const RUNS: usize = 100;

/// How long everything else is repeated; the best counts.
const REPEATED: Duration = Duration::from_millis(200);

/// The most operations per second that threads reach with nothing but the instructions.
pub fn peak(peak: &Peak, threads: usize) -> f64 {
    let trial = 10_000;
    let per_round = best(|| consume(peak, trial)) / trial as f64;
    let rounds = (RUN.as_secs_f64() / per_round) as u64;
    let runs = (0..RUNS).map(|_| together(threads, || consume(peak, rounds)));
    let least = runs.fold(f64::INFINITY, f64::min);
    threads as f64 * peak.operations(rounds) / least
}

fn consume(peak: &Peak, rounds: u64) {
    black_box(peak.run(black_box(rounds)));
}

/// The seconds from the first start to the last end of threads that are let go together.
fn together(threads: usize, task: impl Fn() + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let run = || {
        barrier.wait();
        let start = Instant::now();
        task();
        (start, Instant::now())
    };
    let (first, last) = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let own = run();
        let spans = others.into_iter().map(|other| other.join().expect("no thread panics"));
        spans.fold(own, |all, span| (all.0.min(span.0), all.1.max(span.1)))
    });
    (last - first).as_secs_f64()
}

/// Operations per second of a product, of inputs that are encoded already, on the current rayon
/// pool.
pub fn product(isa: InstructionSet, precision: Precision, product: Product) -> f64 {
    let Product { tokens, k, n } = product;
    let matrix = Matrix::new(isa, precision, &noise(n * k, 1), k);
    let (rows, mut encoder) = (noise(tokens * k, 2), Encoder::default());
    let encoded = encoder.encode(&matrix, &rows);
    let mut out = vec![0.0; tokens * n];
    let best = best(|| matrix.multiply(encoded, black_box(&mut out)));
    product.operations() as f64 / best
}

/// Operations per second of the two products of attention in one sequence, softmax and packing
/// included.
pub fn attention(
    isa: InstructionSet,
    precision: Precision,
    length: usize,
    (heads, size): (usize, usize),
) -> f64 {
    let hidden = heads * size;
    let attention = Attention::new(isa, precision, &[length], (heads, size));
    let qkv = noise(length * 3 * hidden, 3);
    let mut context = vec![0.0; length * hidden];
    let best = best(|| attention.run(black_box(&qkv), black_box(&mut context)));
    (4 * length * length * hidden) as f64 / best
}

/// The seconds of the fastest of many runs.
fn best(mut task: impl FnMut()) -> f64 {
    task();
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed() < REPEATED {
        best = best.min(seconds(&mut task));
    }
    best
}

fn seconds(task: impl FnOnce()) -> f64 {
    let start = Instant::now();
    task();
    start.elapsed().as_secs_f64()
}
