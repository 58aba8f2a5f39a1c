//! Training as a whole: steps, evaluations, checkpoints.
//!
//! ```text
//! data.rs          where batches come from, and from where on again
//! step.rs          forward → loss → backward → sum → clip → update
//! together.rs      what several ranks do together, or one of them for all
//! evaluation.rs    how good the model is, and when it was best
//! save.rs          trainer → checkpoint
//! resume.rs        checkpoint → trainer
//! state.rs         what a checkpoint has besides weights and moments
//! directory.rs     the checkpoints of a directory: the newest whole one, and those to be removed
//! manifest.rs      which files a checkpoint was written with: what has others is not removed
//! events.rs        what hooks are told
//! metrics_log.rs   … and can write to a file
//! ```

mod data;
mod directory;
mod evaluation;
mod events;
mod losses;
mod manifest;
mod metrics_log;
mod options;
mod resume;
mod save;
mod state;
mod step;
mod together;

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

pub use data::TrainingData;
pub use directory::{LatestCheckpoint, latest_checkpoint};
pub use events::{
    BestEvaluation, EvaluationMetrics, Event, StepMetrics, StopReason, TrainingOutcome,
};
pub use metrics_log::MetricsLog;
pub use options::{Interval, TrainerOptions};

use self::data::Feed;
use self::evaluation::{EvaluationData, Measure};
use self::events::Hook;
use self::state::Progress;
use crate::error::{Error, Result};
use crate::text::AlbertTokenizer;
use crate::train::peers::Group;
use crate::train::{Optimizer, TrainableModel, TrainingModel};

/// Trains a model: takes steps, evaluates, saves checkpoints, and goes on from them to the bit.
///
/// ```
/// # use serde_json::{Value, json};
/// use std::ops::ControlFlow;
///
/// use ndalbert::train::{
///     AdamOptions, AdamW, Decay, Event, Interval, Schedule, Targets, Trainer, TrainerOptions,
///     TrainingBatch, TrainingData, TrainingModel, TrainingOptions,
/// };
/// use ndalbert::{AlbertConfig, AlbertForSequenceClassification, Batch, ConfigFields, Model, PreTrainedModel};
///
/// # /// Is the second token the larger one? Half of the time.
/// # struct Pairs(u32);
/// # impl TrainingData<Targets> for Pairs {
/// #     fn next_batch(&mut self) -> ndalbert::Result<Option<TrainingBatch<Targets>>> {
/// #         self.0 += 1;
/// #         if self.0 % 8 == 0 {
/// #             return Ok(None);
/// #         }
/// #         let pairs: Vec<_> = (0..8).map(|i| vec![2, 5 + (self.0 * 3 + i * 7) % 11, 5 + i, 3]).collect();
/// #         let labels = pairs.iter().map(|pair| i64::from(pair[2] > pair[1])).collect();
/// #         let batch = Batch::from_sequences(&pairs)?;
/// #         Ok(Some(TrainingBatch { batch, labels: Targets::Classes(labels) }))
/// #     }
/// #     fn state(&self) -> ndalbert::Result<Value> {
/// #         Ok(json!(self.0))
/// #     }
/// #     fn restore(&mut self, state: &Value) -> ndalbert::Result<()> {
/// #         self.0 = state.as_u64().unwrap() as u32;
/// #         Ok(())
/// #     }
/// # }
/// # fn main() -> ndalbert::Result<()> {
/// # let config = AlbertConfig::new(ConfigFields {
/// #     vocab_size: 100,
/// #     embedding_size: 16,
/// #     hidden_size: 32,
/// #     num_attention_heads: 4,
/// #     num_hidden_layers: 2,
/// #     intermediate_size: 64,
/// #     ..ConfigFields::default()
/// # })?;
/// # let parameters = AlbertForSequenceClassification::random_parameters(&config, 1)?;
/// # let (train_data, dev_data) = (Pairs(0), Pairs(40));
/// # let directory = tempfile::tempdir().unwrap();
/// # let output_dir = directory.path().join("run");
/// // `AlbertForSequenceClassification::load_parameters` has config and parameters of a checkpoint.
/// let model = TrainingModel::<AlbertForSequenceClassification>::new(
///     config,
///     parameters,
///     TrainingOptions::default(),
/// )?;
/// let optimizer = AdamW::new(AdamOptions::torch(), || model.zero_gradients())?;
/// let options = TrainerOptions {
///     max_steps: Some(40),
///     evaluate: Interval::Epoch,
///     metric_for_best_model: "accuracy".to_owned(),
///     greater_is_better: true,
///     output_dir: Some(output_dir.clone()),
///     save: Interval::Steps(20),
///     save_total_limit: Some(2),
///     ..TrainerOptions::new(Schedule::new(1e-3, 4, Decay::Linear { total_steps: 40 })?)
/// };
/// let mut trainer = Trainer::new(model, optimizer, train_data, options)?
///     .evaluate_on(dev_data)?
///     .on_event(|event| {
///         if let Event::Evaluation(evaluation) = event {
///             println!("step {}: {:?}", evaluation.step, evaluation.metrics);
///         }
///         Ok(ControlFlow::Continue(()))
///     });
/// trainer.resume()?; // Where an earlier run has ended, if there was one.
/// let outcome = trainer.train()?;
///
/// let checkpoint = outcome.best_checkpoint.expect("it was evaluated");
/// let (model, _) = AlbertForSequenceClassification::from_pretrained(checkpoint)?;
/// # let _ = model;
/// # Ok(())
/// # }
/// ```
///
/// # Checkpoints
///
/// `checkpoint-<step>` holds `config.json` and `model.safetensors`, as [`PreTrainedModel`](crate::PreTrainedModel) and transformers load them;
/// the tokenizer's files, if there is [one](Self::with_tokenizer);
/// `optimizer.safetensors`, the optimizer's moments by the names of the parameters; and `trainer_state.json`. Weights and
/// moments are stored as the `f32` that they are.
///
/// A checkpoint appears under its name when all of it is on the disk, and older ones are removed after that. So whatever happens, a
/// killed process or a full disk, the directory has whole checkpoints only, and the next run that trains there
/// removes what was begun. One run at a time can train into a directory (it has a `.lock`), and none from before a checkpoint
/// that is in it, or from a checkpoint elsewhere if there are any in it.
///
/// Nothing else in the directory is removed or replaced, whatever its name. A checkpoint lists its
/// files with lengths and hashes, and is removed only if that is still, to the byte, what is in it.
/// Where something else stands that a checkpoint may be saved to (transformers' `checkpoint-500`,
/// one with a file more or a byte less, one that is a link), training does not begin. Where none
/// will be saved, it stays, and does not count as one of those that are kept. So do checkpoints
/// that versions of this crate before these lists have written; they can be gone on from.
///
/// # Steps without effect
///
/// If loss or gradients are not finite, parameters and optimizer stay as they are: a precision as `bf16` or a single bad example
/// may do that. It is counted, and told; if it happens [too often in a row](TrainerOptions::max_skipped_steps), training ends
/// with an error. Parameters that are not finite are not saved.
pub struct Trainer<'a, M: TrainableModel, O> {
    model: TrainingModel<M>,
    optimizer: O,
    /// Those of the step, and room for the sums on the way to them.
    gradients: Vec<M::Parameters>,
    group: Group<'a>,
    options: TrainerOptions,
    feed: Feed<'a, M::Labels>,
    evaluation: Option<EvaluationData<'a, M::Labels>>,
    measures: Vec<Measure<'a, M>>,
    hooks: Vec<Hook<'a>>,
    tokenizer: Option<AlbertTokenizer>,
    progress: Progress,
    checkpoint: Option<PathBuf>,
    best_checkpoint: Option<PathBuf>,
}

