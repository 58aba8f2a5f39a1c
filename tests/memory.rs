//! Models, tokenizers and pipelines of files in memory: bit-identical to those of a directory, and
//! the same errors.

mod common;

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use common::compare::assert_same_tensors;
use common::golden::{self, Case};
use common::heads::Computes;
use common::{for_class, refused};
use ndalbert::checkpoint::{Checkpoint, DType};
use ndalbert::pipelines::{
    FillMask, MultipleChoice, Pipeline, PipelineOptions, QuestionAnswering, SentenceEmbedding,
    SentenceOrder, TextClassification, TokenClassification, ZeroShotClassification,
};
use ndalbert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertTokenizer, Error,
    LoadOptions, MemoryFiles, PreTrainedModel, Precision,
};

/// All files of a directory and of those in it.
fn in_memory(directory: &Path) -> MemoryFiles {
    fn add(files: MemoryFiles, directory: &Path, prefix: &str) -> MemoryFiles {
        let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
        entries.fold(files, |files, entry| {
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            match entry.path().is_dir() {
                true => add(files, &entry.path(), &format!("{name}/")),
                false => files.with(name, fs::read(entry.path()).unwrap()),
            }
        })
    }
    add(MemoryFiles::new(), directory, "")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn demo(name: &str) -> PathBuf {
    ndalbert::shipped_checkpoint(name).unwrap()
}

fn model_is_the_same<M: PreTrainedModel + Computes>(case: &Case) {
    // The goldens are no weights, but end as files of weights do.
    let file = |name: &str| fs::read(case.directory.join(name));
    let weights = ["model.safetensors", "pytorch_model.bin"];
    let weights = weights.iter().filter_map(|name| Some((*name, file(name).ok()?)));
    let files = MemoryFiles::new().with("config.json", file("config.json").unwrap());
    let files = weights.fold(files, |files, (name, bytes)| files.with(name, bytes));
    for precision in [Precision::F32, Precision::Int8] {
        let options = LoadOptions::new().precision(precision);
        let (expected, report) = M::from_pretrained_with(&case.directory, &options).unwrap();
        let (found, same) = M::from_bytes_with(&files, &options).unwrap();
        assert_eq!(found.config(), expected.config(), "{}", case.name);
        assert_eq!(same.newly_initialized, report.newly_initialized, "{}", case.name);
        assert_eq!(same.unexpected, report.unexpected, "{}", case.name);
        for run in &case.runs {
            let batch = run.batch();
            let (found, expected) = (found.compute(&batch, run), expected.compute(&batch, run));
            assert_same_tensors(&case.name, &expected, &found);
        }
    }
}

#[test]
fn every_golden_model_is_bit_identical() {
    let cases = golden::cases();
    assert!(cases.len() > 30, "{}", cases.len());
    for case in &cases {
        for_class!(case.architecture.as_str(), model_is_the_same(case));
    }
}

#[test]
fn checkpoints_in_int8_and_other_types_load_from_memory() {
    let demo = demo("albert-chinese-next-sentence");
    let (config, parameters, _) =
        AlbertForMultipleChoice::load_parameters(&demo, &LoadOptions::new()).unwrap();
    for dtype in [DType::F32, DType::F16, DType::BF16, DType::I8] {
        let directory = tempfile::tempdir().unwrap();
        AlbertForMultipleChoice::save_parameters_as(directory.path(), &config, &parameters, dtype)
            .unwrap();
        for name in ["vocab.txt", "tokenizer_config.json"] {
            fs::copy(demo.join(name), directory.path().join(name)).unwrap();
        }
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            let options = PipelineOptions::new().precision(precision);
            let expected =
                MultipleChoice::from_pretrained_with(directory.path(), &options).unwrap();
            let files = in_memory(directory.path());
            let found = MultipleChoice::from_bytes_with(&files, &options).unwrap();
            same_answers(
                &found,
                &expected,
                ("算法组的成员们精通各种AI算法.", ["他们负责研究.", "你好"]),
            );
        }
    }
}

