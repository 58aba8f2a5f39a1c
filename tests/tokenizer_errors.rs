//! Bad input: every case is an error that names the file, what was expected and what was found.

use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::{AlbertTokenizer, Error, Truncation, TruncationStrategy};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers").join(name)
}

fn model_bytes() -> Vec<u8> {
    fs::read(fixture("sentencepiece/spiece.model")).unwrap()
}

/// A directory with these files.
fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

/// The message for a directory with these files, which must hold all of `parts`.
#[track_caller]
fn assert_refused(files: &[(&str, &[u8])], parts: &[&str]) {
    let directory = directory(files);
    let error = AlbertTokenizer::from_pretrained(directory.path()).unwrap_err().to_string();
    assert!(error.starts_with(directory.path().to_str().unwrap()), "no path: {error}");
    for part in parts {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}

/// A sound `vocab.txt` with one JSON file next to it.
#[track_caller]
fn assert_json_refused(name: &str, json: &str, parts: &[&str]) {
    let vocabulary = fs::read(fixture("wordpiece/vocab.txt")).unwrap();
    let parts = [&[name], parts].concat();
    assert_refused(&[("vocab.txt", &vocabulary), (name, json.as_bytes())], &parts);
}

// Writing protobuf by hand, so that every field can be wrong.

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, payload: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(payload.len() as u64), payload.to_vec()].concat()
}

fn piece(text: &str, score: f32, kind: u64) -> Vec<u8> {
    let score = [varint(2 << 3 | 5), score.to_le_bytes().to_vec()].concat();
    bytes(1, &[bytes(1, text.as_bytes()), score, number(3, kind)].concat())
}

fn five_pieces() -> Vec<u8> {
    let kinds = [("<pad>", 3), ("<unk>", 2), ("[CLS]", 3), ("[SEP]", 3), ("[MASK]", 3)];
    kinds.iter().flat_map(|(text, kind)| piece(text, 0.0, *kind)).collect()
}

fn specifications(model_type: u64, charsmap: &[u8]) -> Vec<u8> {
    [bytes(2, &number(3, model_type)), bytes(3, &bytes(2, charsmap))].concat()
}

#[test]
fn the_handmade_model_is_sound() {
    let more = [piece("▁a", -1.0, 1), piece("b", -2.0, 1)].concat();
    let model = [five_pieces(), more, specifications(1, b"")].concat();
    let directory = directory(&[("spiece.model", &model)]);
    let tokenizer = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
    assert_eq!(tokenizer.encode("ab c").unwrap().tokens, ["[CLS]", "▁a", "b", "▁c", "[SEP]"]);
}

#[test]
fn a_missing_directory() {
    let error = AlbertTokenizer::from_pretrained("nowhere/at/all").unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if path.ends_with("nowhere/at/all")),
        "{error}"
    );
}

#[test]
fn a_file_instead_of_a_directory() {
    let path = fixture("wordpiece/vocab.txt");
    let error = AlbertTokenizer::from_pretrained(&path).unwrap_err().to_string();
    assert!(error.contains("vocab.txt: expected a directory"), "{error}");
}

#[test]
fn a_directory_without_a_vocabulary() {
    assert_refused(&[("config.json", b"{}")], &["tokenizer.json, spiece.model, vocab.txt", "none"]);
}

#[test]
fn a_directory_named_like_a_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("spiece.model")).unwrap();
    let error = AlbertTokenizer::from_pretrained(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Io { path, .. } if path.ends_with("spiece.model")));
}

#[test]
fn every_truncation_of_a_spiece_model() {
    let whole = model_bytes();
    let cut_off = (0..whole.len()).step_by(997).chain(whole.len() - 40..whole.len() - 20);
    let (directory, mut refused) = (tempfile::tempdir().unwrap(), 0);
    for length in cut_off {
        fs::write(directory.path().join("spiece.model"), &whole[..length]).unwrap();
        match AlbertTokenizer::from_pretrained(directory.path()) {
            Err(error) => {
                assert!(error.to_string().contains("spiece.model: "), "{error}");
                refused += 1;
            }
            Ok(_) => {
                assert!(length > whole.len() - 40, "{length} of {} bytes suffice", whole.len())
            }
        }
    }
    assert!(refused > 60, "{refused}");
}

