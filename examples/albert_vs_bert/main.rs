//! What sharing parameters saves in training: ALBERT and BERT, on this machine and in the paper.
//!
//! ```text
//! cargo run --release --example albert_vs_bert
//! cargo run --release --example albert_vs_bert -- --batch 4 --seq 512 --activations recompute
//! ```

#[path = "../measure_training/arithmetic.rs"]
mod arithmetic;
#[path = "../common/cli.rs"]
mod cli;
#[path = "../measure/forward/inputs.rs"]
mod inputs;
#[path = "../measure_training/labels.rs"]
mod labels;
#[path = "../measure_training/options.rs"]
mod options;
mod report;
#[path = "../measure_training/run.rs"]
mod run;
#[path = "../measure_training/step.rs"]
mod step;
#[path = "../common/timing.rs"]
mod timing;

use std::env;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use lexopt::prelude::*;
use serde_json::Value;

use cli::Failure;
use options::positive;
use report::Model;

const HELP: &str = "\
Prints a Markdown table of ALBERT and BERT in training: parameters, bytes of
gradients and optimizer state, peak memory and the time of a pre-training step
(masked LM and sentence order, AdamW, no dropout), next to the speed-ups of the
paper (arXiv:1909.11942, table 2). Each model is trained in a separate process,
in turns.

Usage: albert_vs_bert [--presets NAME,NAME,...] [--rounds N] [--iterations N]
                      [--batch B] [--seq S] [--precision f32|bf16]
                      [--activations keep|recompute] [--threads N] [--seed N]
                      [--alone NAME]

  --presets NAME,...  the models; speed-ups are relative to the last
                      [default: base,bert-base,large,bert-large]
  --rounds N          turns per model, of which medians are taken [default: 3]
  --iterations N      timed steps per turn, after two warm-up steps [default: 2]
  --batch B           sequences [default: 8]
  --seq S             tokens per sequence [default: 128]
  --precision P       precision of matrix products [default: f32]
  --activations HOW   as in measure_training [default: keep]
  --threads N         [default: all]
  --seed N            seed of weights, ids and labels [default: 0]
  --alone NAME        measure one preset and print the output of
                      measure_training (used for the processes)
  --help
";

struct Options {
    presets: Vec<String>,
    rounds: usize,
    alone: Option<String>,
    run: options::Options,
}

fn main() -> ExitCode {
    cli::main(HELP, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let Options { presets, rounds, alone, mut run } = options;
    if let Some(preset) = alone {
        run.preset = preset;
        return Ok(writeln!(out, "{}", run::measure(&run)?)?);
    }
    let mut models: Vec<Model> =
        presets.into_iter().map(|preset| Model { preset, runs: Vec::new() }).collect();
    for round in 1..=rounds {
        for model in &mut models {
            eprintln!("round {round} of {rounds}: {}", model.preset);
            model.runs.push(in_a_process(&model.preset)?);
        }
    }
    Ok(write!(out, "{}", report::markdown(&run, &models))?)
}

/// Runs this program once more, with the arguments that it was given, on one model alone.
fn in_a_process(preset: &str) -> Result<Value, Failure> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1)).args(["--alone", preset]);
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(
            format!("{preset}: the process that measured it ended: {}", output.status).into()
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        presets: ["base", "bert-base", "large", "bert-large"].map(str::to_owned).to_vec(),
        rounds: 3,
        alone: None,
        run: options::Options::new(2),
    };
    while let Some(argument) = arguments.next()? {
        let Long(name) = argument else { return Err(argument.unexpected().into()) };
        let name = name.to_owned();
        match name.as_str() {
            "presets" => {
                let names = arguments.value()?.string()?;
                options.presets = names.split(',').map(str::to_owned).collect();
            }
            "rounds" => options.rounds = positive("rounds", &mut arguments)?,
            "alone" => options.alone = Some(arguments.value()?.string()?),
            "help" => return Ok(None),
            name if options.run.take(name, &mut arguments)? => {}
            name => return Err(Long(name).unexpected().into()),
        }
    }
    // Before anything is measured.
    for preset in &options.presets {
        ndalbert::AlbertConfig::from_preset(preset)?;
    }
    Ok(Some(options))
}
