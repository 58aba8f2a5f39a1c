//! What fine-tuning is in every example: a checkpoint in, a better one out, with progress, a learning curve and checkpoints.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use ndalbert::train::datasets::{Dataset, DatasetOptions, Features};
use ndalbert::train::{
    ActivationPolicy, AdamOptions, AdamW, Decay, Interval, MetricsLog, Schedule, StopReason,
    TrainableModel, Trainer, TrainerOptions, TrainingModel, TrainingOptions,
};
use ndalbert::{AlbertConfig, LoadOptions, PreTrainedModel, Precision};

use super::cli::Failure;
use super::progress::{Progress, on_interrupt};
use super::tokenizer_files::copy_tokenizer;

/// The options that all of these examples have.
pub const HELP: &str = "\
  --model DIR         the checkpoint to begin with
  --output DIR        receives the model, its vocabulary, checkpoints,
                      metrics.jsonl and learning-curve.svg
  --resume            go on from the last checkpoint in there
  --epochs N          passes over the examples
  --steps N           updates, instead
  --batch N           examples in a batch
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
    pub model: PathBuf,
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
    pub fn new(example: &str, model: &str, epochs: u64, rate: f64) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self {
            model: root.join(model),
            output: root.join("target").join(example),
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
            "model" => self.model = arguments.value()?.into(),
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

    /// A checkpoint's configuration, with the dropout that is wanted and whatever else `change` does, and its parameters.
    pub fn load<M: TrainableModel + PreTrainedModel>(
        &self,
        load: LoadOptions,
        change: impl FnOnce(&mut ndalbert::ConfigFields),
    ) -> Result<(AlbertConfig, M::Parameters), Failure> {
        let load = load.seed(self.seed);
        let (config, parameters, report) = M::load_parameters(&self.model, &load)?;
        if !report.is_clean() {
            eprintln!("{report}");
        }
        let mut fields = config.to_fields();
        if let Some(rate) = self.dropout {
            (fields.hidden_dropout_prob, fields.attention_probs_dropout_prob) = (rate, rate);
        }
        change(&mut fields);
        Ok((AlbertConfig::new(fields)?, parameters))
    }

    fn steps(&self, per_epoch: usize) -> u64 {
        let per_epoch = per_epoch.div_ceil(self.accumulation.max(1)) as u64;
        self.steps.unwrap_or(self.epochs * per_epoch)
    }

    fn trainer(&self, total_steps: u64, metric: &str) -> Result<TrainerOptions, Failure> {
        let warmup = (self.warmup * total_steps as f64) as u64;
        let schedule = Schedule::new(self.rate, warmup, Decay::Linear { total_steps })?;
        Ok(TrainerOptions {
            max_steps: Some(total_steps),
            gradient_accumulation_steps: self.accumulation,
            seed: self.seed,
            evaluate: self.every.map_or(Interval::Epoch, Interval::Steps),
            output_dir: Some(self.output.clone()),
            save: self.every.map_or(Interval::Epoch, Interval::Steps),
            save_total_limit: Some(1),
            metric_for_best_model: metric.to_owned(),
            greater_is_better: metric != "loss",
            early_stopping_patience: self.patience,
            ..TrainerOptions::new(schedule)
        })
    }
}

/// Fine-tunes on some examples, evaluates on others, and leaves the best model in the output directory; returns its parameters.
pub fn finetune<M, F>(
    options: &Options,
    (config, parameters): (AlbertConfig, M::Parameters),
    (train, validation): (Vec<F>, Vec<F>),
    metric: &str,
    out: &mut dyn Write,
) -> Result<Option<M::Parameters>, Failure>
where
    M: TrainableModel + PreTrainedModel,
    F: Features<Labels = M::Labels>,
{
    let output = &options.output;
    fs::create_dir_all(output).map_err(|error| format!("{}: {error}", output.display()))?;
    copy_tokenizer(&options.model, output)?;
    writeln!(out, "{} examples to train on, {} held out", train.len(), validation.len())?;
    let of_data =
        DatasetOptions { batch_size: options.batch, seed: options.seed, ..Default::default() };
    let train = Dataset::new(train, of_data)?;
    let validation = Dataset::new(validation, DatasetOptions { shuffle: false, ..of_data })?;
    let total_steps = options.steps(train.batches_per_epoch());

    let training =
        TrainingOptions { precision: options.precision, activations: options.activations };
    let model = TrainingModel::<M>::new(config.clone(), parameters, training)?;
    let adam = AdamOptions { weight_decay: options.weight_decay, ..AdamOptions::torch() };
    let optimizer = AdamW::new(adam, || model.zero_gradients())?;
    let progress = Progress::new(total_steps, output.join("learning-curve.svg"), on_interrupt()?);
    let progress = RefCell::new(progress);
    let mut log = MetricsLog::open(output.join("metrics.jsonl"))?;
    let mut trainer = Trainer::new(model, optimizer, train, options.trainer(total_steps, metric)?)?
        .evaluate_on(validation)?
        .on_event(|event| {
            log.record(event)?;
            progress.borrow_mut().event(event)
        });
    if options.resume
        && let Some(checkpoint) = trainer.resume()?
    {
        writeln!(out, "going on from {}", checkpoint.display())?;
    }
    let before = trainer.evaluate()?;
    let outcome = trainer.train()?;
    let last = trainer.evaluate()?;
    let parameters = trainer.into_model().into_parameters();
    progress.into_inner().finish()?;
    if outcome.reason == StopReason::Hook {
        writeln!(out, "stopped after step {}; --resume goes on", outcome.step)?;
        return Ok(None);
    }
    let shown = |metrics: &std::collections::BTreeMap<String, f64>| {
        metrics
            .iter()
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    writeln!(out, "held out, before: {}", shown(&before.metrics))?;
    writeln!(out, "held out, after:  {}", shown(&last.metrics))?;
    let parameters = match outcome.best {
        Some(best) if best.step != outcome.step => {
            writeln!(out, "best after step {}: {metric} {:.4}", best.step, best.metric)?;
            let checkpoint = output.join(format!("checkpoint-{}", best.step));
            M::load_parameters(checkpoint, &LoadOptions::new())?.1
        }
        _ => parameters,
    };
    M::save_parameters(output, &config, &parameters)?;
    writeln!(out, "saved to {}", output.display())?;
    Ok(Some(parameters))
}
