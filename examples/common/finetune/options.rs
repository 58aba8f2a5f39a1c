//! The options that all examples of fine-tuning have.

use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use ndalbert::Precision;
use ndalbert::train::{ActivationPolicy, Decay, Interval, Schedule, TrainerOptions};

use super::Failure;

pub const HELP: &str = "\
  --train FILE        examples to learn from
  --validation FILE   examples to evaluate on, and never to learn from
  --model DIR         the checkpoint to begin with
  --output DIR        receives the model, its vocabulary, checkpoints,
                      metrics.jsonl and learning-curve.svg
                      [default: target/ and the example's name]
  --resume            go on from the last checkpoint in there
  --epochs N          passes over the examples
  --steps N           updates, instead
  --batch N           examples in a batch [default: 16]
  --accumulation N    batches in an update [default: 1]
  --rate R            the highest learning rate
  --warmup SHARE      of the updates, until it is reached [default: 0.1]
  --weight-decay W    [default: 0.01]
  --max-length N      tokens of an example, at most; the rest is cut off
  --dropout P         of hidden states and attention [default: the config's]
  --every N           updates between evaluations [default: every epoch]
  --patience N        stop after N evaluations that are no better than the best
  --precision P       of matrix products, f32 or bf16 [default: f32]
  --recompute         keep one layer's activations at a time
  --seed N            of order, dropout and new weights [default: 1]
  --help
";

pub struct Options {
    pub train: Option<PathBuf>,
    pub validation: Option<PathBuf>,
    /// Without one, a new model is made.
    pub model: Option<PathBuf>,
    pub output: PathBuf,
    pub resume: bool,
    pub epochs: u64,
    pub steps: Option<u64>,
    pub batch: usize,
    pub accumulation: usize,
    pub rate: f64,
    pub warmup: f64,
    pub weight_decay: f64,
    pub max_length: usize,
    pub dropout: Option<f64>,
    pub every: Option<u64>,
    pub patience: Option<u64>,
    pub precision: Precision,
    pub activations: ActivationPolicy,
    pub seed: u64,
}

impl Options {
    /// With the defaults of an example of that name.
    pub fn new(example: &str, epochs: u64, rate: f64) -> Self {
        Self {
            train: None,
            validation: None,
            model: None,
            output: Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(example),
            resume: false,
            epochs,
            steps: None,
            batch: 16,
            accumulation: 1,
            rate,
            warmup: 0.1,
            weight_decay: 0.01,
            max_length: 128,
            dropout: None,
            every: None,
            patience: None,
            precision: Precision::F32,
            activations: ActivationPolicy::Keep,
            seed: 1,
        }
    }

    /// Takes an option if it is one of those that all examples have.
    pub fn take(
        &mut self,
        argument: &str,
        arguments: &mut lexopt::Parser,
    ) -> Result<bool, Failure> {
        match argument {
            "train" => self.train = Some(arguments.value()?.into()),
            "validation" => self.validation = Some(arguments.value()?.into()),
            "model" => self.model = Some(arguments.value()?.into()),
            "output" => self.output = arguments.value()?.into(),
            "resume" => self.resume = true,
            "epochs" => self.epochs = arguments.value()?.parse()?,
            "steps" => self.steps = Some(arguments.value()?.parse()?),
            "batch" => self.batch = arguments.value()?.parse()?,
            "accumulation" => self.accumulation = arguments.value()?.parse()?,
            "rate" => self.rate = arguments.value()?.parse()?,
            "warmup" => self.warmup = arguments.value()?.parse()?,
            "weight-decay" => self.weight_decay = arguments.value()?.parse()?,
            "max-length" => self.max_length = arguments.value()?.parse()?,
            "dropout" => self.dropout = Some(arguments.value()?.parse()?),
            "every" => self.every = Some(arguments.value()?.parse()?),
            "patience" => self.patience = Some(arguments.value()?.parse()?),
            "precision" => self.precision = arguments.value()?.parse()?,
            "recompute" => self.activations = ActivationPolicy::Recompute,
            "seed" => self.seed = arguments.value()?.parse()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The files to learn from and to evaluate on: those that were given, or two of the data that comes with this crate.
    pub fn files(&self, data: &str, names: [&str; 2]) -> Result<[PathBuf; 2], Failure> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(data);
        match (&self.train, &self.validation) {
            (Some(train), Some(validation)) => Ok([train.clone(), validation.clone()]),
            (None, None) => Ok(names.map(|name| data.join(name))),
            _ => Err("--train and --validation go together".into()),
        }
    }

    /// How many updates there are, of that many batches in an epoch.
    pub(super) fn total_steps(&self, batches_per_epoch: usize) -> u64 {
        let per_epoch = batches_per_epoch.div_ceil(self.accumulation.max(1)) as u64;
        self.steps.unwrap_or_else(|| self.epochs.saturating_mul(per_epoch))
    }

    /// What the trainer is told.
    pub(super) fn trainer(
        &self,
        total_steps: u64,
        metric: &str,
    ) -> Result<TrainerOptions, Failure> {
        let warmup = (self.warmup * total_steps as f64) as u64;
        let schedule = Schedule::new(self.rate, warmup, Decay::Linear { total_steps })?;
        let interval = self.every.map_or(Interval::Epoch, Interval::Steps);
        Ok(TrainerOptions {
            max_steps: Some(total_steps),
            gradient_accumulation_steps: self.accumulation,
            seed: self.seed,
            evaluate: interval,
            output_dir: Some(self.output.clone()),
            save: interval,
            save_total_limit: Some(1),
            metric_for_best_model: metric.to_owned(),
            greater_is_better: metric != "loss",
            early_stopping_patience: self.patience,
            ..TrainerOptions::new(schedule)
        })
    }
}
