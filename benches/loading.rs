//! From a checkpoint on disk (in the system's cache) to a model that runs: reading, checking,
//! packing.
//!
//! Throughput is in bytes of the file.

use std::fs;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndalbert::{Albert, AlbertConfig, LoadOptions, Model, PreTrainedModel, Precision};

criterion_group! {
    name = loads;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = loading
}
criterion_main!(loads);

fn loading(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = AlbertConfig::base_v2();
    let parameters = Albert::random_parameters(&config, 0).expect("random parameters");
    Albert::save_parameters(&directory, &config, &parameters).expect("a checkpoint is saved");
    let weights = fs::metadata(directory.path().join("model.safetensors")).expect("its weights");

    let mut group = criterion.benchmark_group("loading");
    group.throughput(Throughput::Bytes(weights.len()));
    for precision in Precision::ALL {
        let options = LoadOptions::new().precision(precision);
        group.bench_function(BenchmarkId::new(precision.name(), "base"), |bencher| {
            bencher.iter_with_large_drop(|| {
                Albert::from_pretrained_with(black_box(&directory), &options).expect("it loads")
            });
        });
    }
    group.finish();
}
