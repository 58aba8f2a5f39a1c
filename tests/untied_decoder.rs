//! Masked-LM decoders that are not tied to the word embeddings, or to the head's bias.
//!
//! The expected logits are those of transformers 5.24 for "a [MASK] c", whatever else is said.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::compare::assert_same_tensors;
use common::directory::{config_json, saved, stored, weights_in, write_weights};
use common::random::small_config;
use common::refused;
use common::training::{Synthetic, Trained, model_of, names, saving_options, trainer_of};
use common::weights::{Weights, weights_of};
use ndalbert::checkpoint::{Checkpoint, DType, UntiedTensor, write_safetensors_as};
use ndalbert::pipelines::{FillMask, Pipeline};
use ndalbert::train::{AdamOptions, AdamW, Optimizer};
use ndalbert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForPreTraining, AlbertForQuestionAnswering,
    Batch, LoadOptions, LoadReport, Model, Parameters, PreTrainedModel, Precision,
};
use ndarray::{ArrayD, Axis};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use tempfile::TempDir;

const WORDS: &str = "albert.embeddings.word_embeddings.weight";
const WEIGHT: &str = "predictions.decoder.weight";
const OWN_BIAS: &str = "predictions.decoder.bias";
const BIAS: &str = "predictions.bias";

/// The logit of a decoder that is tied, of one with the matrix of `weight`, and of one with the bias of `bias`.
const TIED: f32 = -0.0382;
const OWN_MATRIX: f32 = 2.0348;
const WITH_OWN_BIAS: f32 = 0.9618;

/// A checkpoint whose decoder differs in its matrix (`weight`), in its bias (`bias`), or not at all (`tied`). All have
/// both of its tensors, and a config without a word of ties.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/untied_decoder").join(name)
}

fn weights(directory: &Path) -> Weights {
    let file = Checkpoint::open(directory).unwrap();
    file.names().map(|name| (name.to_owned(), file.read(name).unwrap())).collect()
}

/// A fixture with something changed, and with `tie_word_embeddings`, if that is given.
fn changed(name: &str, ties: Option<bool>, change: impl FnOnce(&mut Weights)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut json = config_json(&fixture(name));
    if let Some(ties) = ties {
        json["tie_word_embeddings"] = json!(ties);
    }
    fs::write(directory.path().join("config.json"), json.to_string()).unwrap();
    let mut weights = weights(&fixture(name));
    change(&mut weights);
    write_weights(directory.path(), &weights);
    directory
}

/// The score of `a` at the mask of "a [MASK] c".
fn logit(model: &AlbertForMaskedLM) -> f32 {
    let batch = Batch::from_sequences(&[[2, 5, 4, 7, 3]]).unwrap();
    model.logits_at(&batch, &[(0, 2)]).unwrap()[[0, 5]]
}

#[track_caller]
fn load(directory: &Path, expected: f32) -> (AlbertForMaskedLM, LoadReport) {
    let (model, report) = AlbertForMaskedLM::from_pretrained(directory).unwrap();
    let found = logit(&model);
    assert!((found - expected).abs() < 6e-5, "expected {expected}, found {found}");
    (model, report)
}

fn ties(config: &AlbertConfig) -> (bool, bool) {
    (config.tie_word_embeddings, config.tie_decoder_bias)
}

fn pair(name: &str, tied_to: &str) -> UntiedTensor {
    UntiedTensor { name: name.to_owned(), tied_to: tied_to.to_owned() }
}

#[test]
fn the_values_decide_where_the_config_does_not_untie() {
    for (name, expected, is_tied, untied) in [
        ("weight", OWN_MATRIX, (false, true), vec![pair(WEIGHT, WORDS)]),
        ("bias", WITH_OWN_BIAS, (true, false), vec![pair(OWN_BIAS, BIAS)]),
        ("tied", TIED, (true, true), vec![]),
    ] {
        for says in [None, Some(true)] {
            let (model, report) = load(changed(name, says, |_| {}).path(), expected);
            assert_eq!((&report.untied, ties(model.config())), (&untied, is_tied), "{name}");
            assert!(report.unexpected.is_empty() && report.newly_initialized.is_empty());
            assert_eq!(report.is_clean(), untied.is_empty());
            for UntiedTensor { name, tied_to } in &untied {
                let line = format!("\n  {name} differs from {tied_to}\n");
                assert!(report.to_string().contains(&line), "{report}");
            }
        }
        // A config that unties is obeyed: nothing is compared, and nothing is to be reported.
        let (model, report) = load(changed(name, Some(false), |_| {}).path(), expected);
        assert!(report.is_clean() && !model.config().tie_word_embeddings, "{report}");
        assert_eq!(weights_in(&model), weights(&fixture(name)));
    }
}

