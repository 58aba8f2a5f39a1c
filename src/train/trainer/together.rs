//! What several ranks do together, and what rank 0 does for all.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;

use serde_json::{Map, Value, json};

use super::{EvaluationMetrics, Trainer, directory};
use crate::error::{Error, Result};
use crate::nn::Parameters;
use crate::train::peers::Group;
use crate::train::values::{CHUNK, ValuesMut, values, views, views_mut};
use crate::train::{GradientPrecision, Optimizer, Peers, TrainableModel};

impl<'a, M: TrainableModel, O: Optimizer<M::Parameters>> Trainer<'a, M, O> {
    /// Trains together with other processes, which have the same model, optimizer, options and
    /// data.
    ///
    /// Each rank reads all data, and computes the gradients of its share of each step's
    /// [batches](super::TrainerOptions::gradient_accumulation_steps). Shares are of equal size, in
    /// the order of ranks. Rank 0 evaluates and saves. Hooks are called on every rank; if one asks
    /// to stop, all ranks stop.
    ///
    /// With gradients in `f32`, weights are bit-identical on any number of ranks, including one,
    /// and a run may be resumed on a different number of ranks.
    ///
    /// # Errors
    /// [`Error::Input`] if the number of ranks is no power of two, or does not divide the number of
    /// batches in a step.
    pub fn with_peers(
        mut self,
        peers: impl Peers + 'a,
        precision: GradientPrecision,
    ) -> Result<Self> {
        let group = Group::new(Box::new(peers), precision)?;
        let (size, batches) = (group.size(), self.options.gradient_accumulation_steps);
        if !batches.is_multiple_of(size) {
            let expected = format!("a multiple of the {size} ranks");
            return Err(Error::input("gradient_accumulation_steps", expected, batches.to_string()));
        }
        self.group = group;
        Ok(self)
    }

    /// # Errors
    /// On every rank, if a rank would train otherwise than rank 0: the error names what differs.
    pub(super) fn check_ranks(&mut self) -> Result<()> {
        if self.group.size() == 1 {
            return Ok(());
        }
        let mut description = Map::new();
        let mut describe = |name: &str, value| description.insert(name.to_owned(), value);
        describe("version", json!(env!("CARGO_PKG_VERSION")));
        describe("step", json!(self.progress.step));
        describe("data", self.feed.position().clone());
        describe("config", Value::Object(super::resume::config_json(self.model.config())));
        describe("parameters", json!(format!("{:016x}", fingerprint(self.model.parameters()))));
        description.extend(self.options_that_matter());
        self.group.check_alike(description)
    }

    /// Has rank 0 prepare the directory of checkpoints, and lock it.
    pub(super) fn prepare_directory(&mut self) -> Result<Option<File>> {
        let mut lock = None;
        self.on_first(|trainer| {
            let Some(output_dir) = &trainer.options.output_dir else { return Ok(()) };
            let (step, origin) = (trainer.progress.step, trainer.checkpoint.as_deref());
            let may_save = |step| trainer.may_save_at(step);
            lock = Some(directory::prepare(output_dir, step, origin, may_save)?);
            trainer.remove_old(output_dir)
        })?;
        Ok(lock)
    }

    /// Has rank 0 do something that the others wait for.
    ///
    /// # Errors
    /// Rank 0's, on all ranks.
    pub(super) fn on_first(&mut self, act: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let own = if self.group.rank() == 0 { act(self) } else { Ok(()) };
        self.group.gather(own).map(|_| ())
    }

    /// Rank 0's evaluation, on all ranks.
    pub(super) fn evaluate_once(&mut self) -> Result<EvaluationMetrics> {
        // As bits: JSON has no numbers for what is not finite.
        let own = match self.group.rank() {
            0 => self.evaluate().map(|evaluation| {
                let bits = |(name, value): (String, f64)| (name, value.to_bits());
                evaluation.metrics.into_iter().map(bits).collect()
            }),
            _ => Ok(BTreeMap::new()),
        };
        let first = self.group.gather::<BTreeMap<String, u64>>(own)?.swap_remove(0);
        let value = |(name, bits)| (name, f64::from_bits(bits));
        let metrics = first.into_iter().map(value).collect();
        Ok(EvaluationMetrics { step: self.progress.step, metrics })
    }

    /// Whether to go on: not if a rank wants to stop.
    ///
    /// # Errors
    /// Those of any rank, on all ranks.
    pub(super) fn agree(&mut self, own: Result<ControlFlow<()>>) -> Result<ControlFlow<()>> {
        let breaks = self.group.gather(own.map(|flow| flow.is_break()))?;
        Ok(if breaks.contains(&true) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Sums the gradients over all ranks, one message at a time.
    pub(super) fn sum_gradients(&mut self) -> Result<()> {
        if self.group.size() == 1 {
            return Ok(());
        }
        let gradients = views_mut(&mut self.gradients[0]);
        let mut gradients: Vec<_> = gradients.into_iter().map(ValuesMut::new).collect();
        let chunks = gradients.iter_mut().flat_map(|array| array.slice().chunks_mut(CHUNK));
        let (mut chunks, mut sums) = (chunks.collect::<Vec<&mut [f32]>>(), Vec::new());
        for chunks in chunks.chunks_mut(CHUNKS_AT_A_TIME) {
            sums.clear();
            chunks.iter().for_each(|chunk| sums.extend_from_slice(chunk));
            self.group.sum(&mut sums)?;
            let mut rest = &sums[..];
            for chunk in chunks {
                let (own, after) = rest.split_at(chunk.len());
                chunk.copy_from_slice(own);
                rest = after;
            }
        }
        gradients.into_iter().for_each(ValuesMut::store);
        Ok(())
    }
}

/// Chunks of gradients in one message, which has 16 MiB: large enough to make the cost of a message
/// negligible, and much smaller than a second copy of all gradients.
const CHUNKS_AT_A_TIME: usize = 256;

/// FNV-1a over the bits of all parameters.
fn fingerprint(parameters: &impl Parameters) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for view in views(parameters) {
        for value in values(view).iter() {
            hash = (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
