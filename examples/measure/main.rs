//! How fast is a model on this machine, and how much memory does it take? One JSON line per run.
//!
//! ```text
//! cargo run --release --example measure
//! cargo run --release --example measure -- --preset large --batch 1 --seq 512 --precision int8 --threads 4
//! cargo run --release --example measure -- --model DIR --lengths 8,16,128 --output pooled
//! ```

#[path = "../common/cli.rs"]
mod cli;
mod forward;

use std::process::ExitCode;

use lexopt::prelude::*;

use cli::Failure;
use forward::{Options, Output};

const HELP: &str = "\
Measures a forward pass and prints one line of JSON: seconds (median, least,
90th percentile), sequences and tokens per second, useful GFLOP/s (without
padding and unused outputs), peak resident memory, and the seconds for loading
and building.

Usage: measure [--model DIR | --preset NAME] [--batch B] [--seq S]
               [--lengths N,N,...] [--precision f32|bf16|int8] [--threads N]
               [--output base|pooled] [--iterations N] [--callers N]
               [--seed N] [--ids FILE] [--dump FILE]
               [--exit-layers A..B|FILE]

  --model DIR      a checkpoint [default: seeded random weights of the preset]
  --preset NAME    base, large, xlarge, xxlarge, ... [default: base]
  --batch B        sequences [default: 8]
  --seq S          tokens per sequence; A..B draws a number for each
                   [default: 128]
  --lengths N,...  the lengths of all sequences, instead of both
  --precision P    precision of the layers [default: f32]
  --threads N      [default: all]
  --output WHAT    base: states of all tokens and the pooled output;
                   pooled: the pooled output only [default: base]
  --iterations N   timed runs, after two warm-up runs [default: 20]
  --callers N      threads that call the model concurrently; seconds are then
                   those of N calls together [default: 1]
  --seed N         seed of weights and ids [default: 0]
  --ids FILE       a JSON array of arrays of token ids, instead of random ones
  --exit-layers W  cost of leaving early: each sequence leaves after a layer
                   drawn from A to B (or listed in a JSON file), compared with
                   the full depth; the ratio is that of the share of time to
                   the share of layers
  --dump FILE      write the output as raw f32 (little-endian), row after row
  --help
";

fn main() -> ExitCode {
    cli::main(HELP, parse, |options, out| forward::run(&options, out))
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("model") => options.model = Some(arguments.value()?.into()),
            Long("preset") => options.preset = arguments.value()?.string()?,
            Long("batch") => options.inputs.batch = arguments.value()?.parse()?,
            Long("seq") => options.inputs.seq = arguments.value()?.parse()?,
            Long("lengths") => {
                options.inputs.lengths = Some(arguments.value()?.parse_with(|list| {
                    list.split(',').map(str::parse).collect::<Result<_, _>>()
                })?);
            }
            Long("precision") => options.precision = arguments.value()?.parse()?,
            Long("threads") => options.threads = arguments.value()?.parse()?,
            Long("output") => {
                options.output = arguments.value()?.parse_with(|name| match name {
                    "base" => Ok(Output::Base),
                    "pooled" => Ok(Output::Pooled),
                    _ => Err("expected base or pooled"),
                })?;
            }
            Long("iterations") => options.iterations = arguments.value()?.parse()?,
            Long("callers") => options.callers = arguments.value()?.parse()?,
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("ids") => options.inputs.file = Some(arguments.value()?.into()),
            Long("exit-layers") => options.exit_layers = Some(arguments.value()?.parse()?),
            Long("dump") => options.dump = Some(arguments.value()?.into()),
            Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    for (name, count) in [
        ("--threads", options.threads),
        ("--iterations", options.iterations),
        ("--callers", options.callers),
    ] {
        if count == 0 {
            return Err(format!("{name}: expected at least 1").into());
        }
    }
    Ok(Some(options))
}
