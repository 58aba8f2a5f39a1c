//! How much of a training step is communication? Rank 0 prints one line of JSON.
//!
//! ```text
//! mpiexec -n 2 target/release/communication --preset large --batch 1 --seq 128 --steps 3
//! ```

#[path = "../../common/cli.rs"]
mod cli;

use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use lexopt::prelude::*;
use ndalbert::ndarray::Array2;
use ndalbert::train::{
    AdamOptions, AdamW, Decay, Event, GradientPrecision, Peers, PreTrainingLabels, Schedule,
    Trainer, TrainerOptions, TrainingBatch, TrainingData, TrainingModel, TrainingOptions,
};
use ndalbert::{AlbertConfig, AlbertForPreTraining, Batch, Model, Parameters, Precision};
use ndalbert_mpi::World;
use serde_json::{Value, json};

use cli::Failure;

const HELP: &str = "\
Measures steps of pre-training over MPI, one batch for each rank, and how much
of them is communication. Rank 0 prints one line of JSON.

Usage: mpiexec -n N communication [--preset NAME] [--batch B] [--seq S]
                                  [--steps N] [--precision f32|bf16]
                                  [--gradients f32|bf16] [--threads N]

  --preset NAME     base, large, bert-base, bert-large, ... [default: base]
  --batch B         sequences for each rank [default: 1]
  --seq S           tokens in each [default: 128]
  --steps N         timed steps, after one that is not [default: 3]
  --precision P     of matrix products [default: f32]
  --gradients P     what gradients are exchanged in [default: f32]
  --threads N       of each rank [default: 1]
  --help
";

struct Options {
    preset: String,
    batch: usize,
    seq: usize,
    steps: u64,
    precision: Precision,
    gradients: GradientPrecision,
    threads: usize,
}

/// Peers, and how long exchanges with them take.
struct Timed {
    world: World,
    seen: Rc<RefCell<Seen>>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    bytes: usize,
    seconds: f64,
}

impl Peers for Timed {
    fn rank(&self) -> usize {
        self.world.rank()
    }

    fn size(&self) -> usize {
        self.world.size()
    }

    fn exchange(&mut self, peer: usize, sent: &[u8], received: &mut [u8]) -> io::Result<()> {
        let start = Instant::now();
        let result = self.world.exchange(peer, sent, received);
        let mut seen = self.seen.borrow_mut();
        seen.seconds += start.elapsed().as_secs_f64();
        seen.bytes += sent.len();
        result
    }
}

/// The same batch again and again.
struct Same(TrainingBatch<PreTrainingLabels>);

impl TrainingData<PreTrainingLabels> for Same {
    fn next_batch(&mut self) -> ndalbert::Result<Option<TrainingBatch<PreTrainingLabels>>> {
        Ok(Some(self.0.clone()))
    }

    fn state(&self) -> ndalbert::Result<Value> {
        Ok(Value::Null)
    }

    fn restore(&mut self, _: &Value) -> ndalbert::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    cli::main(HELP, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let world = ndalbert_mpi::world()?;
    let (rank, size) = (world.rank(), world.size());
    let config = AlbertConfig::from_preset(&options.preset)?;
    let parameters = AlbertForPreTraining::random_parameters(&config, 0)?;
    let count = parameters.parameter_count();
    let batch = batch(&options, config.vocab_size)?;
    let training = TrainingOptions { precision: options.precision, ..TrainingOptions::default() };
    let model = TrainingModel::<AlbertForPreTraining>::new(config, parameters, training)?;
    let optimizer = AdamW::new(AdamOptions::torch(), || model.zero_gradients())?;
    let schedule = Schedule::new(1e-5, 0, Decay::Constant)?;
    let trainer = TrainerOptions {
        max_steps: Some(options.steps + 1),
        gradient_accumulation_steps: size,
        ..TrainerOptions::new(schedule)
    };
    let seen = Rc::new(RefCell::new(Seen::default()));
    let steps = Rc::new(RefCell::new(Vec::new()));
    let (so_far, timed) = (seen.clone(), steps.clone());
    let mut trainer = Trainer::new(model, optimizer, Same(batch), trainer)?
        .with_peers(Timed { world, seen }, options.gradients)?
        .on_event(move |event| {
            if let Event::Step(metrics) = event {
                timed.borrow_mut().push((metrics.seconds, *so_far.borrow()));
            }
            *so_far.borrow_mut() = Seen::default();
            Ok(ControlFlow::Continue(()))
        });
    trainer.train()?;
    drop(trainer);
    let steps = steps.take().split_off(1);
    let median = |of: &dyn Fn(&(f64, Seen)) -> f64| {
        let mut values: Vec<f64> = steps.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (step_s, exchange_s) = (median(&|step| step.0), median(&|step| step.1.seconds));
    if rank == 0 {
        let result = json!({
            "preset": options.preset,
            "ranks": size,
            "parameters": count,
            "sequences_per_rank": options.batch,
            "tokens": options.seq,
            "step_s": step_s,
            "exchange_s": exchange_s,
            "share": exchange_s / step_s,
            "bytes_sent": steps[0].1.bytes,
        });
        writeln!(out, "{result}")?;
    }
    ndalbert_mpi::end();
    Ok(())
}

/// Made-up sequences, of which every seventh token is to be guessed.
fn batch(options: &Options, words: usize) -> Result<TrainingBatch<PreTrainingLabels>, Failure> {
    let Options { batch, seq, .. } = *options;
    let id = |i: usize, j: usize| (5 + (i * seq + j) * 7919 % (words - 5)) as u32;
    let sequences: Vec<Vec<u32>> =
        (0..batch).map(|i| (0..seq).map(|j| id(i, j)).collect()).collect();
    let masked_lm = Array2::from_shape_fn((batch, seq), |(i, j)| match j % 7 {
        3 => i64::from(id(i, j)),
        _ => -100,
    });
    let labels = PreTrainingLabels { masked_lm, sentence_order: vec![0; batch] };
    Ok(TrainingBatch { batch: Batch::from_sequences(&sequences)?, labels })
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        preset: "base".to_owned(),
        batch: 1,
        seq: 128,
        steps: 3,
        precision: Precision::F32,
        gradients: GradientPrecision::F32,
        threads: 1,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("preset") => options.preset = arguments.value()?.string()?,
            Long("batch") => options.batch = arguments.value()?.parse()?,
            Long("seq") => options.seq = arguments.value()?.parse()?,
            Long("steps") => options.steps = arguments.value()?.parse()?,
            Long("precision") => options.precision = arguments.value()?.parse()?,
            Long("gradients") => {
                options.gradients = match arguments.value()?.string()?.as_str() {
                    "f32" => GradientPrecision::F32,
                    "bf16" => GradientPrecision::Bf16,
                    other => {
                        return Err(
                            format!("--gradients: expected f32 or bf16, found {other}").into()
                        );
                    }
                }
            }
            Long("threads") => options.threads = arguments.value()?.parse()?,
            Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if [options.batch, options.seq, options.threads].contains(&0) || options.steps == 0 {
        return Err("--batch, --seq, --steps and --threads: expected at least 1".into());
    }
    Ok(Some(options))
}
