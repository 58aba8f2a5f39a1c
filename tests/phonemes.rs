//! Speech models' text encoders: their vocabulary of phonemes, and their files as they are
//! published.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::example::path;
use common::refused;
use ndalbert::checkpoint::Checkpoint;
use ndalbert::{Albert, AlbertTokenizer, Batch, Error, Model, PreTrainedModel};
use ndarray::Axis;

/// What `tests/golden/phonemes/make_goldens.py` has.
const TEXTS: [&str; 3] = ["həlˈoʊ, wˈɜːld!", "", "nˈoʊ 1 $ <pad> ꭧ ɑ̃n\nː"];

/// The distance from transformers that the golden models are made for (`tests/golden/README.md`).
const TOLERANCE: f32 = 2e-5;

fn demo() -> PathBuf {
    path("examples/data/phonemes-demo")
}

/// A directory with a `config.json`.
fn with_config(text: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.json"), text).unwrap();
    directory
}

#[test]
fn phonemes_become_the_ids_and_states_of_kokoros_own_code() {
    let golden = Checkpoint::open(path("tests/golden/phonemes/states.safetensors")).unwrap();
    let tokenizer = AlbertTokenizer::from_pretrained(demo()).unwrap();
    let (albert, report) = Albert::from_pretrained(demo()).unwrap();
    assert_eq!(report.newly_initialized.len() + report.mismatched.len(), 0, "{report}");
    let others =
        ["bert_encoder.module.bias", "bert_encoder.module.weight", "text_encoder.module.weight"];
    assert_eq!(report.unexpected, others);
    for (number, text) in TEXTS.iter().enumerate() {
        let encoding = tokenizer.encode(text).unwrap();
        let ids: Vec<f32> = encoding.ids.iter().map(|&id| id as f32).collect();
        let expected = golden.read(&format!("{number}.input_ids")).unwrap();
        assert_eq!(ids, expected.as_slice().unwrap(), "{text:?}");
        let output = albert.forward(&Batch::from_encodings([&encoding]).unwrap()).unwrap();
        let expected = golden.read(&format!("{number}.states")).unwrap();
        let expected = expected.index_axis_move(Axis(0), 0);
        let found = output.last_hidden_state.rows().into_dyn();
        let distance = (expected - &found).fold(0f32, |most, x| most.max(x.abs()));
        assert!(distance <= TOLERANCE, "{text:?}: {distance}");
    }
}

