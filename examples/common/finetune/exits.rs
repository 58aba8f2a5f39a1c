//! Models with exits: after which layers, how they learn, and how good each is.

use std::io::Write;

use lexopt::ValueExt;
use ndalbert::AlbertConfig;
use ndalbert::train::{Distillation, ExitLoss, TrainingOptions};

use super::{Failure, Metrics};

pub const HELP: &str =
    "  --exits LAYERS      layers that classifiers follow: all, or a list such as
                      2,4,6 that ends with the last [default: those of --model]
  --exit-loss L       their losses, weighted by-layer (as PABEE does) or mean
                      [default: by-layer]
  --distill W[,T]     earlier exits learn from the last one, too: weight and
                      temperature [default of T: 1]
";

#[derive(Default)]
pub struct ExitOptions {
    layers: Option<Layers>,
    loss: Option<ExitLoss>,
    distillation: Option<Distillation>,
}

enum Layers {
    All,
    List(Vec<usize>),
}

impl ExitOptions {
    /// Takes an option if it is one of these.
    pub fn take(&mut self, name: &str, arguments: &mut lexopt::Parser) -> Result<bool, Failure> {
        match name {
            "exits" => self.layers = Some(arguments.value()?.parse_with(layers)?),
            "exit-loss" => self.loss = Some(arguments.value()?.parse_with(loss)?),
            "distill" => self.distillation = Some(arguments.value()?.parse_with(distillation)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The exits that are asked for, of a model of so many layers.
    pub fn layers(&self, num_layers: usize) -> Option<Vec<usize>> {
        self.layers.as_ref().map(|layers| match layers {
            Layers::All => (1..=num_layers).collect(),
            Layers::List(layers) => layers.clone(),
        })
    }

    /// These and others of a model that is to be trained.
    pub fn training(
        &self,
        config: &AlbertConfig,
        others: TrainingOptions,
    ) -> Result<TrainingOptions, Failure> {
        if config.exit_layers.len() < 2 && (self.loss.is_some() || self.distillation.is_some()) {
            return Err("--exit-loss and --distill are for models with exits: see --exits".into());
        }
        let exit_loss = self.loss.unwrap_or_default();
        Ok(TrainingOptions { exit_loss, distillation: self.distillation, ..others })
    }
}

fn layers(text: &str) -> Result<Layers, String> {
    if text == "all" {
        return Ok(Layers::All);
    }
    let layers: Option<Vec<usize>> =
        text.split(',').map(|layer| layer.trim().parse().ok()).collect();
    layers.map(Layers::List).ok_or_else(|| "expected all, or a list such as 2,4,6".to_owned())
}

fn loss(name: &str) -> Result<ExitLoss, &'static str> {
    match name {
        "by-layer" => Ok(ExitLoss::ByLayer),
        "mean" => Ok(ExitLoss::Mean),
        _ => Err("expected by-layer or mean"),
    }
}

fn distillation(text: &str) -> Result<Distillation, &'static str> {
    let (weight, temperature) = text.split_once(',').unwrap_or((text, "1"));
    match (weight.trim().parse(), temperature.trim().parse()) {
        (Ok(weight), Ok(temperature)) => Ok(Distillation { weight, temperature }),
        _ => Err("expected a weight, or a weight and a temperature such as 1,2"),
    }
}

/// Says how good each exit is on the examples held out, if all were to leave there.
pub fn report(layers: &[usize], metrics: &[Metrics], out: &mut dyn Write) -> Result<(), Failure> {
    for (layer, metrics) in layers.iter().zip(metrics) {
        let metrics = metrics.iter().map(|(name, value)| format!("{name} {value:.4}"));
        writeln!(out, "after layer {layer:2}: {}", metrics.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}
