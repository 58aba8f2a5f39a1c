//! Where the examples that train are given data, and leave what comes of it.

use std::fs;
use std::path::Path;

use ndalbert::{AlbertTokenizer, PreTrainedModel};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::example::path;

/// A directory for data and what comes of it.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// The first lines of a file of `examples/data`.
    pub fn head(&self, file: &str, lines: usize, name: &str) -> String {
        let text = fs::read_to_string(path("examples/data").join(file)).unwrap();
        let lines: Vec<&str> = text.lines().take(lines).collect();
        self.write(name, &(lines.join("\n") + "\n"))
    }
}

/// The values of a metric in a log, in order.
pub fn logged(output: &str, metric: &str) -> Vec<f64> {
    let log = fs::read_to_string(Path::new(output).join("metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| Some(line.get(metric)?.as_f64().unwrap())).collect()
}

/// Asserts that the loss was logged for every step, and fell from the first third of them to the last to less than a share.
pub fn assert_loss_falls(output: &str, steps: usize, share: f64) {
    let losses = logged(output, "loss");
    assert_eq!(losses.len(), steps);
    let third = steps / 3;
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..third]), mean(&losses[steps - third..]));
    assert!(last < share * first, "from {first} to {last}: {losses:?}");
}

pub fn assert_curve(output: &str) {
    let curve = fs::read_to_string(Path::new(output).join("learning-curve.svg")).unwrap();
    assert!(curve.starts_with("<svg") && curve.ends_with("</svg>\n"), "{curve}");
    assert!(curve.contains("(training)") && curve.contains("(held out)"), "{curve}");
}

/// The model of a directory, with nothing newly initialised, and its vocabulary.
pub fn load<M: PreTrainedModel>(output: &str) -> (M, AlbertTokenizer) {
    let (model, report) = M::from_pretrained(output).unwrap();
    assert!(report.is_clean(), "{report}");
    (model, AlbertTokenizer::from_pretrained(output).unwrap())
}

pub fn weights(output: &str) -> Vec<u8> {
    fs::read(Path::new(output).join("model.safetensors")).unwrap()
}
