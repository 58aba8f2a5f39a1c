//! Every format that ALBERT is published in gives the same tensors.
//!
//! The fixtures are made by `tests/golden/make_checkpoint_fixtures.py`.

mod checkpoint_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use checkpoint_support::torch::{dict, legacy, storage, tensor};
use checkpoint_support::{fixture, peak_of};
use ndalbert::checkpoint::{Checkpoint, DType, Format, write_safetensors};
use ndalbert::{Albert, AlbertConfig, ConfigFields, Error, LoadOptions, Model, PreTrainedModel};
use ndarray::{Array2, ArrayD, Dimension, IxDyn, arr0};

/// The values by the `safetensors` crate, which shares no code with the reader under test.
fn reference(path: &Path) -> BTreeMap<String, ArrayD<f32>> {
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let values = view.data().as_chunks().0.iter().map(|&value| f32::from_le_bytes(value));
            (name, ArrayD::from_shape_vec(IxDyn(view.shape()), values.collect()).unwrap())
        })
        .collect()
}

fn assert_same_bits(name: &str, expected: &ArrayD<f32>, found: &ArrayD<f32>) {
    assert_eq!(expected.shape(), found.shape(), "{name}");
    assert!(found.is_standard_layout(), "{name}");
    let same = expected.iter().zip(found).all(|(a, b)| a.to_bits() == b.to_bits());
    assert!(same, "{name}: expected {expected:?}, found {found:?}");
}

#[test]
fn every_format_and_protocol_gives_the_same_values() {
    let expected = reference(&fixture("expected.safetensors"));
    assert_eq!(expected.len(), 15);
    for (file, path, count) in [
        ("tensors.safetensors", "", 16),
        ("tensors_zip.bin", "", 16),
        ("tensors_legacy.bin", "", 16),
        ("protocol3.bin", "", 16),
        ("protocol4.bin", "", 16),
        ("protocol5.bin", "", 16),
        // With one of an optimizer's.
        ("nested_zip.bin", "state_dict.", 17),
        ("nested_legacy.bin", "state_dict.", 17),
    ] {
        let checkpoint = Checkpoint::open(fixture(file)).unwrap();
        assert_eq!(checkpoint.len(), count, "{file}");
        assert!(checkpoint.names().is_sorted(), "{file}");
        for (name, values) in &expected {
            let found = checkpoint.read(&format!("{path}{name}")).unwrap();
            assert_same_bits(&format!("{file}: {name}"), values, &found);
        }
    }
}

#[test]
fn types_and_views_are_those_of_the_file() {
    for file in ["tensors_zip.bin", "tensors_legacy.bin"] {
        let checkpoint = Checkpoint::open(fixture(file)).unwrap();
        assert_eq!(checkpoint.format(), Format::Torch);
        let get = |name| checkpoint.get(name).unwrap();
        assert_eq!(get("f32").dtype(), DType::F32);
        assert_eq!(get("f16").dtype(), DType::F16);
        assert_eq!(get("bf16").dtype(), DType::BF16);
        assert_eq!(get("f64").dtype(), DType::F64);
        assert_eq!(get("i64").dtype(), DType::I64);
        assert_eq!(get("transposed").strides(), [1, 5]);
        assert_eq!(get("expanded").strides(), [1, 0]);
        assert_eq!(get("shared").offset(), get("f32").offset(), "{file}: one storage");
        assert_eq!(get("rows").offset(), get("f32").offset() + 2 * 5 * 4);
        assert!(get("empty").is_empty());
        assert_eq!(get("scalar").shape(), [0usize; 0]);
    }
}

#[test]
fn an_integer_tensor_is_listed_but_not_read() {
    for file in ["tensors.safetensors", "tensors_zip.bin", "tensors_legacy.bin"] {
        let path = fixture(file);
        let checkpoint = Checkpoint::open(&path).unwrap();
        let Err(Error::Tensor { path: at, tensor, expected, found }) = checkpoint.read("i64")
        else {
            panic!("{file}")
        };
        assert_eq!((at, &*tensor, &*found), (path, "i64", "i64"));
        assert!(expected.contains("bf16"));
    }
}

