//! Models in int8 as files: what is in them, that nothing is lost or rounded twice, and files that
//! contradict themselves.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::compare::{assert_same_bits, assert_same_tensors};
use common::directory::weights_in;
use common::random::{ids, lively, small_config};
use common::refused;
use common::weights::{Weights, weights_of};
use ndalbert::checkpoint::{Checkpoint, DType};
use ndalbert::train::{TrainingModel, TrainingOptions};
use ndalbert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForSequenceClassification, Batch, ConfigFields,
    Int8Outliers, LoadOptions, LoadReport, Model, ParameterSharing, PreTrainedModel, Precision,
};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tempfile::TempDir;

const FILE: &str = "model.safetensors";
const FFN: &str = "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight";

fn config(change: impl FnOnce(&mut ConfigFields)) -> AlbertConfig {
    small_config(|fields| {
        (fields.hidden_size, fields.intermediate_size) = (75, 130);
        change(fields);
    })
}

/// The same with a few outliers in every matrix that may have some, different in each block.
fn with_outliers(config: &AlbertConfig) -> AlbertConfig {
    let model = Albert::from_config_in(config.clone(), 1, Precision::Int8).unwrap();
    let found = model.config().int8_outliers.clone().unwrap();
    let lists = |lists: &[Vec<usize>], width: usize| -> Vec<Vec<usize>> {
        (0..lists.len()).map(|block| vec![block, 40, width - 1]).collect()
    };
    let outliers = Int8Outliers {
        attention: lists(&found.attention, 75),
        attention_dense: lists(&found.attention_dense, 75),
        ffn: lists(&found.ffn, 75),
        ffn_output: lists(&found.ffn_output, 130),
        pooler: vec![7],
    };
    let int8_outliers = Some(outliers);
    AlbertConfig::new(ConfigFields { int8_outliers, ..config.to_fields() }).unwrap()
}

fn load<M: PreTrainedModel>(directory: &Path, precision: Precision) -> (M, LoadReport) {
    M::from_pretrained_with(directory, &LoadOptions::new().precision(precision)).unwrap()
}

fn load_clean<M: PreTrainedModel>(directory: &Path, precision: Precision) -> M {
    let (model, report) = load(directory, precision);
    assert!(report.is_clean(), "{report}");
    model
}

fn bytes_in(directory: &Path) -> [Vec<u8>; 2] {
    [FILE, "config.json"].map(|name| fs::read(directory.join(name)).unwrap())
}

/// What Python's `safetensors` and numpy make of a file.
fn dequantized(directory: &Path) -> Weights {
    let bytes = fs::read(directory.join(FILE)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Dtype::F32, "{name}");
        view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    let mut weights = Weights::new();
    for (name, view) in file.tensors() {
        if name.ends_with("_scale") || name.ends_with("_outliers") {
            continue;
        }
        let values = match view.dtype() {
            Dtype::I8 => {
                let scale = floats(&format!("{name}_scale"));
                let outliers = format!("{name}_outliers");
                let has_outliers = file.names().iter().any(|name| **name == outliers);
                let outliers = if has_outliers { floats(&outliers) } else { Vec::new() };
                let mut outliers = outliers.into_iter();
                let columns = view.shape()[1];
                let value = |(i, &byte): (usize, &u8)| match byte as i8 {
                    -128 => outliers.next().unwrap(),
                    byte => f32::from(byte) * scale[i / columns],
                };
                let values: Vec<f32> = view.data().iter().enumerate().map(value).collect();
                assert_eq!(outliers.next(), None, "{name}");
                values
            }
            _ => floats(&name),
        };
        let shape = IxDyn(view.shape());
        weights.insert(name, ArrayD::from_shape_vec(shape, values).unwrap());
    }
    weights
}

/// What a model computes.
type Compute<M> = fn(&M, &Batch) -> ArrayD<f32>;

