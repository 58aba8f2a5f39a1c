//! Features in memory, in shuffled batches, epoch after epoch.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::examples::Examples;
use super::features::{Features, InputSequence, collate, labelled};
use super::skipped::Skipped;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::train::{TrainingBatch, TrainingData};

/// Options of iterating over a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatasetOptions {
    /// Examples per batch, at least 1; of multiple choice, an example is a prompt with its choices.
    pub batch_size: usize,
    /// Whether each epoch is shuffled by the seed; otherwise the order is that of the features.
    pub shuffle: bool,
    /// The seed of the orders.
    pub seed: u64,
    /// Whether an incomplete last batch of an epoch is dropped.
    pub drop_last: bool,
    /// Whether [`Dataset::read`] skips and counts unusable records, instead of rejecting the file.
    pub skip_bad: bool,
}

impl Default for DatasetOptions {
    /// Eight examples per batch, shuffled, all of them: the defaults of transformers' trainer. A
    /// bad record is an error.
    fn default() -> Self {
        Self { batch_size: 8, shuffle: true, seed: 42, drop_last: false, skip_bad: false }
    }
}

/// The position of the next batch in a data set, to store with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetState {
    /// The number of the epoch, from 0.
    epoch: u64,
    /// The number of its batches that were returned.
    batch: usize,
    seed: u64,
    shuffle: bool,
    drop_last: bool,
    batch_size: usize,
    examples: usize,
    /// Of all texts and labels, in their order.
    fingerprint: u64,
}

/// Features in memory, returned in batches.
///
/// An epoch returns each example once. If examples differ in their number of sequences (prompts of
/// two, three or four choices), each batch has those of one number, so an epoch may end with
/// several incomplete batches. Batches depend on features, options and epoch only.
#[derive(Clone, Debug)]
pub struct Dataset<F> {
    features: Vec<F>,
    fingerprint: u64,
    options: DatasetOptions,
    skipped: Skipped,
    epoch: u64,
    /// Of this epoch: the examples of each batch.
    batches: Vec<Vec<u32>>,
    next: usize,
}

impl<F: Features> Dataset<F> {
    /// Starts before the first batch of the first epoch.
    ///
    /// # Errors
    /// [`Error::Input`] if there are no features (or more than 2³²), the batch size is 0, or no
    /// batch would be complete and incomplete ones are dropped.
    pub fn new(features: Vec<F>, options: DatasetOptions) -> Result<Self> {
        if features.is_empty() || u32::try_from(features.len()).is_err() {
            let found = features.len().to_string();
            return Err(Error::input("examples of a data set", "1 to 2³²", found));
        }
        if options.batch_size == 0 {
            return Err(Error::input("batch_size", "at least 1", "0"));
        }
        let fingerprint = fingerprint(&features);
        let (epoch, batches, next, skipped) = (0, Vec::new(), 0, Skipped::default());
        let mut dataset = Self { features, fingerprint, options, skipped, epoch, batches, next };
        dataset.begin(0);
        if dataset.batches.is_empty() {
            let expected = format!("at most the number of examples, {}", dataset.features.len());
            return Err(Error::input("batch_size", expected, options.batch_size.to_string()));
        }
        Ok(dataset)
    }

    /// Reads examples, turns each into features, and starts before the first batch of the first
    /// epoch. With `skip_bad`, records that the reader or `encode` rejects, and those without a
    /// label, are skipped and counted.
    ///
    /// # Errors
    /// Otherwise the first of these, named by file and line or record; as [`Self::new`].
    pub fn read<T: Send + Sync>(
        examples: Examples<T>,
        options: DatasetOptions,
        encode: impl Fn(&T) -> Result<F> + Sync,
    ) -> Result<Self> {
        let encode = |example: &T| encode(example).and_then(labelled);
        let (features, skipped) = examples.encode_or_skip(options.skip_bad, encode)?;
        Ok(Self { skipped, ..Self::new(features, options)? })
    }

    /// The records that were skipped when the data set was read.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The features, in their own order.
    pub fn features(&self) -> &[F] {
        &self.features
    }

    /// How the data set is gone through.
    pub fn options(&self) -> DatasetOptions {
        self.options
    }

    /// The number of the epoch that the next batch is of, from 0.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of batches in an epoch, the same in each.
    pub fn batches_per_epoch(&self) -> usize {
        self.batches.len()
    }

