//! `extract_features`: what comes out of any head, as transformers has it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use ndalbert::ndarray::{ArrayD, Axis, Slice};
use ndalbert::{
    AlbertForSequenceClassification, AlbertTokenizer, Batch, LoadOptions, PreTrainedModel,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::common::example::{Run, fail, path, run, succeed};
use crate::golden;

/// The distance from transformers that the golden models are made for (`tests/golden/README.md`).
const TOLERANCE: f32 = 2e-5;

type Floats = BTreeMap<String, ArrayD<f32>>;

/// A file's f32 tensors as arrays.
fn floats(file: &Path) -> Floats {
    let bytes = fs::read(file).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = file.tensors().into_iter().filter(|(_, tensor)| tensor.dtype() == Dtype::F32);
    let arrays = floats.map(|(name, tensor)| {
        let values = tensor.data().as_chunks().0.iter().map(|&value| f32::from_le_bytes(value));
        (name, ArrayD::from_shape_vec(tensor.shape(), values.collect()).unwrap())
    });
    arrays.collect()
}

/// The values of an i64 tensor, in order.
fn integers(file: &Path, name: &str) -> Option<Vec<i64>> {
    let bytes = fs::read(file).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(name).ok()?;
    assert_eq!(tensor.dtype(), Dtype::I64);
    Some(tensor.data().as_chunks().0.iter().map(|&value| i64::from_le_bytes(value)).collect())
}

const INPUTS: [&str; 5] =
    ["input_ids", "inputs_embeds", "attention_mask", "token_type_ids", "position_ids"];

/// Writes a golden run's inputs to a file of their own.
fn write_inputs(case: &str, run: &str, file: &Path) {
    let bytes = fs::read(golden(case).join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let inputs = INPUTS.iter().filter_map(|&name| {
        tensors.tensor(&format!("{run}.{name}")).ok().map(|tensor| (name, tensor))
    });
    fs::write(file, safetensors::serialize(inputs, None).unwrap()).unwrap();
}

/// Runs a golden model of the directory on a file.
fn extract(case: &str, head: &str, input: &Path, options: &[&str]) -> (Floats, Run) {
    let output = input.with_extension("out");
    let (model, files) = (golden(case), [input, &output].map(|file| file.to_str().unwrap()));
    let [input, output] = files;
    let required = ["--model", model.to_str().unwrap(), "--input", input, "--output", output];
    let run = succeed("extract_features", &[&required[..], &["--head", head], options].concat());
    (floats(Path::new(output)), run)
}

/// Zeros where the contract has them: at what the mask `[sequences, S]` excludes.
fn zero_masked(name: &str, values: &mut ArrayD<f32>, mask: &[i64], length: usize) {
    let axes: &[usize] = match name {
        _ if name.starts_with("attentions") => &[2, 3],
        "start_logits" | "end_logits" => &[1],
        _ if values.ndim() == 3 => &[1],
        _ => &[],
    };
    for (place, _) in mask.iter().enumerate().filter(|(_, bit)| **bit == 0) {
        let (sequence, column) = (place / length, place % length);
        for &axis in axes {
            let mut row = values.slice_axis_mut(Axis(0), Slice::from(sequence..sequence + 1));
            row.slice_axis_mut(Axis(axis), Slice::from(column..column + 1)).fill(0.0);
        }
    }
}

/// Every output that the golden file has for a run is there and as transformers has it.
fn assert_golden(case: &str, head: &str, run: &str) {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.safetensors");
    write_inputs(case, run, &input);
    let (found, _) = extract(case, head, &input, &["--hidden-states", "--attentions"]);
    let mask = integers(&input, "attention_mask").unwrap_or_default();
    let prefix = format!("{run}.");
    let expected = floats(&golden(case).join("golden.safetensors"));
    let outputs = expected.iter().filter_map(|(name, values)| {
        let name = name.strip_prefix(&prefix)?;
        let is_output = !INPUTS.contains(&name) && !name.contains("loss") && name != "labels";
        is_output.then(|| (name.to_owned(), values.clone()))
    });
    let mut compared = 0;
    for (name, mut values) in outputs {
        let length = found["hidden_states.0"].shape()[1];
        zero_masked(&name, &mut values, &mask, length);
        let what = format!("{case} {run} {name}");
        let found = found.get(&name).unwrap_or_else(|| panic!("{what} is not written"));
        assert_eq!(found.shape(), values.shape(), "{what}");
        let distance = (found - &values).mapv(f32::abs).fold(0.0, |a: f32, &b| a.max(b));
        assert!(distance < TOLERANCE, "{what}: {distance}");
        compared += 1;
    }
    assert!(compared > 0, "{case} {run}");
}

#[test]
fn extract_features_agrees_with_transformers() {
    for (case, head, runs) in [
        ("base", "base", &["plain", "padded", "positions", "token_types", "embeds"][..]),
        ("pretraining", "pretraining", &["plain", "padded"]),
        ("masked_lm", "masked-lm", &["plain", "padded"]),
        ("multiple_choice", "multiple-choice", &["float_labels", "soft_labels", "embeds"]),
        ("sequence_classification_3", "sequence-classification", &["plain", "padded"]),
        ("token_classification", "token-classification", &["plain", "padded", "holes"]),
        ("question_answering", "question-answering", &["plain", "padded"]),
    ] {
        runs.iter().for_each(|run| assert_golden(case, head, run));
    }
}

#[test]
fn every_head_runs_on_any_checkpoint_and_says_what_it_made_up() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.safetensors");
    write_inputs("base", "padded", &input);
    let layers = ["hidden_states.0", "hidden_states.1", "hidden_states.2"];
    for (head, names) in [
        ("base", &["last_hidden_state", "pooler_output"][..]),
        ("pretraining", &["prediction_logits", "sop_logits"]),
        ("masked-lm", &["logits", "prediction_logits"]),
        ("sequence-classification", &["logits"]),
        ("token-classification", &["logits"]),
        ("question-answering", &["end_logits", "start_logits"]),
    ] {
        let (found, run) = extract("base", head, &input, &["--hidden-states"]);
        let mut expected = [&layers[..], names].concat();
        expected.sort_unstable();
        assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{head}");
        assert!(expected.iter().all(|name| run.stdout.contains(name)), "{}", run.stdout);
        assert_eq!(run.stderr.contains("newly initialised"), head != "base", "{}", run.stderr);
    }
}

#[test]
fn extract_features_gives_what_the_library_gives() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.safetensors");
    write_inputs("base", "plain", &input);
    let ids = integers(&input, "input_ids").unwrap();
    let sequences: Vec<Vec<u32>> =
        ids.chunks(7).map(|row| row.iter().map(|&id| id as u32).collect()).collect();
    let load = LoadOptions::new().seed(3);
    let (model, _) =
        AlbertForSequenceClassification::from_pretrained_with(golden("base"), &load).unwrap();
    let expected = model.forward(&Batch::from_sequences(&sequences).unwrap()).unwrap().logits;

    let head = "sequence-classification";
    for options in [&["--seed", "3"][..], &["--seed", "3", "--batch-size", "2"]] {
        let (found, _) = extract("base", head, &input, options);
        assert_eq!(found["logits"], expected.clone().into_dyn(), "{options:?}");
    }
    let (found, _) = extract("base", head, &input, &["--seed", "4"]);
    assert_ne!(found["logits"], expected.into_dyn());
}

