//! What fine-tuning is in every example: a model in, a better one out.
//!
//! ```text
//! options.rs    what all examples can be asked for
//! data.rs       examples → features
//! begin.rs      tokenizer and parameters to begin with
//! exits.rs      classifiers after several layers
//! ```

mod begin;
mod data;
mod exits;
#[path = "../new_model.rs"]
mod new_model;
mod options;
#[path = "../output.rs"]
mod output;
#[path = "../training/mod.rs"]
mod training;

use std::io::Write;

use ndalbert::train::datasets::{Dataset, DatasetOptions, Features};
use ndalbert::train::{TrainableModel, TrainingModel, TrainingOptions, TrainingOutcome};
use ndalbert::{AlbertConfig, AlbertTokenizer, LoadOptions, PreTrainedModel};

use super::cli::{self, Failure};
pub use data::encode;
pub use options::{Defaults, Options};
use training::{Algorithm, Settings, evaluate, train};
pub use training::{Metrics, ranks};

/// What judges each exit of a model.
type MeasureExits<'a, M> = dyn Fn(&M) -> ndalbert::Result<Vec<Metrics>> + 'a;

/// What is learnt, and how it is judged.
pub struct Task<'a, M, F> {
    /// To learn from; none if the model is only evaluated.
    pub train: Vec<F>,
    /// To evaluate on.
    pub validation: Vec<F>,
    /// What the best model is the best by: `loss`, `accuracy`, or one of `measure`'s; all but the former the higher the better.
    pub metric: &'a str,
    /// Judges the model on the examples held out, besides by its loss.
    pub measure: &'a dyn Fn(&M) -> ndalbert::Result<Metrics>,
    /// Judges each exit of a model on the examples held out; none where there are no exits.
    pub exits: Option<&'a MeasureExits<'a, M>>,
    /// How well it can be done without a model.
    pub baselines: Vec<String>,
}

/// Fine-tunes, leaves the best model in the output directory and returns it; nothing if the user has stopped it before. Or
/// evaluates a model, and returns it.
pub fn finetune<M, F>(
    options: &Options,
    tokenizer: &AlbertTokenizer,
    (config, parameters): (AlbertConfig, M::Parameters),
    task: Task<'_, M, F>,
    out: &mut dyn Write,
) -> Result<Option<M>, Failure>
where
    M: TrainableModel + PreTrainedModel,
    M::Parameters: Clone,
    F: Features<Labels = M::Labels> + Clone,
{
    let mut silent = std::io::sink();
    let out = ranks::report(out, &mut silent);
    let Task { train: examples, validation, metric, measure, exits, baselines } = task;
    let (count, held_out) = (examples.len(), validation.len());
    let of_data =
        DatasetOptions { batch_size: options.batch, seed: options.seed, ..Default::default() };
    let validation = Dataset::new(validation, DatasetOptions { shuffle: false, ..of_data })?;
    let training = TrainingOptions {
        precision: options.precision,
        activations: options.activations,
        ..TrainingOptions::default()
    };
    let training = options.exits.training(&config, training)?;
    let model = TrainingModel::<M>::new(config.clone(), parameters, training)?;
    let measure = |model: &TrainingModel<M>| {
        measure(&M::from_parameters(model.config().clone(), model.parameters().clone())?)
    };
    if options.only_evaluates() {
        writeln!(out, "{held_out} examples to evaluate on")?;
        let parameters = evaluate(model, validation, measure, &baselines, out)?;
        let model = M::from_parameters(config, parameters)?;
        report_exits(&model, exits, out)?;
        return Ok(Some(model));
    }
    writeln!(out, "{count} examples to train on, {held_out} held out")?;
    let examples = Dataset::new(examples, of_data)?;
    if ranks::is_first() {
        tokenizer.save_pretrained(options.output.path())?;
    }
    let total_steps = options.total_steps(examples.batches_per_epoch());
    let settings = Settings {
        total_steps,
        optimizer: Algorithm::AdamW,
        weight_decay: options.weight_decay,
        output: options.output.path().to_owned(),
        resume: options.resume,
        tokenizer: tokenizer.clone(),
        trainer: options.trainer(total_steps, metric)?,
    };
    let trained = train(model, (examples, validation), measure, settings, out)?;
    if !trained.report(&baselines, out)? {
        return Ok(None);
    }
    let output = options.output.path();
    let best = best::<M>(&trained.outcome, out)?.unwrap_or(trained.parameters);
    if ranks::is_first() {
        M::save_parameters_as(output, &config, &best, options.dtype)?;
    }
    writeln!(out, "saved to {}", output.display())?;
    let model = M::from_parameters(config, best)?;
    report_exits(&model, exits, out)?;
    Ok(Some(model))
}

/// Says how good each exit is, if there are several.
fn report_exits<M: PreTrainedModel>(
    model: &M,
    measure: Option<&MeasureExits<'_, M>>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let layers = &model.config().exit_layers;
    match measure {
        Some(measure) if layers.len() > 1 => exits::report(layers, &measure(model)?, out),
        _ => Ok(()),
    }
}

/// The parameters that were the best, if they are others than the last.
fn best<M: PreTrainedModel>(
    outcome: &TrainingOutcome,
    out: &mut dyn Write,
) -> Result<Option<M::Parameters>, Failure> {
    let Some(best) = outcome.best.filter(|best| best.step != outcome.step) else {
        return Ok(None);
    };
    writeln!(out, "best after {} steps, with {:.4}: that one is kept", best.step, best.metric)?;
    let checkpoint = outcome.best_checkpoint.as_ref().ok_or("its checkpoint is gone")?;
    Ok(Some(M::load_parameters(checkpoint, &LoadOptions::new())?.1))
}
