//! The options that all examples of fine-tuning have.

use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use ndalbert::Precision;
use ndalbert::checkpoint::DType;
use ndalbert::train::{ActivationPolicy, Decay, Interval, Schedule, TrainerOptions};

use super::Failure;
use super::exits::{self, ExitOptions};
use super::output::{Output, dtype};

/// What suits published checkpoints: a rate between the paper's, 1e-5 to 5e-5.
const EPOCHS: u64 = 3;
const RATE: f64 = 2e-5;

/// The defaults of an example.
pub struct Defaults {
    /// What it is called.
    pub example: &'static str,
    /// The checkpoint that it begins with; nothing for a new model.
    pub model: Option<&'static str>,
    /// Passes over its examples, and ...
    pub epochs: u64,
    /// ... the rate, with that model.
    pub rate: f64,
    /// Whether the model may have exits.
    pub has_exits: bool,
}

pub struct Options {
    pub train: Option<PathBuf>,
    pub validation: Option<PathBuf>,
    /// Whether records that cannot be used are skipped.
    pub skip_bad: bool,
    /// Without one, a new model is made.
    pub model: Option<PathBuf>,
    pub output: Output,
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
    pub dtype: DType,
    pub activations: ActivationPolicy,
    pub exits: ExitOptions,
    pub seed: u64,
}

impl Defaults {
    /// The lines of help for the options that all examples have.
    pub fn help(&self) -> String {
        let Self { example, model, epochs, rate, has_exits } = self;
        let exits = if *has_exits { exits::HELP } else { "" };
        let model = if model.is_some() { "the one in this repository" } else { "a new, small one" };
        format!(
            "\
\x20 --train FILE        training examples
  --validation FILE   evaluation examples, never trained on; without --train,
                      --model is only evaluated
  --skip-bad          skip and report unusable records; otherwise the first one
                      is an error
  --model DIR         the checkpoint to start from
                      [default: {model}]
  --output DIR        receives the model, its vocabulary, checkpoints,
                      metrics.jsonl and learning-curve.svg; needed with --train
                      [default: target/{example}, emptied]
  --resume            continue from the last checkpoint in it
  --epochs N          passes over the examples
                      [default: {epochs}; with --model {EPOCHS}]
  --steps N           number of updates, instead of epochs
  --batch N           examples per batch [default: 16]
  --accumulation N    batches per update [default: 1]
  --rate R            the highest learning rate
                      [default: {rate:e}; with --model {RATE:e}]
  --warmup SHARE      share of updates for the warm-up [default: 0.1]
  --weight-decay W    [default: 0.01]
  --max-length N      maximum length of an example, in tokens [default: 128]
  --dropout P         dropout of hidden states and attention
                      [default: the config's; 0.1 in a new model]
  --every N           updates between evaluations [default: every epoch]
  --patience N        stop after N evaluations without improvement
  --precision P       precision of matrix products, f32 or bf16 [default: f32]
  --dtype D           type of the saved weights, f32, f16 or bf16
                      [default: f32]
  --recompute         keep one layer's activations at a time
{exits}  --seed N            seed of order, dropout and new weights [default: 1]
  --help
"
        )
    }
}

impl Options {
    /// Those of the arguments, of which `own` takes those that are the example's own; nothing if the user asks for help.
    pub fn parse(
        defaults: Defaults,
        mut arguments: lexopt::Parser,
        mut own: impl FnMut(&str, &mut lexopt::Parser) -> Result<bool, Failure>,
    ) -> Result<Option<Self>, Failure> {
        let Defaults { example, model, epochs, rate, has_exits } = defaults;
        let mut options = Self::new(example);
        let (mut own_epochs, mut own_rate) = (None, None);
        while let Some(argument) = arguments.next()? {
            let name = match &argument {
                Long(name) => (*name).to_owned(),
                _ => return Err(argument.unexpected().into()),
            };
            match name.as_str() {
                "help" => return Ok(None),
                "epochs" => own_epochs = Some(arguments.value()?.parse()?),
                "rate" => own_rate = Some(arguments.value()?.parse()?),
                name if own(name, &mut arguments)? || options.take(name, &mut arguments)? => {}
                name if has_exits && options.exits.take(name, &mut arguments)? => {}
                name => return Err(format!("invalid option '--{name}'").into()),
            }
        }
        match (&options.train, &options.validation, &options.output) {
            (Some(_), None, _) | (Some(_), _, Output::Own(_)) => {
                return Err("--train, --validation and --output go together".into());
            }
            (None, Some(_), _) if options.model.is_none() => {
                return Err("--validation without --train is what a --model is evaluated on".into());
            }
            _ => {}
        }
        let of_model = if options.model.is_some() { (EPOCHS, RATE) } else { (epochs, rate) };
        options.model = options.model.or(model.map(PathBuf::from));
        options.epochs = own_epochs.unwrap_or(of_model.0);
        options.rate = own_rate.unwrap_or(of_model.1);
        Ok(Some(options))
    }

