//! Loading any model from any checkpoint, what is reported about it, and saving.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::compare::{assert_same_bits, assert_same_tensors};
use common::directory::{config_json, saved, weights_in, write_weights, written};
use common::golden::Case;
use common::heads::Computes;
use common::random::small_config;
use common::weights::{Weights, weights_of};
use common::{CLASSES, for_class, golden, refused};
use ndalbert::checkpoint::MismatchedShape;
use ndalbert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForQuestionAnswering,
    AlbertForTokenClassification, Batch, LoadOptions, LoadReport, Model, PreTrainedModel,
};
use ndarray::{ArrayD, IxDyn};
use serde_json::json;
use tempfile::TempDir;

/// What a class has besides embeddings and encoder, H being 15, E 6, V 41, and the classes 2.
fn head(class: &str) -> BTreeMap<String, Vec<usize>> {
    let pooler = [("pooler.weight", vec![15, 15]), ("pooler.bias", vec![15])];
    let words = [
        ("predictions.LayerNorm.weight", vec![6]),
        ("predictions.LayerNorm.bias", vec![6]),
        ("predictions.dense.weight", vec![6, 15]),
        ("predictions.dense.bias", vec![6]),
        ("predictions.bias", vec![41]),
    ];
    let linear = |name: &'static str, outputs| {
        [(format!("{name}.weight"), vec![outputs, 15]), (format!("{name}.bias"), vec![outputs])]
    };
    let classifier = match class {
        "AlbertForPreTraining" => Some(linear("sop_classifier.classifier", 2)),
        "AlbertForMultipleChoice" => Some(linear("classifier", 1)),
        "AlbertForSequenceClassification" | "AlbertForTokenClassification" => {
            Some(linear("classifier", 2))
        }
        "AlbertForQuestionAnswering" => Some(linear("qa_outputs", 2)),
        _ => None,
    };
    let has_pooler = !matches!(
        class,
        "AlbertForMaskedLM" | "AlbertForTokenClassification" | "AlbertForQuestionAnswering"
    );
    let has_words = matches!(class, "AlbertForMaskedLM" | "AlbertForPreTraining");
    let named = pooler.into_iter().filter(|_| has_pooler);
    let named = named.chain(words.into_iter().filter(|_| has_words));
    let named = named.map(|(name, shape)| (name.to_owned(), shape));
    named.chain(classifier.into_iter().flatten()).collect()
}

/// Names without the backbone's prefix, sorted.
fn bare<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let strip = |name: &'a String| name.strip_prefix("albert.").unwrap_or(name).to_owned();
    let mut names: Vec<String> = names.into_iter().map(strip).collect();
    names.sort();
    names
}

fn save_as<M: PreTrainedModel>(config: &AlbertConfig) -> (TempDir, Weights) {
    let (directory, weights) = saved::<M>(config, 4);
    (directory, bare_weights(weights))
}

fn load_as<M: PreTrainedModel>(directory: &Path, options: &LoadOptions) -> (Weights, LoadReport) {
    let (model, report) = M::from_pretrained_with(directory, options).unwrap();
    (bare_weights(weights_in(&model)), report)
}

fn bare_weights(weights: Weights) -> Weights {
    let bare = |name: String| name.strip_prefix("albert.").map_or(name.clone(), str::to_owned);
    weights.into_iter().map(|(name, values)| (bare(name), values)).collect()
}

/// What both classes have is loaded bit-identically; missing tensors and other shapes are reported exactly.
#[test]
fn any_class_loads_from_any_class() {
    let options = LoadOptions::new().ignore_mismatched_sizes(true).seed(9);
    for from in CLASSES {
        let (directory, original) = for_class!(from, save_as(&small_config(|_| {})));
        for to in CLASSES {
            let what = format!("{to} from {from}");
            let (weights, report) = for_class!(to, load_as(directory.path(), &options));
            let (there, here) = (head(from), head(to));
            let only_there = there.keys().filter(|name| !here.contains_key(*name));
            let only_here = here.keys().filter(|name| !there.contains_key(*name));
            let both = here.keys().filter(|name| there.contains_key(*name));
            let reshaped: Vec<&String> = both.filter(|name| there[*name] != here[*name]).collect();
            assert_eq!(bare(&report.unexpected), bare(only_there), "{what}");
            assert_eq!(bare(&report.newly_initialized), bare(only_here.clone()), "{what}");
            let mismatched = report.mismatched.iter().map(|mismatch| &mismatch.name);
            assert_eq!(bare(mismatched), bare(reshaped.clone()), "{what}");
            assert_eq!((report.architecture, report.seed), (to, 9));
            let drawn: Vec<&String> = only_here.chain(reshaped).collect();
            for (name, values) in weights.iter().filter(|(name, _)| !drawn.contains(name)) {
                assert_same_bits(&format!("{what}: {name}"), &original[name], values);
            }
        }
    }
}

