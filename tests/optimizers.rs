//! Optimizers and schedules against PyTorch, google-research's formulas, and transformers
//! (`tests/golden/make_optimizers.py`), and that they resume bit-identically from their saved state.

use std::path::{Path, PathBuf};

use ndalbert::checkpoint::{Checkpoint, write_safetensors};
use ndalbert::train::{
    AdamOptions, AdamW, AdamWeightDecay, Decay, Lamb, Optimizer, ParameterGroup, Schedule,
    clip_global_norm,
};
use ndalbert::{AlbertConfig, AlbertForPreTraining, ConfigFields, Model, Parameters};
use ndarray::{ArrayViewD, ShapeBuilder};

type Tree = <AlbertForPreTraining as Model>::Parameters;

/// The largest difference from the reference, relative to a value, or to its parameter's root mean square if that is
/// more. The mistakes that the script plants are at least fifty times as far away.
const TOLERANCE: f64 = 1e-5;

/// How many times the tolerance a mistake that is planted here must be away.
const MARGIN: f64 = 50.0;

/// The largest difference of learning rates of the order of 1e-3: a few roundings in double precision.
const RATE_TOLERANCE: f64 = 1e-17;

const STEPS: u64 = 20;
const WARMUP_STEPS: u64 = 4;
const TOTAL_STEPS: u64 = 30;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/optimizers").join(file)
}

fn trajectories() -> Checkpoint {
    Checkpoint::open(golden("trajectories.safetensors")).unwrap()
}

/// The script's model.
fn zeros() -> Tree {
    let config = AlbertConfig::new(ConfigFields {
        vocab_size: 11,
        embedding_size: 4,
        hidden_size: 6,
        num_attention_heads: 2,
        num_hidden_layers: 2,
        intermediate_size: 9,
        max_position_embeddings: 5,
        ..ConfigFields::default()
    });
    AlbertForPreTraining::zero_parameters(&config.unwrap())
}

/// The tree whose arrays the file has under a prefix.
fn read(file: &Checkpoint, prefix: &str) -> Tree {
    let mut tree = zeros();
    tree.visit_mut(prefix, &mut |name, values| file.read_into(name, values).unwrap());
    tree
}

fn arrays(tree: &Tree) -> Vec<(String, ArrayViewD<'_, f32>)> {
    let mut arrays = Vec::new();
    tree.visit("", &mut |name, values| arrays.push((name.to_owned(), values)));
    arrays
}

/// The script's options: a decay that is strong enough to show.
fn torch() -> AdamOptions {
    AdamOptions { weight_decay: 0.1, ..AdamOptions::torch() }
}

fn google() -> AdamOptions {
    AdamOptions { weight_decay: 0.1, ..AdamOptions::google() }
}

/// What is to be compared with one of the script's trajectories.
struct Trainer {
    optimizer: Box<dyn Optimizer<Tree>>,
    schedule: Schedule,
    max_norm: f64,
}

impl Trainer {
    fn adamw(options: AdamOptions) -> Self {
        Self::new(2e-3, AdamW::new(options, zeros).unwrap())
    }

    fn adam_weight_decay(options: AdamOptions) -> Self {
        Self::new(2e-3, AdamWeightDecay::new(options, zeros).unwrap())
    }

    fn lamb(options: AdamOptions) -> Self {
        Self::new(2e-2, Lamb::new(options, zeros).unwrap())
    }

    fn new(rate: f64, optimizer: impl Optimizer<Tree> + 'static) -> Self {
        let decay = Decay::Linear { total_steps: TOTAL_STEPS };
        let schedule = Schedule::new(rate, WARMUP_STEPS, decay).unwrap();
        Self { optimizer: Box::new(optimizer), schedule, max_norm: 1.0 }
    }

