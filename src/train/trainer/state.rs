//! `trainer_state.json`: the state in a checkpoint apart from weights and moments.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::manifest::{FileRecord, Manifest, record};
use super::{BestEvaluation, Trainer};
use crate::error::{Error, Result};
use crate::files::{MAX_JSON, read_small, read_text, write_atomically};
use crate::train::{GradientPrecision, Optimizer, TrainableModel, TrainingOptions};

/// The file's name in a checkpoint.
pub(super) const STATE: &str = "trainer_state.json";

/// The version of the format, which is incremented when older versions of this crate would misread the file.
const VERSION: u32 = 1;

/// The progress of training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) step: u64,
    /// Epochs that were ended.
    pub(super) epoch: u64,
    /// Tokens gone through.
    pub(super) tokens: u64,
    pub(super) skipped_steps: u64,
    pub(super) skipped_in_a_row: u64,
    pub(super) best: Option<BestEvaluation>,
    pub(super) evaluations_without_improvement: u64,
    pub(super) evaluations: Vec<PastEvaluation>,
}

/// An evaluation by the metric that is looked at to find the best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PastEvaluation {
    pub(super) step: u64,
    /// None if it was not finite, which JSON has no numbers for.
    pub(super) metric: Option<f64>,
}

/// The file's contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TrainerState {
    version: u32,
    pub(super) progress: Progress,
    /// Updates so far: the steps that were not skipped, unless the optimizer has a past of its own.
    pub(super) optimizer_step: u64,
    /// Where the data was.
    pub(super) data: Value,
    /// What future weights depend on, apart from the data.
    pub(super) options: Map<String, Value>,
    /// The checkpoint's files, this one as it is without its own line. Nothing in checkpoints of
    /// before there was this.
    #[serde(default, skip_serializing_if = "Manifest::is_empty")]
    pub(super) files: Manifest,
}

impl TrainerState {
    pub(super) fn of<M: TrainableModel, O: Optimizer<M::Parameters>>(
        trainer: &Trainer<'_, M, O>,
    ) -> Self {
        Self {
            version: VERSION,
            progress: trainer.progress.clone(),
            optimizer_step: trainer.optimizer.state().step,
            data: trainer.feed.position().clone(),
            options: trainer.options_that_matter(),
            files: Manifest::new(),
        }
    }

    /// Writes the last file of a checkpoint, which lists the others.
    pub(super) fn write(mut self, directory: &Path) -> Result<()> {
        let path = directory.join(STATE);
        let failed =
            |error: serde_json::Error| Error::format(&path, format!("cannot be written: {error}"));
        self.files = record(directory)?;
        let unsealed = serde_json::to_vec_pretty(&self).map_err(failed)?;
        self.files.insert(STATE.to_owned(), FileRecord::of_bytes(&unsealed));
        let json = serde_json::to_vec_pretty(&self).map_err(failed)?;
        write_atomically(&path, |file| file.write_all(&json))
    }

    /// Whether the file that this was read from is, to the byte, as a trainer has written it.
    pub(super) fn is_as_written(&self, directory: &Path) -> Result<bool> {
        let mut unsealed = self.clone();
        let seal = unsealed.files.remove(STATE);
        let json = |state: &Self| serde_json::to_vec_pretty(state).unwrap_or_default();
        Ok(seal == Some(FileRecord::of_bytes(&json(&unsealed)))
            && read_small(&directory.join(STATE), MAX_JSON)? == json(self))
    }

    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(STATE);
        let bytes = read_text(&path, MAX_JSON)?;
        let state: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::format(&path, format!("no trainer's state: {error}")))?;
        if state.version != VERSION {
            let found = state.version;
            let reason = format!("expected version {VERSION} of a trainer's state, found {found}");
            return Err(Error::format(path, reason));
        }
        Ok(state)
    }
}

impl<M: TrainableModel, O: Optimizer<M::Parameters>> Trainer<'_, M, O> {
    /// What future weights depend on, apart from the data, by name.
    pub(super) fn options_that_matter(&self) -> Map<String, Value> {
        let options = &self.options;
        let mut named = vec![
            ("model", json!(M::NAME)),
            ("precision", json!(self.model.options().precision.name())),
            ("instruction_set", json!(self.model.instruction_set())),
            ("optimizer", self.optimizer.description()),
            ("schedule", json!(options.schedule)),
            ("gradient_accumulation_steps", json!(options.gradient_accumulation_steps)),
            ("max_grad_norm", json!(options.max_grad_norm)),
            ("seed", json!(options.seed)),
            (METRIC, json!(options.metric_for_best_model)),
            (DIRECTION, json!(options.greater_is_better)),
        ];
        if self.model.config().exit_layers.len() > 1 {
            let TrainingOptions { exit_loss, distillation, .. } = self.model.options();
            named.push(("exit_loss", json!(exit_loss)));
            named.push(("distillation", json!(distillation)));
        }
        if self.group.precision() != GradientPrecision::F32 {
            named.push(("gradient_precision", json!(self.group.precision())));
            // What is rounded depends on how many ranks there are.
            named.push(("ranks", json!(self.group.size())));
        }
        named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Options without which the best evaluation so far means nothing.
pub(super) const METRIC: &str = "metric_for_best_model";
pub(super) const DIRECTION: &str = "greater_is_better";

/// The names of values that differ, or that only one of both has.
pub(super) fn differences(one: &Map<String, Value>, other: &Map<String, Value>) -> Vec<String> {
    let mut names: Vec<_> = one
        .keys()
        .chain(other.keys())
        .filter(|&name| one.get(name) != other.get(name))
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    names
}