/// Whether two pipelines answer alike. Numbers are written so that others are written otherwise.
#[track_caller]
fn same_answers<P>(found: &P, expected: &P, input: impl Into<P::Input>)
where
    P: Pipeline<Output: Debug, Input: Clone>,
{
    let input = input.into();
    let (found, expected) = (found.run(input.clone()), expected.run(input));
    assert_eq!(format!("{:?}", found.unwrap()), format!("{:?}", expected.unwrap()));
}

macro_rules! same_pipeline {
    ($pipeline:ident, $directory:expr, $input:expr) => {
        same_pipeline!($pipeline, $directory, $input, |pipeline| pipeline)
    };
    ($pipeline:ident, $directory:expr, $input:expr, |$made:ident| $with:expr) => {{
        let directory: PathBuf = $directory.clone();
        let directory = directory.as_path();
        let with = |$made: $pipeline| $with;
        let expected = with($pipeline::from_pretrained(directory).unwrap());
        let files = in_memory(directory);
        same_answers(&with($pipeline::from_bytes(&files).unwrap()), &expected, $input);
        // Whatever is missing or cut off is an error, and no panic.
        for name in ["config.json", "model.safetensors"] {
            let error = $pipeline::from_bytes(&files.clone().with(name, b"{".as_slice()));
            refused(error, &[name]);
        }
    }};
}

#[test]
fn every_pipeline_answers_alike() {
    let golden = |name: &str| root().join("tests/golden/pipelines").join(name);
    let (pretrained, choice) = (demo("albert-chinese-demo"), demo("albert-chinese-next-sentence"));
    same_pipeline!(FillMask, pretrained, "今天天[MASK]很好");
    same_pipeline!(SentenceOrder, pretrained, ("我们先介绍线性回归.", "然后训练它."));
    same_pipeline!(SentenceEmbedding, pretrained, "我们先介绍线性回归.");
    same_pipeline!(SentenceEmbedding, golden("sentence_transformer"), "in we trust");
    same_pipeline!(MultipleChoice, choice, ("你好", ["你好吗?", "我没吃上吉士果."]));
    same_pipeline!(TextClassification, golden("classifier"), "the a b c");
    same_pipeline!(TokenClassification, golden("tagger"), "the a b c");
    same_pipeline!(QuestionAnswering, golden("answerer"), ("the a?", "the a b c the a"));
    let inference = root().join("tests/fixtures/inference");
    same_pipeline!(ZeroShotClassification, inference, "a b c", |pipeline| {
        pipeline.labels(["a", "b"])
    });
}

#[test]
fn every_tokenizer_is_the_same() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("tests/fixtures/tokenizers")).unwrap() {
        let directory = entry.unwrap().path();
        if !directory.is_dir() {
            continue;
        }
        let found = AlbertTokenizer::from_bytes(&in_memory(&directory));
        let Ok(expected) = AlbertTokenizer::from_pretrained(&directory) else { continue };
        let found = found.unwrap();
        count += 1;
        for text in ["In [MASK] we TRÜST (a, 9,8).", "深度学习 and   spaces", ""] {
            assert_eq!(found.encode(text).unwrap(), expected.encode(text).unwrap());
        }
        let saved = tempfile::tempdir().unwrap();
        found.save_pretrained(saved.path()).unwrap();
        let again = AlbertTokenizer::from_pretrained(saved.path()).unwrap();
        assert_eq!(again.encode("In 深度").unwrap(), expected.encode("In 深度").unwrap());
    }
    assert!(count > 3, "{count}");
}

