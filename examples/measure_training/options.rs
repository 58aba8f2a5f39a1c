//! What can be chosen of a measurement.

use std::path::PathBuf;

use lexopt::prelude::*;
use ndalbert::train::{ActivationPolicy, TrainingOptions};

use super::{Failure, inputs};

pub struct Options {
    pub model: Option<PathBuf>,
    pub preset: String,
    pub inputs: inputs::Options,
    pub labels: Option<PathBuf>,
    pub training: TrainingOptions,
    pub threads: usize,
    pub iterations: usize,
    pub seed: u64,
}

impl Options {
    pub fn new(iterations: usize) -> Self {
        Self {
            model: None,
            preset: "base".to_owned(),
            inputs: inputs::Options {
                batch: 8,
                seq: inputs::Spread::one(128),
                lengths: None,
                file: None,
            },
            labels: None,
            training: TrainingOptions::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            iterations,
            seed: 0,
        }
    }

    /// Takes an option of that name, if it is one that does not depend on where weights and inputs
    /// come from.
    pub fn take(&mut self, name: &str, arguments: &mut lexopt::Parser) -> Result<bool, Failure> {
        match name {
            "batch" => self.inputs.batch = positive(name, arguments)?,
            "seq" => self.inputs.seq = inputs::Spread::one(positive(name, arguments)?),
            "precision" => self.training.precision = arguments.value()?.parse()?,
            "activations" => {
                self.training.activations = arguments.value()?.parse_with(|name| match name {
                    "keep" => Ok(ActivationPolicy::Keep),
                    "recompute" => Ok(ActivationPolicy::Recompute),
                    _ => Err("expected keep or recompute"),
                })?;
            }
            "threads" => self.threads = positive(name, arguments)?,
            "iterations" => self.iterations = positive(name, arguments)?,
            "seed" => self.seed = arguments.value()?.parse()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What the policy is called.
    pub fn activations(&self) -> &'static str {
        match self.training.activations {
            ActivationPolicy::Keep => "keep",
            ActivationPolicy::Recompute => "recompute",
        }
    }
}

/// A count that is not 0.
pub fn positive(name: &str, arguments: &mut lexopt::Parser) -> Result<usize, Failure> {
    match arguments.value()?.parse()? {
        0 => Err(format!("--{name}: expected at least 1").into()),
        count => Ok(count),
    }
}
