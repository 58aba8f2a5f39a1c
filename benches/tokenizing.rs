//! From text to ids, with the demo's Chinese vocabulary, on this repository's Chinese README.
//!
//! Throughput is in bytes of UTF-8.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndalbert::AlbertTokenizer;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");

const TEXT: &str = include_str!("../README.zh-CN.md");

criterion_group! {
    name = tokenizers;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = tokenizing
}
criterion_main!(tokenizers);

fn tokenizing(criterion: &mut Criterion) {
    let tokenizer = AlbertTokenizer::from_pretrained(DIRECTORY).expect("the demo's tokenizer");
    let mut group = criterion.benchmark_group("tokenizing");

    group.throughput(Throughput::Bytes(TEXT.len() as u64));
    group.bench_function(format!("one_text/{}_bytes", TEXT.len()), |bencher| {
        bencher.iter(|| tokenizer.encode(black_box(TEXT)).expect("it is encoded"));
    });

    let lines: Vec<&str> = TEXT.lines().filter(|line| !line.is_empty()).collect();
    group.throughput(Throughput::Bytes(lines.iter().map(|line| line.len() as u64).sum()));
    group.bench_function(format!("batch/{}_lines", lines.len()), |bencher| {
        bencher.iter(|| tokenizer.encode_batch(black_box(&lines)).expect("they are encoded"));
    });
    group.finish();
}