/// transformers' usual warning: a masked-LM checkpoint loaded for multiple choice.
#[test]
fn the_article_s_warning_is_the_report() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/albert-chinese-demo");
    let (_, report) = AlbertForMultipleChoice::from_pretrained(&demo).unwrap();
    let unused = ["LayerNorm.bias", "LayerNorm.weight", "bias", "dense.bias", "dense.weight"];
    let unused = unused.map(|name| format!("predictions.{name}")).into_iter();
    let order = ["bias", "weight"].map(|name| format!("sop_classifier.classifier.{name}"));
    assert!(report.unexpected.iter().cloned().eq(unused.chain(order)), "{report}");
    assert_eq!(report.newly_initialized, ["classifier.weight", "classifier.bias"]);
    assert!(report.mismatched.is_empty() && report.non_finite.is_empty() && !report.is_clean());
    assert_eq!(report.path, demo.join("model.safetensors"));
    let warning = report.to_string();
    for words in [
        "were not used by AlbertForMultipleChoice:\n  predictions.LayerNorm.bias, ",
        "newly initialised (seed 0):\n  classifier.weight, classifier.bias\n",
        "You should probably TRAIN this model",
        demo.to_str().unwrap(),
    ] {
        assert!(warning.contains(words), "{words:?} in {warning}");
    }
}

/// Of a decoder that a file stores although it is tied, a model that has one makes no mention; others do.
#[test]
fn a_stored_decoder_is_unexpected_only_where_there_is_none() {
    let directory = golden::directory().join("legacy_decoder");
    assert!(AlbertForMaskedLM::from_pretrained(&directory).unwrap().1.is_clean());
    let (_, report) = AlbertForMultipleChoice::from_pretrained(&directory).unwrap();
    let of_decoder = |name: &&String| name.starts_with("predictions.decoder.");
    assert_eq!(report.unexpected.iter().filter(of_decoder).count(), 2);
    assert_eq!(report.unexpected.len(), 7);
}

fn round_trip<M: PreTrainedModel + Computes>(case: &Case) {
    let (model, _) = M::from_pretrained(&case.directory).unwrap();
    let directory = tempfile::tempdir().unwrap();
    model.save_pretrained(directory.path()).unwrap();
    let (again, report) = M::from_pretrained(directory.path()).unwrap();
    assert!(report.is_clean(), "{}: {report}", case.name);
    assert_same_tensors(&case.name, &weights_in(&model), &weights_in(&again));
    for run in &case.runs {
        let [before, after] = [&model, &again].map(|model| model.compute(&run.batch(), run));
        assert_same_tensors(&format!("{}/{}", case.name, run.name), &before, &after);
    }
    let json = config_json(directory.path());
    assert_eq!(json["architectures"], json!([case.architecture]));
    assert_eq!((&json["dtype"], &json["model_type"]), (&json!("float32"), &json!("albert")));
    assert_eq!(again.config().labels, model.config().labels);
    assert_eq!(again.config().problem_type, model.config().problem_type);
}

#[test]
fn what_is_saved_is_what_is_loaded() {
    for case in golden::cases() {
        for_class!(case.architecture.as_str(), round_trip(&case));
    }
}

fn assert_unpacked<M: Model>(config: &AlbertConfig) {
    let parameters = M::random_parameters(config, 8).unwrap();
    let expected = weights_of(&parameters);
    let model = M::from_parameters(config.clone(), parameters).unwrap();
    assert_same_tensors(M::ARCHITECTURE, &expected, &weights_in(&model));
}

#[test]
fn a_built_model_gives_back_its_parameters() {
    let config = small_config(|fields| fields.inner_group_num = 2);
    for class in CLASSES {
        for_class!(class, assert_unpacked(&config));
    }
}

