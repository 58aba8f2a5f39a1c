//! Leaving early, as the examples show it: what it costs, and what it is worth.

use serde_json::Value;

use super::common::example::{fail, path, succeed};
use super::place::Place;
use ndalbert::{AlbertForMultipleChoice, AlbertTokenizer, LoadOptions, PreTrainedModel};

/// The model of next sentences that comes with the crate, given exits after some of its layers.
fn with_exits(place: &Place) -> String {
    let shipped = path("examples/data/albert-chinese-next-sentence");
    let options = LoadOptions::new().exit_layers([2, 4, 6]);
    let (model, _) = AlbertForMultipleChoice::from_pretrained_with(&shipped, &options).unwrap();
    let directory = place.path("exits");
    model.save_pretrained(&directory).unwrap();
    AlbertTokenizer::from_pretrained(&shipped).unwrap().save_pretrained(&directory).unwrap();
    directory
}

#[test]
fn early_exit_compares_policies_with_fixed_depths() {
    let place = Place::new();
    let (model, output) = (with_exits(&place), place.path("picture"));
    let few = ["--limit", "20", "--alone", "3", "--rounds", "1", "--threads", "1"];
    let policies = ["--policy", "patience=0", "--policy", "confidence=1.1"];
    let arguments =
        [&["--model", model.as_str(), "--output", &output], &few[..], &policies[..]].concat();
    let run = succeed("early_exit", &arguments);
    let row = |name: &str| -> Vec<f64> {
        let line = run.stdout.lines().find(|line| line.trim_start().starts_with(name));
        let cells = line.unwrap_or_else(|| panic!("{name}: {}", run.stdout)).trim_start();
        cells[name.len()..].split_whitespace().map(|cell| cell.parse().unwrap()).collect()
    };
    let layers = |name| row(name)[1];
    assert_eq!(["whole depth", "2 layers", "4 layers"].map(layers), [6.0, 2.0, 4.0]);
    // The first policy always leaves at the first exit, the second never does: both are fixed depths.
    assert_eq!(row("patience=0")[..2], row("2 layers")[..2]);
    assert_eq!(row("confidence=1.1")[..2], row("whole depth")[..2]);
    let svg = std::fs::read_to_string(place.path("picture.svg")).unwrap();
    // What was never trained may be too far behind for the picture.
    for name in ["fixed depth", "stream", "one by one"] {
        assert!(svg.contains(name), "{name}");
    }
    fail("early_exit", &["--model", &model, "--policy", "x=1"], &["x=1", "patience=N"]);
    fail("early_exit", &["--rounds", "0"], &["--rounds", "at least 1"]);
}

#[test]
fn measure_shows_what_leaving_early_costs() {
    let small = ["--preset", "chinese-tiny", "--batch", "6", "--iterations", "1"];
    let run = |more: &[&str]| -> Value {
        let run = succeed("measure", &[&small[..], more].concat());
        serde_json::from_str(&run.stdout).unwrap()
    };
    let line = run(&["--seq", "3..20", "--exit-layers", "2..4"]);
    assert_eq!((line["layers"].as_u64(), line["sequences"].as_u64()), (Some(4), Some(6)));
    let mean = line["mean_layers"].as_f64().unwrap();
    assert!((2.0..=4.0).contains(&mean) && (18..=120).contains(&line["tokens"].as_u64().unwrap()));
    assert_eq!(line["share_of_layers"].as_f64().unwrap(), mean / 4.0);
    let share = |name: &str| line[name].as_f64().unwrap();
    let ratio = share("median_s") / share("whole_depth_median_s") / share("share_of_layers");
    assert!((share("ratio") - ratio).abs() < 1e-9);

    let place = Place::new();
    let file = place.write("layers.json", "[1, 2, 3, 4, 4, 1]");
    assert_eq!(run(&["--exit-layers", &file])["mean_layers"], 2.5);
    let wrong = |layers: &str, words: &[&str]| {
        fail("measure", &[&small[..], &["--exit-layers", layers]].concat(), words);
    };
    wrong("0..4", &["--exit-layers", "from 1 to 4"]);
    wrong("4..2", &["4..2"]);
    wrong(&place.write("short.json", "[1]"), &["6 sequences"]);
}
