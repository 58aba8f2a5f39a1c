//! A step: forward → loss → backward → clip → update.

use ndarray::ArrayViewMutD;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::losses::LossMean;
use super::{StepMetrics, Trainer};
use crate::error::{Error, Result};
use crate::nn::Parameters;
use crate::train::{LossOutput, Optimizer, TrainableModel, TrainingBatch, clip_global_norm};

impl<M: TrainableModel, O: Optimizer<M::Parameters>> Trainer<'_, M, O> {
    /// Takes a step on some batches. If loss or gradients are not finite, parameters and optimizer
    /// do not change.
    pub(super) fn step(&mut self, batches: &[TrainingBatch<M::Labels>]) -> Result<StepMetrics> {
        let learning_rate = self.options.schedule.rate_at(self.progress.step);
        let loss = self.forward_backward(batches)?;
        self.optimizer.clear_frozen(&mut self.gradients);
        let limit = self.options.max_grad_norm.unwrap_or(f64::INFINITY);
        let gradient_norm = clip_global_norm(&mut self.gradients, limit)?;
        let is_finite = loss.loss.is_finite() && gradient_norm.is_finite();
        if is_finite {
            let Self { model, optimizer, gradients, .. } = self;
            model.update(|parameters| optimizer.update(parameters, gradients, learning_rate))?;
        }
        self.count_skipped(!is_finite, &loss, gradient_norm)?;
        self.progress.step += 1;
        let tokens = batches.iter().map(|batch| batch.batch.num_tokens() as u64).sum();
        Ok(StepMetrics {
            step: self.progress.step,
            epoch: self.progress.epoch,
            loss,
            gradient_norm,
            learning_rate,
            is_skipped: !is_finite,
            tokens,
            seconds: 0.0,
        })
    }

    /// The mean loss of some batches, and its gradients.
    fn forward_backward(&mut self, batches: &[TrainingBatch<M::Labels>]) -> Result<LossOutput> {
        let fill = &mut |_: &str, mut values: ArrayViewMutD<'_, f32>| values.fill(0.0);
        self.gradients.visit_mut("", fill);
        let scale = 1.0 / batches.len() as f32;
        let mut seeds = dropout_seeds(self.options.seed, self.progress.step);
        let mut mean = LossMean::default();
        for TrainingBatch { batch, labels } in batches {
            let (seed, gradients) = (Some(seeds.next_u64()), &mut self.gradients);
            let loss = self.model.backward(batch, labels, seed, scale, gradients)?;
            mean.add(&loss, |_| 1.0);
        }
        Ok(mean.output())
    }

    /// # Errors
    /// If too many steps in a row were skipped.
    fn count_skipped(&mut self, is_skipped: bool, loss: &LossOutput, norm: f64) -> Result<()> {
        if !is_skipped {
            self.progress.skipped_in_a_row = 0;
            return Ok(());
        }
        if self.progress.skipped_in_a_row >= self.options.max_skipped_steps {
            let (what, value) = match loss.loss.is_finite() {
                true => ("norm of the gradients", norm),
                false => ("loss", loss.loss),
            };
            let before = self.progress.skipped_in_a_row;
            let found = format!("{value}, after {before} skipped steps in a row");
            return Err(Error::input(what, "a finite number", found));
        }
        self.progress.skipped_in_a_row += 1;
        self.progress.skipped_steps += 1;
        Ok(())
    }
}

/// The dropout seeds of a step's batches, which depend only on the trainer's seed and the step.
fn dropout_seeds(seed: u64, step: u64) -> ChaCha8Rng {
    let mut seeds = ChaCha8Rng::seed_from_u64(seed);
    seeds.set_stream(step);
    seeds
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_batch_of_every_step_has_a_seed_of_its_own() {
        let of_step = |seed, step| {
            let mut seeds = dropout_seeds(seed, step);
            (0..10).map(move |_| seeds.next_u64())
        };
        let runs = (0..3).flat_map(|seed| (0..30).map(move |step| (seed, step)));
        let seeds: BTreeSet<u64> = runs.flat_map(|(seed, step)| of_step(seed, step)).collect();
        assert_eq!(seeds.len(), 3 * 30 * 10);
        assert!(of_step(1, 7).eq(of_step(1, 7)));
    }
}