    fn step(&mut self, file: &Checkpoint, weights: &mut Tree, step: u64) {
        let mut gradients = read(file, &format!("gradient.{step}"));
        clip_global_norm(&mut gradients, self.max_norm).unwrap();
        self.optimizer.update(weights, &gradients, self.schedule.rate_at(step)).unwrap();
    }

    /// The weights after all steps.
    fn run(&mut self, file: &Checkpoint) -> Tree {
        let mut weights = read(file, "initial");
        (0..STEPS).for_each(|step| self.step(file, &mut weights, step));
        weights
    }
}

/// The largest difference, in units of the tolerance.
fn distance(found: &Tree, expected: &Tree) -> f64 {
    let mut worst: f64 = 0.0;
    for ((name, found), (_, expected)) in arrays(found).into_iter().zip(arrays(expected)) {
        let square: f64 = expected.iter().map(|&value| f64::from(value).powi(2)).sum();
        let typical = (square / expected.len() as f64).sqrt();
        for (&found, &expected) in found.iter().zip(&expected) {
            assert!(found.is_finite(), "{name}: {found}");
            let difference = (f64::from(found) - f64::from(expected)).abs();
            if difference > 0.0 {
                worst = worst.max(difference / f64::from(expected.abs()).max(typical));
            }
        }
    }
    worst / TOLERANCE
}

