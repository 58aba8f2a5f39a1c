//! What it costs that sequences leave early, without a model that was trained for it.
//!
//! Each sequence leaves after a layer that is given. The policy does not tell in advance, but only
//! that a sequence may leave at the next exit, one exit too early: half of those of which it says
//! so do leave, about as many as with patience.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use ndalbert::exits::{ExitPolicy, Predictions};
use ndalbert::{
    Albert, AlbertConfig, AlbertForSequenceClassification, Batch, ConfigFields, Model,
    ModelParameters, instruction_set,
};
use serde_json::{Value, json};

use super::inputs::{Random, Spread, json as read_json};
use super::timing::{Seconds, peak_memory};
use super::{Failure, Options, WARM_UP};

/// After which layers sequences leave.
#[derive(Clone, Debug)]
pub enum ExitLayers {
    /// Drawn for each.
    Spread(Spread),
    /// A JSON list of them.
    File(PathBuf),
}

impl FromStr for ExitLayers {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::File(text.into()), Self::Spread))
    }
}

impl ExitLayers {
    fn of(&self, sequences: usize, layers: usize, seed: u64) -> Result<Vec<usize>, Failure> {
        if let Self::Spread(Spread { first, last }) = self
            && (*first == 0 || *last > layers)
        {
            let expected = format!("layers from 1 to {layers}");
            return Err(format!("--exit-layers: expected {expected}, found {first}..{last}").into());
        }
        let list = match self {
            // Not the numbers that lengths are drawn from: long sequences would be the deep ones.
            Self::Spread(spread) => spread.draw(sequences, &mut Random(!seed))?,
            Self::File(path) => read_json(path)?,
        };
        if list.len() != sequences || list.iter().any(|layer| !(1..=layers).contains(layer)) {
            let expected = format!("a layer from 1 to {layers} for each of {sequences} sequences");
            return Err(format!("--exit-layers: expected {expected}, found {list:?}").into());
        }
        Ok(list)
    }
}

/// Lets each sequence leave where it is said to.
#[derive(Debug)]
struct Schedule(Vec<usize>);

impl ExitPolicy for Schedule {
    fn leaves(&self, predictions: &Predictions<'_>) -> bool {
        predictions.layer(predictions.count() - 1) >= self.0[predictions.input()]
    }

    fn may_leave_next(&self, predictions: Option<&Predictions<'_>>) -> bool {
        predictions.is_none_or(|predictions| {
            predictions.layer(predictions.count()) + 1 >= self.0[predictions.input()]
        })
    }
}

/// Seconds of both, and the share of the layers that was computed.
pub struct Measured {
    seconds: Seconds,
    whole: Seconds,
    mean_layers: f64,
    layers: usize,
}

/// Runs a batch both ways in turns.
pub fn measure(
    albert: &Albert,
    batch: &Batch,
    exit_layers: &ExitLayers,
    options: &Options,
) -> Result<Measured, Failure> {
    let model = with_exits(albert, options)?;
    let layers = model.config().num_hidden_layers;
    let schedule = Schedule(exit_layers.of(batch.num_sequences(), layers, options.seed)?);
    let (mut seconds, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP + options.iterations {
        let start = Instant::now();
        let early = model.forward_until(batch, &schedule)?;
        seconds.push(start.elapsed().as_secs_f64());
        if early.layers != schedule.0 {
            return Err("sequences left after other layers than they were to".into());
        }
        let start = Instant::now();
        model.forward(batch)?;
        whole.push(start.elapsed().as_secs_f64());
    }
    let mean_layers = schedule.0.iter().sum::<usize>() as f64 / schedule.0.len() as f64;
    let timed = |seconds: Vec<f64>| Seconds::new(seconds[WARM_UP..].to_vec());
    Ok(Measured { seconds: timed(seconds), whole: timed(whole), mean_layers, layers })
}

/// A classifier with an exit after every layer, newly initialised.
fn with_exits(
    albert: &Albert,
    options: &Options,
) -> Result<AlbertForSequenceClassification, Failure> {
    let config = albert.config();
    let config = AlbertConfig::new(ConfigFields {
        exit_layers: (1..=config.num_hidden_layers).collect(),
        ..config.to_fields()
    })?;
    let random = AlbertForSequenceClassification::random_parameters(&config, options.seed)?;
    let parameters = ModelParameters { albert: albert.to_parameters(), head: random.head };
    let model =
        AlbertForSequenceClassification::from_parameters_in(config, parameters, options.precision)?;
    Ok(model)
}

impl Measured {
    /// A line of JSON.
    pub fn line(
        &self,
        options: &Options,
        lengths: &[usize],
        (load_s, build_s): (f64, f64),
    ) -> Result<Value, Failure> {
        let (median, whole) = (self.seconds.median(), self.whole.median());
        let share = self.mean_layers / self.layers as f64;
        let tokens: usize = lengths.iter().sum();
        Ok(json!({
            "median_s": median,
            "min_s": self.seconds.least(),
            "p90_s": self.seconds.quantile(0.9),
            "whole_depth_median_s": whole,
            "mean_layers": self.mean_layers,
            "layers": self.layers,
            "share_of_time": median / whole,
            "share_of_layers": share,
            "ratio": median / whole / share,
            "sequences_per_s": lengths.len() as f64 / median,
            "tokens_per_s": tokens as f64 / median,
            "peak_rss_bytes": peak_memory(),
            "isa": instruction_set()?,
            "threads": options.threads,
            "precision": options.precision.name(),
            "load_s": load_s,
            "build_s": build_s,
            "sequences": lengths.len(),
            "tokens": tokens,
            "iterations": options.iterations,
        }))
    }
}
