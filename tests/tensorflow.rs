//! Checkpoints that TensorFlow wrote, under google-research/albert's names, against what
//! transformers computes with them (`tests/golden/tensorflow` made them).

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::compare::{Largest, assert_same_tensors, assert_zero_where_masked};
use common::golden::{Case, read_runs};
use common::{heads, refused};
use ndalbert::checkpoint::{Checkpoint, DType, Format};
use ndalbert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForPreTraining, AlbertForQuestionAnswering,
    AlbertForSequenceClassification, AlbertTokenizer, LoadOptions, Model, PreTrainedModel,
};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tensorflow").join(name)
}

/// A fixture as a case of golden models.
fn case(name: &str, architecture: &str) -> Case {
    let directory = fixture(name);
    let runs = read_runs(name, &directory.join("golden.safetensors"));
    let architecture = architecture.to_owned();
    Case { name: name.to_owned(), directory, architecture, is_copy: false, runs }
}

/// A directory with copies of a fixture's files, as `named` names them; where it gives no name,
/// without them.
fn copied(name: &str, named: impl Fn(&str) -> Option<String>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        if let Some(name) = named(entry.file_name().to_str().unwrap()) {
            fs::copy(entry.path(), directory.path().join(name)).unwrap();
        }
    }
    directory
}

/// Whatever the scope, the groups, the number of files and the type: the same answers as
/// transformers' converter gives.
#[test]
fn every_checkpoint_answers_as_its_conversion() {
    let mut largest = Largest::default();
    for (name, architecture) in [
        ("google", "AlbertForPreTraining"),
        ("hub_archive", "AlbertModel"),
        ("chinese", "AlbertForMaskedLM"),
        ("squad_bfloat16", "AlbertForQuestionAnswering"),
        ("half", "AlbertModel"),
        ("double", "AlbertModel"),
        ("equal_widths", "AlbertForMaskedLM"),
    ] {
        let case = case(name, architecture);
        let (model, report) = heads::load(&case);
        assert!(report.newly_initialized.is_empty(), "{name}: {report}");
        assert!(report.mismatched.is_empty() && report.non_finite.is_empty(), "{name}: {report}");
        for run in &case.runs {
            let outputs = model.compute(&run.batch(), run);
            largest.assert_close(run, &outputs);
            assert_zero_where_masked(run, &outputs);
        }
    }
    println!("{largest}");
    assert_eq!(largest.tensors, 2 * (2 + 2 + 1 + 2 + 2 + 2 + 1));
}

#[test]
fn what_an_optimizer_left_is_not_reported_and_heads_without_use_are() {
    let (model, report) = AlbertForPreTraining::from_pretrained(fixture("google")).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.path, fixture("google/model.ckpt-best.index"));
    assert_eq!(model.config().hidden_act.name(), "gelu_new");
    let (_, report) = AlbertForQuestionAnswering::from_pretrained(fixture("classifier")).unwrap();
    let unused: Vec<&str> = report.unexpected.iter().map(String::as_str).collect();
    assert!(
        unused.contains(&"classifier.weight") && unused.contains(&"predictions.bias"),
        "{report}"
    );
    assert_eq!(report.newly_initialized, ["qa_outputs.weight", "qa_outputs.bias"]);
}

/// A configuration of Google's has no labels: there are as many as the classifier has rows, unless
/// the caller says how many.
#[test]
fn a_fine_tuned_classifier() {
    let case = case("classifier", "AlbertForSequenceClassification");
    let (model, report) = heads::load(&case);
    assert!(report.newly_initialized.is_empty(), "{report}");
    let mut largest = Largest::default();
    for run in &case.runs {
        largest.assert_close(run, &model.compute(&run.batch(), run));
    }
    assert_eq!(largest.tensors, 2);
    let two = LoadOptions::new().num_labels(2);
    let load = AlbertForSequenceClassification::from_pretrained_with;
    let words = ["classifier.weight", "[2, 12]", "[3, 12]"];
    refused(load(&case.directory, &two.clone().num_labels(4)), &["[4, 12]", "[3, 12]"]);
    refused(load(&case.directory, &two), &words);
}

/// The error lists the models by the prefixes that they can be chosen by.
#[test]
fn one_of_two_models() {
    let case = case("two_models", "AlbertForMaskedLM");
    let words = ["student.bert", "teacher.bert", "tensors_under"];
    refused(AlbertForMaskedLM::from_pretrained(&case.directory), &words);
    let options = LoadOptions::new().tensors_under("student");
    let (model, report) =
        AlbertForMaskedLM::from_pretrained_with(&case.directory, &options).unwrap();
    assert!(report.newly_initialized.is_empty(), "{report}");
    let mut largest = Largest::default();
    for run in &case.runs {
        largest.assert_close(run, &heads::Computes::compute(&model, &run.batch(), run));
    }
    assert_eq!(largest.tensors, 2);
}

