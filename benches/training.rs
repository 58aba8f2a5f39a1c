//! A step of pre-training, and its parts. The kernels of the backward pass are in `kernels`.
//!
//! ```text
//! cargo bench --bench training
//! cargo bench --bench training -- optimizer
//! ```
//!
//! `layer` is a model that applies ALBERT-base's layer once, so that the words' scores are a larger part of it than of a
//! whole model; `base` is ALBERT-base. Throughput is in floating-point operations ("elem/s" are FLOP/s) that a step needs, or in bytes.

#[path = "../examples/measure_training/arithmetic.rs"]
mod arithmetic;
#[path = "common/batches.rs"]
mod batches;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndalbert::heads::PreTrainingHeadParameters;
use ndalbert::ndarray::Array2;
use ndalbert::train::{
    ActivationPolicy, AdamOptions, AdamW, AdamWeightDecay, Lamb, LossOutput, Optimizer,
    PreTrainingLabels, TrainingModel, TrainingOptions, clip_global_norm, global_norm,
};
use ndalbert::{
    AlbertConfig, AlbertForPreTraining, Batch, ConfigFields, Model, ModelParameters, Parameters,
    Precision,
};

/// Sequences and tokens in each.
const SIZES: [(usize, usize); 2] = [(1, 128), (8, 128)];

const POLICIES: [(&str, ActivationPolicy); 2] =
    [("keep", ActivationPolicy::Keep), ("recompute", ActivationPolicy::Recompute)];

/// Every seventh word is to be guessed: some 15 %.
const MASKED_EVERY: usize = 7;

type Tree = ModelParameters<PreTrainingHeadParameters>;

criterion_group! {
    name = training;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = layer, base, packing, clipping, optimizers
}
criterion_main!(training);

fn labels(sequences: usize, length: usize) -> PreTrainingLabels {
    let word = |(i, j): (usize, usize)| {
        let id = 100 + (7919 * i + 104_729 * j) % 10_000;
        if (i + j).is_multiple_of(MASKED_EVERY) { id as i64 } else { -100 }
    };
    PreTrainingLabels {
        masked_lm: Array2::from_shape_fn((sequences, length), word),
        sentence_order: (0..sequences).map(|i| i as i64 % 2).collect(),
    }
}

fn model(config: &AlbertConfig, options: TrainingOptions) -> TrainingModel<AlbertForPreTraining> {
    let parameters = parameters(config, 0);
    TrainingModel::new(config.clone(), parameters, options).expect("a model of random parameters")
}

fn parameters(config: &AlbertConfig, seed: u64) -> Tree {
    AlbertForPreTraining::random_parameters(config, seed).expect("random parameters")
}

fn adamw(config: &AlbertConfig) -> AdamW<Tree> {
    let zeros = || AlbertForPreTraining::zero_parameters(config);
    AdamW::new(AdamOptions::torch(), zeros).expect("options that make sense")
}

/// One application of ALBERT-base's layer, between embeddings and heads.
fn layer(criterion: &mut Criterion) {
    let base = AlbertConfig::base_v2().to_fields();
    let config = AlbertConfig::new(ConfigFields { num_hidden_layers: 1, ..base })
        .expect("a model may have one layer");
    passes(criterion, "layer", &config);
}

/// All of ALBERT-base: some seconds a step at eight sequences.
fn base(criterion: &mut Criterion) {
    passes(criterion, "base", &AlbertConfig::base_v2());
}

/// Forward and backward pass, and a whole step.
fn passes(criterion: &mut Criterion, name: &str, config: &AlbertConfig) {
    let mut group = criterion.benchmark_group(name);
    for precision in [Precision::F32, Precision::Bf16] {
        for (name, activations) in POLICIES {
            let mut model = model(
                config,
                TrainingOptions { precision, activations, ..TrainingOptions::default() },
            );
            let (mut gradients, mut optimizer) = (model.zero_gradients(), adamw(config));
            for (sequences, length) in SIZES {
                let lengths = vec![length; sequences];
                let (batch, labels) = (batches::batch(&lengths), labels(sequences, length));
                let masked = labels.masked_lm.iter().filter(|label| **label >= 0).count();
                let operations = arithmetic::step_operations(config, &lengths, masked);
                group.throughput(Throughput::Elements(operations as u64));
                let size = format!("{precision}/{name}/{sequences}x{length}");
                group.bench_function(BenchmarkId::new("backward", &size), |bencher| {
                    bencher.iter(|| {
                        let batch = black_box(&batch);
                        model.backward(batch, &labels, None, 1.0, &mut gradients).expect("it fits")
                    });
                });
                group.bench_function(BenchmarkId::new("step", &size), |bencher| {
                    bencher.iter(|| {
                        take_step(&mut model, &mut optimizer, &mut gradients, &batch, &labels)
                    });
                });
            }
        }
    }
    group.finish();
}

