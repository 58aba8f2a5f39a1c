//! What cannot be pre-trained on, and what the errors say.

use super::*;
use crate::train::TrainingData;

#[track_caller]
fn refused<T>(result: crate::Result<T>, expected: &str) {
    let Err(error) = result else { panic!("expected an error with {expected:?}") };
    let error = error.to_string();
    assert!(error.contains(expected), "expected {expected:?}, found {error:?}");
}

#[track_caller]
fn refused_options(change: impl FnOnce(&mut PreTrainingOptions), expected: &str) {
    let sample = Sample::new(2);
    let mut options = small();
    change(&mut options);
    let (corpus, tokenizer, config) = (sample.corpus(), sample.tokenizer(), sample.config());
    let batches =
        PreTrainingBatches::<PreTrainingLabels>::new(corpus, &tokenizer, &config, options);
    refused(batches, expected);
}

fn of_text(text: &str, options: PreTrainingOptions) -> crate::Result<PreTrainingBatches> {
    let sample = Sample::new(3);
    sample.write("text3", text);
    let corpus = sample.open(&["text3"])?;
    let mut batches: PreTrainingBatches =
        PreTrainingBatches::new(corpus, &sample.tokenizer(), &sample.config(), options)?;
    // Then everything is in the cache, and the files may go.
    batches.next().transpose()?;
    Ok(batches)
}

#[test]
fn options_out_of_range() {
    refused_options(|o| o.batch_size = 0, "batch_size: expected at least 1, found 0");
    refused_options(
        |o| o.max_seq_length = 4,
        "max_seq_length: expected at least 5, two in addition",
    );
    refused_options(|o| o.max_seq_length = 513, "at most max_position_embeddings = 512, found 513");
    refused_options(
        |o| o.short_seq_prob = 1.5,
        "short_seq_prob: expected a probability from 0 to 1",
    );
    refused_options(|o| o.short_seq_prob = f64::NAN, "short_seq_prob");
    refused_options(|o| o.masked_lm_prob = 0.0, "masked_lm_prob: expected more than 0");
    refused_options(|o| o.max_predictions_per_seq = Some(0), "max_predictions_per_seq");
    refused_options(|o| o.ngram = 0, "ngram: expected a number from 1 to 64, found 0");
    refused_options(|o| o.dupe_factor = Some(0), "dupe_factor: expected at least 1, found 0");
}

#[test]
fn a_model_that_is_too_small() {
    let sample = Sample::new(2);
    let (corpus, tokenizer) = (sample.corpus(), sample.tokenizer());
    let small_model = |change: fn(&mut ConfigFields)| {
        let mut fields = sample.config().to_fields();
        change(&mut fields);
        let config = AlbertConfig::new(fields).unwrap();
        PreTrainingBatches::<PreTrainingLabels>::new(corpus.clone(), &tokenizer, &config, small())
    };
    let expected =
        "tokens in the vocabulary: expected at most the model's vocab_size = 28, found 29";
    refused(small_model(|fields| fields.vocab_size -= 1), expected);
    refused(small_model(|fields| fields.type_vocab_size = 1), "type_vocab_size");
}

#[test]
fn documents_of_one_sentence() {
    let single = "d0s0 d0s0\n\nd1s0\n\nd2s0\n";
    let expected = "corpus: expected a document of two sentences, found one in each";
    refused(of_text(single, small()), expected);
    let objective = SentenceObjective::None;
    assert!(of_text(single, PreTrainingOptions { objective, ..small() }).is_ok());
    let objective = SentenceObjective::NextSentence;
    assert!(of_text(single, PreTrainingOptions { objective, ..small() }).is_ok());
    // Among others they are passed over.
    let mixed = of_text("d0s0\n\nd1s0\nd1s1\n\nd2s0 d2s0\n", small()).unwrap();
    let statistics = mixed.statistics();
    assert_eq!((statistics.skipped_documents, statistics.skipped_tokens), (2 * 7, 3 * 7));
}

#[test]
fn a_single_document_has_no_other() {
    let objective = SentenceObjective::NextSentence;
    let options = PreTrainingOptions { objective, ..small() };
    let expected = "corpus: expected at least two documents (a blank line between them), found 1";
    refused(of_text("d0s0\nd0s1\n", options), expected);
}

/// Sentences that only look like some.
#[test]
fn nothing_to_be_guessed_anywhere() {
    let expected = "expected a document with sentences to pair and tokens to mask, found none";
    refused(of_text("unknown\nwords\n", small()), expected);
    refused(of_text("d0s0\n\u{200B}\n", small()), expected);
}

#[test]
fn bad_lines_are_named_before_training() {
    let sample = Sample::new(3);
    std::fs::write(sample.directory.path().join("text3"), b"d0s0\nd0\xffs1\n").unwrap();
    refused(
        sample.open(&["text0", "text3"]),
        "text3: line 2: expected UTF-8, found 0xff as byte 2",
    );
    sample.write("text3", &("a ".repeat(1 << 20) + "\n"));
    refused(sample.open(&["text3"]), "text3: line 1: expected at most 1048576 bytes");
    refused(sample.open(&["text4"]), "text4");
}

#[test]
fn a_text_that_changes_in_training() {
    let sample = Sample::new(30);
    let options = PreTrainingOptions { cache_bytes: 0, ..small() };
    let expected: Vec<Seen> = sample.batches(options.clone()).take(30).map(seen).collect();
    let mut batches = sample.batches(options);
    assert_eq!(seen(batches.next().unwrap()), expected[0]);
    let (state, file) = (batches.state(), sample.directory.path().join("text1"));
    let text = std::fs::read_to_string(&file).unwrap();
    sample.write("text1", &text.replace("s1 ", "s2 "));
    let mut numbered = (1..).zip(batches.by_ref());
    let (number, error) = numbered.find_map(|(n, batch)| Some((n, batch.err()?))).unwrap();
    refused::<()>(Err(error), "text1: bytes ");
    assert!(batches.next().is_none());
    // Every request fails, until the text is there again.
    for _ in 0..2 {
        refused(batches.next_batch(), "text1: bytes ");
    }
    sample.write("text1", &text);
    assert_eq!(seen(batches.next_batch().map(Option::unwrap)), expected[number]);
    batches.restore(&state).unwrap();
    assert_eq!(seen(batches.next().unwrap()), expected[1]);
}

#[test]
fn a_position_in_other_data() {
    let sample = Sample::new(6);
    let state = sample.batches(small()).state();
    let expected = "position in the data: expected that of the same text, vocabulary and options";
    let other = PreTrainingOptions { random_seed: 3, ..small() };
    refused(sample.batches(other).restore(&state), expected);
    refused(Sample::new(5).batches(small()).restore(&state), expected);
    let text = serde_json::to_string(&state).unwrap();
    let later = text.replace("\"first_epoch\":0", "\"first_epoch\":2");
    let later = serde_json::from_str(&later).unwrap();
    refused(
        sample.batches(small()).restore(&later),
        "epoch of a position: expected at least 2, found 0",
    );
    for (from, to) in [("\"document\":0", "\"document\":6"), ("\"example\":0", "\"example\":999")] {
        let state = serde_json::from_str(&text.replace(from, to)).unwrap();
        refused(sample.batches(small()).restore(&state), "expected one within the text");
    }
}
