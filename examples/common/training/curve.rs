//! The learning curve, drawn from the log, including earlier parts of a resumed run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use ndalbert::Error;
use serde_json::{Map, Value};

use super::axes::Series;
use super::chart::chart;
use super::progress::blend;

/// How many points of a curve are drawn.
const POINTS: u64 = 500;

/// What evaluations' metrics have before their names.
const EVALUATION: &str = "eval_";

/// Draws the log of a training of `total` steps.
pub fn draw(log: &Path, total: u64, curve: &Path) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| Error::Io { path, error }
    };
    let mut curves = Curves { every: total.div_ceil(POINTS).max(1), ..Curves::default() };
    for line in BufReader::new(File::open(log).map_err(failed(log))?).lines() {
        // What is no line of metrics, the log itself complains about.
        if let Ok(line) = serde_json::from_str(&line.map_err(failed(log))?) {
            curves.line(&line);
        }
    }
    let panels = [("loss", &curves.losses[..]), ("accuracy and the like", &curves.scores[..])];
    fs::write(curve, chart("Learning curve", "step", &panels).to_svg()).map_err(failed(curve))
}

#[derive(Default)]
struct Curves {
    /// Of so many steps, one is drawn.
    every: u64,
    /// Running means of what is logged of steps.
    means: BTreeMap<String, f64>,
    losses: Vec<Series>,
    /// Accuracies, and whatever else the task is judged by.
    scores: Vec<Series>,
}

impl Curves {
    fn line(&mut self, line: &Map<String, Value>) {
        let Some(step) = line.get("step").and_then(Value::as_u64) else { return };
        // The sum of several losses is not drawn.
        let has_terms = line.keys().any(|name| name.ends_with("_loss") && name != "eval_loss");
        for (name, value) in line {
            let Some(value) = value.as_f64() else { continue };
            let (name, is_held_out) = match name.strip_prefix(EVALUATION) {
                Some(name) => (name, true),
                None => (name.as_str(), false),
            };
            let is_of_step = name.ends_with("loss") || name.ends_with("accuracy");
            if name == "loss" && has_terms {
                continue;
            }
            if is_held_out {
                self.point(name, "held out", (step, value));
            } else if is_of_step && !line.contains_key("skipped") {
                let mean = self.means.entry(name.to_owned()).or_insert(value);
                *mean = blend(*mean, value);
                let mean = *mean;
                if step.is_multiple_of(self.every) {
                    self.point(name, "training", (step, mean));
                }
            }
        }
    }

    fn point(&mut self, metric: &str, of: &str, (step, value): (u64, f64)) {
        let series = if metric.ends_with("loss") { &mut self.losses } else { &mut self.scores };
        let term = metric.strip_suffix("_loss").or(metric.strip_suffix("_accuracy"));
        let name = format!("{} ({of})", term.unwrap_or(metric));
        let point = (step as f64, value);
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => series.push(Series { name, points: vec![point] }),
        }
    }
}
