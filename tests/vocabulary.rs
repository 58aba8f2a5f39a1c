//! Vocabularies made from text, as the tokenizers that they become.

mod common;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use common::random::numbers;
use common::refused;
use ndalbert::AlbertTokenizer;
use ndalbert::text::{Vocabulary, VocabularyKind, VocabularyOptions, train_vocabulary};
use tempfile::TempDir;

const KINDS: [VocabularyKind; 3] =
    [VocabularyKind::Unigram, VocabularyKind::WordPiece, VocabularyKind::Characters];

const WORDS: [&str; 12] = [
    "training", "trained", "walking", "walked", "Talking", "talked", "the", "a", "of", "layers",
    "café", "1984",
];
const CHINESE: [&str; 6] = ["深度学习", "模型", "参数", "我们", "训练", "词表"];

/// A directory with a file of English and Chinese sentences.
fn text() -> (TempDir, PathBuf) {
    let mut drawn = numbers(3, 1 << 20).map(|number| number as usize);
    let mut draw = |limit: usize| drawn.next().unwrap() % limit;
    let mut text = String::new();
    for sentence in 0..600 {
        for _ in 0..3 + draw(6) {
            // The first words are the most frequent.
            let rank = draw(12).min(draw(12));
            if sentence % 2 == 0 {
                text += WORDS[rank];
                text += if draw(5) == 0 { ", " } else { " " };
            } else {
                text += CHINESE[rank / 2];
            }
        }
        text += if sentence % 2 == 0 { ".\n" } else { "。\n" };
    }
    // Once only.
    text += "🦀 zebra\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text");
    fs::write(&path, text).unwrap();
    (directory, path)
}

fn options(kind: VocabularyKind) -> VocabularyOptions {
    VocabularyOptions { kind, vocab_size: 120, ..VocabularyOptions::default() }
}

fn trained(kind: VocabularyKind) -> (TempDir, Vocabulary) {
    let (directory, path) = text();
    let vocabulary = train_vocabulary(&[path], &options(kind)).unwrap();
    vocabulary.save(directory.path()).unwrap();
    (directory, vocabulary)
}

#[test]
fn the_tokenizer_has_the_vocabulary() {
    for kind in KINDS {
        let (directory, vocabulary) = trained(kind);
        let tokenizer = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
        assert!(vocabulary.size() <= 120 && vocabulary.size() > 40, "{kind:?}");
        assert_eq!(tokenizer.vocab_size(), vocabulary.size());
        for (id, token) in (0..).zip(vocabulary.tokens()) {
            assert_eq!(tokenizer.token_to_id(token), Some(id));
        }
        let distinct: HashSet<&str> = vocabulary.tokens().into_iter().collect();
        assert_eq!(distinct.len(), vocabulary.size());
        let special = [
            tokenizer.pad_token_id(),
            tokenizer.unk_token_id(),
            tokenizer.cls_token_id(),
            tokenizer.sep_token_id(),
            tokenizer.mask_token_id(),
        ];
        assert_eq!(special, [0, 1, 2, 3, 4]);
        assert_eq!(tokenizer.special_token_ids(), special);
        assert_eq!(tokenizer.model_max_length(), Some(512));
        let encoding = tokenizer.encode("the [MASK] of 模型 🦀").unwrap();
        assert_eq!(encoding.ids.iter().filter(|&&id| id == 4).count(), 1, "{:?}", encoding.tokens);
        assert!(encoding.ids.contains(&1), "{:?}", encoding.tokens);
    }
}

#[track_caller]
fn assert_tokens(kind: VocabularyKind, text: &str, expected: &[&str]) {
    let (directory, _) = trained(kind);
    let tokenizer = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
    let tokens = tokenizer.encode(text).unwrap().tokens;
    assert_eq!(&tokens[1..tokens.len() - 1], expected);
}

#[test]
fn unigram_finds_words_and_parts() {
    assert_tokens(
        VocabularyKind::Unigram,
        "The TRAINING walked",
        &["▁the", "▁training", "▁walked"],
    );
    let (_, vocabulary) = trained(VocabularyKind::Unigram);
    let tokens = vocabulary.tokens();
    assert!(tokens.contains(&"深度学习"), "{tokens:?}");
    // Pieces do not reach across scripts, and accents are gone.
    let is_mixed = |token: &&&str| token.contains(['。', '.', ',']) && token.chars().count() > 2;
    assert_eq!(tokens.iter().find(is_mixed), None);
    assert!(tokens.iter().all(|token| !token.contains('é') && !token.contains('T')));
}

#[test]
fn wordpiece_joins_letters_and_keeps_chinese_characters() {
    let kind = VocabularyKind::WordPiece;
    assert_tokens(kind, "the Talking 模型", &["the", "talking", "模", "型"]);
    let (_, vocabulary) = trained(kind);
    assert!(vocabulary.tokens().iter().any(|token| *token == "##ing" || *token == "##ed"));
}

