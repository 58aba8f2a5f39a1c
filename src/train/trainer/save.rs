//! Checkpoints that a trainer writes.

use std::path::{Path, PathBuf};

use ndarray::ArrayViewD;

use super::Trainer;
use super::directory::{OPTIMIZER, checkpoint_path, remove_old};
use super::state::{Progress, TrainerState};
use crate::checkpoint::{PreTrainedModel, write_safetensors};
use crate::error::{Error, Result};
use crate::files::write_directory_atomically;
use crate::nn::Parameters;
use crate::train::{Optimizer, TrainableModel};

impl<M: TrainableModel, O: Optimizer<M::Parameters>> Trainer<'_, M, O> {
    /// Writes a checkpoint, renames it to its final name, and only then removes old ones.
    ///
    /// # Errors
    /// Also if there is something in its place: whatever it is, this run has not written it.
    pub(super) fn save(&mut self, output_dir: &Path) -> Result<PathBuf> {
        let path = checkpoint_path(output_dir, self.progress.step);
        self.on_first(|trainer| {
            write_directory_atomically(&path, |directory| trainer.write(directory))
        })?;
        self.checkpoint = Some(path.clone());
        if self.progress.best.is_some_and(|best| best.step == self.progress.step) {
            self.best_checkpoint = Some(path.clone());
        }
        self.on_first(|trainer| trainer.remove_old(output_dir))?;
        Ok(path)
    }

    /// Removes old checkpoints, including those that a killed run did not remove.
    pub(super) fn remove_old(&self, output_dir: &Path) -> Result<()> {
        let Progress { step, skipped_in_a_row, best, .. } = self.progress;
        match self.options.save_total_limit {
            // Where steps are skipped, weights may have gone wrong before: then older ones are still of use.
            Some(limit) if skipped_in_a_row == 0 => {
                remove_old(output_dir, step, limit, best.map(|best| best.step))
            }
            _ => Ok(()),
        }
    }

    /// The checkpoint of the best evaluation, if it is still there and unchanged.
    pub(super) fn best_checkpoint(&self) -> Option<PathBuf> {
        let path = self.best_checkpoint.clone()?;
        let state = TrainerState::read(&path).ok()?.progress;
        let best = self.progress.best?;
        (state.step == best.step && state.best == Some(best)).then_some(path)
    }

    fn write(&self, directory: &Path) -> Result<()> {
        let state = self.optimizer.state();
        check_finite("parameter", self.model.parameters())?;
        let mut tensors: Vec<(String, ArrayViewD<'_, f32>)> = Vec::new();
        for (name, moment) in state.moments {
            check_finite(name, moment)?;
            moment.visit(name, &mut |name, values| tensors.push((name.to_owned(), values)));
        }
        M::save_parameters(directory, self.model.config(), self.model.parameters())?;
        write_safetensors(directory.join(OPTIMIZER), tensors)?;
        if let Some(tokenizer) = &self.tokenizer {
            tokenizer.save_pretrained(directory)?;
        }
        TrainerState::of(self).write(directory)
    }
}

/// Parameters that are not finite stay so: a checkpoint of them would be useless, and replace a useful one.
fn check_finite(what: &str, tree: &impl Parameters) -> Result<()> {
    let mut found = None;
    tree.visit("", &mut |name, values| {
        let value = values.iter().find(|value| !value.is_finite());
        if let (None, Some(value)) = (&found, value) {
            found = Some((name.to_owned(), *value));
        }
    });
    match found {
        None => Ok(()),
        Some((name, value)) => {
            let what = format!("{what} `{name}`, to be saved");
            Err(Error::input(what, "finite numbers", value.to_string()))
        }
    }
}
