//! What is shown in training: a progress bar, and a way to stop with Ctrl-C.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ndalbert::train::{EvaluationMetrics, Event, LossTerm, StepMetrics};

use super::shown;

/// How much of a running mean the next step is.
const SMOOTHING: f64 = 0.05;

/// Shows events of a trainer.
pub struct Progress {
    bar: ProgressBar,
    means: Vec<Mean>,
    tokens_per_second: f64,
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
    /// For that many steps.
    pub fn new(total: u64, interrupted: Arc<AtomicBool>) -> Self {
        let style = "{elapsed_precise} {bar:24} {pos}/{len} {msg}, {eta} left";
        let bar = match super::ranks::is_first() {
            true => ProgressBar::new(total),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar, means: Vec::new(), tokens_per_second: 0.0, interrupted }
    }

    /// Takes note of an event; asks to stop once the user has pressed Ctrl-C.
    pub fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Started { step } => {
                self.bar.set_position(*step);
                self.bar.reset_eta();
            }
            Event::Step(step) => self.step(step),
            Event::Evaluation(evaluation) => self.evaluation(evaluation),
            Event::Checkpoint { path, .. } => {
                if super::ranks::is_first() {
                    self.bar.suspend(|| eprintln!("saved {}", path.display()));
                }
            }
            _ => {}
        }
        let stop = self.interrupted.load(Ordering::Relaxed);
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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
        let EvaluationMetrics { step, metrics, .. } = evaluation;
        self.bar.suspend(|| eprintln!("step {step}, held out: {}", shown(metrics)));
    }

    /// What the losses were at first and at last.
    pub fn finish(self) -> String {
        self.bar.finish_and_clear();
        let fall = |mean: &Mean| format!("{} {:.4} → {:.4}", mean.name, mean.first, mean.loss);
        let falls: Vec<String> = self.means.iter().map(fall).collect();
        if falls.is_empty() { "no steps".to_owned() } else { falls.join(", ") }
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

pub fn blend(mean: f64, value: f64) -> f64 {
    mean + SMOOTHING * (value - mean)
}
