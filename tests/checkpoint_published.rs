//! Checkpoints as they are published: an ALBERT among other things, under any prefix, and what
//! pickles have beside it.
//!
//! The fixtures in `published` are made by `tests/golden/make_checkpoint_fixtures.py`: all have the
//! ALBERT of `albert`.

mod checkpoint_support;
mod common;

use std::fs;
use std::path::Path;

use checkpoint_support::fixture;
use common::compare::assert_same_tensors;
use common::refused;
use common::weights::{Weights, weights_of};
use ndalbert::checkpoint::{Checkpoint, write_safetensors};
use ndalbert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForSequenceClassification, ConfigFields,
    LoadOptions, LoadReport, Model, PreTrainedModel,
};
use ndarray::{ArrayD, IxDyn};
use tempfile::TempDir;

fn config() -> AlbertConfig {
    AlbertConfig::new(ConfigFields {
        vocab_size: 13,
        embedding_size: 4,
        hidden_size: 8,
        num_attention_heads: 2,
        intermediate_size: 12,
        num_hidden_layers: 2,
        max_position_embeddings: 6,
        ..ConfigFields::default()
    })
    .unwrap()
}

/// A directory with `config.json`.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    config().save(directory.path().join("config.json")).unwrap();
    directory
}

/// A directory with `config.json` and one of the published files, under its own name.
fn published(file: &str) -> TempDir {
    let directory = directory();
    fs::copy(fixture("published").join(file), directory.path().join(file)).unwrap();
    directory
}

fn load(path: &Path, options: &LoadOptions) -> ndalbert::Result<(Weights, LoadReport)> {
    let (_, parameters, report) = Albert::load_parameters(path, options)?;
    Ok((weights_of(&parameters), report))
}

fn plain() -> Weights {
    let directory = directory();
    fs::copy(fixture("albert/model.safetensors"), directory.path().join("model.safetensors"))
        .unwrap();
    let (weights, report) = load(directory.path(), &LoadOptions::new()).unwrap();
    assert!(report.is_clean(), "{report}");
    weights
}

/// A directory with a safetensors file of the plain ALBERT's tensors under each prefix, and of
/// others.
fn prefixed(prefixes: &[&str], others: &[(&str, &[usize])]) -> TempDir {
    let directory = directory();
    let plain = plain();
    let others: Vec<(String, ArrayD<f32>)> = others
        .iter()
        .map(|(name, shape)| ((*name).to_owned(), ArrayD::from_elem(IxDyn(shape), 0.5)))
        .collect();
    let named = prefixes.iter().flat_map(|prefix| {
        plain.iter().map(move |(name, values)| (format!("{prefix}{name}"), values.view()))
    });
    let others = others.iter().map(|(name, values)| (name.clone(), values.view()));
    let path = directory.path().join("model.safetensors");
    write_safetensors(path, named.chain(others)).unwrap();
    directory
}

#[test]
fn an_albert_is_found_among_dictionaries() {
    let plain = plain();
    for (file, others) in [
        ("pl_bert.t7", vec!["net.module.mask_predictor.weight", "optimizer.state.0.exp_avg"]),
        ("kokoro.pth", vec!["bert_encoder.module.weight", "decoder.module.norm.gamma"]),
        ("styletts2.pth", vec!["net.text_encoder.module.embedding.weight"]),
        ("with_loss.bin", vec!["loss", "optimizer_state_dict.state.1.exp_avg_sq"]),
        ("twice.pt", vec!["state_dict.pooler.bias"]),
        ("listed.pt", vec!["1.state.0.step"]),
    ] {
        let directory = published(file);
        // By the directory, and by the file itself.
        for path in [directory.path(), &directory.path().join(file)] {
            let (weights, report) = load(path, &LoadOptions::new()).unwrap();
            assert_same_tensors(file, &plain, &weights);
            assert!(report.newly_initialized.is_empty(), "{file}: {report}");
            for other in &others {
                assert!(report.unexpected.iter().any(|name| name == other), "{file}: {report}");
            }
            assert!(!report.unexpected.iter().any(|name| name.contains("position_ids")), "{file}");
        }
    }
}

#[test]
fn whatever_a_pickle_has_beside_the_tensors_is_passed_over() {
    let plain = plain();
    for file in
        ["accepted_zip.bin", "accepted_legacy.bin", "passed_over_zip.bin", "passed_over_legacy.bin"]
    {
        let (weights, report) = load(published(file).path(), &LoadOptions::new()).unwrap();
        assert_same_tensors(file, &plain, &weights);
        assert!(report.newly_initialized.is_empty(), "{file}: {report}");
    }
}

