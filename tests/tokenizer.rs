//! What the goldens do not show: batches, choices, options that are only read, sharing between
//! threads.

use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::{AlbertTokenizer, Truncation, TruncationSide, TruncationStrategy};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers").join(name)
}

fn tokenizer(name: &str) -> AlbertTokenizer {
    AlbertTokenizer::from_pretrained(fixture(name)).unwrap()
}

/// The fixture's vocabulary with this `tokenizer_config.json`.
fn configured(name: &str, file: &str, config: &str) -> AlbertTokenizer {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(fixture(name).join(file), directory.path().join(file)).unwrap();
    fs::write(directory.path().join("tokenizer_config.json"), config).unwrap();
    AlbertTokenizer::from_pretrained(directory.path()).unwrap()
}

#[test]
fn batches_are_the_single_encodings_in_order() {
    for name in ["sentencepiece", "converted", "chinese"] {
        let tokenizer = tokenizer(name);
        let texts: Vec<String> = (0..200).map(|n| format!("text number {n}, 第{n}句")).collect();
        let batch = tokenizer.encode_batch(&texts).unwrap();
        assert_eq!(batch.len(), texts.len());
        for (text, encoding) in texts.iter().zip(&batch) {
            assert_eq!(*encoding, tokenizer.encode(text).unwrap());
        }
        let pairs: Vec<(&str, String)> =
            texts.iter().map(|text| (text.as_str(), text.repeat(2))).collect();
        let batch = tokenizer.encode_pairs(&pairs).unwrap();
        for ((first, second), encoding) in pairs.iter().zip(&batch) {
            assert_eq!(*encoding, tokenizer.encode_pair(first, second).unwrap());
        }
        assert!(tokenizer.encode_batch::<&str>(&[]).unwrap().is_empty());
    }
}

#[test]
fn one_failing_text_fails_its_batch() {
    let truncation = Truncation { max_length: 6, strategy: TruncationStrategy::OnlyFirst };
    let tokenizer = tokenizer("chinese").with_truncation(truncation).unwrap();
    assert!(tokenizer.encode_pairs(&[("中", "文")]).is_ok());
    assert!(tokenizer.encode_pairs(&[("中", "文"), ("中", "文文文文文文文文")]).is_err());
}

#[test]
fn choices_share_their_prompt() {
    let tokenizer = tokenizer("sentencepiece");
    let choices = ["yes", "no", ""];
    let encodings = tokenizer.encode_choices("is it so?", &choices).unwrap();
    for (choice, encoding) in choices.iter().zip(&encodings) {
        assert_eq!(*encoding, tokenizer.encode_pair("is it so?", choice).unwrap());
    }
    assert_eq!(encodings[2].tokens[encodings[2].len() - 2..], ["[SEP]", "[SEP]"]);
}

#[test]
fn a_question_keeps_while_its_paragraph_is_cut() {
    let truncation = Truncation { max_length: 12, strategy: TruncationStrategy::OnlySecond };
    let tokenizer = tokenizer("chinese").with_truncation(truncation).unwrap();
    let (question, paragraph) = ("谁写的？", "这本书是他在北京的时候写的。");
    let encoding = tokenizer.encode_pair(question, paragraph).unwrap();
    assert_eq!(encoding.len(), 12);
    let of_first = encoding.sequence_ids.iter().filter(|sequence| **sequence == Some(0)).count();
    assert_eq!(of_first, question.chars().count());
    let left = tokenizer.with_truncation_side(TruncationSide::Left);
    let end = left.encode_pair(question, paragraph).unwrap();
    assert_eq!(end.tokens[10], "。");
}

#[test]
fn windows_overlap_from_either_side() {
    let right = tokenizer("chinese");
    let text = "一二三四五六七八";
    let parts = |tokenizer: &AlbertTokenizer| -> Vec<String> {
        let windows = tokenizer.encode_text_windows(text, 6, 1).unwrap();
        windows.iter().map(|window| window.tokens[1..window.len() - 1].concat()).collect()
    };
    assert_eq!(parts(&right), ["一二三四", "四五六七", "七八"]);
    let left = right.clone().with_truncation_side(TruncationSide::Left);
    assert_eq!(parts(&left), ["五六七八", "二三四五", "一二"]);

    let windows = right.encode_text_windows(text, 6, 1).unwrap();
    assert_eq!((windows[2].len(), windows[2].offsets[1]), (4, (6, 7)));
    let beside = right.encode_windows("问", text, 8, 1).unwrap();
    assert_eq!(beside.len(), 3);
    assert_eq!(beside[1].ids[3..7], windows[1].ids[1..5]);
    assert!(right.encode_text_windows(text, 6, 4).is_err());
    assert!(right.encode_text_windows("", 2, 0).is_ok());
    assert!(right.encode_text_windows("", 1, 0).is_err());
}