#[test]
fn a_spiece_model_cut_between_two_pieces() {
    assert_refused(&[("spiece.model", &five_pieces())], &["whole", "5 pieces", "cut off"]);
    assert_refused(&[("spiece.model", b"")], &["whole", "0 pieces"]);
}

#[test]
fn a_spiece_model_of_garbage() {
    assert_refused(&[("spiece.model", &[0xFF; 100])], &["expected a SentencePiece model"]);
    assert_refused(
        &[("spiece.model", b"not a protobuf at all")],
        &["expected a SentencePiece model"],
    );
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 760289\n";
    assert_refused(&[("spiece.model", pointer)], &["expected a SentencePiece model"]);
}

/// Loads 60 copies of the model with `flips` bytes changed somewhere after `from`, and encodes with those that load.
fn load_flipped(flips: usize, from: usize) -> usize {
    let whole = model_bytes();
    let text: String = (0x20..0x3000).step_by(3).filter_map(char::from_u32).collect();
    let directory = tempfile::tempdir().unwrap();
    let (mut state, mut loaded) = (1u64, 0);
    for _ in 0..60 {
        let mut broken = whole.clone();
        for _ in 0..flips {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let place = from + (state >> 33) as usize % (broken.len() - from);
            broken[place] ^= (state >> 20) as u8;
        }
        fs::write(directory.path().join("spiece.model"), &broken).unwrap();
        if let Ok(tokenizer) = AlbertTokenizer::from_pretrained(directory.path()) {
            tokenizer.encode(&text).unwrap();
            loaded += 1;
        }
    }
    loaded
}

#[test]
fn flipped_bytes_never_panic() {
    load_flipped(20, 0);
    load_flipped(1, 0);
    // The charsmap is the end of the file: what loads here was walked with a changed trie.
    let end = model_bytes().len() / 2;
    assert!(load_flipped(1, end) > 10);
    load_flipped(10, end);
}

#[test]
fn huge_lengths_in_the_protobuf_allocate_nothing() {
    for length in [1 << 31, 1 << 40, u64::MAX] {
        let piece = [varint(1 << 3 | 2), varint(length)].concat();
        assert_refused(&[("spiece.model", &piece)], &["expected a SentencePiece model"]);
    }
}

#[test]
fn a_model_of_another_algorithm() {
    for (model_type, name) in [(2, "2 (BPE)"), (3, "3 (word)"), (4, "4 (char)"), (9, "9")] {
        let model = [five_pieces(), specifications(model_type, b"")].concat();
        assert_refused(&[("spiece.model", &model)], &["model_type", "expected 1 (unigram)", name]);
    }
}

#[test]
fn pieces_that_cannot_be() {
    let cases: [(Vec<u8>, &str); 4] = [
        (piece("", 0.0, 1), "piece 5: expected a text, found none"),
        (piece("<unk>", 0.0, 1), "piece 5: expected a text of its own, found \"<unk>\""),
        (piece("x", f32::NAN, 1), "piece 5: expected a finite score, found NaN"),
        (piece("x", f32::NEG_INFINITY, 1), "piece 5: expected a finite score, found -inf"),
    ];
    for (piece, part) in cases {
        let model = [five_pieces(), piece, specifications(1, b"")].concat();
        assert_refused(&[("spiece.model", &model)], &[part]);
    }
}

/// A charsmap: this many bytes of trie, these units, these replacements.
fn charsmap(length: u32, units: &[u32], replacements: &[u8]) -> Vec<u8> {
    let units = units.iter().flat_map(|unit| unit.to_le_bytes());
    length.to_le_bytes().into_iter().chain(units).chain(replacements.iter().copied()).collect()
}

/// A block of 256 units in which the byte `a` (0x61) leads to a leaf of value `start`.
fn one_edge(start: u32) -> Vec<u32> {
    let mut units = vec![0; 256];
    units[0x61] = 0x61 | 1 << 8 | 1 << 10; // label, has a leaf, at offset 1
    units[0x61 ^ 1] = 1 << 31 | start;
    units
}

#[test]
fn a_sound_handmade_charsmap_is_applied() {
    let map = charsmap(1024, &one_edge(0), b"bb\0");
    let more = piece("bb", -1.0, 1);
    let model = [five_pieces(), more, specifications(1, &map)].concat();
    let directory = directory(&[("spiece.model", &model)]);
    let tokenizer = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
    assert_eq!(tokenizer.encode("a").unwrap().tokens, ["[CLS]", "▁", "bb", "[SEP]"]);
}