#[test]
fn sharded_checkpoints_are_as_whole_ones() {
    let expected = reference(&fixture("albert/model.safetensors"));
    for (directory, format) in [
        ("albert", Format::Safetensors),
        ("albert_sharded", Format::Safetensors),
        ("albert_sharded_bin", Format::Torch),
    ] {
        let checkpoint = Checkpoint::open(fixture(directory)).unwrap();
        assert_eq!(checkpoint.format(), format);
        for (name, values) in &expected {
            let found = checkpoint.read(name).unwrap();
            assert_same_bits(&format!("{directory}: {name}"), values, &found);
        }
        if format == Format::Safetensors {
            assert_eq!(checkpoint.metadata().get("format").map(String::as_str), Some("pt"));
        }
    }
}

#[test]
fn a_single_file_or_index_can_be_opened() {
    let index = fixture("albert_sharded/model.safetensors.index.json");
    assert_eq!(Checkpoint::open(&index).unwrap().path(), index);
    let index = fixture("albert_sharded_bin/pytorch_model.bin.index.json");
    assert_eq!(Checkpoint::open(&index).unwrap().path(), index);
}

/// The directory of the archive is read by this crate's own code; the `zip` crate finds the same
/// places.
#[test]
fn zip_entries_are_where_the_zip_crate_finds_them() {
    let path = fixture("tensors_zip.bin");
    let mut archive = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
    let starts: Vec<u64> = (0..archive.len())
        .map(|i| archive.by_index_raw(i).unwrap().data_start().unwrap())
        .collect();
    let checkpoint = Checkpoint::open(&path).unwrap();
    for name in ["f32", "edge", "f16", "bf16", "f64", "i64", "scalar", "permuted", "parameter"] {
        assert!(starts.contains(&checkpoint.get(name).unwrap().offset()), "{name}");
    }
}

/// transformers looks for safetensors first, whole before sharded.
#[test]
fn files_are_taken_in_the_order_of_transformers() {
    let directory = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        fs::copy(fixture(from), directory.path().join(to)).unwrap();
    };
    let opened = || {
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        checkpoint.path().file_name().unwrap().to_str().unwrap().to_owned()
    };
    for shard in ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"] {
        copy(&format!("albert_sharded_bin/{shard}"), shard);
    }
    copy("albert_sharded_bin/pytorch_model.bin.index.json", "pytorch_model.bin.index.json");
    assert_eq!(opened(), "pytorch_model.bin.index.json");
    copy("tensors_legacy.bin", "pytorch_model.bin");
    assert_eq!(opened(), "pytorch_model.bin");
    for i in 1..=4 {
        let shard = format!("model-0000{i}-of-00004.safetensors");
        copy(&format!("albert_sharded/{shard}"), &shard);
    }
    copy("albert_sharded/model.safetensors.index.json", "model.safetensors.index.json");
    assert_eq!(opened(), "model.safetensors.index.json");
    copy("albert/model.safetensors", "model.safetensors");
    assert_eq!(opened(), "model.safetensors");
}

#[test]
fn what_is_written_is_what_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    let matrix = Array2::from_shape_fn((70, 33), |(i, j)| (i * 100 + j) as f32 - 0.5).into_dyn();
    let transposed = matrix.t();
    let (scalar, empty) = (arr0(f32::MIN_POSITIVE).into_dyn(), ArrayD::zeros(IxDyn(&[0, 3])));
    let tensors = [
        ("b", matrix.view()),
        ("a", transposed.view()),
        ("scalar", scalar.view()),
        ("empty", empty.view()),
    ];
    write_safetensors(&path, tensors.clone()).unwrap();
    let found = reference(&path);
    let checkpoint = Checkpoint::open(&path).unwrap();
    for (name, values) in tensors {
        let values = values.as_standard_layout().into_owned();
        assert_same_bits(name, &values, &found[name]);
        assert_same_bits(name, &values, &checkpoint.read(name).unwrap());
    }
    assert_eq!(checkpoint.metadata().get("format").map(String::as_str), Some("pt"));

    // To the byte the same whatever the order they come in.
    let first = fs::read(&path).unwrap();
    write_safetensors(&path, [("a", transposed.view()), ("b", matrix.view())]).unwrap();
    let again = fs::read(&path).unwrap();
    write_safetensors(&path, [("b", matrix.view()), ("a", transposed.view())]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), again);
    assert_ne!(first, again);
}