#[test]
fn nothing_is_cut_unless_asked() {
    let tokenizer = configured("wordpiece", "vocab.txt", r#"{"model_max_length": 16}"#);
    assert_eq!(tokenizer.model_max_length(), Some(16));
    assert!(tokenizer.encode(&"的".repeat(100)).unwrap().len() > 100);
    let tokenizer = tokenizer.with_max_length(16).unwrap();
    assert_eq!(tokenizer.encode(&"的".repeat(100)).unwrap().len(), 16);
}

#[test]
fn lengths_without_limit() {
    let read = |config: &str| configured("wordpiece", "vocab.txt", config).model_max_length();
    assert_eq!(read("{}"), None);
    assert_eq!(read(r#"{"model_max_length": null}"#), None);
    assert_eq!(read(r#"{"model_max_length": 1000000000000000019884624838656}"#), None);
    assert_eq!(read(r#"{"model_max_length": 512.0}"#), Some(512));
}

#[test]
fn the_longest_input_has_an_older_name() {
    let read = |config: &str| configured("wordpiece", "vocab.txt", config).model_max_length();
    assert_eq!(read(r#"{"max_len": 16}"#), Some(16));
    assert_eq!(read(r#"{"max_len": 16, "model_max_length": 32}"#), Some(32));
    assert_eq!(read(r#"{"max_len": 16, "model_max_length": null}"#), None);
    assert_eq!(read(r#"{"max_len": 1e30}"#), None);
    assert_eq!(read(r#"{"model_max_length": 0}"#), None);
}

/// As `AlbertTokenizer` of transformers 5.24 takes them; its `BertTokenizer` refuses a null.
#[test]
fn a_null_switch_is_off() {
    let tokens = |config: &str| {
        let tokenizer = configured("sentencepiece", "spiece.model", config);
        tokenizer.encode("The a").unwrap().tokens
    };
    let off = tokens(r#"{"do_lower_case": false}"#);
    assert_eq!(tokens(r#"{"do_lower_case": null}"#), off);
    assert_ne!(tokens("{}"), off);
    assert_eq!(tokens(r#"{"add_prefix_space": null}"#), tokens(r#"{"add_prefix_space": false}"#));
}

/// What transformers 5.24 makes of settings in a file that is meant for special tokens.
#[test]
fn settings_in_the_special_tokens_map_win() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    fs::copy(fixture("chinese").join("vocab.txt"), directory.path().join("vocab.txt")).unwrap();
    let map = r#"{"do_lower_case": false, "max_len": 16, "tokenizer_class": "Other"}"#;
    write("special_tokens_map.json", map);
    write("tokenizer_config.json", r#"{"do_lower_case": true}"#);
    let read = || AlbertTokenizer::from_pretrained(directory.path());
    let cased = |tokenizer: &AlbertTokenizer| {
        tokenizer.encode("中A").unwrap().tokens != tokenizer.encode("中a").unwrap().tokens
    };
    assert!(cased(&read().unwrap()));
    assert_eq!(read().unwrap().model_max_length(), Some(16));
    // Not if the config has a list of its own.
    write("tokenizer_config.json", r#"{"added_tokens_decoder": {}}"#);
    assert!(!cased(&read().unwrap()));
    assert_eq!(read().unwrap().model_max_length(), None);
    write("tokenizer_config.json", "{}");
    write("special_tokens_map.json", r#"{"do_lower_case": "no"}"#);
    let error = read().unwrap_err().to_string();
    assert!(
        error.contains("special_tokens_map.json") && error.contains("do_lower_case"),
        "{error}"
    );
}

#[test]
fn type_ids_are_zero_where_the_model_is_given_none() {
    let types = |config: &str| {
        let tokenizer = configured("wordpiece", "vocab.txt", config);
        let pair = tokenizer.encode_pair("a", "b").unwrap();
        let window = tokenizer.encode_windows("a", "b", 9, 0).unwrap().remove(0);
        assert_eq!(pair, window);
        assert_eq!(pair.sequence_ids.last(), Some(&None));
        pair.type_ids.contains(&1)
    };
    assert!(types("{}"));
    assert!(types(r#"{"model_input_names": null}"#));
    assert!(types(r#"{"model_input_names": ["input_ids", "token_type_ids"]}"#));
    assert!(!types(r#"{"model_input_names": ["input_ids", "attention_mask"]}"#));
    assert!(!types(r#"{"model_input_names": []}"#));
}

#[test]
fn the_side_of_the_config_is_the_default() {
    let tokenizer = configured("wordpiece", "vocab.txt", r#"{"truncation_side": "left"}"#);
    let tokenizer = tokenizer.with_max_length(3).unwrap();
    assert_eq!(tokenizer.encode("a b c").unwrap().tokens, ["[CLS]", "c", "[SEP]"]);
}

#[test]
fn tokenizer_json_comes_before_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let files = [
        ("converted", "tokenizer.json"),
        ("sentencepiece", "spiece.model"),
        ("chinese", "vocab.txt"),
    ];
    let encode = || {
        AlbertTokenizer::from_pretrained(directory.path()).unwrap().encode("[CLS] (in 9,").unwrap()
    };
    for (fixture_name, file) in files.iter().rev() {
        fs::copy(fixture(fixture_name).join(file), directory.path().join(file)).unwrap();
        assert_eq!(encode(), tokenizer(fixture_name).encode("[CLS] (in 9,").unwrap(), "{file}");
    }
}

/// The published files split the comma off a number, as the original tokenizer does; `spiece.model`
/// alone does not.
#[test]
fn the_comma_after_a_digit() {
    let converted = tokenizer("converted").encode("in 9, not").unwrap();
    assert_eq!(converted.tokens, ["[CLS]", "▁in", "▁", "9", ",", "▁not", "[SEP]"]);
    let plain = tokenizer("sentencepiece").encode("in 9, not").unwrap();
    assert_eq!(plain.tokens, ["[CLS]", "▁in", "▁9,", "▁not", "[SEP]"]);
}

#[test]
fn ids_of_the_special_tokens() {
    let tokenizer = tokenizer("chinese");
    assert_eq!(tokenizer.special_token_ids(), [0, 100, 101, 102, 103]);
    assert_eq!(tokenizer.token_to_id("[unused1]"), Some(1));
    assert_eq!(tokenizer.id_to_token(103).as_deref(), Some("[MASK]"));
    assert_eq!(tokenizer.token_to_id("no such token"), None);
    assert_eq!(tokenizer.id_to_token(u32::MAX), None);
}

#[test]
fn shared_between_threads() {
    fn is_shareable<T: Send + Sync + Clone + 'static>(_: &T) {}
    let tokenizer = tokenizer("sentencepiece");
    is_shareable(&tokenizer);
    let expected = tokenizer.encode("some text").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(tokenizer.encode("some text").unwrap(), expected));
        }
    });
}

/// Carriage returns and trailing spaces are no part of a token, as in the library's reader.
#[test]
fn a_vocab_txt_from_another_system() {
    let directory = tempfile::tempdir().unwrap();
    let lines = "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\n中 \r\n文\r\n";
    fs::write(directory.path().join("vocab.txt"), lines).unwrap();
    let tokenizer = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
    assert_eq!(tokenizer.encode("中文").unwrap().ids, [2, 5, 6, 3]);
}

/// A `tokenizer.json` of the fixture with something changed in it.
fn changed(name: &str, change: impl Fn(&mut serde_json::Value)) -> AlbertTokenizer {
    let directory = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture(name).join("tokenizer.json")).unwrap();
    let mut value = serde_json::from_str(&text).unwrap();
    change(&mut value);
    fs::write(directory.path().join("tokenizer.json"), value.to_string()).unwrap();
    AlbertTokenizer::from_pretrained(directory.path()).unwrap()
}

#[test]
fn a_tokenizer_json_from_before_models_had_a_type() {
    for name in ["converted", "saved-wordpiece"] {
        let typed = changed(name, |_| ());
        let untyped = changed(name, |value| {
            value["model"].as_object_mut().unwrap().remove("type");
            // Only the rebuilt pipeline does without.
            value["normalizer"].as_object_mut().unwrap().remove("lowercase");
        });
        let text = "Straße ``9,'' [MASK] 中文";
        assert_eq!(typed.encode(text).unwrap(), untyped.encode(text).unwrap(), "{name}");
    }
}

/// What a `tokenizer.json` says about truncation and padding counts only for the side, as in
/// `transformers`.
#[test]
fn a_tokenizer_json_with_truncation_and_padding() {
    let tokenizer = changed("converted", |value| {
        value["truncation"] = serde_json::json!(
            {"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
        value["padding"] = serde_json::json!({"strategy": {"Fixed": 32}, "direction": "Right",
            "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"});
    });
    assert_eq!(tokenizer.encode("in the of to a").unwrap().len(), 7);
    let cut = tokenizer.with_max_length(4).unwrap();
    assert_eq!(cut.encode("in the of to a").unwrap().tokens, ["[CLS]", "▁to", "▁a", "[SEP]"]);
}