#[test]
fn tensors_of_kinds_that_cannot_be_read_are_named_where_they_are_needed() {
    let checkpoint = Checkpoint::open(fixture("published/accepted_zip.bin")).unwrap();
    for (name, kind) in [
        ("before.sparse", "a sparse tensor"),
        ("before.rows", "a sparse tensor"),
        ("before.quantized", "a quantized tensor"),
        ("before.channels", "a quantized tensor"),
        ("before.meta", "without elements"),
        ("before.conjugated", "conjugated or negated"),
        ("before.negated", "conjugated or negated"),
        ("before.deep", "more than 8 dimensions"),
        ("before.repeated", "repeats its elements"),
    ] {
        assert!(checkpoint.get(name).is_none());
        refused(checkpoint.read(name), &[name, kind, "cannot be read"]);
    }
    let float8 = "before.types.13";
    assert_eq!(checkpoint.get(float8).unwrap().dtype().to_string(), "float8_e8m0fnu");
    refused(checkpoint.read(float8), &["f32, f16, bf16 or f64", "found float8_e8m0fnu"]);
    for name in ["before.attributed", "before.parameters.0", "before.parameters.2"] {
        assert!(checkpoint.read(name).is_ok(), "{name}");
    }
    let words = ["encoder.embedding_hidden_mapping_in.weight", "found a quantized tensor"];
    refused(load(published("quantized.bin").path(), &LoadOptions::new()), &words);
}

#[test]
fn any_prefix_is_found() {
    let plain = plain();
    for prefix in [
        "module.",
        "_orig_mod.",
        "model.",
        "encoder.",
        "encoder.encoder.",
        "bert.",
        "albert.",
        "embeddings.",
        "pooler.",
        "module._orig_mod.model.albert.",
        "0.",
        "a name with spaces.数.",
        ".",
        "xembeddings.",
    ] {
        // A BERT, heads of other networks, an optimizer's state by name, and buffers of other
        // models.
        let others: &[(&str, &[usize])] = &[
            ("other.embeddings.word_embeddings.weight", &[13, 4]),
            ("other.encoder.layer.0.attention.self.query.weight", &[8, 8]),
            ("other.pooler.dense.weight", &[8, 8]),
            ("other.classifier.weight", &[2, 8]),
            ("state.encoder.embedding_hidden_mapping_in.weight.exp_avg", &[8, 4]),
            ("state.gamma", &[1]),
            ("state.weight", &[1]),
        ];
        let (weights, report) =
            load(prefixed(&[prefix], others).path(), &LoadOptions::new()).unwrap();
        assert_same_tensors(prefix, &plain, &weights);
        assert_eq!(report.unexpected.len(), others.len(), "{prefix}: {report}");
        assert!(report.newly_initialized.is_empty(), "{prefix}: {report}");
    }
}

#[test]
fn of_several_alberts_one_is_chosen() {
    let directory = published("averaged.pt");
    let words = ["averaged.pt", "2", "\"ema\" (25 tensors)", "\"model\" (25 tensors)"];
    refused(load(directory.path(), &LoadOptions::new()), &words);
    let words = ["LoadOptions::tensors_under(\"ema\")", "--tensors-under"];
    refused(load(directory.path(), &LoadOptions::new()), &words);
    let under = |path: &str| load(directory.path(), &LoadOptions::new().tensors_under(path));
    let (weights, report) = under("model").unwrap();
    let plain = plain();
    assert_same_tensors("model", &plain, &weights);
    assert!(report.unexpected.contains(&"ema.pooler.bias".to_owned()), "{report}");
    let (weights, _) = under("ema.").unwrap();
    for (name, values) in &weights {
        assert_eq!(*values, &plain[name] + 1.0, "{name}");
    }
    for path in ["em", "optimizer", "model.pooler"] {
        refused(under(path), &[path, "under \"ema\"", "under \"model\""]);
    }
    // A model beside its own average, one level down, and one at the outermost level.
    let directory = prefixed(&["net.albert.", "net.albert.ema.", "albert."], &[]);
    let under = |path: &str| load(directory.path(), &LoadOptions::new().tensors_under(path));
    for (path, first) in
        [("net", "net.albert.e"), ("", "albert.e"), ("net.albert.ema", "net.albert.ema.e")]
    {
        let (weights, report) = under(path).unwrap();
        assert_same_tensors(path, &plain, &weights);
        let used = |name: &&String| name.starts_with(first) && !name.contains(".ema.encoder");
        assert!(
            !report
                .unexpected
                .iter()
                .any(|name| *name == format!("{first}mbeddings.LayerNorm.bias")),
            "{path}: {:?}",
            report.unexpected.iter().find(used)
        );
    }
    refused(under("ne"), &["no ALBERT under \"ne\""]);
}