    /// The next batch, or `None` once at the end of an epoch; the following call returns the first
    /// batch of the next epoch.
    ///
    /// # Errors
    /// As [`collate`]. The same batch then is the next again.
    pub fn next_batch(&mut self) -> Result<Option<TrainingBatch<F::Labels>>> {
        let Some(examples) = self.batches.get(self.next) else {
            self.begin(self.epoch + 1);
            return Ok(None);
        };
        let features: Vec<&F> = examples.iter().map(|&i| &self.features[i as usize]).collect();
        let batch = collate(&features)?;
        self.next += 1;
        Ok(Some(batch))
    }

    /// Where the next batch is.
    pub fn state(&self) -> DatasetState {
        let DatasetOptions { batch_size, shuffle, seed, drop_last, .. } = self.options;
        let (epoch, batch, examples) = (self.epoch, self.next, self.features.len());
        let fingerprint = self.fingerprint;
        DatasetState { epoch, batch, seed, shuffle, drop_last, batch_size, examples, fingerprint }
    }

    /// Restores the position of another data set with the same features and options: the following
    /// batches are the same.
    ///
    /// # Errors
    /// [`Error::Input`] if options, examples or labels differ, or there is no such batch. The
    /// position is then unchanged.
    pub fn restore(&mut self, state: &DatasetState) -> Result<()> {
        let DatasetState { epoch, batch, fingerprint, .. } = *state;
        let here = DatasetState { epoch, batch, fingerprint, ..Self::state(self) };
        if *state != here {
            let (expected, found) = (format!("one of {here:?}"), format!("{state:?}"));
            return Err(Error::input("state of a data set", expected, found));
        }
        if fingerprint != self.fingerprint {
            let expected = format!("one of these texts and labels ({:016x})", self.fingerprint);
            let found = format!("one of others ({fingerprint:016x})");
            return Err(Error::input("state of a data set", expected, found));
        }
        if state.batch > self.batches.len() {
            let expected = format!("at most {}", self.batches.len());
            return Err(Error::input("batch of an epoch", expected, state.batch.to_string()));
        }
        self.begin(state.epoch);
        self.next = state.batch;
        Ok(())
    }

    /// Decides the batches of an epoch.
    fn begin(&mut self, epoch: u64) {
        let mut order: Vec<u32> = (0..self.features.len() as u32).collect();
        if self.options.shuffle {
            shuffle(&mut order, self.options.seed, epoch);
        }
        let mut unfilled: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        self.batches.clear();
        for example in order {
            let batch = unfilled.entry(self.features[example as usize].inputs().len()).or_default();
            batch.push(example);
            if batch.len() == self.options.batch_size {
                self.batches.push(std::mem::take(batch));
            }
        }
        if !self.options.drop_last {
            self.batches.extend(unfilled.into_values().filter(|batch| !batch.is_empty()));
        }
        (self.epoch, self.next) = (epoch, 0);
    }
}

/// The hash of all ids, type ids and labels.
fn fingerprint<F: Features>(features: &[F]) -> u64 {
    let mut hash = Hash::new();
    for example in features {
        for InputSequence { ids, type_ids } in example.inputs() {
            hash.add(&ids.len().to_le_bytes());
            ids.iter().chain(type_ids).for_each(|id| hash.add(&id.to_le_bytes()));
        }
        hash.add(example.label_text().as_bytes());
    }
    hash.finish()
}

/// Fisher and Yates' shuffle.
///
/// Written here so that no library's next version gives another order to a seed, and with it to a
/// run that is resumed. A number below n is drawn as the high half of a product, uneven by less
/// than n / 2⁶⁴.
fn shuffle(order: &mut [u32], seed: u64, epoch: u64) {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(epoch);
    for end in (1..order.len()).rev() {
        let drawn = u128::from(generator.next_u64()) * (end as u128 + 1);
        order.swap(end, (drawn >> 64) as usize);
    }
}

impl<F: Features> TrainingData<F::Labels> for Dataset<F> {
    fn next_batch(&mut self) -> Result<Option<TrainingBatch<F::Labels>>> {
        self.next_batch()
    }

    fn skip_batch(&mut self) -> Result<bool> {
        let is_there = self.next < self.batches.len();
        match is_there {
            true => self.next += 1,
            false => self.begin(self.epoch + 1),
        }
        Ok(is_there)
    }

    fn state(&self) -> Result<Value> {
        serde_json::to_value(self.state()).map_err(|error| {
            Error::input("state of a data set", "one that JSON can hold", error.to_string())
        })
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let state = DatasetState::deserialize(state).map_err(|error| {
            Error::input("state of a data set", "one of fine-tuning", error.to_string())
        })?;
        self.restore(&state)
    }
}
