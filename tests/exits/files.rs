//! How models with exits are stored, and what of others' files they are read from.

use std::fs;
use std::path::Path;

use ndalbert::{
    AlbertConfig, AlbertForMultipleChoice, AlbertForPreTraining, AlbertForSentenceOrder,
    AlbertForSequenceClassification, AlbertForTokenClassification, ConfigFields, LoadOptions,
    Model, PreTrainedModel, Precision,
};
use ndarray::Array;
use tempfile::TempDir;

use crate::common::compare::assert_same_tensors;
use crate::common::directory::{config_json, saved, stored, weights_in, write_weights};
use crate::common::random::small_config;
use crate::common::refused;
use crate::common::weights::Weights;

type Classifier = AlbertForSequenceClassification;

fn config(exit_layers: &[usize]) -> AlbertConfig {
    small_config(|fields| fields.exit_layers = exit_layers.to_vec())
}

/// What PABEE saves: a classifier after each layer, and a configuration that says nothing of them.
fn pabee(change: impl FnOnce(&mut Weights)) -> (TempDir, Weights) {
    let (directory, mut weights) = saved::<Classifier>(&config(&[1, 2, 3, 4]), 1);
    let mut json = config_json(directory.path());
    json.as_object_mut().unwrap().remove("exit_layers").unwrap();
    fs::write(directory.path().join("config.json"), json.to_string()).unwrap();
    change(&mut weights);
    write_weights(directory.path(), &weights);
    (directory, weights)
}

fn load(directory: &Path) -> Classifier {
    let (model, report) = Classifier::from_pretrained(directory).unwrap();
    assert!(report.is_clean(), "{report}");
    model
}

#[test]
fn files_of_pabee_load() {
    let (directory, weights) = pabee(|_| ());
    assert!(weights.contains_key("classifiers.3.bias") && !weights.contains_key("classifier.bias"));
    let model = load(directory.path());
    assert_eq!(model.config().exit_layers, [1, 2, 3, 4]);
    assert_same_tensors("PABEE", &weights, &weights_in(&model));
    let (choose, report) = AlbertForMultipleChoice::from_pretrained_with(
        directory.path(),
        &LoadOptions::new().ignore_mismatched_sizes(true),
    )
    .unwrap();
    assert_eq!((choose.config().exit_layers.len(), report.mismatched.len()), (4, 8));
}

#[test]
fn what_was_saved_loads_to_the_same_bits() {
    for exit_layers in [&[1, 2, 3, 4][..], &[2, 4], &[4]] {
        for precision in Precision::ALL {
            let (_, weights) = saved::<Classifier>(&config(exit_layers), 2);
            let parameters = Classifier::random_parameters(&config(exit_layers), 2).unwrap();
            let model =
                Classifier::from_parameters_in(config(exit_layers), parameters, precision).unwrap();
            let directory = tempfile::tempdir().unwrap();
            model.save_pretrained(directory.path()).unwrap();
            let options = LoadOptions::new().precision(precision);
            let (again, report) =
                Classifier::from_pretrained_with(directory.path(), &options).unwrap();
            assert!(report.is_clean(), "{report}");
            assert_eq!(again.config().exit_layers, exit_layers);
            assert_same_tensors("saved", &weights_in(&model), &weights_in(&again));
            assert_eq!(weights.len(), weights_in(&again).len());
        }
    }
}

#[test]
fn the_last_classifier_is_saved_for_transformers_too() {
    let (directory, weights) = saved::<Classifier>(&config(&[2, 4]), 3);
    let names = stored(directory.path());
    assert_eq!(names["classifier.weight"], names["classifiers.1.weight"]);
    // A file without the copy is as good, and so is one that has the last one under its single name
    // alone.
    for (removed, added) in [("classifier", ""), ("classifiers.1", "classifier")] {
        let mut weights = weights.clone();
        for tensor in ["weight", "bias"] {
            let values = weights.remove(&format!("{removed}.{tensor}"));
            if !added.is_empty() {
                weights.insert(format!("{added}.{tensor}"), values.unwrap());
            }
        }
        write_weights(directory.path(), &weights);
        let model = load(directory.path());
        let last = model.head().classifier().to_linear();
        assert_eq!(last.weight.into_dyn(), self::last(&weights));
    }
}

