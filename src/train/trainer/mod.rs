//! The training loop: steps, evaluations, checkpoints.
//!
//! ```text
//! data.rs          where batches come from, and how to continue
//! step.rs          forward → loss → backward → clip → update
//! evaluation.rs    the model's quality, and its best evaluation
//! save.rs          trainer → checkpoint
//! resume.rs        checkpoint → trainer
//! state.rs         the state apart from weights and moments
//! directory.rs     the checkpoints of a directory: the newest complete one, and those to remove
//! manifest.rs      the files of a checkpoint; one with other files is not removed
//! events.rs        the events that hooks receive
//! metrics_log.rs   a hook that writes them to a file
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

/// Trains a model: takes steps, evaluates, saves checkpoints, and resumes from them
/// bit-identically.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use ndalbert::train::{
///     AdamOptions, AdamW, Decay, Event, Interval, Schedule, Targets, Trainer, TrainerOptions,
///     TrainingBatch, TrainingData, TrainingModel, TrainingOptions,
/// };
/// use ndalbert::{
///     AlbertConfig, AlbertForSequenceClassification, Batch, ConfigFields, Model, PreTrainedModel,
/// };
/// use serde_json::{Value, json};
///
/// /// Pairs of tokens, labelled by whether the second one is larger; an epoch has seven batches.
/// struct Pairs(u32);
///
/// impl TrainingData<Targets> for Pairs {
///     fn next_batch(&mut self) -> ndalbert::Result<Option<TrainingBatch<Targets>>> {
///         self.0 += 1;
///         if self.0 % 8 == 0 {
///             return Ok(None);
///         }
///         let pair = |i: u32| vec![2, 5 + (self.0 * 3 + i * 7) % 11, 5 + i, 3];
///         let pairs: Vec<_> = (0..8).map(pair).collect();
///         let labels = pairs.iter().map(|pair| i64::from(pair[2] > pair[1])).collect();
///         let batch = Batch::from_sequences(&pairs)?;
///         Ok(Some(TrainingBatch { batch, labels: Targets::Classes(labels) }))
///     }
///     fn state(&self) -> ndalbert::Result<Value> {
///         Ok(json!(self.0))
///     }
///     fn restore(&mut self, state: &Value) -> ndalbert::Result<()> {
///         self.0 = state.as_u64().unwrap() as u32;
///         Ok(())
///     }
/// }
///
/// fn main() -> ndalbert::Result<()> {
///     // A new model; `AlbertForSequenceClassification::load_parameters` reads a checkpoint instead.
///     let config = AlbertConfig::new(ConfigFields {
///         vocab_size: 100,
///         embedding_size: 16,
///         hidden_size: 32,
///         num_attention_heads: 4,
///         num_hidden_layers: 2,
///         intermediate_size: 64,
///         ..ConfigFields::default()
///     })?;
///     let parameters = AlbertForSequenceClassification::random_parameters(&config, 1)?;
///     let (train_data, dev_data) = (Pairs(0), Pairs(40));
///     let output_dir = std::path::PathBuf::from("run");
/// #   let directory = tempfile::tempdir().unwrap();
/// #   let output_dir = directory.path().join("run");
///
///     let model = TrainingModel::<AlbertForSequenceClassification>::new(
///         config,
///         parameters,
///         TrainingOptions::default(),
///     )?;
///     let optimizer = AdamW::new(AdamOptions::torch(), || model.zero_gradients())?;
///     let options = TrainerOptions {
///         max_steps: Some(40),
///         evaluate: Interval::Epoch,
///         metric_for_best_model: "accuracy".to_owned(),
///         greater_is_better: true,
///         output_dir: Some(output_dir),
///         save: Interval::Steps(20),
///         save_total_limit: Some(2),
///         ..TrainerOptions::new(Schedule::new(1e-3, 4, Decay::Linear { total_steps: 40 })?)
///     };
///     let mut trainer = Trainer::new(model, optimizer, train_data, options)?
///         .evaluate_on(dev_data)?
///         .on_event(|event| {
///             if let Event::Evaluation(evaluation) = event {
///                 println!("step {}: {:?}", evaluation.step, evaluation.metrics);
///             }
///             Ok(ControlFlow::Continue(()))
///         });
///     trainer.resume()?; // Continues an earlier run, if there was one.
///     let outcome = trainer.train()?;
///
///     let checkpoint = outcome.best_checkpoint.expect("it was evaluated");
///     let (_model, _) = AlbertForSequenceClassification::from_pretrained(checkpoint)?;
///     Ok(())
/// }
/// ```
///
/// # Checkpoints
///
/// `checkpoint-<step>` holds `config.json` and `model.safetensors`, which
/// [`PreTrainedModel`](crate::PreTrainedModel) and transformers can load; the tokenizer's files, if
/// [set](Self::with_tokenizer); `optimizer.safetensors`, with the optimizer's moments by parameter
/// name; and `trainer_state.json`. Weights and moments are stored in `f32`.
///
/// A checkpoint is renamed to its final name when it is completely on disk, and older ones are
/// removed after that. Therefore the directory contains complete checkpoints only, even if the
/// process is killed or the disk is full, and the next run in it removes incomplete ones. Only one
/// run at a time can use a directory (it has a `.lock`), and a run must not begin before an
/// existing checkpoint in it, or resume from one elsewhere if it contains any.
///
/// Nothing else in the directory is removed or replaced, whatever its name. A checkpoint lists its
/// files with lengths and hashes, and is removed only if it still matches byte for byte. If
/// something else occupies the name of a checkpoint to be saved (transformers' `checkpoint-500`,
/// one with an additional file or a changed byte, a link), training does not start. Other entries
/// are left alone and are not counted among those to keep. The same holds for checkpoints written
/// before these lists were introduced; training can resume from them.
///
/// # Steps without effect
///
/// If loss or gradients are not finite, such as through `bf16` or a bad example, parameters and
/// optimizer are not changed. Such steps are counted and reported; [too many in a
/// row](TrainerOptions::max_skipped_steps) end training with an error. Non-finite parameters are
/// never saved.
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
    /// Creates a trainer. The data may also be passed by `&mut`.
    ///
    /// # Errors
    /// [`Error::Input`] if an option is invalid, and the errors of the data's
    /// [`state`](TrainingData::state).
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

    /// Sets the evaluation data. Each evaluation uses one epoch from the current position, so that
    /// results are comparable.
    ///
    /// # Errors
    /// Those of the data's [`state`](TrainingData::state).
    pub fn evaluate_on(mut self, data: impl TrainingData<M::Labels> + 'a) -> Result<Self> {
        self.evaluation = Some(EvaluationData::new(Box::new(data))?);
        Ok(self)
    }

    /// Adds metrics to evaluations, by name; the last one of a name is used.
    #[must_use]
    pub fn with_metrics(
        mut self,
        measure: impl FnMut(&TrainingModel<M>) -> Result<Vec<(String, f64)>> + 'a,
    ) -> Self {
        self.measures.push(Box::new(measure));
        self
    }

    /// Saves this tokenizer in every checkpoint, like [`AlbertTokenizer::save_pretrained`], so that
    /// [pipelines](crate::pipelines) and transformers can load checkpoints.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: &AlbertTokenizer) -> Self {
        self.tokenizer = Some(tokenizer.clone());
        self
    }

    /// Adds a hook that receives all events. [`ControlFlow::Break`] stops training: the step is
    /// completed, a checkpoint is saved, and [`train`](Self::train) returns. An error ends training
    /// at once.
    #[must_use]
    pub fn on_event(
        mut self,
        hook: impl FnMut(&Event<'_>) -> Result<ControlFlow<()>> + 'a,
    ) -> Self {
        self.hooks.push(Box::new(hook));
        self
    }

    /// Trains until the requested steps or epochs are done, evaluations no longer improve, or a
    /// hook stops it; then saves, if there is an output directory.
    ///
    /// # Errors
    /// [`Error::Training`], which names the step, if the data has an error or ends, a batch does
    /// not fit the model, too many steps in a row were skipped, an evaluation, a hook or a save
    /// fails. Parameters are then those of the last step, and existing checkpoints are intact.
    ///
    /// Before the first step: if evaluation is requested without data; if the output directory
    /// cannot be created or is used by another run; if it has a checkpoint of a later step or, for
    /// a run resumed from elsewhere, any checkpoint; or if something else occupies the name of a
    /// checkpoint.
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

    /// The current model.
    pub fn model(&self) -> &TrainingModel<M> {
        &self.model
    }

    /// Returns the model, when training is over.
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

    /// Whether checkpoints of later steps can be saved, as far as this can be checked in advance.
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
