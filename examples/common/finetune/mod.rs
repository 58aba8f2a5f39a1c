//! What fine-tuning is in every example: a model in, a better one out, with progress, a learning curve and checkpoints.
//!
//! ```text
//! options.rs    what all examples can be asked for
//! begin.rs      tokenizer and parameters to begin with
//! ```

mod begin;
#[path = "../chart.rs"]
mod chart;
#[path = "../new_model.rs"]
mod new_model;
mod options;
#[path = "../progress.rs"]
mod progress;
#[path = "../tokenizer_files.rs"]
mod tokenizer_files;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;

use ndalbert::train::datasets::{Dataset, DatasetOptions, Features};
use ndalbert::train::{
    AdamOptions, AdamW, MetricsLog, StopReason, TrainableModel, Trainer, TrainingModel,
    TrainingOptions,
};
use ndalbert::{AlbertConfig, LoadOptions, PreTrainedModel};

use super::cli::{self, Failure};
pub use options::{HELP, Options};
use progress::{Progress, on_interrupt};
use tokenizer_files::copy_tokenizer;

/// Measures of a model, by name.
pub type Metrics = Vec<(String, f64)>;

/// What is learnt, and how it is judged.
pub struct Task<'a, M, F> {
    /// To learn from.
    pub train: Vec<F>,
    /// To evaluate on.
    pub validation: Vec<F>,
    /// What the best model is the best by: `loss`, `accuracy`, or one of `measure`'s; all but the former the higher the better.
    pub metric: &'a str,
    /// Judges the model on the examples held out, besides by its loss.
    pub measure: &'a dyn Fn(&M) -> ndalbert::Result<Metrics>,
}

/// Fine-tunes, leaves the best model in the output directory and returns it; nothing if the user has stopped it before.
pub fn finetune<M, F>(
    options: &Options,
    (config, parameters): (AlbertConfig, M::Parameters),
    task: Task<'_, M, F>,
    out: &mut dyn Write,
) -> Result<Option<M>, Failure>
where
    M: TrainableModel + PreTrainedModel,
    M::Parameters: Clone,
    F: Features<Labels = M::Labels>,
{
    let Task { train, validation, metric, measure } = task;
    let output = &options.output;
    writeln!(out, "{} examples to train on, {} held out", train.len(), validation.len())?;
    let of_data =
        DatasetOptions { batch_size: options.batch, seed: options.seed, ..Default::default() };
    let train = Dataset::new(train, of_data)?;
    let validation = Dataset::new(validation, DatasetOptions { shuffle: false, ..of_data })?;
    let total_steps = options.total_steps(train.batches_per_epoch());
    let trainer_options = options.trainer(total_steps, metric)?;

    let training =
        TrainingOptions { precision: options.precision, activations: options.activations };
    let model = TrainingModel::<M>::new(config.clone(), parameters, training)?;
    let adam = AdamOptions { weight_decay: options.weight_decay, ..AdamOptions::torch() };
    let optimizer = AdamW::new(adam, || model.zero_gradients())?;
    let progress = Progress::new(total_steps, output.join("learning-curve.svg"), on_interrupt()?);
    let progress = RefCell::new(progress);
    let mut log = MetricsLog::open(output.join("metrics.jsonl"))?;
    let mut trainer = Trainer::new(model, optimizer, train, trainer_options)?
        .evaluate_on(validation)?
        .with_metrics(|model| {
            measure(&M::from_parameters(model.config().clone(), model.parameters().clone())?)
        })
        .on_event(|event| {
            log.record(event)?;
            progress.borrow_mut().event(event)
        });
    if options.resume
        && let Some(checkpoint) = trainer.resume()?
    {
        writeln!(out, "going on from {}", checkpoint.display())?;
    }
    let before = trainer.evaluate()?;
    let outcome = trainer.train()?;
    let last = trainer.evaluate()?;
    let parameters = trainer.into_model().into_parameters();
    progress.into_inner().finish()?;
    if outcome.reason == StopReason::Hook {
        writeln!(out, "stopped after step {}; --resume goes on", outcome.step)?;
        return Ok(None);
    }
    writeln!(out, "held out, before: {}", shown(&before.metrics))?;
    writeln!(out, "held out, after:  {}", shown(&last.metrics))?;
    let parameters = match outcome.best {
        Some(best) if best.step != outcome.step => {
            writeln!(out, "best after step {}: {metric} {:.4}", best.step, best.metric)?;
            let checkpoint = output.join(format!("checkpoint-{}", best.step));
            M::load_parameters(checkpoint, &LoadOptions::new())?.1
        }
        _ => parameters,
    };
    M::save_parameters(output, &config, &parameters)?;
    writeln!(out, "saved to {}", output.display())?;
    Ok(Some(M::from_parameters(config, parameters)?))
}

fn shown(metrics: &BTreeMap<String, f64>) -> String {
    let shown = metrics.iter().map(|(name, value)| format!("{name} {value:.4}"));
    shown.collect::<Vec<_>>().join(", ")
}
