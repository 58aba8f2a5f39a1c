//! A forward pass, measured: shared by the example `measure` and the command of that name.

mod arithmetic;
pub mod exits;
pub mod inputs;
#[path = "../../common/timing.rs"]
mod timing;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;
use std::{fs, thread};

use ndalbert::{
    Albert, AlbertConfig, Batch, LoadOptions, Model, PreTrainedModel, Precision, instruction_set,
};
use rayon::ThreadPoolBuilder;
use serde_json::json;

use timing::{Seconds, peak_memory};

/// What stops it: anything with a message for the user.
pub type Failure = Box<dyn std::error::Error>;

/// Runs before the timed ones.
const WARM_UP: usize = 2;

/// What is measured.
pub struct Options {
    pub model: Option<PathBuf>,
    /// How it is loaded, but for the seed.
    pub load: LoadOptions,
    pub preset: String,
    pub inputs: inputs::Options,
    pub precision: Precision,
    pub threads: usize,
    pub output: Output,
    pub iterations: usize,
    pub callers: usize,
    pub seed: u64,
    pub dump: Option<PathBuf>,
    /// Has sequences leave early, and compares that with the whole depth.
    pub exit_layers: Option<exits::ExitLayers>,
}

/// What is asked of the model.
#[derive(Clone, Copy, PartialEq)]
pub enum Output {
    Base,
    Pooled,
}

impl Options {
    /// ALBERT-base on eight sequences of 128 tokens, 20 times, on all threads.
    pub fn new() -> Self {
        Self {
            model: None,
            load: LoadOptions::new(),
            preset: "base".to_owned(),
            inputs: inputs::Options {
                batch: 8,
                seq: inputs::Spread::one(128),
                lengths: None,
                file: None,
            },
            precision: Precision::F32,
            threads: thread::available_parallelism().map_or(1, usize::from),
            output: Output::Base,
            iterations: 20,
            callers: 1,
            seed: 0,
            dump: None,
            exit_layers: None,
        }
    }
}

/// Measures, and writes a line of JSON.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let (albert, load_s, build_s) = build(options)?;
    let config = albert.config();
    let ids = inputs::ids(&options.inputs, config, options.seed)?;
    let batch = Batch::from_sequences(&ids)?;
    let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
    if let Some(exit_layers) = &options.exit_layers {
        let measured = exits::measure(&albert, &batch, exit_layers, options)?;
        let line = measured.line(options, &lengths, (load_s, build_s))?;
        return Ok(writeln!(out, "{line}")?);
    }

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

/// The model, and the seconds that reading (or drawing) its parameters and making it executable
/// took.
fn build(options: &Options) -> Result<(Albert, f64, f64), Failure> {
    let start = Instant::now();
    let (config, parameters) = match &options.model {
        Some(directory) => {
            let (config, parameters, report) =
                Albert::load_parameters(directory, &options.load.clone().seed(options.seed))?;
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
