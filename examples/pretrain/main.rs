//! From raw text to a checkpoint: pre-trains an ALBERT by masked words and sentence order.
//!
//! ```text
//! cargo run --release --example pretrain
//! cargo run --release --example pretrain -- --text FILE... --held-out FILE... --train-vocabulary 8000 --preset base --output DIR
//! cargo run --release --example pretrain -- --text FILE... --held-out FILE... --tokenizer DIR --config FILE --output DIR --resume
//! ```

mod baseline;
#[path = "../common/cli.rs"]
mod cli;
mod model;
#[path = "../common/new_model.rs"]
mod new_model;
mod options;
#[path = "../common/output.rs"]
mod output;
#[path = "../common/training/mod.rs"]
mod training;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use ndalbert::train::pretraining::{Corpus, PreTrainingBatches, PreTrainingOptions};
use ndalbert::train::{Decay, Interval, Schedule, TrainerOptions, TrainingModel, TrainingOptions};
use ndalbert::{AlbertConfig, AlbertForPreTraining, AlbertTokenizer, Parameters, PreTrainedModel};

use cli::Failure;
use options::Options;
use training::{Settings, ranks, train};

fn main() -> ExitCode {
    cli::main(options::HELP, options::parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let mut silent = std::io::sink();
    let out = ranks::report(out, &mut silent);
    let goes_on = ranks::once(|| options.output.make(options.resume))?;
    let tokenizer = model::tokenizer(&options, goes_on)?;
    let (config, parameters) = model::model(&options, &tokenizer)?;
    writeln!(out, "{} parameters, {} words", parameters.parameter_count(), config.vocab_size)?;
    let (batches, mut held_out) = data(&options, &tokenizer, &config)?;
    let baselines = baseline::baselines(&mut held_out, &tokenizer)?;

    let training = TrainingOptions {
        precision: options.precision,
        activations: options.activations,
        ..TrainingOptions::default()
    };
    if ranks::is_first() {
        tokenizer.save_pretrained(options.output.path())?;
    }
    let model = TrainingModel::<AlbertForPreTraining>::new(config.clone(), parameters, training)?;
    let settings = Settings {
        total_steps: options.steps,
        optimizer: options.optimizer,
        weight_decay: options.weight_decay,
        output: options.output.path().to_owned(),
        resume: options.resume,
        tokenizer,
        trainer: trainer_options(&options)?,
    };
    let trained = train(model, (batches, held_out), |_| Ok(Vec::new()), settings, out)?;
    if trained.report(&baselines, out)? {
        let output = options.output.path();
        let parameters = &trained.parameters;
        if ranks::is_first() {
            AlbertForPreTraining::save_parameters_as(output, &config, parameters, options.dtype)?;
        }
        writeln!(out, "saved to {}", output.display())?;
    }
    Ok(())
}

/// Batches to train on, and those to evaluate on.
fn data(
    options: &Options,
    tokenizer: &AlbertTokenizer,
    config: &AlbertConfig,
) -> Result<(PreTrainingBatches, PreTrainingBatches), Failure> {
    let of_text = PreTrainingOptions {
        batch_size: options.batch,
        max_seq_length: options.seq,
        random_seed: options.seed,
        ..options.examples.clone()
    };
    let corpus = Arc::new(Corpus::open(&options.text)?);
    let held_out = Arc::new(Corpus::open(&options.held_out)?);
    Ok((
        PreTrainingBatches::new(corpus, tokenizer, config, of_text.clone())?,
        PreTrainingBatches::new(held_out, tokenizer, config, of_text.for_evaluation())?,
    ))
}

fn trainer_options(options: &Options) -> Result<TrainerOptions, Failure> {
    let decay = Decay::Linear { total_steps: options.steps };
    let schedule = Schedule::new(options.learning_rate, options.warmup, decay)?;
    Ok(TrainerOptions {
        gradient_accumulation_steps: options.accumulation,
        seed: options.seed,
        evaluate: Interval::Steps(options.every),
        save: Interval::Steps(options.every),
        save_total_limit: Some(2),
        ..TrainerOptions::new(schedule)
    })
}