/// Forward and backward pass, limited gradients, changed parameters.
fn take_step(
    model: &mut TrainingModel<AlbertForPreTraining>,
    optimizer: &mut AdamW<Tree>,
    gradients: &mut Tree,
    batch: &Batch,
    labels: &PreTrainingLabels,
) -> LossOutput {
    gradients.visit_mut("", &mut |_, mut values| values.fill(0.0));
    let loss = model.backward(black_box(batch), labels, None, 1.0, gradients).expect("it fits");
    clip_global_norm(gradients, 1.0).expect("a limit above 0");
    model
        .update(|parameters| optimizer.update(parameters, gradients, 1e-4))
        .expect("finite gradients");
    loss
}

/// Packing the weights after an optimizer's step. Throughput is in bytes of parameters.
fn packing(criterion: &mut Criterion) {
    let config = AlbertConfig::base_v2();
    let mut group = criterion.benchmark_group("pack");
    for precision in [Precision::F32, Precision::Bf16] {
        let mut model = model(&config, TrainingOptions { precision, ..Default::default() });
        group.throughput(Throughput::Bytes(bytes(model.parameters())));
        group.bench_function(BenchmarkId::new(precision.name(), "base"), |bencher| {
            bencher.iter(|| model.update(|_| Ok(())).expect("nothing has changed"));
        });
    }
    group.finish();
}

/// The bytes of a tree's values.
fn bytes(tree: &impl Parameters) -> u64 {
    (tree.parameter_count() * size_of::<f32>()) as u64
}

/// Throughput is in bytes of gradients. They are read for their norm; if that is too large, they are read and written once
/// more.
fn clipping(criterion: &mut Criterion) {
    let gradients = parameters(&AlbertConfig::base_v2(), 1);
    let norm = global_norm(&gradients);
    let mut group = criterion.benchmark_group("clip");
    group.throughput(Throughput::Bytes(bytes(&gradients)));
    for (name, limit) in [("short_enough", 2.0 * norm), ("too_long", norm / 2.0)] {
        let id = BenchmarkId::new(name, gradients.parameter_count());
        group.bench_function(id, |bencher| {
            bencher.iter_batched_ref(
                || gradients.clone(),
                |gradients| clip_global_norm(gradients, limit).expect("a limit above 0"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// On the parameters of ALBERT-base, some 12 million. Throughput is in bytes that must be read or written: gradients are
/// read, parameters and two moments read and written.
fn optimizers(criterion: &mut Criterion) {
    let config = AlbertConfig::base_v2();
    let (mut parameters, gradients) = (parameters(&config, 0), parameters(&config, 1));
    let zeros = || AlbertForPreTraining::zero_parameters(&config);
    let (torch, google) = (AdamOptions::torch(), AdamOptions::google());
    let sensible = "options that make sense";
    let adamw = AdamW::new(torch, zeros).expect(sensible);
    let adam_weight_decay = AdamWeightDecay::new(google.clone(), zeros).expect(sensible);
    let lamb = Lamb::new(google, zeros).expect(sensible);
    let optimizers: [(&str, Box<dyn Optimizer<Tree>>); 3] = [
        ("adamw", Box::new(adamw)),
        ("adam_weight_decay", Box::new(adam_weight_decay)),
        ("lamb", Box::new(lamb)),
    ];
    let mut group = criterion.benchmark_group("optimizer");
    group.throughput(Throughput::Bytes(7 * bytes(&parameters)));
    for (name, mut optimizer) in optimizers {
        group.bench_function(BenchmarkId::new(name, gradients.parameter_count()), |bencher| {
            bencher.iter(|| {
                optimizer.update(&mut parameters, black_box(&gradients), 1e-6).expect("they fit");
            });
        });
    }
    group.finish();
}