/// As many as in transformers.
#[test]
fn own_parameters_are_counted() {
    for (name, says, expected) in [
        ("tied", None, 4404),
        ("bias", None, 4496),
        ("weight", None, 5232),
        ("tied", Some(false), 5232),
    ] {
        let directory = changed(name, says, |_| {});
        let (config, parameters, _) =
            AlbertForMaskedLM::load_parameters(directory.path(), &LoadOptions::new()).unwrap();
        assert_eq!(parameters.parameter_count(), expected, "{name}");
        let count = config.parameter_count();
        let head = config.masked_lm_head_parameter_count();
        assert_eq!(count.total() - count.pooler + head, expected, "{name}");
    }
}

/// Every tensor has the values that it was loaded with, and another look needs no report.
#[test]
fn what_is_not_tied_is_saved() {
    for (name, expected) in [("weight", OWN_MATRIX), ("bias", WITH_OWN_BIAS)] {
        let (model, _) = load(&fixture(name), expected);
        let directory = tempfile::tempdir().unwrap();
        model.save_pretrained(directory.path()).unwrap();
        let mut original = weights(&fixture(name));
        if name == "bias" {
            original.remove(WEIGHT);
        }
        assert_same_tensors(name, &original, &weights(directory.path()));
        // With these, transformers ties nothing: with `true`, it compares the values, as here.
        let json = config_json(directory.path());
        assert_eq!(json["tie_word_embeddings"], json!(name == "bias"));
        assert_eq!(json.get("tie_decoder_bias"), (name == "bias").then_some(&json!(false)));
        let (again, report) = load(directory.path(), expected);
        assert!(report.is_clean(), "{report}");
        assert_eq!(weights_in(&again), weights_in(&model));
    }
    let (model, _) = load(&fixture("tied"), TIED);
    let directory = tempfile::tempdir().unwrap();
    model.save_pretrained(directory.path()).unwrap();
    assert!(!stored(directory.path()).keys().any(|name| name.contains("decoder")));
    assert_eq!(config_json(directory.path())["tie_word_embeddings"], json!(true));
}

/// Own biases that are equal, as before any training, are still two.
#[test]
fn an_own_bias_stays_one_where_the_values_are_equal() {
    let (directory, _) =
        saved::<AlbertForMaskedLM>(&small_config(|fields| fields.tie_decoder_bias = false), 1);
    let (model, report) = AlbertForMaskedLM::from_pretrained(directory.path()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(weights_in(&model).contains_key(OWN_BIAS));
}

/// What stands in for what, with ties and without.
#[test]
fn one_of_a_pair_is_enough() {
    let without = |names: &'static [&str]| {
        move |weights: &mut Weights| names.iter().for_each(|name| drop(weights.remove(*name)))
    };
    // A tied decoder's tensors serve for those that it is tied to, and the other way round.
    for (name, missing, expected) in [
        ("tied", &[WEIGHT, OWN_BIAS][..], TIED),
        ("weight", &[WEIGHT][..], TIED),
        ("weight", &[OWN_BIAS][..], OWN_MATRIX),
        ("weight", &[BIAS][..], OWN_MATRIX),
        ("bias", &[BIAS][..], WITH_OWN_BIAS),
        ("bias", &[OWN_BIAS][..], TIED),
        ("weight", &[WORDS][..], 2.2354),
    ] {
        let (_, report) = load(changed(name, None, without(missing)).path(), expected);
        assert!(report.newly_initialized.is_empty(), "{report}");
        assert!(report.unexpected.is_empty(), "{report}");
    }
    // transformers 4 stores an untied decoder's bias as the head's alone.
    for (missing, other) in [(OWN_BIAS, BIAS), (BIAS, OWN_BIAS)] {
        let directory = changed("weight", Some(false), |weights| {
            let bias = weights[other].mapv(|value| value + 1.5);
            weights.insert(other.to_owned(), bias);
            weights.remove(missing);
        });
        let (model, report) = load(directory.path(), OWN_MATRIX + 1.5);
        assert!(report.is_clean(), "{report}");
        assert_eq!(weights_in(&model)[missing], weights(directory.path())[other]);
    }
    // Without ties, nothing else is a decoder's matrix, and the decoder's is not that of words.
    let directory = changed("tied", Some(false), without(&[WEIGHT, OWN_BIAS]));
    let (model, report) = AlbertForMaskedLM::from_pretrained(directory.path()).unwrap();
    assert_eq!(report.newly_initialized, [WEIGHT]);
    assert_ne!(weights_in(&model)[WEIGHT], weights_in(&model)[WORDS]);
    let directory = changed("tied", Some(false), without(&[WORDS]));
    refused(AlbertForMaskedLM::from_pretrained(directory.path()), &[WORDS, "found none"]);
    let directory = changed("weight", None, without(&[BIAS, OWN_BIAS]));
    let (_, report) = AlbertForMaskedLM::from_pretrained(directory.path()).unwrap();
    assert_eq!(report.newly_initialized, [BIAS, OWN_BIAS]);
}