/// A part of an ALBERT, as gradients or averages of what was trained are, does not stand in the
/// whole one's way.
#[test]
fn a_whole_albert_is_taken_rather_than_a_part() {
    let part: &[(&str, &[usize])] = &[
        ("average.encoder.embedding_hidden_mapping_in.weight", &[8, 4]),
        ("average.pooler.bias", &[8]),
    ];
    let (weights, report) = load(prefixed(&["z."], part).path(), &LoadOptions::new()).unwrap();
    assert_same_tensors("z", &plain(), &weights);
    assert_eq!(report.unexpected.len(), 2);
}

#[test]
fn a_file_without_an_albert_says_what_it_has() {
    let directory = prefixed(&[], &[("bert.encoder.layer.0.output.dense.weight", &[8, 8])]);
    let words = ["no ALBERT", "encoder.embedding_hidden_mapping_in.weight", "`bert` (1)"];
    refused(load(directory.path(), &LoadOptions::new()), &words);
}

#[test]
fn heads_are_found_beside_the_backbone() {
    let load = |directory: &TempDir| {
        AlbertForSequenceClassification::load_parameters(directory.path(), &LoadOptions::new())
            .map(|(_, parameters, report)| (weights_of(&parameters), report))
    };
    let name = "classifier.weight";
    for (backbone, level) in [
        ("albert.", ""),
        ("model.albert.", "model."),
        ("", ""),
        ("module.bert.", "module."),
        ("albert._orig_mod.", ""),
        ("net.bert.module.", "net."),
    ] {
        let weight = format!("{level}classifier.weight");
        let bias = format!("{level}classifier.bias");
        let directory = prefixed(&[backbone], &[(&weight, &[2, 8]), (&bias, &[2])]);
        let (weights, report) = load(&directory).unwrap();
        assert!(weights[name].iter().all(|&value| value == 0.5), "{backbone}");
        assert!(report.is_clean(), "{backbone}: {report}");
        // Of another shape, it is wrong where transformers has it, and another network's elsewhere.
        let directory = prefixed(&[backbone], &[(&weight, &[5, 7]), (&bias, &[5])]);
        if backbone.is_empty() || backbone.ends_with("albert.") {
            refused(load(&directory), &[&weight, "[5, 7]"]);
        } else {
            let (_, report) = load(&directory).unwrap();
            assert_eq!(report.unexpected, [bias, weight], "{backbone}");
            assert_eq!(report.newly_initialized, [name, "classifier.bias"], "{backbone}");
        }
    }
    let backbone = "a.module.";
    let directory = prefixed(&[backbone], &[("b.classifier.weight", &[2, 8])]);
    let (_, report) = load(&directory).unwrap();
    assert_eq!(report.unexpected, ["b.classifier.weight"]);
}

/// What it is called makes no difference to a checkpoint of this crate's own.
#[test]
fn a_masked_lm_in_a_dictionary_is_whole() {
    let directory = directory();
    let parameters = AlbertForMaskedLM::random_parameters(&config(), 3).unwrap();
    let expected = weights_of(&parameters);
    let named = expected.iter().map(|(name, values)| (format!("net.{name}"), values.view()));
    write_safetensors(directory.path().join("model.safetensors"), named).unwrap();
    let (_, loaded, report) =
        AlbertForMaskedLM::load_parameters(directory.path(), &LoadOptions::new()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_same_tensors("net", &expected, &weights_of(&loaded));
}

#[test]
fn of_several_files_of_weights_none_is_taken_by_chance() {
    let directory = published("kokoro.pth");
    fs::copy(fixture("published/pl_bert.t7"), directory.path().join("step_10.t7")).unwrap();
    refused(load(directory.path(), &LoadOptions::new()), &["kokoro.pth", "step_10.t7", "its path"]);
    let (weights, report) =
        load(&directory.path().join("step_10.t7"), &LoadOptions::new()).unwrap();
    assert_same_tensors("step_10.t7", &plain(), &weights);
    assert!(report.path.ends_with("step_10.t7"));
}