#[test]
fn the_shards_of_an_index_are_found_and_a_missing_one_is_named() {
    let case = golden::case("base");
    let weights = fs::read(case.directory.join("model.safetensors")).unwrap();
    let names = Checkpoint::open(&case.directory).unwrap();
    let map: serde_json::Map<String, serde_json::Value> =
        names.names().map(|name| (name.to_owned(), "part.safetensors".into())).collect();
    let index = serde_json::json!({ "weight_map": map }).to_string().into_bytes();
    let files = MemoryFiles::new()
        .with("config.json", fs::read(case.directory.join("config.json")).unwrap())
        .with("model.safetensors.index.json", index);
    let missing = Albert::from_bytes(&files);
    refused(missing, &["model.safetensors.index.json", "part.safetensors is missing"]);
    let (model, report) = Albert::from_bytes(&files.with("part.safetensors", weights)).unwrap();
    let (expected, _) = Albert::from_pretrained(&case.directory).unwrap();
    assert!(report.is_clean(), "{report}");
    let compute = |model: &Albert| model.compute(&case.runs[0].batch(), &case.runs[0]);
    assert_same_tensors("shards", &compute(&expected), &compute(&model));
}

#[test]
fn errors_name_the_file() {
    let files = in_memory(&demo("albert-chinese-demo"));
    let with = |name: &str, bytes: &'static [u8]| files.clone().with(name, bytes);
    let load = AlbertForMaskedLM::from_bytes;
    refused(load(&MemoryFiles::new()), &["config.json", "no file of this name"]);
    refused(load(&with("config.json", b"{")), &["config.json", "not valid JSON"]);
    refused(load(&with("config.json", b"\xFF\xFE")), &["config.json", "UTF-16"]);
    let wrong = br#"{"hidden_size": "wide"}"#;
    refused(load(&with("config.json", wrong)), &["config.json", "hidden_size", "wide"]);
    refused(AlbertConfig::from_bytes(wrong), &["config.json", "hidden_size", "wide"]);
    refused(load(&with("model.safetensors", b"")), &["model.safetensors", "empty"]);
    let page = b"<!DOCTYPE html><html>";
    refused(load(&with("model.safetensors", page)), &["model.safetensors", "web page"]);
    let lfs = b"version https://git-lfs.github.com/spec/v1";
    refused(load(&with("model.safetensors", lfs)), &["model.safetensors", "git-lfs"]);
    let long = vec![b' '; (16 << 20) + 1];
    refused(load(&files.clone().with("config.json", long)), &["config.json", "at most 16777216"]);
    let config = fs::read(demo("albert-chinese-demo").join("config.json")).unwrap();
    let only = MemoryFiles::new().with("config.json", config);
    refused(load(&only), &["model.safetensors", "no weights", "config.json"]);
    let none = AlbertTokenizer::from_bytes(&only);
    refused(none, &["tokenizer.json", "vocab.txt", "none of them"]);
    let vocabulary = AlbertTokenizer::from_bytes(&with("vocab.txt", b"a\nb\n"));
    refused(vocabulary, &["vocab.txt", "[PAD]"]);
}

/// Every part of a file that is cut off or changed is an error or a model, never a panic.
#[test]
fn hostile_weights_are_refused() {
    let case = golden::case("multiple_choice");
    let config = fs::read(case.directory.join("config.json")).unwrap();
    let weights = fs::read(case.directory.join("model.safetensors")).unwrap();
    let load = |weights: Vec<u8>| {
        let files = MemoryFiles::new().with("config.json", config.clone());
        AlbertForMultipleChoice::from_bytes(&files.with("model.safetensors", weights))
    };
    load(weights.clone()).unwrap();
    for len in (0..weights.len()).step_by(weights.len() / 61 + 1) {
        let error = load(weights[..len].to_vec()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("model.safetensors"), "{len}: {error}");
        assert!(matches!(error, Error::Format { .. } | Error::Tensor { .. }), "{len}: {error}");
    }
    let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    for place in (0..8 + header).step_by(13) {
        let mut changed = weights.clone();
        changed[place] ^= 0x5b;
        // Some bytes are of names of tensors that are not missed, or spaces.
        let _ = load(changed);
    }
}