#[test]
fn tensors_have_the_names_shapes_and_types_of_their_conversion() {
    let checkpoint = Checkpoint::open(fixture("google")).unwrap();
    assert_eq!(checkpoint.format(), Format::TensorFlow);
    let layer = "albert.encoder.albert_layer_groups.0.albert_layers.0";
    for (name, shape) in [
        ("albert.embeddings.word_embeddings.weight", &[40, 6][..]),
        ("albert.encoder.embedding_hidden_mapping_in.weight", &[12, 6]),
        (&*format!("{layer}.ffn.weight"), &[20, 12]),
        (&*format!("{layer}.ffn_output.weight"), &[12, 20]),
        ("predictions.dense.weight", &[6, 12]),
        ("sop_classifier.classifier.weight", &[2, 12]),
    ] {
        assert_eq!(checkpoint.get(name).map(|tensor| tensor.shape()), Some(shape), "{name}");
    }
    assert_eq!(checkpoint.len(), 32);
    let bfloat16 = Checkpoint::open(fixture("squad_bfloat16")).unwrap();
    assert_eq!(bfloat16.get("qa_outputs.bias").unwrap().dtype(), DType::BF16);
}

/// A checkpoint's prefix, its index and its other files mean it, and so does the directory.
#[test]
fn paths_that_mean_a_checkpoint() {
    let directory = fixture("google");
    let expected = Albert::from_pretrained(&directory).unwrap().0.to_parameters();
    for name in ["model.ckpt-best", "model.ckpt-best.index", "model.ckpt-best.data-00000-of-00001"]
    {
        let (model, report) = Albert::from_pretrained(directory.join(name)).unwrap();
        assert_eq!(model.to_parameters(), expected, "{name}");
        assert_eq!(report.path, directory.join("model.ckpt-best.index"));
    }
    for name in ["variables", "variables.index"] {
        let (model, _) =
            Albert::from_pretrained(fixture("hub_archive/variables").join(name)).unwrap();
        assert_eq!(model.config().num_hidden_groups, 2);
    }
    refused(Albert::from_pretrained(directory.join("model.ckpt-worst")), &["model.ckpt-worst"]);
    refused(Checkpoint::open(directory.join("none.index")), &["none.index"]);
}

/// The file `checkpoint` decides between several, whatever directory it names; without it, the
/// error lists them.
#[test]
fn several_checkpoints_in_a_directory() {
    let directory = copied("google", |name| Some(name.to_owned()));
    let place = |name: &str| directory.path().join(name);
    for end in ["index", "data-00000-of-00001"] {
        let from = fixture(&format!("google/model.ckpt-best.{end}"));
        fs::copy(from, place(&format!("model.ckpt-1000.{end}"))).unwrap();
    }
    let listed = ["model.ckpt-1000.index, model.ckpt-best.index", "`checkpoint`"];
    refused(Checkpoint::open(directory.path()), &listed);
    for text in [
        "model_checkpoint_path: \"model.ckpt-1000\"\nall_model_checkpoint_paths: \"model.ckpt-best\"\n",
        "model_checkpoint_path: \"/home/somebody/albert/model.ckpt-1000\"\n",
        "  model_checkpoint_path:'C:\\\\albert\\\\model.ckpt-1000'\r\n",
    ] {
        fs::write(place("checkpoint"), text).unwrap();
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        assert_eq!(checkpoint.path(), place("model.ckpt-1000.index"), "{text}");
    }
    fs::write(place("checkpoint"), "model_checkpoint_path: \"../../model.ckpt-3\"").unwrap();
    refused(Checkpoint::open(directory.path()), &listed);
    let one = Checkpoint::open(place("model.ckpt-best")).unwrap();
    assert_eq!(one.path(), place("model.ckpt-best.index"));
}

/// Safetensors and PyTorch's files are taken before, as transformers takes them.
#[test]
fn other_formats_come_first() {
    let directory = copied("google", |name| Some(name.to_owned()));
    let (config, parameters, _) =
        AlbertForMaskedLM::load_parameters(directory.path(), &LoadOptions::new()).unwrap();
    AlbertForMaskedLM::save_parameters(directory.path(), &config, &parameters).unwrap();
    let (model, report) = AlbertForMaskedLM::from_pretrained(directory.path()).unwrap();
    assert_eq!(report.path, directory.path().join("model.safetensors"));
    assert_eq!(model.to_parameters(), parameters);
    let named = directory.path().join("model.ckpt-best");
    let (model, report) = AlbertForMaskedLM::from_pretrained(named).unwrap();
    assert_eq!(report.path, directory.path().join("model.ckpt-best.index"));
    assert_eq!(model.to_parameters(), parameters);
}