#[test]
fn integers_of_any_type_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let [wide, narrow] = ["wide", "narrow"].map(|name| directory.path().join(name));
    let bytes =
        |values: &[i32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let mask = [1, 1, 1, 1, 1, 0];
    let (ids, mask32) = (bytes(&[2, 9, 3, 2, 3, 0]), bytes(&mask.map(i32::from)));
    let view = |dtype, bytes| TensorView::new(dtype, vec![2, 3], bytes).unwrap();
    for (file, dtype, mask) in [(&wide, Dtype::I32, &mask32[..]), (&narrow, Dtype::BOOL, &mask)] {
        let tensors =
            [("input_ids", view(Dtype::U32, &ids)), ("attention_mask", view(dtype, mask))];
        fs::write(file, safetensors::serialize(tensors, None).unwrap()).unwrap();
    }
    assert_eq!(extract("base", "base", &wide, &[]).0, extract("base", "base", &narrow, &[]).0);
}

#[test]
fn texts_are_encoded_padded_and_written() {
    let directory = tempfile::tempdir().unwrap();
    let [text, output] = ["in.txt", "out.safetensors"].map(|name| directory.path().join(name));
    fs::write(&text, "你吃饭了吗?\n吃了.\t我没吃上吉士果.\n").unwrap();
    let demo = path("examples/data/albert-chinese-demo");
    let files = [&demo, &text, &output].map(|path| path.to_str().unwrap());
    let arguments = ["--model", files[0], "--text", files[1], "--output", files[2]];
    succeed("extract_features", &arguments);

    let tokenizer = AlbertTokenizer::from_pretrained(&demo).unwrap();
    let single = tokenizer.encode("你吃饭了吗?").unwrap();
    let pair = tokenizer.encode_pair("吃了.", "我没吃上吉士果.").unwrap();
    let length = pair.len();
    let padded = |first: &[u32], second: &[u32]| {
        let mut ids = first.to_vec();
        ids.resize(length, tokenizer.pad_token_id());
        Some(ids.iter().chain(second).map(|&id| i64::from(id)).collect::<Vec<_>>())
    };
    assert_eq!(integers(&output, "input_ids"), padded(&single.ids, &pair.ids));
    assert_eq!(integers(&output, "token_type_ids"), padded(&single.type_ids, &pair.type_ids));
    let ones = |length| vec![1; length];
    assert_eq!(integers(&output, "attention_mask"), padded(&ones(single.len()), &ones(length)));
    assert_eq!(floats(&output)["last_hidden_state"].shape(), [2, length, 256]);

    fs::write(&text, "你吃饭了吗?\t吃了.\t没吃.\n吃了.\t我没吃上吉士果.\t好.").unwrap();
    succeed("extract_features", &[&arguments[..], &["--head", "multiple-choice"]].concat());
    assert_eq!(floats(&output)["logits"].shape(), [2, 2]);
    fail("extract_features", &arguments, &["in.txt", "line 1", "3"]);
    fs::write(&text, "字".repeat(600)).unwrap();
    fail("extract_features", &arguments, &["in.txt", "line 1", "602", "--max-length 512"]);
    succeed("extract_features", &[&arguments[..], &["--max-length", "9"]].concat());
    assert_eq!(floats(&output)["last_hidden_state"].shape(), [1, 9, 256]);
}