/// All three optimizers as they are meant to be, by their trajectories' names.
fn trainers() -> [(&'static str, Trainer); 3] {
    [
        ("adamw", Trainer::adamw(torch())),
        ("adam_weight_decay", Trainer::adam_weight_decay(google())),
        ("lamb", Trainer::lamb(google())),
    ]
}

#[test]
fn twenty_steps_end_where_the_references_do() {
    let file = trajectories();
    for (name, mut trainer) in trainers() {
        let weights = trainer.run(&file);
        let state = trainer.optimizer.state();
        assert_eq!(state.step, STEPS);
        for (tree, found) in [("weights", &weights)].into_iter().chain(state.moments) {
            let distance = distance(found, &read(&file, &format!("{name}.{tree}")));
            println!("{name}, {tree}: {distance:.3} × the tolerance");
            assert!(distance <= 1.0, "{name}, {tree}: {distance} × the tolerance");
        }
    }
}

#[test]
fn mistakes_end_elsewhere() {
    let all_decay = ParameterGroup { weight_decay: None, ..ParameterGroup::without_decay() };
    let all_adapt = ParameterGroup { trust_ratio: true, ..ParameterGroup::without_decay() };
    let with =
        |group: &ParameterGroup, options| AdamOptions { groups: vec![group.clone()], ..options };
    let swapped = |options| AdamOptions { beta1: 0.999, beta2: 0.9, ..options };
    let unclipped = |trainer| Trainer { max_norm: f64::INFINITY, ..trainer };
    let constant = Schedule::new(2e-3, WARMUP_STEPS, Decay::Constant).unwrap();
    let not_decayed = |trainer| Trainer { schedule: constant, ..trainer };
    let file = trajectories();
    for (mistake, name, mut trainer) in [
        ("no bias correction", "adamw", Trainer::adam_weight_decay(torch())),
        ("google's epsilon", "adamw", Trainer::adamw(google())),
        ("decay everywhere", "adamw", Trainer::adamw(with(&all_decay, torch()))),
        ("no clipping", "adamw", unclipped(Trainer::adamw(torch()))),
        ("betas swapped", "adamw", Trainer::adamw(swapped(torch()))),
        ("no decay of the rate", "adamw", not_decayed(Trainer::adamw(torch()))),
        ("bias correction", "adam_weight_decay", Trainer::adamw(google())),
        ("torch's epsilon", "adam_weight_decay", Trainer::adam_weight_decay(torch())),
        ("decay everywhere", "lamb", Trainer::lamb(with(&all_decay, google()))),
        ("trust ratio everywhere", "lamb", Trainer::lamb(with(&all_adapt, google()))),
        ("torch's epsilon", "lamb", Trainer::lamb(torch())),
        ("no clipping", "lamb", unclipped(Trainer::lamb(google()))),
    ] {
        let distance = distance(&trainer.run(&file), &read(&file, &format!("{name}.weights")));
        println!("{name}, {mistake}: {distance:.0} × the tolerance");
        assert!(distance >= MARGIN, "{name}, {mistake}: {distance}");
    }
}

/// Saves a state as a trainer would: all arrays in one file, by the moment's name and their own.
fn save(optimizer: &dyn Optimizer<Tree>, path: &Path) -> u64 {
    let state = optimizer.state();
    let mut tensors = Vec::new();
    for (moment, tree) in state.moments {
        tree.visit(moment, &mut |name, values| tensors.push((name.to_owned(), values)));
    }
    write_safetensors(path, tensors).unwrap();
    state.step
}

fn restore(optimizer: &mut dyn Optimizer<Tree>, step: u64, path: &Path) {
    let file = Checkpoint::open(path).unwrap();
    let names: Vec<&str> = optimizer.state().moments.iter().map(|(name, _)| *name).collect();
    let moments = names.into_iter().map(|name| (name, read(&file, name))).collect();
    optimizer.restore(step, moments).unwrap();
}

#[test]
fn what_is_restored_goes_on_as_if_it_had_never_stopped() {
    let (file, directory) = (trajectories(), tempfile::tempdir().unwrap());
    let path = directory.path().join("optimizer.safetensors");
    for ((name, mut unbroken), ((_, mut first), (_, mut second))) in
        trainers().into_iter().zip(trainers().into_iter().zip(trainers()))
    {
        let mut weights = read(&file, "initial");
        (0..STEPS / 2).for_each(|step| first.step(&file, &mut weights, step));
        let step = save(first.optimizer.as_ref(), &path);
        restore(second.optimizer.as_mut(), step, &path);
        (STEPS / 2..STEPS).for_each(|step| second.step(&file, &mut weights, step));
        assert_eq!(weights, unbroken.run(&file), "{name}");
        let (found, expected) = (second.optimizer.state(), unbroken.optimizer.state());
        assert_eq!((found.step, found.moments), (expected.step, expected.moments), "{name}");
    }
}

#[test]
fn neither_threads_nor_memory_layout_change_a_bit() {
    let file = trajectories();
    for ((name, mut one), ((_, mut four), (_, mut columns))) in
        trainers().into_iter().zip(trainers().into_iter().zip(trainers()))
    {
        let run = |threads, trainer: &mut Trainer| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| trainer.run(&file))
        };
        let expected = run(1, &mut one);
        assert_eq!(run(4, &mut four), expected, "{name}");
        let mut weights = by_columns(&read(&file, "initial"));
        (0..STEPS).for_each(|step| columns.step(&file, &mut weights, step));
        assert_eq!(weights, expected, "{name}");
    }
}

/// The same weights, with one table column by column in memory.
fn by_columns(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    let table = &mut tree.albert.embeddings.word_embeddings;
    let mut columns = ndarray::Array2::zeros(table.dim().f());
    columns.assign(table);
    *table = columns;
    tree
}

/// transformers' and google-research's rates, for every step.
#[derive(serde::Deserialize)]
struct Rates {
    source: String,
    schedule: Schedule,
    rates: Vec<f64>,
}

#[test]
fn rates_are_those_of_the_references() {
    let json = std::fs::read(golden("schedules.json")).unwrap();
    let cases: Vec<Rates> = serde_json::from_slice(&json).unwrap();
    assert_eq!(cases.len(), 24);
    for Rates { source, schedule, rates } in cases {
        assert_eq!(rates.len(), 24);
        for (step, &expected) in (0..).zip(&rates) {
            let found = schedule.rate_at(step);
            let close = (found - expected).abs() <= RATE_TOLERANCE;
            assert!(close, "{source} {schedule:?} at {step}: expected {expected}, found {found}");
        }
    }
}