fn last(weights: &Weights) -> ndarray::ArrayD<f32> {
    weights.get("classifiers.1.weight").or(weights.get("classifier.weight")).unwrap().clone()
}

#[test]
fn a_model_is_given_exits_or_freed_of_them() {
    let (directory, weights) = saved::<Classifier>(&config(&[]), 4);
    let options = LoadOptions::new().exit_layers([1, 4]).seed(5);
    let (model, report) = Classifier::from_pretrained_with(directory.path(), &options).unwrap();
    assert_eq!(report.newly_initialized, ["classifiers.0.weight", "classifiers.0.bias"]);
    assert_eq!(weights_in(&model)["classifiers.1.weight"], weights["classifier.weight"]);
    refused(
        Classifier::from_pretrained_with(directory.path(), &LoadOptions::new().exit_layers([1, 9])),
        &["exit_layers", "[1, 9]"],
    );

    let (directory, weights) = pabee(|_| ());
    let (model, report) =
        Classifier::from_pretrained_with(directory.path(), &LoadOptions::new().exit_layers([]))
            .unwrap();
    assert_eq!(report.newly_initialized, [""; 0]);
    assert_eq!(model.head().num_exits(), 1);
    assert_eq!(weights_in(&model)["classifier.weight"], weights["classifiers.3.weight"]);
}

#[test]
fn another_number_of_classifiers_than_layers_is_not_pabees() {
    let (directory, _) = pabee(|weights| {
        weights.remove("classifiers.3.weight");
        weights.remove("classifiers.3.bias");
    });
    let (model, report) = Classifier::from_pretrained(directory.path()).unwrap();
    assert_eq!(model.config().exit_layers, [0; 0]);
    assert!(report.unexpected.contains(&"classifiers.0.weight".to_owned()), "{report}");

    let (directory, _) = pabee(|weights| {
        let values = Array::zeros((2, 15)).into_dyn();
        weights.insert("classifiers.1.weight".to_owned(), Array::zeros((2, 14)).into_dyn());
        weights.insert("classifiers.2.weight".to_owned(), values);
    });
    refused(Classifier::from_pretrained(directory.path()), &["classifiers.1.weight", "[2, 14]"]);
}

#[test]
fn sentence_order_keeps_its_exits_and_pre_training_reads_the_last() {
    let (directory, weights) = saved::<AlbertForSentenceOrder>(&config(&[2, 4]), 6);
    assert!(weights.contains_key("sop_classifier.classifiers.1.weight"));
    let (order, report) = AlbertForSentenceOrder::from_pretrained(directory.path()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_same_tensors("order", &weights, &weights_in(&order));
    let (both, _) = AlbertForPreTraining::from_pretrained(directory.path()).unwrap();
    let read = &weights_in(&both)["sop_classifier.classifier.weight"];
    assert_eq!(read, &weights["sop_classifier.classifiers.1.weight"]);
}

#[test]
fn models_of_tokens_have_no_exits() {
    let (_, weights) = saved::<AlbertForTokenClassification>(&config(&[2, 4]), 7);
    assert!(
        weights.contains_key("classifier.weight") && !weights.contains_key("classifiers.0.weight")
    );
}

#[test]
fn a_configuration_cannot_ask_for_more_exits_than_a_checkpoint_is_large() {
    let (directory, _) = saved::<Classifier>(&config(&[]), 8);
    let mut json = config_json(directory.path());
    json["num_hidden_layers"] = 65_536.into();
    json["exit_layers"] = (1..=65_536).collect::<Vec<usize>>().into();
    json["num_labels"] = 100_000.into();
    fs::write(directory.path().join("config.json"), json.to_string()).unwrap();
    let fields = |error: &str| error.len() < 1000;
    let error = Classifier::from_pretrained(directory.path()).unwrap_err().to_string();
    assert!(error.contains("parameters") && fields(&error), "{error}");
    let config = AlbertConfig::new(ConfigFields {
        exit_layers: (0..60_000).collect(),
        ..ConfigFields::default()
    });
    assert!(fields(&config.unwrap_err().to_string()));
}
