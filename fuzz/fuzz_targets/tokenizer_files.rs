//! Any bytes, as one of a tokenizer's files: read and, if that succeeds, used and saved, without a
//! panic, a large allocation or a text that takes forever.
//!
//! The first byte says which file it is, and what lies beside it. The rest is the file.
//!
//! ```text
//! cargo +nightly fuzz run tokenizer_files fuzz/corpus/tokenizer_files -- -malloc_limit_mb=256 -max_len=8192 -timeout=10
//! ```
#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ndalbert::AlbertTokenizer;

/// A vocabulary for configs to go with.
const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n中\n,\n";

/// A class whose `tokenizer.json` is taken as it stands, and the names of its tokens.
const LITERAL: &str = r#"{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "u", "pad_token": "u",
    "cls_token": "u", "sep_token": "u", "mask_token": "u"}"#;

/// The file, and others beside it.
const KINDS: [(&str, &[(&str, &str)]); 7] = [
    ("tokenizer.json", &[]),
    ("tokenizer.json", &[("tokenizer_config.json", LITERAL)]),
    ("spiece.model", &[]),
    ("vocab.txt", &[]),
    ("tokenizer_config.json", &[("vocab.txt", VOCABULARY)]),
    ("special_tokens_map.json", &[("vocab.txt", VOCABULARY)]),
    ("added_tokens.json", &[("vocab.txt", VOCABULARY)]),
];

const TEXTS: [&str; 4] =
    ["", "ab a, [MASK] 中文É", "``aab'' \u{0}\u{FEFF}", "a a a ,,,b aaaaaaaaaaaaaaaa"];

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let (name, others) = KINDS[usize::from(*kind) % KINDS.len()];
    let directory = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
    others.iter().for_each(|(name, text)| write(name, text.as_bytes()));
    write(name, bytes);
    let Ok(tokenizer) = AlbertTokenizer::from_pretrained(directory.path()) else { return };
    let encodings = run(&tokenizer);
    let again = directory.path().join("saved");
    tokenizer.save_pretrained(&again).expect("an empty directory to save to");
    assert_eq!(run(&load(&again)), encodings, "saving changed a tokenizer");
});

fn load(directory: &Path) -> AlbertTokenizer {
    AlbertTokenizer::from_pretrained(directory).expect("a tokenizer that was saved")
}

/// What becomes of the texts, alone, in pairs, cut and in windows.
fn run(tokenizer: &AlbertTokenizer) -> Vec<Option<Vec<u32>>> {
    let ids = |encoding: ndalbert::Result<ndalbert::Encoding>| {
        let ids = encoding.ok()?.ids;
        let _ = tokenizer.decode(&ids, true);
        Some(ids)
    };
    let cut = tokenizer.clone().with_max_length(5);
    let mut all = Vec::new();
    for text in TEXTS {
        all.push(ids(tokenizer.encode(text)));
        all.push(ids(tokenizer.encode_pair(text, TEXTS[1])));
        all.push(ids(tokenizer.encode_words(&[text, "a"])));
        all.extend(cut.as_ref().ok().map(|cut| ids(cut.encode_pair(text, text))));
        let _ = tokenizer.encode_windows("a", text, 12, 2);
    }
    all
}
