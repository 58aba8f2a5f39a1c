//! The examples, run as a user runs them: here those that are about models as they are; features
//! and training have files of their own.
//!
//! `cargo test` builds them; `cargo test --test examples` does not, and runs those of the last
//! `cargo build --examples`.

#[path = "../common/mod.rs"]
mod common;
mod early_exit;
mod extract_features;
mod finetuning;
mod phonemes;
mod pictures;
mod place;
mod pretraining;

use std::fs;
use std::path::PathBuf;

use common::example::{Run, fail, path, run_with, succeed};
use ndalbert::ndarray::array;
use ndalbert::train::{PreTrainingLabels, TrainingModel, TrainingOptions};
use ndalbert::{AlbertForPreTraining, Batch, LoadOptions, Parameters, PreTrainedModel};
use tempfile::TempDir;

const EXAMPLES: [&str; 18] = [
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
    "attention_map",
    "layer_dynamics",
    "similarity_matrix",
    "early_exit",
    "phoneme_states",
];

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
        assert!(!help.stdout.contains("\n--"), "{example}: options are indented");
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

#[test]
fn an_instruction_set_can_be_forced_and_a_missing_one_is_an_error() {
    let measure = |isa: &str| {
        let few = ["--preset", "chinese-tiny", "--batch", "1", "--seq", "4", "--iterations", "1"];
        run_with(("NDALBERT_ISA", isa), "measure", &few)
    };
    let mut forced = vec!["portable"];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        forced.push("avx2");
    }
    for isa in forced {
        let run = measure(isa);
        let line: serde_json::Value = serde_json::from_str(&run.stdout).expect(&run.stderr);
        assert_eq!(line["isa"], isa);
    }
    let run = measure("sse9");
    assert!(run.code != Some(0) && run.stdout.is_empty(), "{}", run.stdout);
    for part in ["NDALBERT_ISA", "sse9", "portable"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
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
    // In the last layer, what follows attention counts for 9 masked and 3 first tokens alone.
    let left_out = 48.0 * 312.0 * (312.0 + 2.0 * 1248.0);
    let expected = 6.0 * (3.0 * sequence + words - left_out);
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
    assert!(!run.stdout.contains("untrained") && run.stderr.is_empty(), "{}", run.stderr);
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
    assert_eq!(value(&run.stdout, "chosen"), CHOICES[1]);
    assert!(softmax[1] > 0.9, "{softmax:?}");
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
    assert!(plain.stdout.contains("The classifier is untrained"));
    assert!(plain.stderr.contains("classifier.weight, classifier.bias"), "{}", plain.stderr);
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
