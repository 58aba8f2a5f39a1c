//! Batches, and resuming from any position.

use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::block::{Block, Source};
use super::corpus::Corpus;
use super::options::PreTrainingOptions;
use super::packing::{Example, IGNORED};
use super::statistics::PreTrainingStatistics;
use crate::batch::Batch;
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::model::training::PreTrainingLabels;
use crate::text::AlbertTokenizer;
use crate::train::{TrainingBatch, TrainingData};

/// The position in the data, from which training can resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataState {
    /// Tells whether text, vocabulary and options are still the same.
    fingerprint: u64,
    /// The pass over the text, from 0.
    epoch: u64,
    /// The pass with which the current series of [`PreTrainingOptions::epochs`] has begun.
    #[serde(default)]
    first_epoch: u64,
    /// Where the current block begins in the epoch's order of documents.
    document: usize,
    /// The next example of the block.
    example: usize,
    /// Of all blocks before this one.
    statistics: PreTrainingStatistics,
}

/// Batches for pre-training: an iterator that shuffles and masks, and whose position can be saved.
///
/// `L` is what the model's loss takes: [`PreTrainingLabels`], or `Array2<i64>` (masked words alone)
/// for [`AlbertForMaskedLM`](crate::AlbertForMaskedLM). An epoch's last examples and the next one's
/// first share a batch, so all batches but the very last have the same number of examples.
///
/// A batch depends on the text, the vocabulary, the options and its number, and on nothing else,
/// such as threads or interruptions.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use ndalbert::train::PreTrainingLabels;
/// use ndalbert::train::pretraining::{Corpus, PreTrainingBatches, PreTrainingOptions};
/// use ndalbert::{AlbertConfig, AlbertTokenizer};
///
/// let tokenizer = AlbertTokenizer::from_pretrained("albert-base-v2")?;
/// let config = AlbertConfig::base_v2();
/// let corpus = Arc::new(Corpus::open(&["news.txt", "books.txt"])?);
/// let options = PreTrainingOptions { max_seq_length: 128, ..PreTrainingOptions::default() };
/// let batches: PreTrainingBatches = PreTrainingBatches::new(corpus, &tokenizer, &config, options)?;
/// for batch in batches.take(1000) {
///     let PreTrainingLabels { masked_lm, sentence_order } = batch?.labels;
/// }
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Debug)]
pub struct PreTrainingBatches<L = PreTrainingLabels> {
    source: Source,
    state: DataState,
    /// The epoch's order of documents.
    order: Vec<u32>,
    block: Option<Block>,
    /// Whether an example was found since the epoch began; without any, there never will be one.
    has_examples: bool,
    has_failed: bool,
    labels: PhantomData<fn() -> L>,
}

impl<L> PreTrainingBatches<L> {
    /// Batches from the beginning.
    ///
    /// # Errors
    /// [`Error::Input`] if an option is out of its range or asks for more positions, token types or
    /// tokens than the model has, or if the objective needs what the text lacks: a document of two
    /// sentences (sentence order), or a second document (next sentence).
    pub fn new(
        corpus: Arc<Corpus>,
        tokenizer: &AlbertTokenizer,
        config: &AlbertConfig,
        options: PreTrainingOptions,
    ) -> Result<Self> {
        let source = Source::new(corpus, tokenizer, config, options)?;
        let state = DataState {
            fingerprint: source.fingerprint,
            epoch: 0,
            first_epoch: 0,
            document: 0,
            example: 0,
            statistics: PreTrainingStatistics::default(),
        };
        let order = source.order(0);
        Ok(Self {
            source,
            state,
            order,
            block: None,
            has_examples: false,
            has_failed: false,
            labels: PhantomData,
        })
    }

    /// The options.
    pub fn options(&self) -> &PreTrainingOptions {
        &self.source.options
    }

    /// The pass over the text that the last batch ended in, from 0.
    pub fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// Statistics of the text so far, over all epochs.
    pub fn statistics(&self) -> PreTrainingStatistics {
        let mut all = self.state.statistics;
        if let Some(block) = &self.block {
            all.add(&block.statistics);
        }
        all
    }

