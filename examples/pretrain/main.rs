//! From raw text to a checkpoint: pre-trains an ALBERT by masked words and sentence order.
//!
//! ```text
//! cargo run --release --example pretrain
//! cargo run --release --example pretrain -- --text FILE... --train-vocabulary 8000 --preset base --output DIR
//! cargo run --release --example pretrain -- --text FILE... --tokenizer DIR --config FILE --output DIR --resume
//! ```

#[path = "../common/chart.rs"]
mod chart;
#[path = "../common/cli.rs"]
mod cli;
mod model;
#[path = "../common/new_model.rs"]
mod new_model;
mod options;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/tokenizer_files.rs"]
mod tokenizer_files;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use ndalbert::train::pretraining::{Corpus, PreTrainingBatches, PreTrainingOptions};
use ndalbert::train::{
    AdamOptions, AdamW, Decay, Interval, MetricsLog, Schedule, StopReason, Trainer, TrainerOptions,
    TrainingModel, TrainingOptions,
};
use ndalbert::{AlbertForPreTraining, AlbertTokenizer, Parameters, PreTrainedModel};

use cli::Failure;
use options::Options;
use progress::Progress;

fn main() -> ExitCode {
    cli::main(options::HELP, options::parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let output = &options.output;
    fs::create_dir_all(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let tokenizer = model::tokenizer(&options)?;
    let (config, parameters) = model::model(&options, &tokenizer)?;
    writeln!(out, "{} parameters, {} words", parameters.parameter_count(), config.vocab_size)?;
    let (train, mut held_out) = data(&options, &tokenizer, &config)?;
    let (word, share) = most_frequent(&mut held_out)?;
    let word = tokenizer.id_to_token(word).unwrap_or_default();

    let training =
        TrainingOptions { precision: options.precision, activations: options.activations };
    let model = TrainingModel::<AlbertForPreTraining>::new(config.clone(), parameters, training)?;
    let adam = AdamOptions { weight_decay: options.weight_decay, ..AdamOptions::torch() };
    let optimizer = AdamW::new(adam, || model.zero_gradients())?;
    let interrupted = progress::on_interrupt()?;
    let progress = Progress::new(options.steps, output.join("learning-curve.svg"), interrupted);
    let progress = RefCell::new(progress);
    let mut log = MetricsLog::open(output.join("metrics.jsonl"))?;
    let mut trainer = Trainer::new(model, optimizer, train, trainer_options(&options)?)?
        .evaluate_on(held_out)?
        .on_event(|event| {
            log.record(event)?;
            progress.borrow_mut().event(event)
        });
    if options.resume
        && let Some(checkpoint) = trainer.resume()?
    {
        writeln!(out, "going on from {}", checkpoint.display())?;
    }
    let outcome = trainer.train()?;
    let last = trainer.evaluate()?;
    let parameters = trainer.into_model().into_parameters();
    progress.into_inner().finish()?;
    for (name, value) in &last.metrics {
        writeln!(out, "held out: {name} {value:.4}")?;
    }
    writeln!(out, "held out, were all masked words {word}: masked_lm_accuracy {share:.4}")?;
    if outcome.reason == StopReason::Hook {
        let path = outcome.checkpoint.map(|path| path.display().to_string()).unwrap_or_default();
        writeln!(out, "stopped after step {}; --resume goes on from {path}", outcome.step)?;
        return Ok(());
    }
    AlbertForPreTraining::save_parameters(output, &config, &parameters)?;
    writeln!(out, "saved to {}", output.display())?;
    Ok(())
}

/// Batches to train on, and those to evaluate on.
fn data(
    options: &Options,
    tokenizer: &AlbertTokenizer,
    config: &ndalbert::AlbertConfig,
) -> Result<(PreTrainingBatches, PreTrainingBatches), Failure> {
    let of_text = PreTrainingOptions {
        batch_size: options.batch,
        max_seq_length: options.seq,
        ngram: options.ngram,
        random_seed: options.seed,
        ..PreTrainingOptions::default()
    };
    let corpus = Arc::new(Corpus::open(&options.text)?);
    let held_out = Arc::new(Corpus::open(&options.held_out)?);
    Ok((
        PreTrainingBatches::new(corpus, tokenizer, config, of_text.clone())?,
        PreTrainingBatches::new(held_out, tokenizer, config, of_text.for_evaluation())?,
    ))
}

/// The word that is masked most often, and its share: what can be had without looking at the text.
fn most_frequent(held_out: &mut PreTrainingBatches) -> Result<(u32, f64), Failure> {
    let mut counts = BTreeMap::new();
    for batch in held_out.by_ref() {
        for label in batch?.labels.masked_lm {
            // What is not masked has a negative label.
            if let Ok(word) = u32::try_from(label) {
                *counts.entry(word).or_insert(0u64) += 1;
            }
        }
    }
    held_out.rewind();
    let total: u64 = counts.values().sum();
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let (word, count) = most.ok_or("the held-out text has no masked words")?;
    Ok((word, count as f64 / total as f64))
}

fn trainer_options(options: &Options) -> Result<TrainerOptions, Failure> {
    let decay = Decay::Linear { total_steps: options.steps };
    let schedule = Schedule::new(options.learning_rate, options.warmup, decay)?;
    Ok(TrainerOptions {
        max_steps: Some(options.steps),
        gradient_accumulation_steps: options.accumulation,
        seed: options.seed,
        evaluate: Interval::Steps(options.every),
        output_dir: Some(options.output.clone()),
        save: Interval::Steps(options.every),
        save_total_limit: Some(2),
        ..TrainerOptions::new(schedule)
    })
}