fn check<M: PreTrainedModel>(config: &AlbertConfig, compute: Compute<M>) {
    let what = format!("{} {:?}", M::NAME, config.parameter_sharing);
    let batch = Batch::from_sequences(&[ids(1, 7, 41), ids(2, 12, 41)]).unwrap();
    let [single, bytes, again, direct] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let parameters = lively::<M>(config, 5);
    M::save_parameters(single.path(), config, &parameters).unwrap();

    // Rounded when it is loaded, or before it was saved.
    let expected: M = load_clean(single.path(), Precision::Int8);
    expected.save_pretrained(bytes.path()).unwrap();
    let found: M = load_clean(bytes.path(), Precision::Int8);
    let held = weights_in(&expected);
    assert_eq!(found.config().int8_outliers, expected.config().int8_outliers, "{what}");
    assert!(expected.config().int8_outliers.is_some(), "{what}");
    assert_same_tensors(&what, &held, &weights_in(&found));
    assert_same_bits(&what, &compute(&expected, &batch), &compute(&found, &batch));

    // To the same files.
    found.save_pretrained(again.path()).unwrap();
    M::save_parameters_as(direct.path(), config, &parameters, DType::I8).unwrap();
    assert!(bytes_in(bytes.path()) == bytes_in(again.path()), "{what}");
    assert!(bytes_in(bytes.path())[0] == bytes_in(direct.path())[0], "{what}");

    // In other precisions, and without this crate.
    assert_same_tensors(&what, &held, &dequantized(bytes.path()));
    assert_same_tensors(&what, &held, &weights_in(&load_clean::<M>(bytes.path(), Precision::F32)));
    let bf16: M = load_clean(bytes.path(), Precision::Bf16);
    let (config, parameters) = (found.config().clone(), found.to_parameters());
    let built = M::from_parameters_in(config, parameters, Precision::Bf16).unwrap();
    assert_same_tensors(&what, &weights_in(&built), &weights_in(&bf16));
}

fn check_classes(config: &AlbertConfig) {
    for config in [config.clone(), with_outliers(config)] {
        check::<Albert>(&config, |model, batch| {
            model.forward(batch).unwrap().last_hidden_state.to_padded().into_dyn()
        });
        check::<AlbertForMaskedLM>(&config, |model, batch| {
            model.forward(batch).unwrap().logits.to_padded().into_dyn()
        });
        check::<AlbertForSequenceClassification>(&config, |model, batch| {
            model.forward(batch).unwrap().logits.into_dyn()
        });
    }
}

#[test]
fn nothing_is_lost_or_rounded_twice_where_layers_are_shared() {
    check_classes(&config(|_| {}));
    check_classes(&config(|fields| fields.tie_word_embeddings = false));
}

#[test]
fn nothing_is_lost_or_rounded_twice_in_groups() {
    check_classes(&config(|fields| {
        (fields.num_hidden_groups, fields.inner_group_num) = (2, 2);
    }));
}

#[test]
fn nothing_is_lost_or_rounded_twice_where_layers_share_less() {
    for sharing in [ParameterSharing::Attention, ParameterSharing::Ffn, ParameterSharing::None] {
        check_classes(&config(|fields| fields.parameter_sharing = sharing));
    }
    check_classes(&config(|fields| {
        fields.parameter_sharing = ParameterSharing::Attention;
        (fields.num_hidden_groups, fields.inner_group_num) = (2, 2);
    }));
}

#[test]
fn files_are_about_a_quarter_of_those_in_single_precision() {
    let config = config(|fields| (fields.hidden_size, fields.intermediate_size) = (300, 600));
    let parameters = lively::<Albert>(&config, 5);
    let size = |dtype| {
        let directory = tempfile::tempdir().unwrap();
        Albert::save_parameters_as(directory.path(), &config, &parameters, dtype).unwrap();
        fs::metadata(directory.path().join(FILE)).unwrap().len() as f64
    };
    let ratio = size(DType::I8) / size(DType::F32);
    assert!((0.25..0.28).contains(&ratio), "{ratio}");
}

/// A directory of a model in int8 with outliers.
fn saved() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = with_outliers(&config(|_| {}));
    let parameters = lively::<Albert>(&config, 5);
    Albert::save_parameters_as(directory.path(), &config, &parameters, DType::I8).unwrap();
    directory
}

