//! Resuming from a checkpoint.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Trainer;
use super::directory::{OPTIMIZER, checkpoint_path, latest_checkpoint};
use super::state::{DIRECTION, METRIC, STATE, TrainerState, differences};
use crate::checkpoint::{Checkpoint, LoadOptions, PreTrainedModel};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::model::check_shapes;
use crate::nn::Parameters;
use crate::train::{Optimizer, TrainableModel};

impl<M: TrainableModel, O: Optimizer<M::Parameters>> Trainer<'_, M, O> {
    /// Resumes from the newest complete checkpoint in [`output_dir`](super::TrainerOptions::output_dir) and returns its path; without any checkpoint, training starts from the beginning. Combines [`latest_checkpoint`] and [`resume_from`](Self::resume_from).
    ///
    /// # Errors
    /// The errors of both, and that of the newest checkpoint if none is complete.
    pub fn resume(&mut self) -> Result<Option<PathBuf>> {
        let Some(output_dir) = self.options.output_dir.clone() else {
            return Err(Error::input("output_dir", "a directory with checkpoints", "none"));
        };
        let latest = latest_checkpoint(output_dir)?;
        match (latest.path, latest.passed_over.into_iter().next()) {
            (Some(path), _) => self.resume_from(&path).map(|()| Some(path)),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// Resumes from a checkpoint. The run is bit-identical to one that was not interrupted.
    /// This requires the same data and evaluation data, the same model, the same [instruction set](crate::instruction_set), which determines the rounding of sums, and the same options, except those for ending, evaluating and saving.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] or [`Error::Tensor`] if the checkpoint is incomplete, or not of this model and optimizer. [`Error::Input`] if the data differs, or if the result would change through other options, which are named, or another instruction set, unless [`allow_changed_options`](super::TrainerOptions::allow_changed_options) is set. The trainer is then unchanged.
    pub fn resume_from(&mut self, checkpoint: impl AsRef<Path>) -> Result<()> {
        let directory = checkpoint.as_ref();
        let mut state = TrainerState::read(directory)?;
        let changed = differences(&state.options, &self.options_that_matter());
        self.check_changes(directory, &state, &changed)?;
        let parameters = self.read_parameters(directory)?;
        let moments = self.read_moments(directory)?;
        if changed.iter().any(|name| name == METRIC || name == DIRECTION) {
            state.progress.best = None;
            state.progress.evaluations_without_improvement = 0;
        }
        let before = self.feed.position().clone();
        self.feed.restore(state.data)?;
        if let Err(error) = self.optimizer.restore(state.optimizer_step, moments) {
            self.feed.restore(before)?;
            return Err(error);
        }
        self.model.update(|own| {
            *own = parameters;
            Ok(())
        })?;
        self.best_checkpoint = state.progress.best.map(|best| match best.step {
            step if step == state.progress.step => directory.to_owned(),
            step => checkpoint_path(directory.parent().unwrap_or(directory), step),
        });
        self.progress = state.progress;
        self.checkpoint = Some(directory.to_owned());
        Ok(())
    }

    /// # Errors
    /// [`Error::Input`] that names options which are not the checkpoint's, unless that is allowed.
    fn check_changes(
        &self,
        directory: &Path,
        state: &TrainerState,
        changed: &[String],
    ) -> Result<()> {
        if self.options.allow_changed_options {
            return Ok(());
        }
        let now = self.options_that_matter();
        let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        let values = |from: &serde_json::Map<String, Value>| {
            let each = changed.iter().map(|name| format!("{name} = {}", shown(from.get(name))));
            each.collect::<Vec<_>>().join(", ")
        };
        if !changed.is_empty() {
            let what = format!("options of {}", directory.join(STATE).display());
            return Err(Error::input(what, values(&now), values(&state.options)));
        }
        let saved = AlbertConfig::from_pretrained(directory)?;
        let changed = differences(&config_json(&saved), &config_json(self.model.config()));
        if !changed.is_empty() {
            let what = format!("{} of {}/config.json", changed.join(", "), directory.display());
            return Err(Error::input(what, "what the model has", "other values"));
        }
        Ok(())
    }

    fn read_parameters(&self, directory: &Path) -> Result<M::Parameters> {
        let (_, parameters, report) = M::load_parameters(directory, &LoadOptions::new())?;
        if let Some(name) = report.newly_initialized.first() {
            return Err(Error::tensor(report.path, name, "a tensor of this name", "none"));
        }
        check_shapes(&parameters, self.model.parameters())?;
        Ok(parameters)
    }

    fn read_moments(&self, directory: &Path) -> Result<Vec<(&'static str, M::Parameters)>> {
        let file = Checkpoint::open(directory.join(OPTIMIZER))?;
        let names = self.optimizer.state().moments.into_iter().map(|(name, _)| name);
        names.map(|name| Ok((name, self.read_moment(&file, name)?))).collect()
    }

    fn read_moment(&self, file: &Checkpoint, name: &str) -> Result<M::Parameters> {
        let mut moment = self.model.zero_gradients();
        let mut result = Ok(());
        moment.visit_mut(name, &mut |name, values| {
            if result.is_ok() {
                result = file.read_into(name, values);
            }
        });
        result.map(|()| moment)
    }
}

/// A configuration without what saving says of the file.
pub(super) fn config_json(config: &AlbertConfig) -> serde_json::Map<String, Value> {
    const OF_THE_FILE: [&str; 4] =
        ["architectures", "dtype", "torch_dtype", "transformers_version"];
    match config.to_json() {
        Value::Object(map) => {
            map.into_iter().filter(|(name, _)| !OF_THE_FILE.contains(&name.as_str())).collect()
        }
        _ => serde_json::Map::new(),
    }
}
