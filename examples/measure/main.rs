//! How fast is a model on this machine, and how much memory does it take? One JSON line per run.
//!
//! ```text
//! cargo run --release --example measure
//! cargo run --release --example measure -- --preset large --batch 1 --seq 512 --precision int8 --threads 4
//! cargo run --release --example measure -- --model DIR --lengths 8,16,128 --output pooled
//! ```

mod arithmetic;
#[path = "../common/cli.rs"]
mod cli;
mod inputs;
#[path = "../common/timing.rs"]
mod timing;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use std::{fs, thread};

use lexopt::prelude::*;
use ndalbert::{
    Albert, AlbertConfig, Batch, LoadOptions, Model, PreTrainedModel, Precision, instruction_set,
};
use rayon::ThreadPoolBuilder;
use serde_json::json;

use cli::Failure;
use timing::{Seconds, peak_memory};

const HELP: &str = "\
Measures a forward pass and prints one line of JSON: seconds (median, least,
90th percentile), sequences and tokens per second, useful GFLOP/s (padding and
what was not asked for do not count), peak resident memory, and the seconds
that loading and building took.

Usage: measure [--model DIR | --preset NAME] [--batch B] [--seq S]
               [--lengths N,N,...] [--precision f32|bf16|int8] [--threads N]
               [--output base|pooled] [--iterations N] [--callers N]
               [--seed N] [--ids FILE] [--dump FILE]

  --model DIR      a checkpoint [default: seeded random weights of the preset]
  --preset NAME    base, large, xlarge, xxlarge, ... [default: base]
  --batch B        sequences [default: 8]
  --seq S          tokens in each [default: 128]
  --lengths N,...  the tokens of each sequence, instead of both
  --precision P    what the layers are executed in [default: f32]
  --threads N      [default: all]
  --output WHAT    base: every token's state and the pooled output;
                   pooled: the pooled output alone [default: base]
  --iterations N   timed runs after two that are not [default: 20]
  --callers N      threads that call the one model at the same time; seconds are
                   then those of N calls together [default: 1]
  --seed N         of random weights and ids [default: 0]
  --ids FILE       a JSON array of arrays of token ids, instead of random ones
  --dump FILE      write the output as raw f32 (little-endian), row after row
  --help
";

/// Runs before the timed ones.
const WARM_UP: usize = 2;

struct Options {
    model: Option<PathBuf>,
    preset: String,
    inputs: inputs::Options,
    precision: Precision,
    threads: usize,
    output: Output,
    iterations: usize,
    callers: usize,
    seed: u64,
    dump: Option<PathBuf>,
}

/// What is asked of the model.
#[derive(Clone, Copy, PartialEq)]
enum Output {
    Base,
    Pooled,
}

fn main() -> ExitCode {
    cli::main(HELP, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let (albert, load_s, build_s) = build(&options)?;
    let config = albert.config();
    let ids = inputs::ids(&options.inputs, config, options.seed)?;
    let batch = Batch::from_sequences(&ids)?;
    let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();

    let call = || -> Result<f64, ndalbert::Error> {
        let start = Instant::now();
        let once = || forward(&albert, &batch, options.output).map(drop);
        thread::scope(|scope| {
            let others: Vec<_> = (1..options.callers).map(|_| scope.spawn(once)).collect();
            once()?;
            others.into_iter().try_for_each(|other| other.join().expect("no caller panics"))
        })?;
        Ok(start.elapsed().as_secs_f64())
    };
    for _ in 0..WARM_UP {
        call()?;
    }
    let seconds = (0..options.iterations).map(|_| call()).collect::<Result<Vec<_>, _>>()?;
    let seconds = Seconds::new(seconds);
    let median = seconds.median();
    let calls = options.callers as f64;
    let tokens: usize = lengths.iter().sum();
    let pooled_only = options.output == Output::Pooled;
    let operations = arithmetic::operations(config, &lengths, pooled_only);
    let line = json!({
        "median_s": median,
        "min_s": seconds.least(),
        "p90_s": seconds.quantile(0.9),
        "sequences_per_s": calls * lengths.len() as f64 / median,
        "tokens_per_s": calls * tokens as f64 / median,
        "gflops": calls * operations / median / 1e9,
        "peak_rss_bytes": peak_memory(),
        "isa": instruction_set()?,
        "threads": options.threads,
        "precision": options.precision.name(),
        "load_s": load_s,
        "build_s": build_s,
        "sequences": lengths.len(),
        "tokens": tokens,
        "iterations": options.iterations,
        "callers": options.callers,
    });
    writeln!(out, "{line}")?;
    if let Some(path) = &options.dump {
        let values = forward(&albert, &batch, options.output)?;
        fs::write(path, values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The model, and the seconds that reading (or drawing) its parameters and making it executable took.
fn build(options: &Options) -> Result<(Albert, f64, f64), Failure> {
    let start = Instant::now();
    let (config, parameters) = match &options.model {
        Some(directory) => {
            let (config, parameters, report) =
                Albert::load_parameters(directory, &LoadOptions::new().seed(options.seed))?;
            if !report.is_clean() {
                eprintln!("{report}");
            }
            (config, parameters)
        }
        None => {
            let config = AlbertConfig::from_preset(&options.preset)?;
            let parameters = Albert::random_parameters(&config, options.seed)?;
            (config, parameters)
        }
    };
    let load_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let albert = Albert::from_parameters_in(config, parameters, options.precision)?;
    Ok((albert, load_s, start.elapsed().as_secs_f64()))
}

/// The values of the output that was asked for.
fn forward(albert: &Albert, batch: &Batch, output: Output) -> Result<Vec<f32>, ndalbert::Error> {
    Ok(match output {
        Output::Base => {
            albert.forward(batch)?.last_hidden_state.into_rows().into_raw_vec_and_offset().0
        }
        Output::Pooled => albert.pooler_output(batch)?.into_raw_vec_and_offset().0,
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        model: None,
        preset: "base".to_owned(),
        inputs: inputs::Options { batch: 8, seq: 128, lengths: None, file: None },
        precision: Precision::F32,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        output: Output::Base,
        iterations: 20,
        callers: 1,
        seed: 0,
        dump: None,
    };
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