#[test]
fn a_character_is_a_token_and_others_are_left_out() {
    let tokenizer = AlbertTokenizer::from_pretrained(demo()).unwrap();
    let text = "nˈo1 ɑ̃<pad>";
    let encoding = tokenizer.encode(text).unwrap();
    let tokens = ["<pad>", "n", "ˈ", "o", " ", "ɑ", "\u{303}", "p", "a", "d", "<pad>"];
    assert_eq!(encoding.tokens, tokens);
    assert_eq!(encoding.ids, [0, 56, 156, 57, 16, 69, 17, 58, 43, 46, 0]);
    let offsets =
        [(0, 0), (0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (0, 0)];
    assert_eq!(encoding.offsets, offsets);
    for (token, &(start, end)) in tokens.iter().zip(&encoding.byte_offsets).skip(1).take(9) {
        assert_eq!(&text[start..end], *token);
    }
    assert_eq!(encoding.special_tokens_mask.iter().filter(|&&is_special| is_special).count(), 2);
    assert_eq!(tokenizer.decode(&encoding.ids, true).unwrap(), "nˈo ɑ̃pad");
    assert_eq!(tokenizer.decode(&encoding.ids, false).unwrap(), "<pad>nˈo ɑ̃pad<pad>");
    assert_eq!(
        (tokenizer.pad_token_id(), tokenizer.cls_token_id(), tokenizer.sep_token_id()),
        (0, 0, 0)
    );
    assert_eq!((tokenizer.mask_token_id(), tokenizer.unk_token_id()), (u32::MAX, u32::MAX));
    assert_eq!((tokenizer.special_token_ids(), tokenizer.vocab_size()), (vec![0], 115));
    assert_eq!(tokenizer.model_max_length(), Some(128));
    let pair = tokenizer.encode_pair("n", "o").unwrap();
    assert_eq!((pair.ids, pair.type_ids), (vec![0, 56, 0, 57, 0], vec![0, 0, 0, 1, 1]));
    let cut = tokenizer.with_max_length(5).unwrap().encode(text).unwrap();
    assert_eq!(cut.ids, [0, 56, 156, 57, 0]);
}

#[test]
fn long_texts_are_cut_to_what_a_model_takes() {
    let text = r#"{"vocab": {"a": 1}, "n_token": 2, "plbert": {"max_position_embeddings": 512}}"#;
    let tokenizer = AlbertTokenizer::from_pretrained(with_config(text).path()).unwrap();
    let tokenizer =
        tokenizer.clone().with_max_length(tokenizer.model_max_length().unwrap()).unwrap();
    let encoding = tokenizer.encode(&"ab".repeat(600)).unwrap();
    assert_eq!((encoding.len(), encoding.ids[511], encoding.offsets[510]), (512, 0, (1018, 1019)));
}

#[test]
fn a_symbol_of_id_0_is_at_both_ends() {
    let text = r#"{"vocab": {"$": 0, "a": 1, "ab": 2, "<pad>": 3}}"#;
    let tokenizer = AlbertTokenizer::from_pretrained(with_config(text).path()).unwrap();
    let encoding = tokenizer.encode("a$ab").unwrap();
    assert_eq!((encoding.tokens.join(""), encoding.ids), ("$a$a$".into(), vec![0, 1, 0, 1, 0]));
}

#[test]
fn vocabularies_that_are_none() {
    for (text, words) in [
        (r#"{"vocab": {}}"#, ["vocab", "found none"]),
        (r#"{"vocab": {"a": -1}}"#, ["vocab.a", "found -1"]),
        (r#"{"vocab": {"a": 1.5}}"#, ["vocab.a", "found 1.5"]),
        (r#"{"vocab": {"a": 4294967295}}"#, ["vocab.a", "found 4294967295"]),
        (r#"{"vocab": ["a"]}"#, ["vocab", "an object"]),
        (r#"{"vocab_size": 3}"#, ["tokenizer.json", "`vocab` of phonemes"]),
    ] {
        refused(AlbertTokenizer::from_pretrained(with_config(text).path()), &words);
    }
}

/// What is saved is a checkpoint like any other, which still knows its phonemes.
#[test]
fn a_speech_models_encoder_is_saved_with_its_vocabulary() {
    let (albert, _) = Albert::from_pretrained(demo()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    albert.save_pretrained(directory.path()).unwrap();
    let (again, report) = Albert::from_pretrained(directory.path()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(again.config().vocab_size, 178);
    let ids = |directory: &Path| {
        AlbertTokenizer::from_pretrained(directory).unwrap().encode(TEXTS[0]).unwrap().ids
    };
    assert_eq!(ids(directory.path()), ids(&demo()));
    // Alone, and into a model's directory, of which all else stays as it was.
    let tokenizer = AlbertTokenizer::from_pretrained(demo()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    tokenizer.save_pretrained(directory.path()).unwrap();
    assert_eq!(ids(directory.path()), ids(&demo()));
    let saved = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
    assert_eq!(saved.model_max_length(), Some(128));
    fs::write(directory.path().join("config.json"), r#"{"hidden_size": 7}"#).unwrap();
    tokenizer.save_pretrained(directory.path()).unwrap();
    let text = fs::read_to_string(directory.path().join("config.json")).unwrap();
    assert!(text.contains("\"hidden_size\": 7") && !text.contains("max_position"), "{text}");
    assert_eq!(ids(directory.path()), ids(&demo()));
}

/// StyleTTS2's directory: `config.yml` and a file of any name.
#[test]
fn a_directory_of_styletts2_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let to = |name: &str| directory.path().join(name);
    fs::copy(demo().join("phonemes-demo.pth"), to("step_1000000.t7")).unwrap();
    let config = "model_params:\n    vocab_size: 178\n    hidden_size: 32\n    num_attention_heads: 2\n    intermediate_size: 64\n    \
                  max_position_embeddings: 128\n    num_hidden_layers: 4\n    embedding_size: 16\n    dropout: 0.1\n";
    fs::write(to("config.yml"), config).unwrap();
    let (albert, _) = Albert::from_pretrained(directory.path()).unwrap();
    let (expected, _) = Albert::from_pretrained(demo()).unwrap();
    let batch = Batch::from_sequences(&[[0, 56, 0]]).unwrap();
    let states = |albert: &Albert| albert.forward(&batch).unwrap().last_hidden_state.into_rows();
    assert_eq!(states(&albert), states(&expected));
    fs::write(to("config.yml"), config.replace("32", "33")).unwrap();
    let error = Albert::from_pretrained(directory.path()).unwrap_err();
    assert!(
        matches!(&error, Error::Config { path: Some(path), .. } if path.ends_with("config.yml"))
    );
}
