//! One layer of ALBERT-base: a model that applies it once, so embeddings (some 1 % of the time) are
//! in it.
//!
//! Throughput counts floating-point operations ("elem/s" are FLOP/s) of the matrix products.

#[path = "../examples/measure/forward/arithmetic.rs"]
mod arithmetic;
#[path = "common/batches.rs"]
mod batches;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndalbert::{Albert, AlbertConfig, ConfigFields, Model, Precision};

criterion_group! {
    name = layers;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = layer
}
criterion_main!(layers);

fn layer(criterion: &mut Criterion) {
    let base = AlbertConfig::base_v2().to_fields();
    let config = AlbertConfig::new(ConfigFields { num_hidden_layers: 1, ..base })
        .expect("a model may have one layer");
    let mut group = criterion.benchmark_group("layer");
    for precision in Precision::ALL {
        let albert = Albert::from_config_in(config.clone(), 0, precision)
            .expect("a model of random parameters")
            .without_pooler();
        for (sequences, length) in [(1, 16), (1, 128), (8, 128), (1, 512)] {
            let lengths = vec![length; sequences];
            let batch = batches::batch(&lengths);
            let operations = arithmetic::operations(&config, &lengths, false);
            group.throughput(Throughput::Elements(operations as u64));
            let id = BenchmarkId::new(precision.name(), format!("{sequences}x{length}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| albert.forward(black_box(&batch)).expect("ids are known"));
            });
        }
    }
    group.finish();
}