    /// The number of examples in the first epoch, which are generated for this; others may have a
    /// few more or less.
    ///
    /// # Errors
    /// Those of reading and tokenising the text.
    pub fn count_examples(&self) -> Result<u64> {
        let order = self.source.order(0);
        let (mut start, mut examples) = (0, 0);
        while start < order.len() {
            let block = self.source.block(&order, 0, start)?;
            examples += block.examples.len() as u64;
            start = block.documents.end;
        }
        Ok(examples)
    }

    /// Where the data is, after the last batch.
    pub fn state(&self) -> DataState {
        self.state.clone()
    }

    /// Continues from a state, bit-identically.
    ///
    /// # Errors
    /// [`Error::Input`] if text, vocabulary or options are not those of the state (only `epochs`
    /// and `cache_bytes` may change), and those of reading and tokenising the text. Then nothing
    /// has changed.
    pub fn restore(&mut self, state: &DataState) -> Result<()> {
        if state.fingerprint != self.source.fingerprint {
            let (expected, found) = ("that of the same text, vocabulary and options", "another");
            return Err(Error::input("position in the data", expected, found));
        }
        if state.first_epoch > state.epoch {
            let (expected, found) = (format!("at least {}", state.first_epoch), state.epoch);
            return Err(Error::input("epoch of a position", expected, found.to_string()));
        }
        let order = self.source.order(state.epoch);
        let is_start = (state.document, state.example) == (0, 0);
        // At the end, as at the beginning of an epoch, nothing of it has been read.
        let block = match !is_start && state.document < order.len() {
            true => Some(self.source.block(&order, state.epoch, state.document)?),
            false => None,
        };
        if !is_start && block.as_ref().is_none_or(|block| state.example > block.examples.len()) {
            let found = format!("document {}, example {}", state.document, state.example);
            return Err(Error::input("position in the data", "one within the text", found));
        }
        self.has_examples = !is_start;
        (self.order, self.block, self.state) = (order, block, state.clone());
        self.has_failed = false;
        Ok(())
    }

    /// Restarts from the beginning, for the next evaluation.
    pub fn rewind(&mut self) {
        self.state = DataState {
            epoch: 0,
            first_epoch: 0,
            document: 0,
            example: 0,
            statistics: PreTrainingStatistics::default(),
            ..self.state
        };
        self.order = self.source.order(0);
        (self.block, self.has_examples, self.has_failed) = (None, false, false);
    }

    /// The next batch, or none at the end.
    fn read(&mut self) -> Result<Option<TrainingBatch<PreTrainingLabels>>> {
        let rows = self.examples(Row::masked)?;
        if rows.is_empty() { Ok(None) } else { stack(&rows).map(Some) }
    }

    /// What is made of each of the next batch's examples.
    fn examples<T>(&mut self, make: impl Fn(&Source, u64, &Example) -> T) -> Result<Vec<T>> {
        let mut made = Vec::with_capacity(self.source.options.batch_size);
        while made.len() < self.source.options.batch_size && self.find_example()? {
            let Some(block) = &self.block else { break };
            let example = &block.examples[self.state.example];
            made.push(make(&self.source, self.state.epoch, example));
            self.state.example += 1;
        }
        Ok(made)
    }

    /// Reads on. Where that fails, the position stays.
    fn advance<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.state.clone();
        let read = read(self);
        if read.is_err() {
            (self.state, self.has_failed) = (before, true);
        }
        read
    }

    /// After an error, goes back to where the position is.
    fn recover(&mut self) -> Result<()> {
        if self.has_failed { self.restore(&self.state.clone()) } else { Ok(()) }
    }

    /// Moves on to the block that has the next example, unless it is there. False at the end.
    fn find_example(&mut self) -> Result<bool> {
        loop {
            let passes = self.state.epoch - self.state.first_epoch;
            if self.source.options.epochs.is_some_and(|epochs| passes >= epochs) {
                return Ok(false);
            }
            let block = match self.block.take() {
                Some(block) => block,
                None => self.source.block(&self.order, self.state.epoch, self.state.document)?,
            };
            if self.state.example < block.examples.len() {
                self.has_examples = true;
                self.block = Some(block);
                return Ok(true);
            }
            self.leave(&block)?;
        }
    }

    /// On to the block after this one.
    fn leave(&mut self, block: &Block) -> Result<()> {
        self.state.statistics.add(&block.statistics);
        (self.state.document, self.state.example) = (block.documents.end, 0);
        if self.state.document < self.order.len() {
            return Ok(());
        }
        if !self.has_examples {
            let expected = "a document with sentences to pair and tokens to mask";
            return Err(Error::input("corpus", expected, "none"));
        }
        self.state.epoch += 1;
        self.state.document = 0;
        self.has_examples = false;
        self.order = self.source.order(self.state.epoch);
        Ok(())
    }
}

