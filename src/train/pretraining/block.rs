//! Stretches of the corpus, tokenised and made into examples: what is in memory at a time.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use ndarray_rand::rand::Rng;
use ndarray_rand::rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::corpus::Corpus;
use super::document::Document;
use super::masking::{Ids, Masker};
use super::options::PreTrainingOptions;
use super::packing::{Example, Packed, Packer};
use super::random::{Purpose, generator};
use super::statistics::PreTrainingStatistics;
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::text::AlbertTokenizer;

/// How often another document is looked for in a block, and then in the corpus, before it is taken
/// that there is none.
const TRIES: usize = 10;

/// Examples of some documents, in the order in which they come.
#[derive(Debug)]
pub(super) struct Block {
    /// The documents, by their places in the epoch's order.
    pub(super) documents: Range<usize>,
    pub(super) examples: Vec<Example>,
    pub(super) statistics: PreTrainingStatistics,
}

/// Everything that batches are made from.
#[derive(Debug)]
pub(super) struct Source {
    corpus: Arc<Corpus>,
    tokenizer: AlbertTokenizer,
    packer: Packer,
    pub(super) masker: Masker,
    pub(super) options: PreTrainingOptions,
    /// By part of the corpus; empty if nothing is kept.
    cache: Vec<OnceLock<Arc<Document>>>,
    /// Of all that batches depend on.
    pub(super) fingerprint: u64,
}

impl Source {
    pub(super) fn new(
        corpus: Arc<Corpus>,
        tokenizer: &AlbertTokenizer,
        config: &AlbertConfig,
        options: PreTrainingOptions,
    ) -> Result<Self> {
        options.check(&corpus, tokenizer, config)?;
        let ids = Ids::new(tokenizer, config.vocab_size);
        if !ids.has_drawable() {
            let found = "special ones alone";
            return Err(Error::input("vocabulary", "tokens to be masked", found));
        }
        let is_small = corpus.num_bytes() <= options.cache_bytes;
        let kept = if is_small { corpus.num_parts() } else { 0 };
        Ok(Self {
            packer: Packer::new(&options, tokenizer.cls_token_id(), tokenizer.sep_token_id()),
            masker: Masker::new(&options, ids),
            fingerprint: fingerprint(&corpus, tokenizer, config, &options),
            tokenizer: tokenizer.for_plain_text(),
            cache: std::iter::repeat_with(OnceLock::new).take(kept).collect(),
            corpus,
            options,
        })
    }

    /// The order of documents in an epoch.
    pub(super) fn order(&self, epoch: u64) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.corpus.num_parts() as u32).collect();
        if self.options.shuffle {
            order.shuffle(&mut self.generator(Purpose::Order, epoch, 0));
        }
        order
    }

    /// The generator of an example's masks.
    pub(super) fn masking(&self, epoch: u64, example: &Example) -> ChaCha8Rng {
        self.generator(Purpose::Masking, epoch, example.place)
    }

    fn generator(&self, purpose: Purpose, epoch: u64, place: u64) -> ChaCha8Rng {
        generator(self.options.random_seed, purpose, self.options.copy_of(epoch), place)
    }

    /// The examples of the documents from one on.
    ///
    /// # Errors
    /// Those of [`Corpus::read`] and of the tokenizer.
    pub(super) fn block(&self, order: &[u32], epoch: u64, start: usize) -> Result<Block> {
        let range = start..self.block_end(order, start);
        let numbers = &order[range.clone()];
        let documents = numbers.par_iter().map(|&number| self.document(number as usize));
        let documents: Vec<Arc<Document>> = documents.collect::<Result<_>>()?;
        let packed: Vec<Packed> = (0..numbers.len())
            .into_par_iter()
            .map(|place| self.pack(numbers, &documents, place, epoch))
            .collect::<Result<_>>()?;
        let mut block = Block {
            documents: range,
            examples: Vec::new(),
            statistics: PreTrainingStatistics::default(),
        };
        for packed in packed {
            block.statistics.add(&packed.statistics);
            block.examples.extend(packed.examples);
        }
        let made = block.examples.len();
        block.examples.retain(|example| self.masker.can_mask(&example.ids));
        block.statistics.skipped_examples = (made - block.examples.len()) as u64;
        block.statistics.examples -= block.statistics.skipped_examples;
        if self.options.shuffle {
            let mut random = self.generator(Purpose::Shuffling, epoch, start as u64);
            block.examples.shuffle(&mut random);
        }
        Ok(block)
    }

    /// Blocks have at least two documents, or parts of one, if there are two: then another one is
    /// at hand as a rule.
    fn block_end(&self, order: &[u32], start: usize) -> usize {
        let (mut end, mut bytes) = (start, 0);
        while end < order.len() && (bytes < self.options.buffer_bytes || end - start < 2) {
            bytes += self.corpus.part_bytes(order[end] as usize);
            end += 1;
        }
        if order.len() - end == 1 { end + 1 } else { end }
    }

    fn document(&self, part: usize) -> Result<Arc<Document>> {
        if let Some(known) = self.cache.get(part).and_then(OnceLock::get) {
            return Ok(known.clone());
        }
        let document = Document::tokenize(&self.corpus.read(part)?, &self.tokenizer)?;
        let document = Arc::new(document);
        if let Some(place) = self.cache.get(part) {
            place.get_or_init(|| document.clone());
        }
        Ok(document)
    }

    fn pack(
        &self,
        parts: &[u32],
        documents: &[Arc<Document>],
        at: usize,
        epoch: u64,
    ) -> Result<Packed> {
        let other = |random: &mut ChaCha8Rng| self.other_document(parts, documents, at, random);
        let mut random = self.generator(Purpose::Packing, epoch, u64::from(parts[at]));
        self.packer.pack(parts[at], &documents[at], other, &mut random)
    }

    /// Draws a document that is not the one at a place of a block, and has sentences: from the
    /// block, or, if that consists of this one for the most part, from the whole corpus, which
    /// takes reading it.
    fn other_document(
        &self,
        parts: &[u32],
        documents: &[Arc<Document>],
        at: usize,
        random: &mut ChaCha8Rng,
    ) -> Result<Option<Arc<Document>>> {
        let document_of = |place: usize| self.corpus.document_of(parts[place] as usize);
        let own = document_of(at);
        for _ in 0..TRIES {
            let place = random.random_range(0..documents.len());
            if document_of(place) != own && documents[place].len() > 0 {
                return Ok(Some(documents[place].clone()));
            }
        }
        for _ in 0..TRIES {
            let document = self.document(self.corpus.draw_other(own, random))?;
            if document.len() > 0 {
                return Ok(Some(document));
            }
        }
        Ok(None)
    }
}

/// Text, vocabulary and options, but for those that change no batch.
fn fingerprint(
    corpus: &Corpus,
    tokenizer: &AlbertTokenizer,
    config: &AlbertConfig,
    options: &PreTrainingOptions,
) -> u64 {
    let mut hash = Hash::new();
    hash.add(&corpus.hash().to_le_bytes());
    for id in 0..config.vocab_size as u32 {
        hash.add(tokenizer.id_to_token(id).unwrap_or_default().as_bytes());
        hash.add(&id.to_le_bytes());
    }
    let decisive = PreTrainingOptions { cache_bytes: 0, epochs: None, ..options.clone() };
    hash.add(format!("{decisive:?}").as_bytes());
    hash.finish()
}
