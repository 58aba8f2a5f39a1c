//! From files to batches and back.

mod mistakes;
mod position;

use std::fmt::Write;
use std::sync::Arc;

use ndarray::Array2;
use tempfile::TempDir;

use super::*;
use crate::batch::{Batch, Words};
use crate::config::{AlbertConfig, ConfigFields};
use crate::model::training::PreTrainingLabels;
use crate::text::AlbertTokenizer;
use crate::train::TrainingBatch;

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const SENTENCES: usize = 12;

/// Files, a tokenizer for them, and a model's config: document d's sentence s consists of the word
/// `d{d}s{s}`, a few times, and so every token tells where it is from.
struct Sample {
    directory: TempDir,
    documents: usize,
}

impl Sample {
    fn new(documents: usize) -> Self {
        let sample = Self { directory: tempfile::tempdir().unwrap(), documents };
        let words = (0..documents * SENTENCES).map(|n| word(n / SENTENCES, n % SENTENCES));
        let tokens = SPECIAL.into_iter().map(str::to_owned).chain(words);
        sample.write("vocab.txt", &tokens.collect::<Vec<_>>().join("\n"));
        for file in 0..3 {
            let mut text = String::new();
            for document in (0..documents).filter(|document| document % 3 == file) {
                for sentence in 0..SENTENCES {
                    let length = 2 + (document * 7 + sentence * 5) % 9;
                    writeln!(text, "{}", [&*word(document, sentence)].repeat(length).join(" "))
                        .unwrap();
                }
                text.push('\n');
            }
            sample.write(&format!("text{file}"), &text);
        }
        sample
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn open(&self, files: &[&str]) -> crate::Result<Arc<Corpus>> {
        let paths: Vec<_> = files.iter().map(|name| self.directory.path().join(name)).collect();
        Corpus::open(&paths).map(Arc::new)
    }

    fn corpus(&self) -> Arc<Corpus> {
        self.open(&["text0", "text1", "text2"]).unwrap()
    }

    fn tokenizer(&self) -> AlbertTokenizer {
        AlbertTokenizer::from_pretrained(self.directory.path()).unwrap()
    }

    fn config(&self) -> AlbertConfig {
        let vocab_size = SPECIAL.len() + self.documents * SENTENCES;
        let fields = ConfigFields { vocab_size, ..AlbertConfig::base_v2().to_fields() };
        AlbertConfig::new(fields).unwrap()
    }

    fn batches(&self, options: PreTrainingOptions) -> PreTrainingBatches {
        PreTrainingBatches::new(self.corpus(), &self.tokenizer(), &self.config(), options).unwrap()
    }
}

fn word(document: usize, sentence: usize) -> String {
    format!("d{document}s{sentence}")
}

/// Where a token is from.
fn origin(id: u32) -> (usize, usize) {
    let number = id as usize - SPECIAL.len();
    (number / SENTENCES, number % SENTENCES)
}

fn small() -> PreTrainingOptions {
    PreTrainingOptions {
        batch_size: 7,
        max_seq_length: 48,
        buffer_bytes: 4000,
        random_seed: 1,
        ..PreTrainingOptions::default()
    }
}

/// A batch as plain values, to be compared and taken apart.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    rows: Vec<Vec<u32>>,
    types: Vec<Vec<u32>>,
    masked_lm: Array2<i64>,
    sentence_order: Vec<i64>,
}

fn seen(batch: crate::Result<TrainingBatch<PreTrainingLabels>>) -> Seen {
    let TrainingBatch { batch, labels } = batch.unwrap();
    let Words::Ids(ids) = &batch.words else { panic!("no ids") };
    let cut = |values: &[u32], batch: &Batch| -> Vec<Vec<u32>> {
        let rows = batch.layout.sequences.iter();
        rows.map(|row| values[row.start..row.start + row.tokens].to_vec()).collect()
    };
    Seen {
        rows: cut(ids, &batch),
        types: cut(&batch.type_ids, &batch),
        masked_lm: labels.masked_lm,
        sentence_order: labels.sentence_order,
    }
}

