//! How fast is a step of pre-training on this machine, and how much memory does it take? One JSON
//! line per run.
//!
//! ```text
//! cargo run --release --example measure_training
//! cargo run --release --example measure_training -- --preset large --batch 4 \
//!     --activations recompute --precision bf16
//! cargo run --release --example measure_training -- --model DIR --ids ids.json \
//!     --labels labels.json
//! ```

mod arithmetic;
#[path = "../common/cli.rs"]
mod cli;
#[path = "../measure/forward/inputs.rs"]
mod inputs;
mod labels;
mod options;
mod run;
mod step;
#[path = "../common/timing.rs"]
mod timing;

use std::process::ExitCode;

use lexopt::prelude::*;

use cli::Failure;
use options::Options;

const HELP: &str = "\
Measures a step of pre-training (masked LM and sentence order, AdamW, gradients
clipped at 1, no dropout) and prints one line of JSON: seconds of whole steps
(median, least, 90th percentile) and the medians of their parts, sequences and
tokens per second, useful GFLOP/s (without recomputation), peak resident memory,
the bytes of gradients and optimizer state, and the loss of every step,
including the two warm-up steps.

The parts: backward_s (gradients to zero, forward, loss, backward), clip_s,
update_s (the optimizer), pack_s (packing the changed weights).

Usage: measure_training [--model DIR | --preset NAME] [--batch B] [--seq S]
                        [--precision f32|bf16] [--activations keep|recompute]
                        [--threads N] [--iterations N] [--seed N]
                        [--ids FILE] [--labels FILE]

  --model DIR        a checkpoint [default: seeded random weights of the preset]
  --preset NAME      base, large, bert-base, bert-large, ... [default: base]
  --batch B          sequences [default: 8]
  --seq S            tokens per sequence [default: 128]
  --precision P      precision of matrix products [default: f32]
  --activations HOW  keep: store activations for the backward pass;
                     recompute: compute each layer again [default: keep]
  --threads N        [default: all]
  --iterations N     timed steps, after two warm-up steps [default: 10]
  --seed N           seed of weights, ids and labels [default: 0]
  --ids FILE         a JSON array of arrays of token ids, instead of random ones
  --labels FILE      a JSON object with the labels of words (\"masked_lm\", in the
                     shape of the ids, -100 if not masked) and \"sentence_order\"
                     (0 or 1 for each sequence), instead of random ones for 15 %
                     of each sequence's tokens
  --help
";

fn main() -> ExitCode {
    cli::main(HELP, parse, |options: Options, out| {
        Ok(writeln!(out, "{}", run::measure(&options)?)?)
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options::new(10);
    while let Some(argument) = arguments.next()? {
        let Long(name) = argument else { return Err(argument.unexpected().into()) };
        let name = name.to_owned();
        match name.as_str() {
            "model" => options.model = Some(arguments.value()?.into()),
            "preset" => options.preset = arguments.value()?.string()?,
            "ids" => options.inputs.file = Some(arguments.value()?.into()),
            "labels" => options.labels = Some(arguments.value()?.into()),
            "help" => return Ok(None),
            name if options.take(name, &mut arguments)? => {}
            name => return Err(Long(name).unexpected().into()),
        }
    }
    Ok(Some(options))
}