/// More than one piece of the reader's, in each of the ways that a tensor can lie in its storage.
#[test]
fn large_tensors_are_read_in_pieces() {
    const ELEMENTS: u64 = 400_000;
    let data: Vec<u8> = (0..ELEMENTS).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pytorch_model.bin");
    for (offset, shape, strides) in [
        (0, vec![400_000], vec![1]),
        (7, vec![10, 39_000], vec![39_000, 1]),
        (0, vec![400, 1000], vec![1, 400]),
        (3, vec![100, 3, 900], vec![1, 130_000, 100]),
        (1, vec![133_000], vec![3]),
        // Farther apart than what is read along.
        (5, vec![300], vec![1301]),
        (5, vec![2, 150], vec![1, 1301]),
        (9, vec![3, 100_000], vec![0, 2]),
        (9, vec![100_000, 3], vec![2, 0]),
        // Each row begins in the middle of the one before.
        (0, vec![100, 4000], vec![2000, 1]),
    ] {
        let storage = storage("FloatStorage", "0", ELEMENTS as i64, b"");
        let object = dict(&tensor(&storage, offset, &shape, &strides));
        fs::write(&path, legacy(&object, &[("0", ELEMENTS, &data)])).unwrap();
        let found = Checkpoint::open(&path).unwrap().read("w").unwrap();
        for (index, &value) in found.indexed_iter() {
            let steps = index.slice().iter().zip(&strides).map(|(&i, &stride)| i as i64 * stride);
            let expected = offset + steps.sum::<i64>();
            assert_eq!(value, expected as f32, "{shape:?} {strides:?} at {index:?}");
        }
    }
}

/// A checkpoint that is open goes on reading the file it was opened from.
#[test]
#[cfg(unix)]
fn a_save_over_an_open_checkpoint_does_not_mix_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    let (old, new) = (ArrayD::zeros(IxDyn(&[50])), ArrayD::ones(IxDyn(&[9])));
    write_safetensors(&path, [("w", old.view())]).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    write_safetensors(&path, [("added", new.view()), ("w", new.view())]).unwrap();
    assert_same_bits("w", &old, &checkpoint.read("w").unwrap());
    assert_same_bits("w", &new, &Checkpoint::open(&path).unwrap().read("w").unwrap());
}

#[test]
fn tensors_are_read_into_arrays_of_any_layout() {
    let expected = reference(&fixture("expected.safetensors"));
    let checkpoint = Checkpoint::open(fixture("tensors_zip.bin")).unwrap();
    for (name, values) in &expected {
        let mut rows = ArrayD::from_elem(values.shape(), f32::NAN);
        checkpoint.read_into(name, rows.view_mut()).unwrap();
        assert_same_bits(name, values, &rows);
        let mut columns = ArrayD::from_elem(values.t().shape(), f32::NAN);
        checkpoint.read_into(name, columns.view_mut().reversed_axes()).unwrap();
        assert_same_bits(name, values, &columns.reversed_axes().as_standard_layout().to_owned());
        let mut wider = values.shape().to_vec();
        wider.push(2);
        let error = checkpoint.read_into(name, ArrayD::zeros(&wider[..]).view_mut()).unwrap_err();
        assert!(matches!(&error, Error::Tensor { .. }), "{error}");
        for shape in [&wider, values.shape()].map(|shape| format!("{shape:?}")) {
            assert!(error.to_string().contains(&shape), "{name}: {error}");
        }
    }
    let mut none = ArrayD::zeros(IxDyn(&[]));
    assert!(checkpoint.read_into("none", none.view_mut()).is_err());
}

/// A model's parameters are there before its checkpoint is read: no tensor is beside them while it
/// is.
#[test]
fn loading_holds_no_tensor_twice() {
    let fields = ConfigFields {
        vocab_size: 40_000,
        embedding_size: 64,
        hidden_size: 8,
        num_attention_heads: 1,
        intermediate_size: 8,
        ..ConfigFields::default()
    };
    let config = AlbertConfig::new(fields).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let zeros = Albert::zero_parameters(&config);
    Albert::save_parameters(directory.path(), &config, &zeros).unwrap();
    let options = LoadOptions::new();
    let (loaded, peak) = peak_of(|| Albert::load_parameters(directory.path(), &options).unwrap());
    drop(loaded);
    let size = 4 * config.parameter_count().total();
    assert!(size > 10_000_000 && peak < size + (1 << 20), "{peak} bytes for {size} of parameters");
}
