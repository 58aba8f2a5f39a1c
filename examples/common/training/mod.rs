//! A training run, as in every example: progress, a learning curve, a log, Ctrl-C, and checkpoints
//! to resume from.
//!
//! ```text
//! progress.rs   what is shown meanwhile
//! curve.rs      what is drawn of the log, as chart.rs does it
//! alone.rs      … in one process; examples/mpi has it for several
//! ```

#[path = "../axes.rs"]
mod axes;
mod chart;
mod curve;
#[path = "../drawing/mod.rs"]
mod drawing;
mod progress;
#[cfg(not(mpi))]
#[path = "alone.rs"]
pub mod ranks;
#[cfg(mpi)]
pub use ndalbert_mpi as ranks;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use ndalbert::AlbertTokenizer;
use ndalbert::train::{
    AdamOptions, AdamW, Decay, EvaluationMetrics, Event, Lamb, MetricsLog, Optimizer, Schedule,
    StopReason, TrainableModel, Trainer, TrainerOptions, TrainingData, TrainingModel,
    TrainingOutcome,
};

use super::cli::Failure;
use progress::{Progress, on_interrupt};

/// Measures of a model, by name.
pub type Metrics = Vec<(String, f64)>;

/// How to train, and where what comes of it goes.
pub struct Settings {
    pub total_steps: u64,
    pub optimizer: Algorithm,
    pub weight_decay: f64,
    /// Receives checkpoints, `metrics.jsonl` and `learning-curve.svg`.
    pub output: PathBuf,
    /// Whether to resume from the last checkpoint in it.
    pub resume: bool,
    /// What checkpoints are saved with.
    pub tokenizer: AlbertTokenizer,
    /// All else.
    pub trainer: TrainerOptions,
}

/// How parameters are changed.
#[derive(Clone, Copy)]
#[allow(dead_code)] // Fine-tuning has no choice.
pub enum Algorithm {
    /// As PyTorch has it.
    AdamW,
    /// As google-research/albert has it.
    Lamb,
}

/// What training has come to.
pub struct Trained<P> {
    pub parameters: P,
    pub outcome: TrainingOutcome,
    before: EvaluationMetrics,
    after: EvaluationMetrics,
    /// The losses in training, at first and at last.
    losses: String,
}

/// Trains to the end, or until the user presses Ctrl-C. `measure` adds metrics to the loss.
pub fn train<M: TrainableModel>(
    model: TrainingModel<M>,
    (train, held_out): (impl TrainingData<M::Labels>, impl TrainingData<M::Labels>),
    measure: impl Fn(&TrainingModel<M>) -> ndalbert::Result<Metrics>,
    settings: Settings,
    out: &mut dyn Write,
) -> Result<Trained<M::Parameters>, Failure> {
    let Settings { total_steps, optimizer, weight_decay, output, resume, tokenizer, trainer } =
        settings;
    let zeros = || model.zero_gradients();
    let optimizer: Box<dyn Optimizer<M::Parameters>> = match optimizer {
        Algorithm::AdamW => {
            Box::new(AdamW::new(AdamOptions { weight_decay, ..AdamOptions::torch() }, zeros)?)
        }
        Algorithm::Lamb => {
            Box::new(Lamb::new(AdamOptions { weight_decay, ..AdamOptions::google() }, zeros)?)
        }
    };
    let progress = RefCell::new(Progress::new(total_steps, on_interrupt()?));
    let [log_path, curve] = ["metrics.jsonl", "learning-curve.svg"].map(|name| output.join(name));
    let draw = || match ranks::is_first() {
        true => curve::draw(&log_path, total_steps, &curve),
        false => Ok(()),
    };
    let mut log = ranks::is_first().then(|| MetricsLog::open(&log_path)).transpose()?;
    let options =
        TrainerOptions { max_steps: Some(total_steps), output_dir: Some(output), ..trainer };
    let mut trainer = ranks::join(Trainer::new(model, optimizer, train, options)?)?
        .evaluate_on(held_out)?
        .with_metrics(measure)
        .with_tokenizer(&tokenizer)
        .on_event(|event| {
            if let Some(log) = &mut log {
                log.record(event)?;
            }
            if let Event::Evaluation(_) = event {
                draw()?;
            }
            Ok(progress.borrow_mut().event(event))
        });
    if resume && let Some(checkpoint) = trainer.resume()? {
        writeln!(out, "going on from {}", checkpoint.display())?;
    }
    let before = trainer.evaluate()?;
    let outcome = trainer.train()?;
    let after = trainer.evaluate()?;
    let parameters = trainer.into_model().into_parameters();
    let losses = progress.into_inner().finish();
    draw()?;
    ranks::end();
    Ok(Trained { parameters, outcome, before, after, losses })
}

/// Says how good a model is, and gives its parameters back.
#[allow(dead_code)] // Pre-training does not.
pub fn evaluate<M: TrainableModel>(
    model: TrainingModel<M>,
    held_out: impl TrainingData<M::Labels> + Clone,
    measure: impl Fn(&TrainingModel<M>) -> ndalbert::Result<Metrics>,
    baselines: &[String],
    out: &mut dyn Write,
) -> Result<M::Parameters, Failure> {
    let optimizer = AdamW::new(AdamOptions::torch(), || model.zero_gradients())?;
    let schedule = Schedule::new(0.0, 0, Decay::Constant)?;
    let options = TrainerOptions { max_steps: Some(1), ..TrainerOptions::new(schedule) };
    let mut trainer = Trainer::new(model, optimizer, held_out.clone(), options)?
        .evaluate_on(held_out)?
        .with_metrics(measure);
    writeln!(out, "{}", shown(&trainer.evaluate()?.metrics))?;
    for baseline in baselines {
        writeln!(out, "without a model: {baseline}")?;
    }
    Ok(trainer.into_model().into_parameters())
}

impl<P> Trained<P> {
    /// Reports how good the model was before and is now, and what is possible without one. If the
    /// user has stopped training, the program ends here.
    pub fn report(&self, baselines: &[String], out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "loss in training: {}", self.losses)?;
        for EvaluationMetrics { step, metrics, .. } in [&self.before, &self.after] {
            writeln!(out, "held out, after {step} steps: {}", shown(metrics))?;
        }
        for baseline in baselines {
            writeln!(out, "held out, without a model: {baseline}")?;
        }
        let TrainingOutcome { reason, step, checkpoint, .. } = &self.outcome;
        if *reason != StopReason::Hook {
            return Ok(());
        }
        let path = checkpoint.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        writeln!(out, "stopped after step {step}; --resume continues from {path}")?;
        out.flush()?;
        // What a shell expects of a program that Ctrl-C has ended.
        std::process::exit(130);
    }
}

fn shown(metrics: &BTreeMap<String, f64>) -> String {
    let shown = metrics.iter().map(|(name, value)| format!("{name} {value:.4}"));
    shown.collect::<Vec<_>>().join(", ")
}