impl<'a, M: TrainableModel, O: Optimizer<M::Parameters>> Trainer<'a, M, O> {
    /// A trainer before its first step. The data may also be a `&mut` of some.
    ///
    /// # Errors
    /// [`Error::Input`] if an option makes no sense, and those of the data's [`state`](TrainingData::state).
    pub fn new(
        model: TrainingModel<M>,
        optimizer: O,
        data: impl TrainingData<M::Labels> + 'a,
        options: TrainerOptions,
    ) -> Result<Self> {
        options.check()?;
        Ok(Self {
            gradients: vec![model.zero_gradients()],
            group: Group::default(),
            model,
            optimizer,
            options,
            feed: Feed::new(Box::new(data))?,
            evaluation: None,
            measures: Vec::new(),
            hooks: Vec::new(),
            tokenizer: None,
            progress: Progress::default(),
            checkpoint: None,
            best_checkpoint: None,
        })
    }

    /// Evaluates on this data: every time on one epoch from where it is now, so that evaluations can be compared.
    ///
    /// # Errors
    /// Those of the data's [`state`](TrainingData::state).
    pub fn evaluate_on(mut self, data: impl TrainingData<M::Labels> + 'a) -> Result<Self> {
        self.evaluation = Some(EvaluationData::new(Box::new(data))?);
        Ok(self)
    }

    /// Adds measures to evaluations, by name; those of the same name replace each other.
    #[must_use]
    pub fn with_metrics(
        mut self,
        measure: impl FnMut(&TrainingModel<M>) -> Result<Vec<(String, f64)>> + 'a,
    ) -> Self {
        self.measures.push(Box::new(measure));
        self
    }