impl Seen {
    /// The examples as they were before masking, split into A and B, with their labels.
    fn examples(&self) -> Vec<(Vec<u32>, Vec<u32>, i64)> {
        let longest = self.rows.iter().map(Vec::len).max().unwrap();
        assert_eq!(self.masked_lm.dim(), (self.rows.len(), longest));
        let mut examples = Vec::new();
        for (row, ids) in self.rows.iter().enumerate() {
            let mut ids = ids.clone();
            let labels = self.masked_lm.row(row);
            assert!(labels.iter().any(|&label| label >= 0), "nothing to be guessed");
            for (place, &label) in labels.iter().enumerate().filter(|&(_, &label)| label != -100) {
                assert!(place < ids.len(), "a label on padding");
                ids[place] = u32::try_from(label).unwrap();
                assert!(ids[place] >= 5, "a label on a special token");
            }
            let types = &self.types[row];
            let first = types.iter().filter(|&&kind| kind == 0).count();
            assert!(types[..first].iter().all(|&kind| kind == 0));
            assert!(types[first..].iter().all(|&kind| kind == 1));
            let (a, b) = ids.split_at(first);
            assert_eq!((a[0], a[a.len() - 1]), (2, 3));
            assert_eq!(b.last().unwrap_or(&3), &3);
            let b = b[..b.len().saturating_sub(1)].to_vec();
            examples.push((a[1..a.len() - 1].to_vec(), b, self.sentence_order[row]));
        }
        examples
    }
}

#[test]
fn sentence_order_keeps_to_a_document() {
    let sample = Sample::new(60);
    let batches = sample.batches(PreTrainingOptions { epochs: Some(3), ..small() });
    let (mut swapped, mut all, mut documents) = (0, 0, std::collections::BTreeSet::new());
    for batch in batches {
        for (mut first, mut second, label) in seen(batch).examples() {
            if label == 1 {
                std::mem::swap(&mut first, &mut second);
            }
            first.append(&mut second);
            // What was masked is there again: sentences of one document in their order.
            assert!(first.is_sorted(), "{first:?}");
            let (document, _) = origin(first[0]);
            assert!(first.iter().all(|&id| origin(id).0 == document), "documents were mixed");
            documents.insert(document);
            swapped += label;
            all += 1;
        }
    }
    assert_eq!(documents.len(), 60);
    let share = swapped as f64 / f64::from(all);
    assert!((share - 0.5).abs() < 0.1, "{share} of {all}");
}

#[test]
fn next_sentence_takes_another_document() {
    let objective = SentenceObjective::NextSentence;
    let sample = Sample::new(60);
    let batches = sample.batches(PreTrainingOptions { objective, epochs: Some(2), ..small() });
    let mut counts = [0; 2];
    for (first, second, label) in batches.flat_map(|batch| seen(batch).examples()) {
        let documents = [&first, &second].map(|ids| origin(ids[0]).0);
        assert_eq!(label == 1, documents[0] != documents[1]);
        assert!(label == 1 || first.last() < second.first());
        counts[label as usize] += 1;
    }
    assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
}

/// A document of six parts, and a short one: whether blocks have parts of the first alone, or of
/// both.
#[test]
fn a_document_that_fills_blocks_is_paired_with_others() {
    let objective = SentenceObjective::NextSentence;
    let sample = Sample::new(2);
    let long: String =
        (0..7_500).map(|n| word(0, n % SENTENCES) + " d0s0".repeat(9).as_str() + "\n").collect();
    sample.write("text3", &format!("{long}\nd1s0 d1s1\nd1s2 d1s3\n"));
    let corpus = sample.open(&["text3"]).unwrap();
    assert_eq!((corpus.num_parts(), corpus.num_documents()), (7, 2));
    for (shuffle, buffer_bytes) in [(false, 1), (true, 4 << 20)] {
        let options =
            PreTrainingOptions { objective, epochs: Some(1), shuffle, buffer_bytes, ..small() };
        let batches = |options: PreTrainingOptions| {
            let (tokenizer, config) = (sample.tokenizer(), sample.config());
            PreTrainingBatches::<PreTrainingLabels>::new(
                corpus.clone(),
                &tokenizer,
                &config,
                options,
            )
            .unwrap()
        };
        let (mut random, mut all) = (0, 0);
        let expected: Vec<Seen> = batches(options.clone()).map(seen).collect();
        for (first, second, label) in expected.iter().flat_map(Seen::examples) {
            let documents = [&first, &second].map(|ids| origin(ids[0]).0);
            assert_eq!(label == 1, documents[0] != documents[1]);
            random += label;
            all += 1;
        }
        let share = random as f64 / f64::from(all);
        assert!(all > 1500 && (share - 0.5).abs() < 0.04, "{share} of {all}");
        // Neither threads nor what is kept make a difference, nor where it is begun.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let uncached = PreTrainingOptions { cache_bytes: 0, ..options.clone() };
        assert!(pool.install(|| batches(uncached).map(seen).collect::<Vec<_>>()) == expected);
        let (mut begun, mut resumed) = (batches(options.clone()), batches(options));
        begun.by_ref().take(100).for_each(drop);
        resumed.restore(&begun.state()).unwrap();
        assert!(resumed.map(seen).collect::<Vec<_>>() == expected[100..]);
    }
}

