//! The crate's single-precision products beside those of `matrixmultiply` and `gemm`, in
//! alternation.
//!
//! ```text
//! NDALBERT_ISA=avx2 cargo run --release
//! NDALBERT_ISA=avx2 MATMUL_NUM_THREADS=2 cargo run --release -- 2
//! ```
//!
//! The argument is the number of threads (default 1); `matrixmultiply` takes its own from
//! `MATMUL_NUM_THREADS`. Both peers pack the weights anew for each product, as they must without
//! knowing that these stay.

use std::env;
use std::hint::black_box;
use std::time::Instant;

use ndalbert::Precision;
use ndalbert::internals::{Encoder, InstructionSet, Matrix};

/// k and n of ALBERT-base's products.
const SHAPES: [(usize, usize); 4] = [(768, 2304), (768, 768), (768, 3072), (3072, 768)];

const TOKENS: [usize; 3] = [16, 128, 1024];

const ROUNDS: usize = 15;

fn main() {
    let threads = env::args().nth(1).map_or(1, |count| count.parse().expect("a number of threads"));
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("threads");
    let isa = InstructionSet::current().expect("an instruction set that this processor has");
    println!("median GFLOP/s of {ROUNDS} rounds, {threads} thread(s); ndalbert: {}", isa.name());
    println!("{:>22} {:>9} {:>15} {:>6} {:>8}", "", "ndalbert", "matrixmultiply", "gemm", "ratio");
    for tokens in TOKENS {
        for (k, n) in SHAPES {
            compare(isa, threads, (tokens, k, n));
        }
    }
}

fn compare(isa: InstructionSet, threads: usize, (m, k, n): (usize, usize, usize)) {
    let (a, weight) = (noise(m * k, 1), noise(n * k, 2));
    let matrix = Matrix::new(isa, Precision::F32, &weight, k);
    let mut encoder = Encoder::default();
    let inputs = encoder.encode(&matrix, &a);
    let mut outs = [vec![0.0f32; m * n], vec![0.0; m * n], vec![0.0; m * n]];
    let mut seconds: [Vec<f64>; 3] = Default::default();
    let parallelism =
        if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
    let [own, peer, other] = &mut outs;
    for _ in 0..=ROUNDS {
        seconds[0].push(time(|| matrix.multiply(inputs, black_box(&mut *own))));
        // SAFETY: the matrices have the sizes and strides that are given; the weights [n, k] are
        // read transposed.
        seconds[1].push(time(|| unsafe {
            matrixmultiply::sgemm(
                m,
                k,
                n,
                1.0,
                a.as_ptr(),
                k as isize,
                1,
                weight.as_ptr(),
                1,
                k as isize,
                0.0,
                black_box(&mut *peer).as_mut_ptr(),
                n as isize,
                1,
            );
        }));
        // SAFETY: as above.
        seconds[2].push(time(|| unsafe {
            gemm::gemm(
                m,
                n,
                k,
                black_box(&mut *other).as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                1,
                k as isize,
                weight.as_ptr(),
                k as isize,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }));
    }
    let difference = own.iter().zip(peer.iter()).zip(other.iter());
    let largest =
        difference.map(|((x, y), z)| (x - y).abs().max((x - z).abs())).fold(0.0, f32::max);
    assert!(largest < 1e-3 * (k as f32).sqrt(), "results differ by {largest}");
    let rates = seconds.map(|mut seconds| {
        // The first is for warming up.
        seconds.remove(0);
        seconds.sort_by(f64::total_cmp);
        2.0 * (m * k * n) as f64 / seconds[ROUNDS / 2] / 1e9
    });
    let ratio = rates[0] / rates[1].max(rates[2]);
    let name = format!("[{m},{k}]x[{k},{n}]");
    println!("{name:>22} {:>9.0} {:>15.0} {:>6.0} {ratio:>8.2}", rates[0], rates[1], rates[2]);
}

fn time(task: impl FnOnce()) -> f64 {
    let start = Instant::now();
    task();
    start.elapsed().as_secs_f64()
}

/// Seeded values in ±1.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