/// Parameters that are not the config's are refused before anything is computed with them.
#[test]
fn a_model_is_not_built_from_parameters_of_another_shape() {
    let config = small_config(|_| {});
    let mut parameters = AlbertForMultipleChoice::zero_parameters(&config);
    parameters.head.classifier.bias = ndarray::Array1::zeros(2);
    let built = AlbertForMultipleChoice::from_parameters(config.clone(), parameters);
    refused(built, &["classifier.bias", "expected [1]", "found [2]"]);
    let mut parameters = AlbertForMultipleChoice::zero_parameters(&config);
    parameters.albert.pooler = None;
    let built = AlbertForMultipleChoice::from_parameters(config.clone(), parameters);
    refused(built, &["expected `albert.pooler.weight`", "found `classifier.weight`"]);
    let two = small_config(|fields| fields.num_hidden_groups = 2);
    let built = Albert::from_parameters(config, Albert::zero_parameters(&two));
    refused(built, &["found `encoder.albert_layer_groups.1"]);
}

#[test]
fn a_missing_backbone_tensor_is_an_error_unless_asked_otherwise() {
    let config = small_config(|_| {});
    let (directory, weights) = saved::<AlbertForMaskedLM>(&config, 4);
    for name in weights.keys().filter(|name| name.starts_with("albert.")) {
        let mut fewer = weights.clone();
        let shape = fewer.remove(name).unwrap().shape().to_vec();
        write_weights(directory.path(), &fewer);
        let words = ["model.safetensors", name, &format!("{shape:?}"), "found none"];
        refused(AlbertForMaskedLM::from_pretrained(directory.path()), &words);
        let options = LoadOptions::new().initialize_missing_backbone(true).seed(4);
        let (model, report) =
            AlbertForMaskedLM::from_pretrained_with(directory.path(), &options).unwrap();
        assert_eq!(report.newly_initialized, [name.as_str()]);
        // The seed is the one that all were drawn from, and what is drawn depends on nothing else.
        assert_same_tensors(name, &weights, &weights_in(&model));
    }
}

#[test]
fn a_tensor_of_another_shape_is_an_error_unless_asked_otherwise() {
    let config = small_config(|_| {});
    let name = "albert.encoder.embedding_hidden_mapping_in.weight";
    for shape in [vec![6, 15], vec![15, 7], vec![90], vec![1, 15, 6], vec![0, 6]] {
        let (_, mut weights) = saved::<AlbertForMaskedLM>(&config, 4);
        weights.insert(name.to_owned(), ArrayD::ones(IxDyn(&shape)));
        let directory = written(&config, &weights);
        let found = format!("found {shape:?}");
        let words = ["model.safetensors", name, "expected shape [15, 6]", &found];
        refused(AlbertForMaskedLM::from_pretrained(directory.path()), &words);
        let options = LoadOptions::new().ignore_mismatched_sizes(true);
        let (_, report) =
            AlbertForMaskedLM::from_pretrained_with(directory.path(), &options).unwrap();
        let mismatch =
            MismatchedShape { name: name.to_owned(), expected: vec![15, 6], found: shape };
        assert_eq!(report.mismatched, [mismatch]);
        assert!(report.to_string().contains(&format!("{name}: expected [15, 6], {found}")));
    }
}

/// The number of labels is the config's or, as in transformers, whatever one asks for.
#[test]
fn classifiers_get_as_many_labels_as_asked_for() {
    let (directory, _) = saved::<AlbertForMaskedLM>(&small_config(|_| {}), 4);
    let options = LoadOptions::new().num_labels(5);
    let (model, report) =
        AlbertForTokenClassification::from_pretrained_with(directory.path(), &options).unwrap();
    assert_eq!(model.to_parameters().head.classifier.weight.dim(), (5, 15));
    assert_eq!(report.newly_initialized, ["classifier.weight", "classifier.bias"]);
    model.save_pretrained(directory.path()).unwrap();
    assert_eq!(config_json(directory.path())["id2label"]["4"], "LABEL_4");
    let again = AlbertForTokenClassification::from_pretrained(directory.path()).unwrap();
    assert_eq!((again.0.config().num_labels(), again.1.is_clean()), (5, true));
    let none = LoadOptions::new().num_labels(0);
    let words = ["num_labels", "found 0"];
    refused(Albert::from_pretrained_with(directory.path(), &none), &words);
    let three = LoadOptions::new().num_labels(3);
    let loaded = AlbertForTokenClassification::from_pretrained_with(directory.path(), &three);
    refused(loaded, &["classifier.weight", "[3, 15]", "found [5, 15]"]);
}

