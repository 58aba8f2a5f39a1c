//! Adam with decoupled weight decay, as in PyTorch and in google-research/albert.

use rayon::prelude::*;
use serde_json::{Value, json};

use super::adam::{Adam, AdamOptions, Chunk, Rule};
use super::{Optimizer, OptimizerState};
use crate::error::Result;
use crate::nn::Parameters;

/// AdamW as in `torch.optim.AdamW`, with bias correction (Loshchilov & Hutter, *Decoupled Weight
/// Decay Regularization*, algorithm 2).
///
/// The correction uses the number of all steps, even for parameters that were frozen in some of
/// them; PyTorch counts steps per parameter.
pub struct AdamW<P>(Adam<P>);

impl<P: Parameters> AdamW<P> {
    /// Creates an optimizer for trees like those from `zeros`, with options such as
    /// [`AdamOptions::torch`].
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if an option is out of range, or a group matches no
    /// parameter.
    pub fn new(options: AdamOptions, zeros: impl Fn() -> P) -> Result<Self> {
        Ok(Self(Adam::new(options, ["exp_avg", "exp_avg_sq"], zeros)?))
    }
}

impl<P: Parameters + Send> Optimizer<P> for AdamW<P> {
    fn update(&mut self, parameters: &mut P, gradients: &P, learning_rate: f64) -> Result<()> {
        self.0.update(parameters, gradients, learning_rate, Rule::corrected, apply)
    }

    fn clear_frozen(&self, gradients: &mut P) {
        self.0.clear_frozen(gradients);
    }

    fn state(&self) -> OptimizerState<'_, P> {
        self.0.state()
    }

    fn restore(&mut self, step: u64, moments: Vec<(&str, P)>) -> Result<()> {
        self.0.restore(step, moments)
    }

    fn description(&self) -> Value {
        json!({ "AdamW": self.0.options() })
    }
}

/// Adam as in google-research/albert's `AdamWeightDecayOptimizer`: [`AdamW`] without bias
/// correction.
///
/// Without it, the first steps are about three times too long, for which a warm-up compensates.
pub struct AdamWeightDecay<P>(Adam<P>);

impl<P: Parameters> AdamWeightDecay<P> {
    /// Creates an optimizer for trees like those from `zeros`, with options such as
    /// [`AdamOptions::google`].
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if an option is out of range, or a group matches no
    /// parameter.
    pub fn new(options: AdamOptions, zeros: impl Fn() -> P) -> Result<Self> {
        Ok(Self(Adam::new(options, ["adam_m", "adam_v"], zeros)?))
    }
}

impl<P: Parameters + Send> Optimizer<P> for AdamWeightDecay<P> {
    fn update(&mut self, parameters: &mut P, gradients: &P, learning_rate: f64) -> Result<()> {
        self.0.update(parameters, gradients, learning_rate, Rule::uncorrected, apply)
    }

    fn clear_frozen(&self, gradients: &mut P) {
        self.0.clear_frozen(gradients);
    }

    fn state(&self) -> OptimizerState<'_, P> {
        self.0.state()
    }

    fn restore(&mut self, step: u64, moments: Vec<(&str, P)>) -> Result<()> {
        self.0.restore(step, moments)
    }

    fn description(&self) -> Value {
        json!({ "AdamWeightDecay": self.0.options() })
    }
}

fn apply(rule: &Rule, chunks: Vec<Chunk<'_>>) {
    chunks.into_par_iter().for_each(|mut chunk| chunk.update(rule));
}