#[test]
fn matrices_are_bytes_with_scales_and_outliers() {
    let directory = saved();
    let bytes = fs::read(directory.path().join(FILE)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let layer = "encoder.albert_layer_groups.0.albert_layers.0.";
    let matrices = [
        ("embeddings.word_embeddings.weight".to_owned(), [41, 6], 0),
        ("encoder.embedding_hidden_mapping_in.weight".to_owned(), [75, 6], 0),
        (format!("{layer}attention.query.weight"), [75, 75], 3),
        (format!("{layer}attention.key.weight"), [75, 75], 3),
        (format!("{layer}attention.value.weight"), [75, 75], 3),
        (format!("{layer}attention.dense.weight"), [75, 75], 3),
        (format!("{layer}ffn.weight"), [130, 75], 3),
        (format!("{layer}ffn_output.weight"), [75, 130], 3),
        ("pooler.weight".to_owned(), [75, 75], 1),
    ];
    let mut parts = BTreeMap::new();
    for (name, shape, outliers) in &matrices {
        parts.insert(name.clone(), (Dtype::I8, shape.to_vec()));
        parts.insert(format!("{name}_scale"), (Dtype::F32, vec![shape[0]]));
        if *outliers > 0 {
            let shape = vec![shape[0], *outliers];
            parts.insert(format!("{name}_outliers"), (Dtype::F32, shape));
        }
    }
    let place = |view: &TensorView<'_>| view.data().as_ptr().addr() - bytes.as_ptr().addr();
    let (mut last_float, mut first_byte) = (0, usize::MAX);
    for (name, view) in file.tensors() {
        let found = (view.dtype(), view.shape().to_vec());
        let expected = parts.remove(&name).unwrap_or_else(|| (Dtype::F32, found.1.clone()));
        assert_eq!(found, expected, "{name}");
        if view.dtype() == Dtype::F32 {
            assert_eq!(place(&view) % 4, 0, "{name}");
            last_float = last_float.max(place(&view));
        } else {
            first_byte = first_byte.min(place(&view));
        }
    }
    assert!(parts.is_empty(), "missing: {parts:?}");
    assert!(last_float < first_byte);

    // A checkpoint shows each matrix once.
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let parameters = weights_of(&Albert::zero_parameters(&config(|_| {})));
    assert!(checkpoint.names().eq(parameters.keys()));
    let ffn = checkpoint.get(FFN).unwrap();
    assert_eq!((ffn.dtype(), ffn.shape()), (DType::I8, &[130, 75][..]));
    let expected = &dequantized(directory.path())[FFN];
    assert_same_bits(FFN, expected, &checkpoint.read(FFN).unwrap());
}

/// A matrix that is read in several pieces.
#[test]
fn long_matrices_are_read_whole() {
    let config = config(|fields| (fields.vocab_size, fields.embedding_size) = (5003, 60));
    let directory = tempfile::tempdir().unwrap();
    let parameters = lively::<Albert>(&config, 5);
    Albert::save_parameters_as(directory.path(), &config, &parameters, DType::I8).unwrap();
    let model: Albert = load_clean(directory.path(), Precision::F32);
    assert_same_tensors("long", &dequantized(directory.path()), &weights_in(&model));
}

/// A row with NaN has no scale. Its bytes are still none that stand for outliers, so that it can be
/// read and is reported.
#[test]
fn rows_that_are_not_numbers_stay_so() {
    let config = config(|_| {});
    let directory = tempfile::tempdir().unwrap();
    let mut parameters = lively::<Albert>(&config, 5);
    // The lowest byte of this NaN is −128.
    parameters.encoder.feed_forwards[0][0].ffn.weight[[3, 4]] = f32::from_bits(0x7fc0_0080);
    parameters.embeddings.word_embeddings[[2, 1]] = f32::INFINITY;
    Albert::save_parameters_as(directory.path(), &config, &parameters, DType::I8).unwrap();
    let (_, report) = load::<Albert>(directory.path(), Precision::Int8);
    assert_eq!(report.non_finite, ["embeddings.word_embeddings.weight", FFN]);
}

/// The tensors of a file, to be changed.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn tensors_in(directory: &Path) -> Tensors {
    let bytes = fs::read(directory.join(FILE)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let owned = |view: TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
    file.tensors().into_iter().map(|(name, view)| (name, owned(view))).collect()
}

fn write(path: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The model with some of its tensors changed.
fn changed(change: impl FnOnce(&mut Tensors)) -> TempDir {
    let directory = saved();
    let mut tensors = tensors_in(directory.path());
    change(&mut tensors);
    write(&directory.path().join(FILE), &tensors);
    directory
}

fn floats(shape: &[usize], value: f32) -> (Dtype, Vec<usize>, Vec<u8>) {
    let count = shape.iter().product();
    (
        Dtype::F32,
        shape.to_vec(),
        std::iter::repeat_n(value.to_le_bytes(), count).flatten().collect(),
    )
}

#[test]
fn files_that_contradict_themselves_are_refused() {
    let (scale, outliers) = (format!("{FFN}_scale"), format!("{FFN}_outliers"));
    let put = |name: &str, tensor| {
        let name = name.to_owned();
        changed(move |tensors| drop(tensors.insert(name, tensor)))
    };
    let remove = |name: &str| changed(|tensors| drop(tensors.remove(name).unwrap()));
    let count = "bytes −128 in each row";
    let halves = (Dtype::F16, vec![130], vec![0; 260]);
    let bytes = |shape: &[usize]| (Dtype::I8, shape.to_vec(), vec![1; shape.iter().product()]);
    let cases = [
        (remove(&scale), vec![FFN, "f32, f16, bf16 or f64", "i8"]),
        (remove(&outliers), vec![FFN, count, "3 in row 0"]),
        (put(&scale, floats(&[129], 1.0)), vec![&scale, "f32 [130]", "[129]"]),
        (put(&scale, floats(&[], 1.0)), vec![&scale, "f32 [130]", "[]"]),
        (put(&scale, floats(&[130, 2], 1.0)), vec![&scale, "f32 [130]", "[130, 2]"]),
        (put(&scale, floats(&[1, 130], 1.0)), vec![&scale, "f32 [130]", "[1, 130]"]),
        (put(&scale, floats(&[0], 1.0)), vec![&scale, "f32 [130]", "[0]"]),
        (put(&scale, halves), vec![&scale, "f32 [130]", "f16"]),
        (put(&scale, bytes(&[130, 1])), vec![&scale, "f32 [130]", "i8"]),
        (put(&outliers, floats(&[130, 2], 1.0)), vec![FFN, count, "3 in row 0"]),
        (put(&outliers, floats(&[130, 4], 1.0)), vec![FFN, count, "3 in row 0"]),
        (put(&outliers, floats(&[130], 1.0)), vec![FFN, count, "3 in row 0"]),
        (put(&outliers, floats(&[129, 3], 1.0)), vec![&outliers, "f32 [130, n]", "[129, 3]"]),
        (put(&outliers, floats(&[130, 76], 1.0)), vec![&outliers, "up to 75", "[130, 76]"]),
        (put(&outliers, floats(&[130, 0], 1.0)), vec![&outliers, "f32 [130, n]", "[130, 0]"]),
        (put(&outliers, bytes(&[130, 3])), vec![&outliers, "f32 [130, n]", "i8"]),
        (put(FFN, bytes(&[130, 75])), vec![FFN, count, "0 in row 0"]),
        (put(FFN, bytes(&[75, 130])), vec![FFN, "shape [130, 75]", "[75, 130]"]),
        (put(FFN, bytes(&[0, 75])), vec![FFN, "shape [130, 75]", "[0, 75]"]),
        (put(FFN, bytes(&[130, 0])), vec![FFN, "shape [130, 75]", "[130, 0]"]),
        (put(FFN, bytes(&[9750])), vec![FFN, "shape [130, 75]", "[9750]"]),
    ];
    for (directory, words) in cases {
        for precision in Precision::ALL {
            let options = LoadOptions::new().precision(precision);
            refused(Albert::from_pretrained_with(directory.path(), &options), &words);
        }
    }
}

#[test]
fn scales_that_are_not_numbers_are_reported() {
    for value in [f32::NAN, f32::INFINITY] {
        let scale = || floats(&[130], value);
        let directory = changed(|tensors| drop(tensors.insert(format!("{FFN}_scale"), scale())));
        for precision in Precision::ALL {
            let (_, report) = load::<Albert>(directory.path(), precision);
            assert_eq!(report.non_finite, [FFN]);
        }
    }
}

/// A column of scales is as good as a list, and what other networks have in the file is no concern
/// of this one.
#[test]
fn other_shapes_and_other_networks_do_no_harm() {
    let directory = changed(|tensors| {
        tensors.get_mut(&format!("{FFN}_scale")).unwrap().1 = vec![130, 1];
        tensors.insert("other.weight".into(), (Dtype::I8, vec![2, 3], vec![0x80; 6]));
        tensors.insert("other.weight_scale".into(), floats(&[1], 1.0));
    });
    let (model, report) = load::<Albert>(directory.path(), Precision::Int8);
    assert_eq!(report.unexpected, ["other.weight"]);
    assert_same_tensors("column", &dequantized(saved().path()), &weights_in(&model));
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    refused(checkpoint.read("other.weight"), &["other.weight_scale", "f32 [2]", "[1]"]);
}

/// The scales are in another file than the bytes.
#[test]
fn shards_are_joined() {
    let directory = saved();
    let expected = dequantized(directory.path());
    let tensors = tensors_in(directory.path());
    fs::remove_file(directory.path().join(FILE)).unwrap();
    let (bytes, floats): (Tensors, Tensors) =
        tensors.into_iter().partition(|(_, (dtype, ..))| *dtype == Dtype::I8);
    let mut map = serde_json::Map::new();
    for (name, tensors) in [("a.safetensors", &bytes), ("b.safetensors", &floats)] {
        write(&directory.path().join(name), tensors);
        map.extend(tensors.keys().map(|tensor| (tensor.clone(), name.into())));
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    let path = directory.path().join("model.safetensors.index.json");
    fs::write(path, index.to_string()).unwrap();
    let model: Albert = load_clean(directory.path(), Precision::Int8);
    assert_same_tensors("shards", &expected, &weights_in(&model));
}

#[test]
fn training_forgets_outliers_of_the_weights_it_changes() {
    let config = with_outliers(&config(|_| ()));
    assert!(config.int8_outliers.is_some());
    let parameters = Albert::random_parameters(&config, 1).unwrap();
    let model =
        TrainingModel::<Albert>::new(config, parameters, TrainingOptions::default()).unwrap();
    assert_eq!(model.config().int8_outliers, None);
    let directory = tempfile::tempdir().unwrap();
    Albert::save_parameters(directory.path(), model.config(), model.parameters()).unwrap();
    let config = AlbertConfig::from_pretrained(directory.path()).unwrap();
    assert_eq!(config.int8_outliers, None);
}
