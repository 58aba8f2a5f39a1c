//! What is shown in training, and left behind: a progress bar, a learning curve, and a way to stop with Ctrl-C.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fmt, fs, io};

use indicatif::{ProgressBar, ProgressStyle};
use ndalbert::Error;
use ndalbert::train::{EvaluationMetrics, Event, LossTerm, StepMetrics};

use super::axes::Series;
use super::chart::chart;

/// How much of a running mean the next step is.
const SMOOTHING: f64 = 0.05;

/// How many points of a curve are drawn.
const POINTS: u64 = 500;

/// Shows events of a trainer, and keeps what the learning curve is drawn of.
pub struct Progress {
    bar: ProgressBar,
    total: u64,
    means: Vec<Mean>,
    tokens_per_second: f64,
    losses: Vec<Series>,
    /// Accuracies, and whatever else the task is judged by.
    scores: Vec<Series>,
    curve: PathBuf,
    interrupted: Arc<AtomicBool>,
}

/// Running means of a term of the loss.
struct Mean {
    name: &'static str,
    /// The first step's loss.
    first: f64,
    loss: f64,
    /// Where there are classes.
    accuracy: Option<f64>,
}

/// Sets a flag when the user presses Ctrl-C; a second time ends the process.
pub fn on_interrupt() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let flag = Arc::new(AtomicBool::new(false));
    let to_set = flag.clone();
    ctrlc::set_handler(move || {
        if to_set.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step, and saving; Ctrl-C again stops at once");
    })?;
    Ok(flag)
}

impl Progress {
    /// For that many steps. The learning curve is written to `curve` at every evaluation and at the end.
    pub fn new(total: u64, curve: PathBuf, interrupted: Arc<AtomicBool>) -> Self {
        let style = "{elapsed_precise} {bar:24} {pos}/{len} {msg}, {eta} left";
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        let (losses, scores) = (Vec::new(), Vec::new());
        let means = Vec::new();
        Self { bar, total, means, tokens_per_second: 0.0, losses, scores, curve, interrupted }
    }

    /// Takes note of an event; asks to stop once the user has pressed Ctrl-C.
    pub fn event(&mut self, event: &Event<'_>) -> Result<ControlFlow<()>, Error> {
        match event {
            Event::Started { step } => {
                self.bar.set_position(*step);
                self.bar.reset_eta();
            }
            Event::Step(step) => self.step(step),
            Event::Evaluation(evaluation) => {
                self.evaluation(evaluation);
                self.draw()?;
            }
            Event::Checkpoint { path, .. } => {
                self.bar.suspend(|| eprintln!("saved {}", path.display()));
            }
            _ => {}
        }
        let stop = self.interrupted.load(Ordering::Relaxed);
        Ok(if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn step(&mut self, step: &StepMetrics) {
        for term in &step.loss.terms {
            self.term(term, step.is_skipped);
        }
        let speed = step.tokens_per_second();
        self.tokens_per_second = if self.tokens_per_second == 0.0 {
            speed
        } else {
            blend(self.tokens_per_second, speed)
        };
        if step.step.is_multiple_of(self.total.div_ceil(POINTS)) {
            for mean in &self.means {
                let x = step.step as f64;
                let name = format!("{} (training)", mean.name);
                push(&mut self.losses, name.clone(), (x, mean.loss));
                if let Some(accuracy) = mean.accuracy {
                    push(&mut self.scores, name.replace("loss", "accuracy"), (x, accuracy));
                }
            }
        }
        let terms: Vec<String> = self.means.iter().map(Mean::to_string).collect();
        self.bar.set_message(format!(
            "{}, {:.0} tokens/s",
            terms.join(", "),
            self.tokens_per_second
        ));
        self.bar.set_position(step.step);
    }

    fn term(&mut self, term: &LossTerm, is_skipped: bool) {
        let accuracy = term.accuracy();
        match self.means.iter_mut().find(|mean| mean.name == term.name) {
            Some(_) if is_skipped => {}
            Some(mean) => {
                mean.loss = blend(mean.loss, term.loss);
                mean.accuracy = match (mean.accuracy, accuracy) {
                    (Some(mean), Some(value)) => Some(blend(mean, value)),
                    (mean, value) => mean.or(value),
                };
            }
            None => {
                let LossTerm { name, loss, .. } = *term;
                self.means.push(Mean { name, first: loss, loss, accuracy });
            }
        }
    }

    fn evaluation(&mut self, evaluation: &EvaluationMetrics) {
        let x = evaluation.step as f64;
        let mut shown = Vec::new();
        for (name, &value) in &evaluation.metrics {
            shown.push(format!("{name} {value:.4}"));
            // The sum of several losses is not drawn.
            let is_sum = name == "loss" && evaluation.metrics.keys().any(|n| n.ends_with("_loss"));
            let series = if name.ends_with("loss") { &mut self.losses } else { &mut self.scores };
            if !is_sum {
                let term = name.strip_suffix("_loss").or(name.strip_suffix("_accuracy"));
                push(series, format!("{} (held out)", term.unwrap_or(name)), (x, value));
            }
        }
        let step = evaluation.step;
        self.bar.suspend(|| eprintln!("step {step}, held out: {}", shown.join(", ")));
    }

    /// Writes the learning curve.
    fn draw(&self) -> Result<(), Error> {
        let panels = [("loss", &self.losses[..]), ("accuracy and the like", &self.scores[..])];
        let drawing = chart("Learning curve", "step", &panels);
        fs::write(&self.curve, drawing.to_svg())
            .map_err(|error: io::Error| Error::Io { path: self.curve.clone(), error })
    }

    /// Writes the learning curve a last time, and says what the losses were at first and at last.
    pub fn finish(self) -> Result<String, Error> {
        self.bar.finish_and_clear();
        self.draw()?;
        let fall = |mean: &Mean| format!("{} {:.4} → {:.4}", mean.name, mean.first, mean.loss);
        let falls: Vec<String> = self.means.iter().map(fall).collect();
        Ok(if falls.is_empty() { "no steps".to_owned() } else { falls.join(", ") })
    }
}

impl fmt::Display for Mean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.3}", self.name, self.loss)?;
        match self.accuracy {
            Some(accuracy) => write!(f, " ({:.1} %)", 100.0 * accuracy),
            None => Ok(()),
        }
    }
}

fn blend(mean: f64, value: f64) -> f64 {
    mean + SMOOTHING * (value - mean)
}

fn push(series: &mut Vec<Series>, name: String, point: (f64, f64)) {
    match series.iter_mut().find(|s| s.name == name) {
        Some(series) => series.points.push(point),
        None => series.push(Series { name, points: vec![point] }),
    }
}