#[test]
fn charsmaps_that_would_lead_outside() {
    let mut far = vec![0; 256];
    far[0] = 0x3F_FFFF << 10;
    let cases: [(Vec<u8>, &str); 8] = [
        (vec![1, 2], "found 2 bytes"),
        (charsmap(0, &[], b"x"), "expected a trie"),
        (charsmap(u32::MAX, &one_edge(0), b""), "expected a trie"),
        (charsmap(1022, &one_edge(0), b""), "expected a trie"),
        (charsmap(4, &[0], b""), "expected edges within 1 units"),
        (charsmap(1024, &far, b""), "expected edges within 256 units"),
        (charsmap(1024, &one_edge(7), b"bb\0"), "expected a replacement within 3 bytes"),
        (charsmap(1024, &one_edge(0), &[0xFF]), "expected replacements in UTF-8"),
    ];
    for (map, part) in cases {
        let model = [five_pieces(), specifications(1, &map)].concat();
        assert_refused(&[("spiece.model", &model)], &["spiece.model: precompiled charsmap", part]);
    }
}

#[test]
fn a_vocabulary_without_special_tokens() {
    let unknown = [piece("<unk>", 0.0, 2), specifications(1, b"")].concat();
    assert_refused(&[("spiece.model", &unknown)], &["spiece.model", "pad_token \"<pad>\""]);
    let none = [piece("a", 0.0, 1), specifications(1, b"")].concat();
    assert_refused(
        &[("spiece.model", &none)],
        &["spiece.model", "unknown token \"<unk>\"", "1 pieces"],
    );
    for gone in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] {
        let tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"];
        let lines: String = tokens
            .iter()
            .filter(|token| **token != gone)
            .map(|token| format!("{token}\n"))
            .collect();
        assert_refused(
            &[("vocab.txt", lines.as_bytes())],
            &["vocab.txt: ", gone, "among 5 tokens"],
        );
    }
}

#[test]
fn a_vocab_txt_that_is_none() {
    assert_refused(&[("vocab.txt", b"")], &["vocab.txt: expected one token per line"]);
    assert_refused(&[("vocab.txt", b"\n \n")], &["vocab.txt: expected one token per line"]);
    assert_refused(&[("vocab.txt", b"[PAD]\n\xFF\n")], &["vocab.txt: line 2: expected UTF-8"]);
}

#[test]
fn broken_json() {
    for name in ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"] {
        assert_json_refused(name, "{\"do_lower", &["expected JSON"]);
        assert_json_refused(name, "", &["expected JSON"]);
        assert_json_refused(name, "[1, 2]", &["expected a JSON object", "a list of 2"]);
        assert_json_refused(name, &"[".repeat(100_000), &["expected JSON"]);
    }
}