#[test]
fn characters_are_in_the_order_of_their_frequency() {
    assert_tokens(VocabularyKind::Characters, "a Walk 度", &["a", "w", "##a", "##l", "##k", "度"]);
    let (directory, vocabulary) = trained(VocabularyKind::Characters);
    let text = fs::read_to_string(directory.path().join("text")).unwrap();
    let tokens = vocabulary.tokens();
    let chinese: Vec<char> = tokens
        .iter()
        .filter_map(|token| token.chars().next().filter(|char| ('\u{4E00}'..).contains(char)))
        .collect();
    let counts: Vec<usize> = chinese.iter().map(|char| text.matches(*char).count()).collect();
    assert!(counts.len() == 14 && counts.is_sorted_by(|a, b| a >= b), "{chinese:?} {counts:?}");
    assert!(!tokens.contains(&"🦀"), "a character that is there once is none of two");
    let few = VocabularyOptions { vocab_size: 9, ..options(VocabularyKind::Characters) };
    let fewer = train_vocabulary(&[directory.path().join("text")], &few).unwrap();
    assert_eq!(fewer.tokens(), tokens[..9]);
}

/// Also where the library goes through maps in a random order, and whatever the threads.
#[test]
fn the_same_text_gives_the_same_vocabulary() {
    let (_directory, path) = text();
    for kind in KINDS {
        let expected = train_vocabulary(&[&path], &options(kind)).unwrap();
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| train_vocabulary(&[&path], &options(kind)).unwrap());
            assert_eq!(again, expected);
        }
        let sampled = VocabularyOptions { max_sentences: 100, ..options(kind) };
        let few = train_vocabulary(&[&path], &sampled).unwrap();
        assert_eq!(train_vocabulary(&[&path], &sampled).unwrap(), few);
    }
}

#[test]
fn letters_keep_their_case_if_asked() {
    let (directory, path) = text();
    for kind in KINDS {
        let cased = VocabularyOptions { do_lower_case: false, ..options(kind) };
        train_vocabulary(&[&path], &cased).unwrap().save(directory.path()).unwrap();
        let tokenizer = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
        let joined = tokenizer.encode("Talking café").unwrap().tokens.concat();
        assert!(joined.contains('T') && joined.contains('é'), "{kind:?}: {joined}");
        fs::remove_file(directory.path().join("tokenizer.json")).ok();
    }
}

#[test]
fn tiny_texts_are_enough() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tiny");
    for text in ["a", "aa", "a b", "。", "1\n1\n", "ab ab ab", "<pad><pad> [MASK]", "a\u{1}b"] {
        fs::write(&path, text).unwrap();
        for kind in KINDS {
            let every = VocabularyOptions { min_frequency: 1, ..options(kind) };
            let vocabulary = train_vocabulary(&[&path], &every).unwrap();
            vocabulary.save(directory.path()).unwrap();
            let tokenizer = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
            assert_eq!(tokenizer.vocab_size(), vocabulary.size(), "{kind:?} of {text:?}");
            assert!(vocabulary.size() > 5, "{kind:?} of {text:?}");
            fs::remove_file(directory.path().join("tokenizer.json")).ok();
        }
    }
}

#[test]
fn mistakes_are_refused() {
    let (directory, path) = text();
    for kind in KINDS {
        let of = |change: fn(&mut VocabularyOptions)| {
            let mut options = options(kind);
            change(&mut options);
            train_vocabulary(&[&path], &options)
        };
        refused(of(|o| o.vocab_size = 5), &["vocab_size", "a number from 6 to", "found 5"]);
        refused(of(|o| o.vocab_size = 1 << 40), &["vocab_size", "found 1099511627776"]);
        refused(of(|o| o.character_coverage = 0.0), &["character_coverage", "more than 0"]);
        refused(of(|o| o.character_coverage = f64::NAN), &["character_coverage", "NaN"]);
        refused(of(|o| o.max_sentences = 0), &["max_sentences", "at least 1"]);
        if kind != VocabularyKind::Characters {
            refused(of(|o| o.vocab_size = 20), &["vocab_size", "or a smaller", "found 20"]);
        }
        let empty = directory.path().join("empty");
        fs::write(&empty, "\n \n\u{1}\n").unwrap();
        refused(train_vocabulary(&[&empty], &options(kind)), &["at least one word"]);
        fs::write(&empty, b"one\n\xff").unwrap();
        refused(train_vocabulary(&[&empty], &options(kind)), &["empty", "line 2", "UTF-8"]);
        let vocabulary = of(|_| {}).unwrap();
        refused(vocabulary.save(directory.path().join("missing")), &["missing"]);
        refused(vocabulary.save(""), &["empty path"]);
    }
}
