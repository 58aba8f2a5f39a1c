//! Options of a trainer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::train::Schedule;

/// How often something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Not at all.
    Never,
    /// After every given number of steps.
    Steps(u64),
    /// At the end of every epoch.
    Epoch,
}

impl Interval {
    pub(super) fn is_due(self, step: u64, epoch_has_ended: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Steps(steps) => step.is_multiple_of(steps),
            Self::Epoch => epoch_has_ended,
        }
    }

    /// Whether it may be due after a step, of which it is not known whether an epoch ends with it.
    pub(super) fn may_be_due(self, step: u64) -> bool {
        self.is_due(step, true)
    }
}

/// Options of a [`Trainer`](super::Trainer). Names follow transformers' `TrainingArguments` where possible.
///
/// Use `..TrainerOptions::new(schedule)`, so that code still compiles when fields are added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerOptions {
    /// The learning rate of every step. The schedule uses the trainer's step, including skipped ones.
    pub schedule: Schedule,
    /// The number of steps.
    pub max_steps: Option<u64>,
    /// The number of epochs, if `max_steps` is not reached before. One of both must be set.
    pub num_train_epochs: Option<u64>,
    /// Batches per step (gradient accumulation). Loss and gradients are means over them; they are processed one after the other, so a step needs the memory of one. A step does not cross the end of an epoch, so the last one may have fewer.
    pub gradient_accumulation_steps: usize,
    /// The maximum norm of all gradients except those of frozen parameters; `None` for no limit.
    pub max_grad_norm: Option<f64>,
    /// The seed of dropout, combined with the numbers of step and batch. Data has its own seeds.
    pub seed: u64,
    /// When to evaluate.
    pub evaluate: Interval,
    /// The directory of checkpoints; `None` saves none.
    pub output_dir: Option<PathBuf>,
    /// When to save a checkpoint, in addition to each best evaluation and the end.
    pub save: Interval,
    /// The number of checkpoints to keep, in addition to the best; `None` keeps all. None is removed right after a skipped step.
    pub save_total_limit: Option<usize>,
    /// The metric that determines the best evaluation: a name in [`EvaluationMetrics`](super::EvaluationMetrics).
    pub metric_for_best_model: String,
    /// Whether the highest value of the metric is the best; otherwise the lowest.
    pub greater_is_better: bool,
    /// Early stopping: the number of consecutive evaluations without improvement after which training ends.
    pub early_stopping_patience: Option<u64>,
    /// The maximum number of consecutive steps that are skipped because loss or gradients are not finite; one more is an error.
    pub max_skipped_steps: u64,
    /// Whether training may resume from a checkpoint with other options or another instruction set.
    pub allow_changed_options: bool,
}

impl TrainerOptions {
    /// One batch per step, gradients clipped to a norm of 1, no evaluation, no checkpoints, up to two consecutive skipped steps, seed 42. The number of steps or epochs must still be set.
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            max_steps: None,
            num_train_epochs: None,
            gradient_accumulation_steps: 1,
            max_grad_norm: Some(1.0),
            seed: 42,
            evaluate: Interval::Never,
            output_dir: None,
            save: Interval::Never,
            save_total_limit: None,
            metric_for_best_model: "loss".to_owned(),
            greater_is_better: false,
            early_stopping_patience: None,
            max_skipped_steps: 2,
            allow_changed_options: false,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse =
            |what: &str, expected: &str, found: &str| Err(Error::input(what, expected, found));
        if self.max_steps.is_none() && self.num_train_epochs.is_none() {
            return refuse("max_steps or num_train_epochs", "a number", "neither");
        }
        if self.gradient_accumulation_steps == 0 {
            return refuse("gradient_accumulation_steps", "at least 1", "0");
        }
        if let Some(norm) = self.max_grad_norm.filter(|norm| norm.is_nan() || *norm <= 0.0) {
            return refuse("max_grad_norm", "a number above 0", &norm.to_string());
        }
        for (what, interval) in [("evaluate", self.evaluate), ("save", self.save)] {
            if interval == Interval::Steps(0) {
                return refuse(what, "at least 1 step", "0");
            }
        }
        if self.save_total_limit == Some(0) {
            return refuse("save_total_limit", "at least 1", "0");
        }
        if self.save != Interval::Never && self.output_dir.is_none() {
            return refuse("output_dir", "a directory for the checkpoints", "none");
        }
        match self.early_stopping_patience {
            Some(0) => refuse("early_stopping_patience", "at least 1", "0"),
            Some(_) if self.evaluate == Interval::Never => {
                refuse("evaluate", "an interval, for early_stopping_patience", "never")
            }
            _ => Ok(()),
        }
    }
}