/// `30k-clean.model`, `vocab_chinese.txt`: what there is, if there is one; files of the usual names
/// come first.
#[test]
fn vocabularies_of_releases() {
    let tokenizers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
    let ids = |directory: &Path| {
        let tokenizer = AlbertTokenizer::from_pretrained(directory).unwrap();
        tokenizer.encode("a b 中文").unwrap().ids.clone()
    };
    for (directory, usual, released) in [
        ("sentencepiece", "spiece.model", "30k-clean.model"),
        ("chinese", "vocab.txt", "vocab_chinese.txt"),
    ] {
        let vocabulary = tokenizers.join(directory).join(usual);
        let release = copied("google", |name| Some(name.to_owned()));
        fs::write(release.path().join("30k-clean.vocab"), "").unwrap();
        fs::copy(&vocabulary, release.path().join(released)).unwrap();
        let alone = tempfile::tempdir().unwrap();
        fs::copy(&vocabulary, alone.path().join(usual)).unwrap();
        assert_eq!(ids(release.path()), ids(alone.path()), "{released}");
        assert_eq!(ids(&release.path().join("model.ckpt-best")), ids(alone.path()), "{released}");
        let archive = tempfile::tempdir().unwrap();
        fs::create_dir(archive.path().join("assets")).unwrap();
        fs::copy(&vocabulary, archive.path().join("assets").join(released)).unwrap();
        assert_eq!(ids(archive.path()), ids(alone.path()), "assets/{released}");
    }
    let two = tempfile::tempdir().unwrap();
    for name in ["a.model", "b.model"] {
        fs::write(two.path().join(name), "").unwrap();
    }
    refused(AlbertTokenizer::from_pretrained(two.path()), &["one *.model", "a.model, b.model"]);
}

/// What is not read says what it is, and what to do.
#[test]
fn other_checkpoints_of_tensorflow() {
    for (name, words) in [
        (
            "old_format",
            &["model.ckpt", "(V1)", "convert_albert_original_tf_checkpoint_to_pytorch"][..],
        ),
        ("old_format/model.ckpt", &["(V1)", "convert_albert_original_tf_checkpoint_to_pytorch"]),
        ("slices", &["`bert/embeddings/LayerNorm/beta`", "2 slices", "partitioner"]),
        ("albert_zh_own", &["word_embeddings_2", "albert_zh", "_google"]),
        ("bert", &["a BERT"]),
        ("objects", &["tf.train.Checkpoint"]),
    ] {
        let path = fixture("refused").join(name);
        refused(Checkpoint::open(path), words);
    }
}

#[test]
fn files_that_are_not_read_are_explained_where_there_is_nothing_else() {
    for (file, words) in [
        (
            "tf_model.h5",
            "AlbertModel.from_pretrained(DIRECTORY, from_tf=True).save_pretrained(OUTPUT)",
        ),
        ("flax_model.msgpack", "from_flax=True"),
        ("rust_model.ot", "rust-bert"),
        ("model.onnx", "ONNX"),
        ("albert-q8.gguf", "llama.cpp"),
        ("saved_model.pb", "graph"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(file), "x").unwrap();
        refused(Checkpoint::open(directory.path()), &["no weights", file, words]);
        refused(Checkpoint::open(directory.path().join(file)), &[file, words]);
        for end in ["index", "data-00000-of-00001"] {
            let name = format!("model.ckpt-best.{end}");
            fs::copy(fixture("google").join(&name), directory.path().join(name)).unwrap();
        }
        Checkpoint::open(directory.path()).unwrap();
    }
}

/// Saved and loaded again, a converted checkpoint is the same.
#[test]
fn a_checkpoint_that_is_saved_is_the_same() {
    let (model, _) = AlbertForPreTraining::from_pretrained(fixture("google")).unwrap();
    let saved = tempfile::tempdir().unwrap();
    model.save_pretrained(saved.path()).unwrap();
    let (again, report) = AlbertForPreTraining::from_pretrained(saved.path()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(again.config().hidden_act.name(), "gelu_new");
    assert_eq!(model.to_parameters(), again.to_parameters());
    let config = AlbertConfig::from_pretrained(saved.path()).unwrap();
    assert_eq!(config.other.get("net_structure_type"), Some(&0.into()));
    let case = case("google", "AlbertForPreTraining");
    for run in &case.runs {
        let [before, after] =
            [&model, &again].map(|model| heads::Computes::compute(model, &run.batch(), run));
        assert_same_tensors(&run.name, &before, &after);
    }
}
