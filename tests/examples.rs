//! The examples, run as a user runs them.
//!
//! `cargo test` builds them; `cargo test --test examples` does not, and runs those of the last `cargo build --examples`.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use common::example::{Run, fail, path, run, succeed};
use ndalbert::ndarray::{ArrayD, Axis, Slice, array};
use ndalbert::train::{PreTrainingLabels, TrainingModel, TrainingOptions};
use ndalbert::{
    AlbertForPreTraining, AlbertForSequenceClassification, AlbertTokenizer, Batch, LoadOptions,
    Parameters, PreTrainedModel,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

const EXAMPLES: [&str; 13] = [
    "multiple_choice",
    "fill_mask",
    "parameter_table",
    "extract_features",
    "measure",
    "measure_training",
    "albert_vs_bert",
    "pretrain",
    "next_sentence",
    "finetune_multiple_choice",
    "finetune_classification",
    "finetune_tokens",
    "finetune_question_answering",
];

/// The distance from transformers that the golden models are made for (`tests/golden/README.md`).
const TOLERANCE: f32 = 2e-5;

fn golden(case: &str) -> PathBuf {
    path("tests/golden/models").join(case)
}

#[test]
fn help_is_printed_and_unknown_options_are_refused() {
    for example in EXAMPLES {
        let help = succeed(example, &["--help"]);
        assert!(help.stdout.contains(&format!("Usage: {example}")), "{}", help.stdout);
        assert_eq!(help.stderr, "");
        assert!(help.stdout.lines().all(|line| line.len() <= 80), "{}", help.stdout);
        fail(example, &["--wrong"], &["--wrong", "--help"]);
    }
}

#[test]
fn measure_prints_one_line_of_json_and_dumps_what_was_computed() {
    let directory = tempfile::tempdir().unwrap();
    let (ids, dump) = (directory.path().join("ids.json"), directory.path().join("out.f32"));
    fs::write(&ids, "[[2, 17, 5, 3], [2, 8, 3]]").unwrap();
    let demo = path("examples/data/albert-chinese-demo");
    let (demo, ids, dump) = (demo.to_str().unwrap(), ids.to_str().unwrap(), dump.to_str().unwrap());
    for precision in ["f32", "bf16", "int8"] {
        let arguments = [
            "--model",
            demo,
            "--ids",
            ids,
            "--dump",
            dump,
            "--precision",
            precision,
            "--iterations",
            "3",
            "--threads",
            "2",
            "--callers",
            "2",
        ];
        let run = succeed("measure", &arguments);
        let line: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        for field in [
            "median_s",
            "min_s",
            "p90_s",
            "sequences_per_s",
            "tokens_per_s",
            "gflops",
            "load_s",
            "build_s",
        ] {
            assert!(line[field].as_f64().unwrap() > 0.0, "{field}: {line}");
        }
        assert_eq!((&line["precision"], &line["tokens"]), (&precision.into(), &7.into()));
        assert_eq!(line["isa"], ndalbert::instruction_set().unwrap());
        let options = LoadOptions::new().precision(precision.parse().unwrap());
        let (albert, _) = ndalbert::Albert::from_pretrained_with(demo, &options).unwrap();
        let batch = Batch::from_sequences(&[vec![2, 17, 5, 3], vec![2, 8, 3]]).unwrap();
        let states = albert.forward(&batch).unwrap().last_hidden_state.into_rows();
        let bytes: Vec<u8> = states.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(
            fs::read(dump).unwrap() == bytes,
            "{precision}: other bytes than the library gives"
        );
    }
    fail("measure", &["--preset", "huge"], &["preset", "huge", "xxlarge"]);
    fail("measure", &["--threads", "0"], &["--threads"]);
    fail("measure", &["--ids", "/nowhere.json"], &["/nowhere.json"]);
}

/// Runs `measure_training` on a golden model's weights and a batch of two sequences.
fn measure_training(directory: &TempDir, options: &[&str]) -> serde_json::Value {
    let [ids, labels] = ["ids.json", "labels.json"].map(|name| directory.path().join(name));
    fs::write(&ids, "[[2, 17, 5, 3], [2, 8, 3]]").unwrap();
    let text =
        r#"{"masked_lm": [[-100, 9, -100, -100], [-100, 7, -100]], "sentence_order": [1, 0]}"#;
    fs::write(&labels, text).unwrap();
    let model = golden("pretraining");
    let [model, ids, labels] = [&model, &ids, &labels].map(|path| path.to_str().unwrap());
    let inputs = ["--model", model, "--ids", ids, "--labels", labels, "--iterations", "3"];
    let run = succeed("measure_training", &[&inputs[..], options].concat());
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn measure_training_prints_what_steps_take_and_come_to() {
    let directory = tempfile::tempdir().unwrap();
    let batch = Batch::from_sequences(&[vec![2, 17, 5, 3], vec![2, 8, 3]]).unwrap();
    let masked_lm = array![[-100, 9, -100, -100], [-100, 7, -100, -100]];
    let labels = PreTrainingLabels { masked_lm, sentence_order: vec![1, 0] };
    for precision in ["f32", "bf16"] {
        let keep = measure_training(&directory, &["--precision", precision, "--threads", "2"]);
        let parts = ["backward_s", "clip_s", "update_s", "pack_s"];
        let rates = ["sequences_per_s", "tokens_per_s", "gflops", "load_s", "build_s"];
        for field in ["median_s", "min_s", "p90_s"].iter().chain(&parts).chain(&rates) {
            assert!(keep[field].as_f64().unwrap() > 0.0, "{field}: {keep}");
        }
        let counts = [&keep["sequences"], &keep["tokens"], &keep["masked"], &keep["iterations"]];
        assert_eq!(counts.map(|count| count.as_u64().unwrap()), [2, 7, 2, 3]);
        assert_eq!((&keep["precision"], &keep["activations"]), (&precision.into(), &"keep".into()));

        let precision_option = precision.parse().unwrap();
        let options = TrainingOptions { precision: precision_option, ..Default::default() };
        let load = LoadOptions::new();
        let (config, parameters, _) =
            AlbertForPreTraining::load_parameters(golden("pretraining"), &load).unwrap();
        let count = parameters.parameter_count();
        let bytes = ["parameters", "gradient_bytes", "optimizer_bytes"].map(|field| &keep[field]);
        assert_eq!(bytes.map(|size| size.as_u64().unwrap()), [1, 4, 8].map(|n| n * count as u64));
        let model =
            TrainingModel::<AlbertForPreTraining>::new(config, parameters, options).unwrap();
        let losses: Vec<f64> = serde_json::from_value(keep["losses"].clone()).unwrap();
        assert_eq!(losses.len(), 5);
        assert!((losses[0] - model.loss(&batch, &labels).unwrap().loss).abs() < 1e-9, "{losses:?}");
        assert!(losses[4] < losses[0], "{losses:?}");

        let options = ["--precision", precision, "--activations", "recompute"];
        let recompute = measure_training(&directory, &options);
        assert_eq!(
            (&recompute["activations"], &recompute["losses"]),
            (&"recompute".into(), &keep["losses"])
        );
    }
}

#[test]
fn measure_training_draws_inputs_of_any_size() {
    let arguments =
        ["--preset", "chinese-tiny", "--batch", "3", "--seq", "20", "--iterations", "1"];
    let run = succeed("measure_training", &arguments);
    let line: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!([&line["tokens"], &line["masked"]].map(|count| count.as_u64().unwrap()), [60, 9]);
    // 4 layers, H 312, I 1248, E 128; 21,128 words. Forward, and twice as much backward.
    let layer = 20.0 * (4.0 * 312.0 * 312.0 + 2.0 * 312.0 * 1248.0) + 2.0 * 20.0 * 20.0 * 312.0;
    let sequence = 4.0 * layer + 20.0 * 128.0 * 312.0 + 312.0 * 312.0 + 2.0 * 312.0;
    let words = 9.0 * 128.0 * (312.0 + 21_128.0);
    let expected = 6.0 * (3.0 * sequence + words);
    assert!((line["operations"].as_f64().unwrap() / expected - 1.0).abs() < 1e-12);

    fail("measure_training", &["--preset", "huge"], &["preset", "huge", "bert-base"]);
    fail("measure_training", &["--precision", "int8"], &["precision", "int8"]);
    fail("measure_training", &["--activations", "none"], &["keep or recompute"]);
    fail("measure_training", &["--threads", "0"], &["--threads"]);
    fail("measure_training", &["--labels", "/nowhere.json"], &["/nowhere.json"]);
}

#[test]
fn albert_vs_bert_has_a_row_for_every_model() {
    let sizes = ["--batch", "1", "--seq", "8", "--rounds", "1", "--iterations", "1"];
    let presets = ["--presets", "chinese-tiny,chinese-small"];
    let run = succeed("albert_vs_bert", &[&sizes[..], &presets].concat());
    let row = |name: &str| -> Vec<String> {
        let line = run.stdout.lines().find(|line| line.starts_with(&format!("| {name}"))).unwrap();
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let (header, tiny, small) = (row(" "), row("ALBERT-chinese-tiny"), row("ALBERT-chinese-small"));
    assert_eq!((header.len(), tiny.len(), small.len()), (12, 12, 12));
    let column = |name: &str| header.iter().position(|cell| cell.starts_with(name)).unwrap();
    assert_eq!(tiny[column("parameters")], "4.1 M");
    assert_eq!((&*tiny[column("gradients")], &*tiny[column("optimizer")]), ("17", "33"));
    assert_eq!(small[column("speed-up")], "1.00×");
    assert!(run.stderr.contains("round 1 of 1: chinese-small"), "{}", run.stderr);

    fail("albert_vs_bert", &["--presets", "base,huge"], &["preset", "huge", "bert-base"]);
    fail("albert_vs_bert", &["--rounds", "0"], &["--rounds"]);
    // 512 positions; what stops a process is told.
    let wrong = [&sizes[..], &presets, &["--seq", "513"]].concat();
    fail("albert_vs_bert", &wrong, &["chinese-tiny", "process"]);
}

/// A row's numbers, from the right.
fn numbers(row: &str, count: usize) -> Vec<f32> {
    row.split_whitespace().rev().take(count).map(|number| number.parse().unwrap()).collect()
}

fn value<'a>(output: &'a str, name: &str) -> &'a str {
    let line = output.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no `{name}` in {output}")).trim()
}

#[test]
fn multiple_choice_is_the_articles_demo() {
    const CHOICES: [&str; 4] = [
        "成都动物园里的大熊猫人人都想摸一下.",
        "他们主要负责AI算法的研究和落地.",
        "我没吃上吉士果.",
        "你吃饭了吗?",
    ];
    let run = succeed("multiple_choice", &[]);
    assert!(run.stdout.contains("untrained"));
    assert!(run.stderr.contains("classifier.weight, classifier.bias"), "{}", run.stderr);
    assert_eq!(value(&run.stdout, "prompt"), "算法组的成员们精通各种AI算法.");

    let row = |choice| run.stdout.lines().find(|line| line.contains(choice)).unwrap();
    let scores = CHOICES.map(|choice| numbers(row(choice), 2));
    let (softmax, logits): (Vec<f32>, Vec<f32>) = scores.iter().map(|s| (s[0], s[1])).unzip();
    assert!((softmax.iter().sum::<f32>() - 1.0).abs() < 3e-4, "{softmax:?}");
    let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
    for (probability, logit) in softmax.iter().zip(&logits) {
        assert!((probability - logit.exp() / sum).abs() < 2e-4, "{softmax:?}, {logits:?}");
    }
    let loss = value(&run.stdout, "loss").strip_suffix(" against [0, 1, 0, 0]").unwrap();
    assert!((loss.parse::<f32>().unwrap() - (sum.ln() - logits[1])).abs() < 2e-4, "{loss}");

    let chosen: usize = value(&run.stdout, "argmax").parse().unwrap();
    assert!(softmax.iter().all(|&probability| probability <= softmax[chosen]));
    assert_eq!(value(&run.stdout, "chosen"), CHOICES[chosen]);
    assert!(row(CHOICES[chosen]).trim_start().starts_with(&format!("> {chosen}")));
}

#[test]
fn multiple_choice_takes_other_checkpoints_prompts_and_labels() {
    let demo = path("examples/data/albert-chinese-demo");
    let model = ["--model", demo.to_str().unwrap()];
    let own = ["--prompt", "你吃饭了吗?", "--choice", "吃了.", "--choice", "没吃."];
    let plain = succeed("multiple_choice", &[&model[..], &own].concat());
    assert!(!plain.stdout.contains("loss"));
    let class = succeed("multiple_choice", &[&model[..], &own, &["--label", "1"]].concat());
    let soft = succeed("multiple_choice", &[&model[..], &own, &["--label", "0, 1"]].concat());
    let loss = |run: &Run| value(&run.stdout, "loss").split_whitespace().next().map(str::to_owned);
    assert_eq!(loss(&class), loss(&soft));
    let other = succeed("multiple_choice", &[&model[..], &own, &["--seed", "9"]].concat());
    assert_ne!(other.stdout, plain.stdout);

    fail("multiple_choice", &["--prompt", "a"], &["--choice"]);
    fail("multiple_choice", &["--choice", "a"], &["--prompt"]);
    fail("multiple_choice", &["--label", "4"], &["labels", "4"]);
    fail("multiple_choice", &["--label", "0,2"], &["0,2"]);
    fail("multiple_choice", &["--model", "no-such-directory"], &["no-such-directory"]);
}

#[test]
fn columns_are_aligned_where_characters_are_wide() {
    let run = succeed("multiple_choice", &[]);
    let rows = run.stdout.lines().skip_while(|line| !line.contains("softmax")).take(6);
    let widths: Vec<usize> = rows.map(unicode_width::UnicodeWidthStr::width).collect();
    assert!(widths.iter().all(|&width| width == widths[0]), "{}", run.stdout);
}

#[test]
fn fill_mask_ranks_words_for_every_mask() {
    let run = succeed("fill_mask", &["--top-k", "3", "今天[MASK]气很[MASK]。"]);
    assert!(run.stdout.contains("untrained"));
    let blocks: Vec<&str> = run.stdout.split("[MASK] ").skip(1).collect();
    assert_eq!(blocks.len(), 2, "{}", run.stdout);
    for block in blocks {
        let rows = block.lines().skip_while(|line| !line.contains("----")).skip(1);
        let rows: Vec<&str> = rows.take_while(|line| !line.is_empty()).collect();
        let probabilities: Vec<f32> = rows.iter().map(|row| numbers(row, 1)[0]).collect();
        assert_eq!(probabilities.len(), 3);
        assert!(probabilities.is_sorted_by(|a, b| a >= b) && probabilities[2] > 0.0);
    }
    fail("fill_mask", &["今天天气很好。"], &["no [MASK]"]);
    fail("fill_mask", &["--top-k", "0"], &["--top-k"]);
    fail("fill_mask", &["one", "two"], &["quotes"]);
    fail("fill_mask", &["--model", "no-such-directory"], &["no-such-directory"]);
}

#[test]
fn parameter_table_has_exact_counts_beside_the_papers() {
    let run = succeed("parameter_table", &[]);
    for (model, count, figure) in [
        ("BERT-base ", "110,072,832", "108M"),
        ("BERT-large ", "336,191,488", "334M"),
        ("ALBERT-base ", "11,683,584", "12M"),
        ("ALBERT-large ", "17,683,968", "18M"),
        ("ALBERT-xlarge ", "58,724,864", "60M"),
        ("ALBERT-xxlarge ", "222,595,584", "235M"),
    ] {
        let row = run.stdout.lines().find(|line| line.trim_start().starts_with(model)).unwrap();
        assert!(row.contains(count) && row.contains(figure), "{row}");
    }
    // BERT's own counts, known from its checkpoints.
    assert!(run.stdout.contains("109,482,240") && run.stdout.contains("335,141,888"));
    for figure in ["87M", "93M", "10M", "16M", "31M", "83M", "57M", "64M", "38M", "89M"] {
        assert!(run.stdout.contains(figure), "{figure}");
    }
    assert!(run.stdout.lines().all(|line| line.len() <= 80), "{}", run.stdout);
}

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
    assert_eq!(floats(&output)["last_hidden_state"].shape(), [2, length, 192]);

    fs::write(&text, "你吃饭了吗?\t吃了.\t没吃.\n吃了.\t我没吃上吉士果.\t好.").unwrap();
    succeed("extract_features", &[&arguments[..], &["--head", "multiple-choice"]].concat());
    assert_eq!(floats(&output)["logits"].shape(), [2, 2]);
    fail("extract_features", &arguments, &["in.txt", "line 1", "3"]);
    fs::write(&text, "字".repeat(600)).unwrap();
    fail("extract_features", &arguments, &["in.txt", "line 1", "602", "--max-length 512"]);
    succeed("extract_features", &[&arguments[..], &["--max-length", "9"]].concat());
    assert_eq!(floats(&output)["last_hidden_state"].shape(), [1, 9, 192]);
}

#[test]
fn extract_features_without_arguments_writes_to_a_temporary_directory() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["--head", "multiple-choice"]] {
        let run = run("extract_features", arguments, &directory);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains("untrained") && run.stdout.contains("temporary directory"));
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
