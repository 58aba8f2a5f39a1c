//! A step: forward → loss → backward → clip → update.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::data::MicroBatches;
use super::losses::{BatchLoss, mean_loss};
use super::{StepMetrics, Trainer};
use crate::error::{Error, Result};
use crate::nn::Parameters;
use crate::train::values::add;
use crate::train::{LossOutput, Optimizer, TrainableModel, TrainingBatch, clip_global_norm};

impl<M: TrainableModel, O: Optimizer<M::Parameters>> Trainer<'_, M, O> {
    /// Learns from the next batches. Where loss or gradients are not finite, parameters and
    /// optimizer stay as they are.
    pub(super) fn step(&mut self) -> Result<StepMetrics> {
        let learning_rate = self.options.schedule.rate_at(self.progress.step);
        let own = self.forward_backward();
        let losses = self.group.gather(own)?.concat();
        self.sum_gradients()?;
        let loss = mean_loss(&losses)?;
        let Self { model, optimizer, gradients, .. } = self;
        let gradients = &mut gradients[0];
        optimizer.clear_frozen(gradients);
        let limit = self.options.max_grad_norm.unwrap_or(f64::INFINITY);
        let gradient_norm = clip_global_norm(gradients, limit)?;
        let is_finite = loss.loss.is_finite() && gradient_norm.is_finite();
        if is_finite {
            model.update(|parameters| optimizer.update(parameters, gradients, learning_rate))?;
        }
        self.count_skipped(!is_finite, &loss, gradient_norm)?;
        self.progress.step += 1;
        Ok(StepMetrics {
            step: self.progress.step,
            epoch: self.progress.epoch,
            loss,
            gradient_norm,
            learning_rate,
            is_skipped: !is_finite,
            tokens: losses.iter().map(|loss| loss.tokens).sum(),
            seconds: 0.0,
        })
    }

    /// The losses of this rank's batches, in their order, and the sum of their gradients, each
    /// divided by the number of batches on all ranks.
    fn forward_backward(&mut self) -> Result<Vec<BatchLoss>> {
        let most = self.options.gradient_accumulation_steps;
        let batches = self.feed.micro_batches(most, self.group.share(most))?;
        let mut seeds = dropout_seeds(self.options.seed, self.progress.step);
        let seeds: Vec<u64> = (0..most).map(|_| seeds.next_u64()).collect();
        let mut losses = Vec::new();
        self.add_up(0, batches.share.clone(), (&batches, &seeds), &mut losses)?;
        Ok(losses)
    }

    /// Adds up the gradients of the batches at some places of the step in a binary tree, which is
    /// cut at the same places on any number of ranks. The sum is left at `depth`.
    fn add_up(
        &mut self,
        depth: usize,
        places: Range<usize>,
        step: (&MicroBatches<M::Labels>, &[u64]),
        losses: &mut Vec<BatchLoss>,
    ) -> Result<()> {
        if places.len() > 1 {
            let middle = places.start + places.len() / 2;
            self.add_up(depth, places.start..middle, step, losses)?;
            self.add_up(depth + 1, middle..places.end, step, losses)?;
            let (sums, others) = self.gradients.split_at_mut(depth + 1);
            add(&mut sums[depth], &others[0]);
            return Ok(());
        }
        if self.gradients.len() <= depth {
            self.gradients.push(self.model.zero_gradients());
        }
        let gradients = &mut self.gradients[depth];
        gradients.visit_mut("", &mut |_, mut values| values.fill(0.0));
        let (batches, seeds) = step;
        if let Some(TrainingBatch { batch, labels }) = batches.at(places.start) {
            let (seed, scale) = (Some(seeds[places.start]), 1.0 / batches.count as f32);
            let loss = self.model.backward(batch, labels, seed, scale, gradients)?;
            losses.push(BatchLoss::new(&loss, batch.num_tokens()));
        }
        Ok(())
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