#[test]
fn masked_words_alone() {
    let objective = SentenceObjective::None;
    let options = PreTrainingOptions { objective, epochs: Some(1), ..small() };
    let sample = Sample::new(9);
    let batches = sample.batches(options.clone()).map(seen);
    let (corpus, tokenizer, config) = (sample.corpus(), sample.tokenizer(), sample.config());
    let labels =
        PreTrainingBatches::<Array2<i64>>::new(corpus, &tokenizer, &config, options).unwrap();
    let labels: Vec<Array2<i64>> = labels.map(|batch| batch.unwrap().labels).collect();
    assert!(labels.len() >= 3);
    for (batch, labels) in batches.zip(labels) {
        assert_eq!(batch.masked_lm, labels);
        assert!(batch.sentence_order.iter().all(|&label| label == -100));
        assert!(batch.examples().iter().all(|(_, second, _)| second.is_empty()));
    }
}

#[test]
fn every_batch_is_full_but_the_last() {
    let sample = Sample::new(20);
    let options = PreTrainingOptions { epochs: Some(3), ..small() };
    let sizes: Vec<usize> =
        sample.batches(options.clone()).map(|batch| seen(batch).rows.len()).collect();
    let (last, others) = sizes.split_last().unwrap();
    assert!(others.iter().all(|&size| size == 7) && *last <= 7);
    let mut batches = sample.batches(options);
    assert_eq!(batches.by_ref().count(), sizes.len());
    let statistics = batches.statistics();
    assert_eq!(statistics.examples, sizes.iter().sum::<usize>() as u64);
    assert_eq!((statistics.documents, statistics.sentences), (60, 60 * SENTENCES as u64));
    assert_eq!((batches.epoch(), batches.next().is_none()), (3, true));
}

#[test]
fn examples_come_from_everywhere() {
    let sample = Sample::new(60);
    let batches = sample.batches(PreTrainingOptions { epochs: Some(1), ..small() });
    let mut order = Vec::new();
    for (first, _, _) in batches.flat_map(|batch| seen(batch).examples()) {
        order.push(origin(first[0]).0);
    }
    let neighbours = order.windows(2).filter(|pair| pair[0] == pair[1]).count();
    // In the text's own order, every other one follows one of its own document.
    assert!(neighbours < order.len() / 4, "{neighbours} of {}", order.len());
    let files = order[..12].iter().map(|document| document % 3);
    assert_eq!(files.collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn evaluation_is_the_same_each_time() {
    let sample = Sample::new(20);
    let mut batches = sample.batches(small().for_evaluation());
    let first: Vec<Seen> = batches.by_ref().map(seen).collect();
    assert!(batches.next().is_none());
    batches.rewind();
    assert_eq!(batches.map(seen).collect::<Vec<_>>(), first);
    let documents = first.iter().flat_map(Seen::examples).map(|(first, _, _)| origin(first[0]).0);
    let by_file = documents.map(|document| (document % 3, document)).collect::<Vec<_>>();
    assert!(by_file.is_sorted());
}

#[test]
fn special_tokens_written_in_a_text_are_text() {
    let sample = Sample::new(3);
    sample.write("text3", "d0s0 [SEP] d0s0 [MASK]\nd0s1 [CLS] d0s1\n");
    let corpus = sample.open(&["text3"]).unwrap();
    let options = PreTrainingOptions { epochs: Some(1), ..small() };
    let batches: PreTrainingBatches =
        PreTrainingBatches::new(corpus, &sample.tokenizer(), &sample.config(), options).unwrap();
    let mut rows = batches.flat_map(|batch| seen(batch).examples());
    let (mut first, second, _) = rows.next().unwrap();
    first.extend(second);
    first.sort_unstable();
    // `[`, `sep` and `]` are words that this vocabulary lacks.
    assert_eq!(first, [1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 5, 6, 6]);
}
