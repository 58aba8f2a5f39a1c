//! Training data, batch by batch.

use std::ops::Range;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::train::TrainingBatch;

/// Batches in a resumable order.
///
/// `L` is what the model's loss takes:
/// [`TrainableModel::Labels`](crate::train::TrainableModel::Labels).
pub trait TrainingData<L> {
    /// The next batch, or `None` once at the end of an epoch; the following call returns the first
    /// batch of the next epoch.
    ///
    /// # Errors
    /// Any error of creating a batch, which ends training.
    fn next_batch(&mut self) -> Result<Option<TrainingBatch<L>>>;

    /// Passes over what [`next_batch`](Self::next_batch) would give: false at the end of an epoch.
    /// Where several ranks train, each does so with the batches of the others.
    ///
    /// # Errors
    /// Whatever keeps it from finding the batch after that one.
    fn skip_batch(&mut self) -> Result<bool> {
        Ok(self.next_batch()?.is_some())
    }

    /// The state that determines the next batches, as JSON.
    ///
    /// # Errors
    /// If the state is not available.
    fn state(&self) -> Result<Value>;

    /// Restores a position from `state`: the following batches are bit-identical.
    ///
    /// # Errors
    /// [`Error::Input`] if the state is not from the same data. The position is then unchanged.
    fn restore(&mut self, state: &Value) -> Result<()>;
}

impl<L, D: TrainingData<L> + ?Sized> TrainingData<L> for &mut D {
    fn next_batch(&mut self) -> Result<Option<TrainingBatch<L>>> {
        (**self).next_batch()
    }

    fn skip_batch(&mut self) -> Result<bool> {
        (**self).skip_batch()
    }

    fn state(&self) -> Result<Value> {
        (**self).state()
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        (**self).restore(state)
    }
}

/// This rank's share of a step's batches.
pub(super) struct MicroBatches<L> {
    /// How many the step has on all ranks together.
    pub(super) count: usize,
    /// The places in the step that are this rank's, also where an epoch ends before them.
    pub(super) share: Range<usize>,
    /// What is at these places, from the first on.
    batches: Vec<TrainingBatch<L>>,
}

impl<L> MicroBatches<L> {
    /// The batch at a place of the share.
    pub(super) fn at(&self, place: usize) -> Option<&TrainingBatch<L>> {
        self.batches.get(place - self.share.start)
    }
}

/// A place in the data.
enum Found<L> {
    Batch(TrainingBatch<L>),
    /// A batch that is not this rank's.
    Skipped,
    EndOfEpoch,
}

/// Training data, and where in it the last whole step has ended.
pub(super) struct Feed<'a, L> {
    data: Box<dyn TrainingData<L> + 'a>,
    /// What was read to see whether the epoch is over.
    ahead: Option<Result<Found<L>>>,
    /// Where the data was before that.
    position: Value,
}

impl<'a, L> Feed<'a, L> {
    pub(super) fn new(data: Box<dyn TrainingData<L> + 'a>) -> Result<Self> {
        let position = data.state()?;
        Ok(Self { data, ahead: None, position })
    }

    /// The batches of a step, `most` or those that the epoch still has; only those that are in
    /// `share`, by their place in the step, are kept.
    pub(super) fn micro_batches(
        &mut self,
        most: usize,
        share: Range<usize>,
    ) -> Result<MicroBatches<L>> {
        let (mut count, mut batches) = (0, Vec::with_capacity(share.len()));
        while count < most {
            let ahead = self.ahead.take();
            match ahead.unwrap_or_else(|| self.read(share.contains(&count)))? {
                Found::Batch(batch) => batches.push(batch),
                Found::Skipped => {}
                Found::EndOfEpoch if count == 0 => {
                    return Err(Error::input("training data", "a batch", "the end of the data"));
                }
                Found::EndOfEpoch => {
                    self.ahead = Some(Ok(Found::EndOfEpoch));
                    break;
                }
            }
            count += 1;
        }
        Ok(MicroBatches { count, share, batches })
    }

    /// The next batch, if it is this rank's.
    fn read(&mut self, is_own: bool) -> Result<Found<L>> {
        if is_own {
            let batch = self.data.next_batch()?;
            return Ok(batch.map_or(Found::EndOfEpoch, Found::Batch));
        }
        Ok(if self.data.skip_batch()? { Found::Skipped } else { Found::EndOfEpoch })
    }

    /// Ends a step, the next of which has its first batch on this rank or another. Whether an epoch
    /// has ended with it.
    ///
    /// For that, the next batch is read; if it cannot be, the next step will say so.
    pub(super) fn end_step(&mut self, has_first: bool) -> Result<bool> {
        if self.ahead.is_none() {
            self.position = self.data.state()?;
            self.ahead = Some(self.read(has_first));
        }
        if !matches!(self.ahead, Some(Ok(Found::EndOfEpoch))) {
            return Ok(false);
        }
        self.ahead = None;
        self.position = self.data.state()?;
        Ok(true)
    }

    /// Where the next step begins.
    pub(super) fn position(&self) -> &Value {
        &self.position
    }

    pub(super) fn restore(&mut self, position: Value) -> Result<()> {
        self.data.restore(&position)?;
        (self.ahead, self.position) = (None, position);
        Ok(())
    }
}
