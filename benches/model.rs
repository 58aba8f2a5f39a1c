//! A forward pass of ALBERT-base, with seeded random weights.
//!
//! Throughput counts floating-point operations ("elem/s" are FLOP/s) of the matrix products that
//! are needed.

#[path = "../examples/measure/forward/arithmetic.rs"]
mod arithmetic;
#[path = "common/batches.rs"]
mod batches;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use ndalbert::exits::{ExitPolicy, Predictions};
use ndalbert::{
    Albert, AlbertConfig, AlbertForSequenceClassification, ConfigFields, Model, Precision,
};

/// As many tokens as 8x128, in sequences of lengths that differ.
const MIXED: [usize; 12] = [12, 250, 33, 64, 180, 9, 128, 47, 96, 160, 21, 24];

criterion_group! {
    name = models;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = model, exits
}
criterion_main!(models);

fn model(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("model");
    for precision in Precision::ALL {
        let albert = Albert::from_config_in(AlbertConfig::base_v2(), 0, precision)
            .expect("a model of random parameters");
        for (sequences, length) in [(1, 16), (1, 128), (8, 128), (1, 512)] {
            let size = format!("{sequences}x{length}");
            forward(&mut group, &albert, &size, &vec![length; sequences]);
        }
        let tokens: usize = MIXED.iter().sum();
        forward(&mut group, &albert, &format!("mixed/{}of{tokens}", MIXED.len()), &MIXED);
        pooled(&mut group, &albert, "8x128", &[128; 8]);
    }
    group.finish();
}

/// Sequences that leave after a third of the layers, two thirds, or all of them.
#[derive(Debug)]
struct Thirds;

impl ExitPolicy for Thirds {
    fn leaves(&self, predictions: &Predictions<'_>) -> bool {
        3 * predictions.count() >= (predictions.input() % 3 + 1) * predictions.exit_layers().len()
    }
}

/// A batch whose sequences leave early, beside all of its layers.
fn exits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exits");
    let base = AlbertConfig::base_v2();
    let exit_layers = (1..=base.num_hidden_layers).collect();
    let config = AlbertConfig::new(ConfigFields { exit_layers, ..base.to_fields() })
        .expect("as many exits as layers");
    let batch = batches::batch(&MIXED.repeat(2));
    for precision in Precision::ALL {
        let model = AlbertForSequenceClassification::from_config_in(config.clone(), 0, precision)
            .expect("a model of random parameters");
        group.bench_function(BenchmarkId::new(precision.name(), "whole"), |bencher| {
            bencher.iter(|| model.forward(black_box(&batch)).expect("ids are known"));
        });
        group.bench_function(BenchmarkId::new(precision.name(), "two_thirds"), |bencher| {
            bencher.iter(|| model.forward_until(black_box(&batch), &Thirds).expect("it has exits"));
        });
    }
    group.finish();
}

/// Every token's state and the pooled output.
fn forward(
    group: &mut BenchmarkGroup<'_, WallTime>,
    albert: &Albert,
    size: &str,
    lengths: &[usize],
) {
    let batch = batches::batch(lengths);
    let operations = arithmetic::operations(albert.config(), lengths, false);
    group.throughput(Throughput::Elements(operations as u64));
    group.bench_function(BenchmarkId::new(albert.precision().name(), size), |bencher| {
        bencher.iter(|| albert.forward(black_box(&batch)).expect("ids are known"));
    });
}

/// The pooled output alone.
fn pooled(
    group: &mut BenchmarkGroup<'_, WallTime>,
    albert: &Albert,
    size: &str,
    lengths: &[usize],
) {
    let batch = batches::batch(lengths);
    let operations = arithmetic::operations(albert.config(), lengths, true);
    group.throughput(Throughput::Elements(operations as u64));
    let id = format!("{}/pooled/{size}", albert.precision());
    group.bench_function(id, |bencher| {
        bencher.iter(|| albert.pooler_output(black_box(&batch)).expect("ids are known"));
    });
}