impl<L: From<PreTrainingLabels>> Iterator for PreTrainingBatches<L> {
    type Item = Result<TrainingBatch<L>>;

    /// After an error there is nothing more, until [`restore`](PreTrainingBatches::restore) or
    /// [`rewind`](PreTrainingBatches::rewind).
    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let read = self.advance(Self::read);
        let into =
            |TrainingBatch { batch, labels }| TrainingBatch { batch, labels: L::from(labels) };
        read.map(|batch| batch.map(into)).transpose()
    }
}

/// All passes over the text that [`PreTrainingOptions::epochs`] asks for are one epoch to a
/// trainer; without a limit, there is no end of it. Passes are counted on from one epoch to the
/// next, so that each has an order, swaps and masks of its own.
impl<L: From<PreTrainingLabels>> TrainingData<L> for PreTrainingBatches<L> {
    /// After an error, the same batch is tried again.
    fn next_batch(&mut self) -> Result<Option<TrainingBatch<L>>> {
        self.recover()?;
        let batch = self.next().transpose()?;
        if batch.is_none() {
            self.state.first_epoch = self.state.epoch;
        }
        Ok(batch)
    }

    fn skip_batch(&mut self) -> Result<bool> {
        self.recover()?;
        let is_there = !self.advance(|batches| batches.examples(|_, _, _| ()))?.is_empty();
        if !is_there {
            self.state.first_epoch = self.state.epoch;
        }
        Ok(is_there)
    }

    fn state(&self) -> Result<Value> {
        serde_json::to_value(self.state()).map_err(|error| {
            Error::input("position in the data", "one that JSON can hold", error.to_string())
        })
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let state = DataState::deserialize(state).map_err(|error| {
            Error::input("position in the data", "one of pre-training", error.to_string())
        })?;
        self.restore(&state)
    }
}

/// An example as it goes into a batch.
struct Row {
    ids: Vec<u32>,
    types: Vec<u32>,
    masked_lm: Vec<i64>,
    sentence_order: i64,
}

impl Row {
    fn masked(source: &Source, epoch: u64, example: &Example) -> Self {
        let mut ids = example.ids.clone();
        let masked_lm = source.masker.mask(&mut ids, &mut source.masking(epoch, example));
        let types = (0..ids.len()).map(|place| u32::from(place >= example.first)).collect();
        Self { ids, types, masked_lm, sentence_order: example.label }
    }
}

fn stack(rows: &[Row]) -> Result<TrainingBatch<PreTrainingLabels>> {
    let batch = Batch::from_ids_and_types(rows.iter().map(|row| (&row.ids[..], &row.types[..])))?;
    let mut masked_lm = Array2::from_elem((rows.len(), batch.padded_length()), IGNORED);
    for (mut labels, row) in masked_lm.rows_mut().into_iter().zip(rows) {
        labels.iter_mut().zip(&row.masked_lm).for_each(|(label, &masked)| *label = masked);
    }
    let sentence_order = rows.iter().map(|row| row.sentence_order).collect();
    Ok(TrainingBatch { batch, labels: PreTrainingLabels { masked_lm, sentence_order } })
}

/// The masked words alone.
impl From<PreTrainingLabels> for Array2<i64> {
    fn from(labels: PreTrainingLabels) -> Self {
        labels.masked_lm
    }
}