#[test]
fn extract_features_without_arguments_writes_to_a_temporary_directory() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["--head", "multiple-choice"]] {
        let run = run("extract_features", arguments, &directory);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains("temporary directory"));
        let line = run.stdout.lines().last().unwrap().strip_prefix("Written to ").unwrap();
        let file = line.strip_suffix(" (a temporary directory).").unwrap();
        assert!(floats(Path::new(file)).keys().all(|name| run.stdout.contains(name)));
    }
}

/// A file of i64 tensors.
fn write_integers(file: &Path, tensors: &[(&str, &[usize], &[i64])]) {
    let bytes: HashMap<_, Vec<u8>> = tensors
        .iter()
        .map(|(name, _, values)| (*name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = tensors.iter().map(|&(name, shape, _)| {
        (name, TensorView::new(Dtype::I64, shape.to_vec(), &bytes[name]).unwrap())
    });
    fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn unusable_inputs_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let [input, output] = ["in.safetensors", "out"].map(|name| directory.path().join(name));
    let model = golden("base");
    let files = [&model, &input, &output].map(|path| path.to_str().unwrap());
    let arguments = ["--model", files[0], "--input", files[1], "--output", files[2]];
    let refused = |parts: &[&str]| {
        fail("extract_features", &arguments, &[&["in.safetensors"], parts].concat());
        assert!(!output.exists());
    };
    refused(&["No such file"]);
    fs::write(&input, "not a safetensors file").unwrap();
    refused(&["header"]);
    let ids: (_, &[usize], &[i64]) = ("input_ids", &[1, 3], &[2, 5, 3]);
    write_integers(&input, &[("attention_mask", &[1, 3], &[1, 1, 1])]);
    refused(&["`input_ids`", "none"]);
    write_integers(&input, &[("input_ids", &[3], &[2, 5, 3])]);
    refused(&["`input_ids`", "[B, S]", "[3]"]);
    write_integers(&input, &[ids, ("attention_mask", &[1, 2], &[1, 1])]);
    refused(&["`attention_mask`", "[1, 3]", "[1, 2]"]);
    write_integers(&input, &[ids, ("attention_mask", &[1, 3], &[1, 1, 2])]);
    refused(&["attention_mask[0, 2]", "0 or 1", "2"]);
    write_integers(&input, &[("input_ids", &[1, 3], &[2, 61, 3])]);
    refused(&["input_ids[0, 1]", "vocab_size = 61", "61"]);
    write_integers(&input, &[("input_ids", &[1, 3], &[2, -1, 3])]);
    refused(&["input_ids", "-1"]);

    write_integers(&input, &[ids]);
    fail("extract_features", &arguments[..4], &["--output"]);
    fail("extract_features", &arguments[2..], &["--model"]);
    fail("extract_features", &[&arguments[..], &["--text", "a"]].concat(), &["--input", "--text"]);
    fail("extract_features", &[&arguments[..], &["--head", "sop"]].concat(), &["masked-lm", "sop"]);
    fail("extract_features", &[&arguments[..], &["--batch-size", "0"]].concat(), &["--batch-size"]);
    let folder = [&arguments[..5], &[directory.path().to_str().unwrap()]].concat();
    fail("extract_features", &folder, &["is a directory"]);
    let nowhere = directory.path().join("missing/out");
    let elsewhere = [&arguments[..5], &[nowhere.to_str().unwrap()]].concat();
    fail("extract_features", &elsewhere, &["missing", "no such directory"]);
}
