//! `measure`: what the example of that name does.

#[path = "../../../examples/measure/forward/mod.rs"]
mod forward;

use std::io;
use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ndalbert::Precision;
use ndalbert::pipelines::Files;

use crate::arguments::{Tensors, precision};
use crate::{Failure, models};
use forward::{exits, inputs};

/// Measure the speed and memory of a forward pass
///
/// Prints one line of JSON: seconds (median, least, 90th percentile), sequences and tokens per second, useful GFLOP/s (without padding and unused outputs), peak resident memory, and the seconds for loading and building.
#[derive(Args)]
pub struct Options {
    /// A checkpoint [default: seeded random weights of the preset]
    #[arg(short, long, value_name = "MODEL", conflicts_with = "preset")]
    pub model: Option<String>,
    #[command(flatten)]
    pub tensors: Tensors,
    /// base, large, xlarge, xxlarge, ...
    #[arg(long, default_value = "base", value_name = "NAME")]
    pub preset: String,
    /// Sequences
    #[arg(long, default_value_t = 8, value_name = "B")]
    pub batch: usize,
    /// Tokens per sequence; A..B draws a number from A to B for each
    #[arg(long, default_value = "128", value_name = "S")]
    pub seq: inputs::Spread,
    /// The lengths of all sequences, separated by commas, instead of both
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    pub lengths: Option<Vec<usize>>,
    /// A JSON array of arrays of token ids, instead of random ones
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// Precision of the layers: f32, bf16 or int8
    #[arg(long, default_value = "f32", value_parser = precision)]
    pub precision: Precision,
    /// The output to compute
    #[arg(long, value_enum, default_value = "base", value_name = "WHAT")]
    pub output: What,
    /// Number of timed runs, after two warm-up runs
    #[arg(long, default_value = "20", value_name = "N")]
    pub iterations: NonZero<usize>,
    /// Threads that call the model concurrently; seconds are then those of N calls together
    #[arg(long, default_value = "1", value_name = "N")]
    pub callers: NonZero<usize>,
    /// Seed of random weights and ids
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Write the output as raw f32 (little-endian), row after row
    #[arg(long, value_name = "FILE")]
    pub dump: Option<PathBuf>,
    /// Cost of leaving early: each sequence leaves after a layer drawn from A to B (or listed in a JSON file), compared with the full depth; the ratio is that of the share of time to the share of layers
    #[arg(long, value_name = "A..B|FILE")]
    pub exit_layers: Option<exits::ExitLayers>,
}

/// The output to compute.
#[derive(Clone, Copy, ValueEnum)]
pub enum What {
    /// The state of every token and the pooled output
    Base,
    /// The pooled output only
    Pooled,
}

pub fn run(options: Options, threads: Option<NonZero<usize>>) -> Result<(), Failure> {
    let model = options.model.map(|name| models::directory(&name, Files::Model)).transpose()?;
    let mut measured = forward::Options::new();
    if let Some(threads) = threads {
        measured.threads = threads.get();
    }
    let measured = forward::Options {
        model,
        load: options.tensors.load(),
        preset: options.preset,
        inputs: inputs::Options {
            batch: options.batch,
            seq: options.seq,
            lengths: options.lengths,
            file: options.ids,
        },
        precision: options.precision,
        output: match options.output {
            What::Base => forward::Output::Base,
            What::Pooled => forward::Output::Pooled,
        },
        iterations: options.iterations.get(),
        callers: options.callers.get(),
        seed: options.seed,
        dump: options.dump,
        exit_layers: options.exit_layers,
        ..measured
    };
    forward::run(&measured, &mut io::stdout().lock())
}