#[test]
fn another_shape_is_refused_by_both_names() {
    for (name, tied_to, shapes) in
        [(WEIGHT, WORDS, ["[92, 8]", "[90, 8]"]), (OWN_BIAS, BIAS, ["[92]", "[90]"])]
    {
        let cut = |weights: &mut Weights| {
            let values = weights[name].slice_axis(Axis(0), (0..90).into()).to_owned();
            weights.insert(name.to_owned(), values);
        };
        let directory = changed("tied", None, cut);
        let words = [name, tied_to, shapes[0], shapes[1], "model.safetensors"];
        refused(AlbertForMaskedLM::from_pretrained(directory.path()), &words);
        let options = LoadOptions::new().ignore_mismatched_sizes(true);
        let (_, report) =
            AlbertForMaskedLM::from_pretrained_with(directory.path(), &options).unwrap();
        assert_eq!(report.mismatched.iter().map(|it| &it.name).collect::<Vec<_>>(), [name]);
        let directory = changed("tied", Some(false), cut);
        refused(
            AlbertForMaskedLM::from_pretrained(directory.path()),
            &[name, shapes[0], shapes[1]],
        );
    }
}

/// Both in half precision are compared as they are; one in half precision differs from one that is rounded to it.
#[test]
fn values_are_compared_in_every_type() {
    for dtype in [DType::F16, DType::BF16] {
        for (name, is_tied) in
            [("weight", (false, true)), ("bias", (true, false)), ("tied", (true, true))]
        {
            let directory = changed(name, None, |_| {});
            let weights = weights(&fixture(name));
            let views = weights.iter().map(|(name, values)| (name.as_str(), values.view()));
            let file = directory.path().join("model.safetensors");
            write_safetensors_as(file, dtype, views).unwrap();
            let (model, _) = AlbertForMaskedLM::from_pretrained(directory.path()).unwrap();
            assert_eq!(ties(model.config()), is_tied, "{name} {dtype}");
        }
    }
    let directory = changed("tied", None, |_| {});
    let weights = weights(&fixture("tied"));
    let bytes = |name: &str, values: &ArrayD<f32>| -> Vec<u8> {
        let half = |value: &f32| half::f16::from_f32(*value).to_le_bytes();
        match name {
            WEIGHT => values.iter().flat_map(half).collect(),
            _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    };
    let bytes: Vec<_> = weights.iter().map(|(name, values)| bytes(name, values)).collect();
    let views = weights.iter().zip(&bytes).map(|((name, values), bytes)| {
        let dtype = if name == WEIGHT { Dtype::F16 } else { Dtype::F32 };
        (name, TensorView::new(dtype, values.shape().to_vec(), bytes).unwrap())
    });
    let file = directory.path().join("model.safetensors");
    safetensors::serialize_to_file(views, None, &file).unwrap();
    let (_, report) = load(directory.path(), -0.0383);
    assert_eq!(report.untied, [pair(WEIGHT, WORDS)]);
}

/// NaN is not equal to itself, but two of them are no two decoders.
#[test]
fn what_is_not_finite_is_compared_too() {
    let directory = changed("tied", None, |weights| {
        for name in [WORDS, WEIGHT] {
            weights.get_mut(name).unwrap()[[9, 0]] = f32::NAN;
        }
    });
    let (model, report) = AlbertForMaskedLM::from_pretrained(directory.path()).unwrap();
    assert!(report.untied.is_empty() && model.config().tie_word_embeddings, "{report}");
    assert_eq!(report.non_finite, [WORDS]);
}

/// They have no use for it, and leave the config as it is.
#[test]
fn models_without_a_decoder_do_not_look_at_it() {
    fn load<M: PreTrainedModel>() -> (AlbertConfig, LoadReport) {
        let (config, _, report) =
            M::load_parameters(fixture("weight"), &LoadOptions::new()).unwrap();
        (config, report)
    }
    for (config, report) in [load::<Albert>(), load::<AlbertForQuestionAnswering>()] {
        assert_eq!(ties(&config), (true, true));
        assert!(report.unexpected.iter().any(|name| name == WEIGHT), "{report}");
        assert!(report.untied.is_empty());
    }
}

/// Drawn as transformers draws it: from the words' distribution, padding's row too, and with a bias of zeros.
#[test]
fn new_decoders_are_drawn() {
    let config = small_config(|fields| {
        fields.tie_word_embeddings = false;
        fields.vocab_size = 900;
    });
    let weights = weights_of(&AlbertForPreTraining::random_parameters(&config, 3).unwrap());
    let (own, words) = (&weights[WEIGHT], &weights[WORDS]);
    assert_eq!(own.shape(), words.shape());
    let deviation = (own.mapv(|value| value * value).mean().unwrap()).sqrt();
    assert!((deviation / 0.02 - 1.0).abs() < 0.05, "{deviation}");
    let of_padding = |table: &ArrayD<f32>| table.iter().take(6).all(|&value| value == 0.0);
    assert_eq!((of_padding(own), of_padding(words)), (false, true));
    assert!(own.iter().zip(words).skip(6).all(|(own, word)| own != word));
    assert!(weights[OWN_BIAS].iter().all(|&value| value == 0.0));
    let (bare, tied) = (small_config(|_| {}), small_config(|fields| fields.vocab_size = 900));
    assert_eq!(bare.masked_lm_head_parameter_count() + 859, tied.masked_lm_head_parameter_count());
    let model = AlbertForPreTraining::from_config(config, 3).unwrap();
    assert_same_tensors("built", &weights, &weights_in(&model));
}

/// As the table of a tied one: in single precision, whatever the layers are executed in.
#[test]
fn own_matrices_stay_in_single_precision() {
    for precision in [Precision::Bf16, Precision::Int8] {
        let options = LoadOptions::new().precision(precision);
        let (model, _) =
            AlbertForMaskedLM::from_pretrained_with(fixture("weight"), &options).unwrap();
        assert_eq!(weights_in(&model)[WEIGHT], weights(&fixture("weight"))[WEIGHT]);
        let found = logit(&model);
        assert!((found - OWN_MATRIX).abs() < 0.3, "{precision}: {found}");
    }
}

#[test]
fn words_are_filled_in_by_the_own_decoder() {
    for (name, best) in [("weight", 0.05494668), ("bias", 0.056385133), ("tied", 0.05687431)] {
        let masks = FillMask::from_pretrained(fixture(name)).unwrap().run("a [MASK] c").unwrap();
        assert!((masks[0][0].score - best).abs() < 1e-5, "{name}: {:?}", masks[0][0]);
    }
}

/// Without gradients, only decay changes weights: that of the matrix, not the bias.
#[test]
fn own_matrices_decay_and_own_biases_do_not() {
    let config = small_config(|fields| fields.tie_word_embeddings = false);
    let zeros = || AlbertForMaskedLM::zero_parameters(&config);
    let options = AdamOptions { weight_decay: 0.5, ..AdamOptions::torch() };
    let mut optimizer = AdamW::new(options, zeros).unwrap();
    let mut parameters = zeros();
    parameters.visit_mut("", &mut |_, mut values| values.fill(1.0));
    optimizer.update(&mut parameters, &zeros(), 1.0).unwrap();
    let weights = weights_of(&parameters);
    let all = |name: &str, expected| weights[name].iter().all(|&value| value == expected);
    assert!(all(WEIGHT, 0.5) && all(WORDS, 0.5) && all(OWN_BIAS, 1.0) && all(BIAS, 1.0));
}

/// Weights and moments of an untied decoder are in the checkpoint, and training resumes from them bit-identically.
#[test]
fn training_goes_on_with_a_decoder_of_its_own() {
    for ties in [(false, true), (true, false)] {
        let config = small_config(|fields| {
            fields.num_hidden_layers = 2;
            (fields.tie_word_embeddings, fields.tie_decoder_bias) = ties;
        });
        let directory = tempfile::tempdir().unwrap();
        let train = |steps| {
            let options = saving_options(steps, 2, directory.path());
            let model = model_of::<AlbertForPreTraining>(config.clone(), Precision::F32);
            let data = Synthetic::new(7, AlbertForPreTraining::batch);
            let mut trainer = trainer_of(model, data, options);
            trainer.resume().unwrap();
            trainer.train().unwrap();
            weights_of(trainer.model().parameters())
        };
        let first = train(2);
        let moments = Checkpoint::open(directory.path().join("checkpoint-2/optimizer.safetensors"));
        let moment = moments.unwrap().read(&format!("exp_avg_sq.{OWN_BIAS}")).unwrap();
        assert!(moment.iter().any(|&value| value > 0.0));
        let resumed = train(4);
        assert_ne!(first[OWN_BIAS], resumed[OWN_BIAS]);
        let other = tempfile::tempdir().unwrap();
        let model = model_of::<AlbertForPreTraining>(config.clone(), Precision::F32);
        let data = Synthetic::new(7, AlbertForPreTraining::batch);
        let mut unbroken = trainer_of(model, data, saving_options(4, 2, other.path()));
        unbroken.train().unwrap();
        assert_same_tensors("resumed", &weights_of(unbroken.model().parameters()), &resumed);
        assert_eq!(names(directory.path()), names(other.path()));
        // What nothing reads stays as it is.
        assert_eq!(first[BIAS], resumed[BIAS]);
    }
}
