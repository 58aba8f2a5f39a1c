//! The kernels one by one, on every instruction set that this processor has.
//!
//! ```text
//! cargo bench --features internals --bench kernels
//! cargo bench --features internals --bench kernels -- gemm/avx512/int8
//! ```
//!
//! Throughput is in operations ("elem/s" are FLOP/s; a multiply-add is two) or in bytes of the
//! values that go through.

#[path = "common/products.rs"]
mod products;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use ndalbert::Precision;
use ndalbert::internals::{Attention, Encoder, InstructionSet, Matrix, weight_gradient};

use products::{Product, TOKENS, noise};

/// Those of ALBERT-base.
const HIDDEN: usize = 768;
const INTERMEDIATE: usize = 3072;
const HEADS: usize = 12;
const HEAD_SIZE: usize = 64;

/// Sequence lengths that attention is measured on.
const LENGTHS: [usize; 2] = [128, 512];

type Group<'a> = BenchmarkGroup<'a, WallTime>;

criterion_group! {
    name = kernels;
    config = Criterion::default()
        .sample_size(10)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300));
    targets = gemm, weight_gradients, encode, attention, attention_backward, softmax, layer_norm, gelu
}
criterion_main!(kernels);

/// Runs `bench` with a group for every instruction set.
fn for_each(criterion: &mut Criterion, name: &str, bench: impl Fn(&mut Group<'_>, InstructionSet)) {
    for isa in InstructionSet::available() {
        let mut group = criterion.benchmark_group(format!("{name}/{}", isa.name()));
        bench(&mut group, isa);
        group.finish();
    }
}

/// The portable bodies serve where nothing else does: more tokens would tell nothing but take
/// minutes.
fn is_slow(isa: InstructionSet, tokens: usize) -> bool {
    isa.name() == "portable" && tokens > 128
}

fn operations(count: usize) -> Throughput {
    Throughput::Elements(count as u64)
}

fn bytes(values: &[f32]) -> Throughput {
    Throughput::Bytes(size_of_val(values) as u64)
}

fn gemm(criterion: &mut Criterion) {
    for_each(criterion, "gemm", |group, isa| {
        for product in Product::all().filter(|product| !is_slow(isa, product.tokens)) {
            for precision in Precision::ALL {
                bench_gemm(group, isa, precision, product);
            }
        }
    });
}

fn bench_gemm(group: &mut Group<'_>, isa: InstructionSet, precision: Precision, product: Product) {
    let Product { tokens, k, n } = product;
    let matrix = Matrix::new(isa, precision, &noise(n * k, 1), k);
    let (rows, mut encoder) = (noise(tokens * k, 2), Encoder::default());
    let encoded = encoder.encode(&matrix, &rows);
    let mut out = vec![0.0; tokens * n];
    group.throughput(operations(product.operations()));
    group.bench_function(BenchmarkId::new(precision.name(), product), |bencher| {
        bencher.iter(|| matrix.multiply(encoded, black_box(&mut out)));
    });
}

/// The products that gradients of weights are, of one application of the layer and of twelve in one
/// product.
fn weight_gradients(criterion: &mut Criterion) {
    for_each(criterion, "weight_gradient", |group, isa| {
        for product in Product::all().filter(|product| product.tokens >= 128) {
            let Product { tokens, k, n } = product;
            let (d_out, inputs) = (noise(tokens * n, 5), noise(tokens * k, 6));
            let mut weight = vec![0.0; n * k];
            for applications in [1, 12] {
                if is_slow(isa, applications * tokens) {
                    continue;
                }
                let pairs = vec![(&d_out[..], &inputs[..]); applications];
                group.throughput(operations(applications * product.operations()));
                for precision in [Precision::F32, Precision::Bf16] {
                    let id = format!("{precision}/{applications}x[{n},{tokens}]x[{tokens},{k}]");
                    group.bench_function(id, |bencher| {
                        let weight = black_box(&mut weight);
                        bencher.iter(|| weight_gradient(isa, precision, &pairs, (n, k), weight));
                    });
                }
            }
        }
    });
}

/// Activations to bfloat16 and bytes, before a product.
fn encode(criterion: &mut Criterion) {
    for_each(criterion, "encode", |group, isa| {
        for precision in [Precision::Bf16, Precision::Int8] {
            for tokens in TOKENS {
                let (rows, mut encoder) = (noise(tokens * HIDDEN, 3), Encoder::default());
                // Of one output: how many there are makes no difference.
                let matrix = Matrix::new(isa, precision, &noise(HIDDEN, 4), HIDDEN);
                group.throughput(bytes(&rows));
                let id = BenchmarkId::new(precision.name(), format!("[{tokens},{HIDDEN}]"));
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        let encoded = encoder.encode(&matrix, black_box(&rows));
                        black_box(encoded);
                    });
                });
            }
        }
    });
}