    /// Saves this tokenizer in every checkpoint, as [`AlbertTokenizer::save_pretrained`] does: then
    /// a checkpoint is all that a [pipeline](crate::pipelines) needs, and transformers.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: &AlbertTokenizer) -> Self {
        self.tokenizer = Some(tokenizer.clone());
        self
    }

    /// Tells a hook all that happens. [`ControlFlow::Break`] asks to stop: the step is brought to its end, a checkpoint saved, and
    /// [`train`](Self::train) returns. An error ends training at once.
    #[must_use]
    pub fn on_event(
        mut self,
        hook: impl FnMut(&Event<'_>) -> Result<ControlFlow<()>> + 'a,
    ) -> Self {
        self.hooks.push(Box::new(hook));
        self
    }

    /// Trains until steps or epochs are as many as were asked for, evaluations no longer get better, or a hook asks to
    /// stop; then saves, if there is a place to.
    ///
    /// # Errors
    /// [`Error::Training`], which names the step, if the data has an error or ends, a batch does not fit the model, too
    /// many steps in a row were skipped, an evaluation, a hook or a save fails. Parameters are then what the last step
    /// has made them, and no checkpoint that was there has been touched.
    ///
    /// Before the first step: if there is nothing to evaluate on, though it was asked for; if the output directory cannot
    /// be made, another run trains there, it has a checkpoint of a later step than where this run is, or, if this run has resumed
    /// from a checkpoint elsewhere, any; or if it has something else where this run may save one.
    pub fn train(&mut self) -> Result<TrainingOutcome> {
        if self.options.evaluate != Interval::Never
            && self.evaluation.is_none()
            && self.measures.is_empty()
        {
            return Err(Error::input("evaluation", "data or measures", "neither"));
        }
        self.check_ranks()?;
        let step = self.progress.step;
        let _lock = self.prepare_directory()?;
        let flow = self.tell(&Event::Started { step });
        let mut flow = self.agree(flow)?;
        let reason = loop {
            if let Some(reason) = self.reason_to_stop() {
                break reason;
            }
            if flow.is_break() {
                break StopReason::Hook;
            }
            let step = self.progress.step + 1;
            let result = self.advance().map_err(|error| error.in_step(step));
            flow = self.agree(result)?;
        };
        let Progress { step, epoch, skipped_steps, best, .. } = self.progress;
        let (best_checkpoint, checkpoint) = (self.best_checkpoint(), self.checkpoint.clone());
        Ok(TrainingOutcome {
            reason,
            step,
            epoch,
            skipped_steps,
            best,
            best_checkpoint,
            checkpoint,
        })
    }

    /// The model as it is now.
    pub fn model(&self) -> &TrainingModel<M> {
        &self.model
    }

    /// The model as it is now, when training is over.
    pub fn into_model(self) -> TrainingModel<M> {
        self.model
    }

    /// A step, and what is due after it.
    fn advance(&mut self) -> Result<ControlFlow<()>> {
        let start = Instant::now();
        let mut metrics = self.step()?;
        let epoch_has_ended = self.feed.end_step(self.group.rank() == 0)?;
        metrics.seconds = start.elapsed().as_secs_f64();
        self.progress.epoch += u64::from(epoch_has_ended);
        self.progress.tokens += metrics.tokens;
        let step = self.progress.step;
        let mut flow = self.tell(&Event::Step(&metrics))?;
        let mut is_best = false;
        if self.options.evaluate.is_due(step, epoch_has_ended) {
            let evaluation = self.evaluate_once()?;
            is_best = self.judge(&evaluation)?;
            flow = either(flow, self.tell(&Event::Evaluation(&evaluation))?);
        }
        // A rank that was asked to stop has all save what they have.
        flow = self.agree(Ok(flow))?;
        let is_last = flow.is_break() || self.reason_to_stop().is_some();
        let is_due = self.options.save.is_due(step, epoch_has_ended) || is_best || is_last;
        if let Some(output_dir) = self.options.output_dir.clone().filter(|_| is_due) {
            let path = self.save(&output_dir)?;
            flow = either(flow, self.tell(&Event::Checkpoint { step, path: &path })?);
        }
        Ok(flow)
    }

    /// Whether a checkpoint of a step to come may be saved, as far as can be told before.
    fn may_save_at(&self, step: u64) -> bool {
        let options = &self.options;
        let is_within = options.max_steps.is_none_or(|last| step <= last);
        // A hook may ask to stop at any step; when epochs end, only the data knows.
        let is_due = options.save.may_be_due(step)
            || options.evaluate.may_be_due(step)
            || options.max_steps == Some(step)
            || options.num_train_epochs.is_some()
            || !self.hooks.is_empty();
        is_within && is_due
    }

    /// Whether training is over, hooks apart.
    fn reason_to_stop(&self) -> Option<StopReason> {
        let Progress { step, epoch, evaluations_without_improvement, .. } = self.progress;
        let reached = |limit: Option<u64>, value| limit.is_some_and(|limit| value >= limit);
        let options = &self.options;
        if reached(options.max_steps, step) || reached(options.num_train_epochs, epoch) {
            return Some(StopReason::Completed);
        }
        reached(options.early_stopping_patience, evaluations_without_improvement)
            .then_some(StopReason::EarlyStopping)
    }

    /// Tells all hooks.
    fn tell(&mut self, event: &Event<'_>) -> Result<ControlFlow<()>> {
        let mut flow = ControlFlow::Continue(());
        for hook in &mut self.hooks {
            flow = either(flow, hook(event)?);
        }
        Ok(flow)
    }
}

/// Breaks if one of both does.
fn either(one: ControlFlow<()>, other: ControlFlow<()>) -> ControlFlow<()> {
    if one.is_break() { one } else { other }
}

/// How far it is, no weights.
impl<M: TrainableModel, O> fmt::Debug for Trainer<'_, M, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("model", &self.model)
            .field("options", &self.options)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
