//! Events of a trainer.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::train::LossOutput;

/// An event in training.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Training begins or resumes.
    Started {
        /// The number of steps before.
        step: u64,
    },
    /// A step was done.
    Step(&'a StepMetrics),
    /// An evaluation was done.
    Evaluation(&'a EvaluationMetrics),
    /// A checkpoint was saved.
    Checkpoint {
        /// The step that it was saved after.
        step: u64,
        /// Its directory.
        path: &'a Path,
    },
}

/// Receives events, and decides whether to continue.
pub(super) type Hook<'a> = Box<dyn FnMut(&Event<'_>) -> Result<ControlFlow<()>> + 'a>;

/// A step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StepMetrics {
    /// Its number, from 1.
    pub step: u64,
    /// The number of the epoch, from 0.
    pub epoch: u64,
    /// The loss before the step: means over its batches, sums of what was right and what counts.
    pub loss: LossOutput,
    /// The norm of all gradients except those of frozen parameters, before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Whether the step was skipped because loss or gradients were not finite.
    pub is_skipped: bool,
    /// The number of tokens processed, without padding.
    pub tokens: u64,
    /// How long it took, reading data included.
    pub seconds: f64,
}

impl StepMetrics {
    /// The number of tokens processed per second.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
}

/// An evaluation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EvaluationMetrics {
    /// The number of steps before it.
    pub step: u64,
    /// By name: `loss`, and `accuracy` where the loss has classes; of models with several heads, these for each, as `masked_lm_loss`; and
    /// what [`Trainer::with_metrics`](super::Trainer::with_metrics) adds.
    pub metrics: BTreeMap<String, f64>,
}

/// How training has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainingOutcome {
    /// Why.
    pub reason: StopReason,
    /// The number of steps, including those before resuming.
    pub step: u64,
    /// The number of completed epochs.
    pub epoch: u64,
    /// How many steps were skipped because loss or gradients were not finite.
    pub skipped_steps: u64,
    /// The best evaluation.
    pub best: Option<BestEvaluation>,
    /// The checkpoint of the best evaluation, unless it was removed or replaced.
    pub best_checkpoint: Option<PathBuf>,
    /// The last checkpoint that was saved or resumed from.
    pub checkpoint: Option<PathBuf>,
}

/// Why training has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The requested number of steps or epochs was reached.
    Completed,
    /// Early stopping: evaluations did not improve.
    EarlyStopping,
    /// A hook requested it.
    Hook,
}

/// The best evaluation by [`metric_for_best_model`](super::TrainerOptions::metric_for_best_model).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BestEvaluation {
    /// The number of steps before it, which is also that of its checkpoint.
    pub step: u64,
    /// Its metric.
    pub metric: f64,
}