#[test]
fn weights_that_are_not_numbers_are_reported() {
    let config = small_config(|_| {});
    let (_, mut weights) = saved::<AlbertForQuestionAnswering>(&config, 4);
    let names = ["albert.embeddings.LayerNorm.bias", "qa_outputs.weight"];
    for (name, value) in names.iter().zip([f32::NAN, f32::NEG_INFINITY]) {
        weights.get_mut(*name).unwrap().iter_mut().for_each(|weight| *weight = value);
    }
    let directory = written(&config, &weights);
    let (model, report) = AlbertForQuestionAnswering::from_pretrained(directory.path()).unwrap();
    assert_eq!(report.non_finite, names);
    assert!(!report.is_clean() && report.to_string().contains("NaN or infinite"), "{report}");
    let output = model.forward(&Batch::from_sequences(&[[2, 3]]).unwrap()).unwrap();
    assert!(output.start_logits().iter().all(|score| score.is_nan()));
}

/// Normal weights of the config's standard deviation, norms of 1 and 0, biases of 0, padding of 0.
#[test]
fn new_weights_are_drawn_as_transformers_draws_them() {
    let config = small_config(|fields| {
        fields.vocab_size = 300;
        fields.embedding_size = 64;
        fields.hidden_size = 96;
        fields.intermediate_size = 128;
        fields.initializer_range = 0.05;
        fields.pad_token_id = Some(3);
    });
    let draw = |seed| weights_of(&AlbertForMaskedLM::random_parameters(&config, seed).unwrap());
    let (weights, again, other) = (draw(1), draw(1), draw(2));
    assert_same_tensors("the same seed", &weights, &again);
    for (name, values) in &weights {
        let is_norm = name.contains("LayerNorm") || name.contains("layer_norm");
        if name.ends_with("bias") || is_norm {
            let constant = if name.ends_with("bias") { 0.0 } else { 1.0 };
            assert!(values.iter().all(|&value| value == constant), "{name}");
            continue;
        }
        assert_ne!(values, &other[name], "{name} does not depend on the seed");
        assert_normal(name, values, 0.05);
    }
    let words = &weights["albert.embeddings.word_embeddings.weight"];
    for (id, row) in words.outer_iter().enumerate() {
        assert_eq!(row.iter().all(|&value| value == 0.0), id == 3, "{id}");
    }
    let of = |part: &str| {
        &weights[&format!(
            "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.{part}.weight"
        )]
    };
    assert_ne!(of("query"), of("key"));
}

/// Mean and standard deviation within five of their standard errors, and tails that a uniform distribution lacks.
fn assert_normal(name: &str, values: &ArrayD<f32>, deviation: f64) {
    let drawn: Vec<f64> = values.iter().filter(|&&x| x != 0.0).map(|&x| f64::from(x)).collect();
    let count = drawn.len() as f64;
    let mean = drawn.iter().sum::<f64>() / count;
    let variance = drawn.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    assert!(mean.abs() < 5.0 * deviation / count.sqrt(), "{name}: mean {mean}");
    let error = (variance.sqrt() / deviation - 1.0).abs();
    assert!(error < 5.0 / (2.0 * count).sqrt(), "{name}: {}", variance.sqrt());
    let inside = drawn.iter().filter(|value| value.abs() < deviation).count() as f64 / count;
    assert!((inside - 0.6827).abs() < 2.5 / count.sqrt(), "{name}: {inside} within σ");
}

#[test]
fn more_labels_than_memory_are_refused() {
    let (directory, _) = saved::<Albert>(&small_config(|_| {}), 1);
    for count in [usize::MAX, (1 << 20) + 1] {
        let options = LoadOptions::new().num_labels(count);
        let result = Albert::from_pretrained_with(directory.path(), &options);
        refused(result, &["num_labels", "at most 1048576", &count.to_string()]);
    }
}