/// All of attention but its projections; what counts as operations are its two products.
fn attention(criterion: &mut Criterion) {
    for_each(criterion, "attention", |group, isa| {
        for length in LENGTHS {
            let qkv = noise(length * 3 * HIDDEN, 4);
            let mut context = vec![0.0; length * HIDDEN];
            group.throughput(operations(4 * length * length * HIDDEN));
            for precision in isa.activation_precisions().into_iter().chain([Precision::Int8]) {
                let attention = Attention::new(isa, precision, &[length], (HEADS, HEAD_SIZE));
                let id = format!("{precision}/{HEADS}x{HEAD_SIZE}/1x{length}");
                group.bench_function(id, |bencher| {
                    bencher.iter(|| attention.run(black_box(&qkv), black_box(&mut context)));
                });
            }
        }
    });
}

/// What counts as operations are its five products, of which the first is that of the forward pass.
fn attention_backward(criterion: &mut Criterion) {
    for_each(criterion, "attention_backward", |group, isa| {
        for length in LENGTHS {
            let (qkv, d_context) = (noise(length * 3 * HIDDEN, 4), noise(length * HIDDEN, 5));
            let mut context = vec![0.0; length * HIDDEN];
            group.throughput(operations(10 * length * length * HIDDEN));
            for precision in isa.activation_precisions() {
                let attention = Attention::new(isa, precision, &[length], (HEADS, HEAD_SIZE));
                attention.run(&qkv, &mut context);
                let contexts = (&context[..], &d_context[..]);
                let id = format!("{precision}/{HEADS}x{HEAD_SIZE}/1x{length}");
                group.bench_function(id, |bencher| {
                    bencher.iter_batched_ref(
                        || qkv.clone(),
                        |qkv| attention.backward(black_box(qkv), contexts),
                        BatchSize::LargeInput,
                    );
                });
            }
        }
    });
}

/// As many rows as attention has at a time. In place: of probabilities that are nearly equal, too,
/// the work is the same.
fn softmax(criterion: &mut Criterion) {
    for_each(criterion, "softmax", |group, isa| {
        for length in LENGTHS {
            let mut rows = noise(48 * length, 7);
            let mut factors = vec![0.0; 48];
            group.throughput(bytes(&rows));
            group.bench_function(format!("[48,{length}]"), |bencher| {
                bencher.iter(|| isa.softmax(black_box(&mut rows), length, 0.125, &mut factors));
            });
        }
    });
}

/// With a residual, in place: what is normalised stays of order 1.
fn layer_norm(criterion: &mut Criterion) {
    for_each(criterion, "layer_norm", |group, isa| {
        let (weight, bias) = (noise(HIDDEN, 8), noise(HIDDEN, 9));
        for tokens in TOKENS {
            let residual = noise(tokens * HIDDEN, 10);
            let mut rows = noise(tokens * HIDDEN, 11);
            group.throughput(bytes(&rows));
            group.bench_function(format!("[{tokens},{HIDDEN}]"), |bencher| {
                bencher.iter(|| {
                    isa.layer_norm((&weight, &bias), &residual, black_box(&mut rows));
                });
            });
        }
    });
}

fn gelu(criterion: &mut Criterion) {
    for_each(criterion, "gelu", |group, isa| {
        for tokens in TOKENS {
            let values = noise(tokens * INTERMEDIATE, 12);
            let mut out = values.clone();
            group.throughput(bytes(&values));
            group.bench_function(format!("[{tokens},{INTERMEDIATE}]"), |bencher| {
                bencher.iter(|| isa.gelu(black_box(&values), black_box(&mut out)));
            });
        }
    });
}