    fn new(example: &str) -> Self {
        Self {
            train: None,
            validation: None,
            skip_bad: false,
            model: None,
            output: Output::of(example),
            resume: false,
            epochs: EPOCHS,
            steps: None,
            batch: 16,
            accumulation: 1,
            rate: RATE,
            warmup: 0.1,
            weight_decay: 0.01,
            max_length: 128,
            dropout: None,
            every: None,
            patience: None,
            precision: Precision::F32,
            dtype: DType::F32,
            activations: ActivationPolicy::Keep,
            exits: ExitOptions::default(),
            seed: 1,
        }
    }

    /// Takes an option if it is one that all examples have.
    fn take(&mut self, name: &str, arguments: &mut lexopt::Parser) -> Result<bool, Failure> {
        match name {
            "train" => self.train = Some(arguments.value()?.into()),
            "validation" => self.validation = Some(arguments.value()?.into()),
            "skip-bad" => self.skip_bad = true,
            "model" => self.model = Some(arguments.value()?.into()),
            "output" => self.output = Output::Given(arguments.value()?.into()),
            "resume" => self.resume = true,
            "steps" => self.steps = Some(arguments.value()?.parse()?),
            "batch" => self.batch = arguments.value()?.parse()?,
            "accumulation" => self.accumulation = arguments.value()?.parse()?,
            "warmup" => self.warmup = arguments.value()?.parse()?,
            "weight-decay" => self.weight_decay = arguments.value()?.parse()?,
            "max-length" => self.max_length = arguments.value()?.parse()?,
            "dropout" => self.dropout = Some(arguments.value()?.parse()?),
            "every" => self.every = Some(arguments.value()?.parse()?),
            "patience" => self.patience = Some(arguments.value()?.parse()?),
            "precision" => self.precision = arguments.value()?.parse()?,
            "dtype" => self.dtype = arguments.value()?.parse_with(dtype)?,
            "recompute" => self.activations = ActivationPolicy::Recompute,
            "seed" => self.seed = arguments.value()?.parse()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The files to learn from (none if a model is only to be evaluated) and to evaluate on: those that were given, or two of
    /// the data that comes with this crate.
    pub fn files(&self, directory: &str, names: [&str; 2]) -> (Option<PathBuf>, PathBuf) {
        if let Some(validation) = &self.validation {
            return (self.train.clone(), validation.clone());
        }
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(directory);
        let [train, validation] = names.map(|name| data.join(name));
        (Some(train), validation)
    }

    /// Whether a model is to be evaluated, and not trained.
    pub fn only_evaluates(&self) -> bool {
        self.train.is_none() && self.validation.is_some()
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
            gradient_accumulation_steps: self.accumulation,
            seed: self.seed,
            evaluate: interval,
            save: interval,
            save_total_limit: Some(1),
            metric_for_best_model: metric.to_owned(),
            greater_is_better: metric != "loss",
            early_stopping_patience: self.patience,
            ..TrainerOptions::new(schedule)
        })
    }
}