#[test]
fn values_of_the_wrong_type() {
    let cases = [
        (r#"{"do_lower_case": "yes"}"#, "`do_lower_case`: expected true or false, found \"yes\""),
        (r#"{"keep_accents": 1}"#, "`keep_accents`: expected true or false, found 1"),
        (r#"{"strip_accents": []}"#, "`strip_accents`: expected true or false, found a list of 0"),
        (r#"{"tokenize_chinese_chars": 0.5}"#, "`tokenize_chinese_chars`: expected true or false"),
        (r#"{"add_prefix_space": "no"}"#, "`add_prefix_space`: expected true or false"),
        (r#"{"split_special_tokens": 0}"#, "`split_special_tokens`: expected true or false"),
        (r#"{"clean_up_tokenization_spaces": 0}"#, "`clean_up_tokenization_spaces`: expected true"),
        (
            r#"{"truncation_side": "top"}"#,
            "`truncation_side`: expected \"right\" or \"left\", found \"top\"",
        ),
        (r#"{"model_max_length": "512"}"#, "`model_max_length`: expected a whole number"),
        (
            r#"{"model_max_length": -1}"#,
            "`model_max_length`: expected a whole number of tokens, found -1",
        ),
        (r#"{"tokenizer_class": 3}"#, "`tokenizer_class`: expected a string, found 3"),
        (r#"{"mask_token": 4}"#, "`mask_token`: expected a token"),
        (r#"{"mask_token": {"lstrip": true}}"#, "`mask_token`: expected a token"),
        (r#"{"mask_token": {"content": "[MASK]", "lstrip": 1}}"#, "`mask_token`: expected a token"),
        (r#"{"additional_special_tokens": "x"}"#, "`additional_special_tokens`: expected a list"),
        (r#"{"extra_special_tokens": [1]}"#, "`extra_special_tokens`: expected a token"),
        (r#"{"added_tokens_decoder": []}"#, "`added_tokens_decoder`: expected an object"),
        (
            r#"{"added_tokens_decoder": {"x": "y"}}"#,
            "`added_tokens_decoder`: expected ids as keys, found \"x\"",
        ),
        (r#"{"added_tokens_decoder": {"5": 6}}"#, "`added_tokens_decoder`: expected a token"),
    ];
    for (json, part) in cases {
        assert_json_refused("tokenizer_config.json", json, &[part]);
    }
    assert_json_refused(
        "special_tokens_map.json",
        r#"{"cls_token": []}"#,
        &["`cls_token`: expected a token"],
    );
    assert_json_refused(
        "added_tokens.json",
        r#"{"x": "y"}"#,
        &["`x`: expected an id, found \"y\""],
    );
}

#[test]
fn a_special_token_that_is_not_in_the_vocabulary() {
    let vocabulary = fs::read(fixture("wordpiece/vocab.txt")).unwrap();
    let config = br#"{"mask_token": "<mask>"}"#;
    let files: [(&str, &[u8]); 2] = [("vocab.txt", &vocabulary), ("tokenizer_config.json", config)];
    assert_refused(&files, &["vocab.txt: expected the mask_token \"<mask>\""]);
}

/// Its rules are unknown here, and guessing would give ids that look right.
#[test]
fn a_class_of_other_rules_without_a_tokenizer_json() {
    let config: &[u8] = br#"{"tokenizer_class": "BertJapaneseTokenizer"}"#;
    let vocabulary = fs::read(fixture("wordpiece/vocab.txt")).unwrap();
    for (name, bytes) in [("vocab.txt", vocabulary), ("spiece.model", model_bytes())] {
        let parts =
            ["tokenizer_config.json: `tokenizer_class`", "found \"BertJapaneseTokenizer\"", name];
        assert_refused(&[(name, &bytes), ("tokenizer_config.json", config)], &parts);
    }
}

#[test]
fn broken_tokenizer_json() {
    let cases: [(&str, &str); 9] = [
        ("", "expected JSON"),
        ("3", "expected a JSON object, found 3"),
        ("{}", "expected the key `model`"),
        (r#"{"model": 1}"#, "`model`: expected an object, found 1"),
        (
            r#"{"model": {"type": "Unigram"}}"#,
            "`model.vocab`: expected a list of [piece, score], found null",
        ),
        (r#"{"model": {"type": "Unigram", "vocab": [["a"]]}}"#, "`model.vocab`: expected a list"),
        (
            r#"{"model": {"type": "WordPiece", "vocab": 7}}"#,
            "`model.vocab`: expected an object of ids, found 7",
        ),
        (r#"{"model": {"type": "Other"}}"#, "expected a tokenizer"),
        (r#"{"model": {"type": "Unigram", "vocab": []}}"#, "unknown token \"<unk>\""),
    ];
    for (json, part) in cases {
        assert_refused(&[("tokenizer.json", json.as_bytes())], &["tokenizer.json: ", part]);
    }
}

#[test]
fn broken_parts_of_a_tokenizer_json() {
    let whole = fs::read_to_string(fixture("converted/tokenizer.json")).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&whole).unwrap();
    value["added_tokens"] = serde_json::json!([{"content": "x"}]);
    assert_refused(
        &[("tokenizer.json", value.to_string().as_bytes())],
        &["`added_tokens`: expected a list"],
    );
    value["added_tokens"] = serde_json::json!([]);
    value["post_processor"] = serde_json::json!({"type": "Nothing"});
    assert_refused(
        &[("tokenizer.json", value.to_string().as_bytes())],
        &["`post_processor`: expected"],
    );
    value["post_processor"] = serde_json::Value::Null;
    let sound = directory(&[("tokenizer.json", value.to_string().as_bytes())]);
    let tokenizer = AlbertTokenizer::from_pretrained(sound.path()).unwrap();
    assert_eq!(tokenizer.encode("").unwrap().tokens, ["[CLS]", "[SEP]"]);
}

/// Also where the file is taken literally, and nothing else would look at the charsmap.
#[test]
fn a_broken_charsmap_in_a_tokenizer_json() {
    let whole = fs::read_to_string(fixture("converted/tokenizer.json")).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let normalizers = value["normalizer"]["normalizers"].as_array_mut().unwrap();
    let map = normalizers.iter_mut().find(|value| value["type"] == "Precompiled").unwrap();
    let five = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"].map(|text| (text, 0.0));
    for (text, part) in [
        ("BAAAAAAAAAA=", "expected edges within 1 units"),
        ("B A=", "base 64"),
        ("A", "base 64"),
        ("=AAA", "base 64"),
    ] {
        map["precompiled_charsmap"] = text.into();
        let json =
            serde_json::json!({"normalizer": map, "model": {"type": "Unigram", "vocab": five}});
        let json = json.to_string();
        let literal: &[u8] = br#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#;
        for config in [b"{}", literal] {
            let files = [("tokenizer.json", json.as_bytes()), ("tokenizer_config.json", config)];
            assert_refused(&files, &["tokenizer.json: ", part]);
        }
    }
}

#[test]
fn a_length_too_small_for_the_special_tokens() {
    let tokenizer = AlbertTokenizer::from_pretrained(fixture("sentencepiece")).unwrap();
    let error = tokenizer.clone().with_max_length(1).unwrap_err().to_string();
    assert_eq!(error, "max_length: expected at least 2, the number of special tokens, found 1");
    let tokenizer = tokenizer.with_max_length(2).unwrap();
    assert_eq!(tokenizer.encode("some text").unwrap().tokens, ["[CLS]", "[SEP]"]);
    let error = tokenizer.encode_pair("some", "text").unwrap_err().to_string();
    assert_eq!(error, "max_length: expected at least 3, the number of special tokens, found 2");
}

#[test]
fn a_text_that_cannot_give_way() {
    let tokenizer = AlbertTokenizer::from_pretrained(fixture("chinese")).unwrap();
    let only = |strategy| tokenizer.clone().with_truncation(Truncation { max_length: 8, strategy });
    let first = only(TruncationStrategy::OnlyFirst).unwrap();
    let error = first.encode_pair("短", "这句话比较长一些").unwrap_err();
    assert!(matches!(error, Error::Tokenizer(_)), "{error}");
    let second = only(TruncationStrategy::OnlySecond).unwrap();
    assert!(second.encode("没有第二句话的长句子").is_err());
    assert!(second.encode("短").is_ok());
}

#[test]
fn ids_and_choices_that_are_not_there() {
    let tokenizer = AlbertTokenizer::from_pretrained(fixture("wordpiece")).unwrap();
    let error = tokenizer.decode(&[2, 999_999], false).unwrap_err().to_string();
    assert_eq!(error, "ids[1]: expected an id of the vocabulary of 524, found 999999");
    assert!(tokenizer.decode(&[u32::MAX], true).is_err());
    let none: [&str; 0] = [];
    assert!(tokenizer.encode_choices("prompt", &none).is_err());
}

/// A class whose files are used unchanged.
const LITERAL: &[u8] = br#"{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>",
    "pad_token": "<pad>", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}"#;

/// A file whose class uses it unchanged, with other parts than a valid one.
fn literal_refused(changes: serde_json::Value, parts: &[&str]) {
    let file = std::fs::read(fixture("converted").join("tokenizer.json")).unwrap();
    let mut file: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&file).unwrap();
    file.extend(changes.as_object().unwrap().clone());
    let file = serde_json::to_vec(&file).unwrap();
    assert_refused(&[("tokenizer.json", &file), ("tokenizer_config.json", LITERAL)], parts);
}

#[test]
fn steps_that_the_library_would_panic_on() {
    use serde_json::json;
    literal_refused(json!({"pre_tokenizer": {"type": "FixedLength", "length": 0}}), &["length"]);
    let strip = json!({"type": "Strip", "content": " ", "start": 0, "stop": 1});
    literal_refused(json!({"decoder": {"type": "Sequence", "decoders": [strip]}}), &["stripped"]);
    let bpe = json!({"type": "BPEDecoder", "suffix": "</w>"});
    let ctc =
        json!({"type": "CTC", "pad_token": "a", "word_delimiter_token": "|", "cleanup": true});
    let both = json!({"decoder": {"type": "Sequence", "decoders": [ctc, bpe]}});
    literal_refused(both, &["decoder", "both"]);
    let bpe = |merge: serde_json::Value| {
        json!({"model": {"type": "BPE", "continuing_subword_prefix": "##",
            "vocab": {"<unk>": 0, "a": 1, "b": 2, "##b": 3}, "merges": [merge]}})
    };
    // The second part lacks the prefix; what they join to is no token.
    literal_refused(bpe(json!(["a", "b"])), &["model.merges"]);
    literal_refused(bpe(json!("a ##b")), &["model.merges"]);
}

#[test]
fn a_template_of_tokens_that_it_does_not_have() {
    use serde_json::json;
    let template = |single: serde_json::Value, tokens: serde_json::Value| {
        let mut file: serde_json::Value = serde_json::from_slice(
            &std::fs::read(fixture("converted").join("tokenizer.json")).unwrap(),
        )
        .unwrap();
        file["post_processor"] = json!({"type": "TemplateProcessing", "single": single,
            "pair": [], "special_tokens": tokens});
        assert_json_refused("tokenizer.json", &file.to_string(), &["post_processor"]);
    };
    let token = json!([{"SpecialToken": {"id": "[CLS]", "type_id": 0}}]);
    template(token.clone(), json!({}));
    template(token, json!({"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": []}}));
    template(json!([{"Sequence": {"id": "B", "type_id": 0}}]), json!({}));
}

#[test]
fn steps_that_make_a_text_grow_without_end() {
    use serde_json::json;
    let replace = |content: String| json!({"type": "Replace", "pattern": {"String": "a"}, "content": content});
    let normalizer = |steps: Vec<serde_json::Value>| json!({"normalizer": {"type": "Sequence", "normalizers": steps}});
    literal_refused(normalizer(vec![replace("aa".to_owned()); 60]), &["times longer"]);
    literal_refused(normalizer(vec![replace("a".to_owned()); 200]), &["at most 128 steps"]);
    literal_refused(normalizer(vec![replace("a".repeat(300))]), &["normalizer", "content"]);
    let regex = json!({"type": "Split", "pattern": {"Regex": "((a{100}){100}){100}"}, "behavior": "Isolated", "invert": false});
    literal_refused(json!({ "pre_tokenizer": regex }), &["pre_tokenizer", "repetitions"]);
    let wordpiece = json!({"model": {"type": "WordPiece", "unk_token": "u", "vocab": {"u": 0},
        "continuing_subword_prefix": "##", "max_input_chars_per_word": 1_000_000}});
    literal_refused(wordpiece, &["max_input_chars_per_word"]);
}

#[test]
fn ids_and_pieces_that_leave_no_room() {
    let bytes = |vocabulary: &str| {
        format!(
            r#"{{"model": {{"type": "WordPiece", "vocab": {vocabulary}}}, "added_tokens": []}}"#
        )
    };
    assert_json_refused("tokenizer.json", &bytes(r#"{"a": 4294967295}"#), &["ids below"]);
    let unigram = r#"{"model": {"type": "Unigram", "vocab": [["<unk>", 0], ["", 1.5]]}}"#;
    assert_json_refused("tokenizer.json", unigram, &["piece 1", "a text"]);
}

#[test]
fn a_charsmap_with_an_endless_replacement() {
    let map = charsmap(1024, &one_edge(0), &[b'a'; 300]);
    let model = [five_pieces(), specifications(1, &map)].concat();
    assert_refused(&[("spiece.model", &model)], &["charsmap", "at most 256 bytes"]);
}

/// Of a decoder that looks at the last of no tokens.
#[test]
fn decoding_nothing_is_no_text() {
    let mut file: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture("converted").join("tokenizer.json")).unwrap())
            .unwrap();
    file["decoder"] = serde_json::json!({"type": "BPEDecoder", "suffix": "</w>"});
    let file = file.to_string();
    let directory =
        directory(&[("tokenizer.json", file.as_bytes()), ("tokenizer_config.json", LITERAL)]);
    let tokenizer = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
    assert_eq!(tokenizer.decode(&[], true).unwrap(), "");
    assert_eq!(tokenizer.decode(&[tokenizer.cls_token_id()], true).unwrap(), "");
    assert_eq!(tokenizer.decode(&[tokenizer.cls_token_id()], false).unwrap(), "[CLS]");
}
