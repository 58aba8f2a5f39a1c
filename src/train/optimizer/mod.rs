//! Optimizers: gradients → changed parameters.
//!
//! Three variants of Adam:
//!
//! | | bias correction | ε | scaled by |
//! |---|---|---|---|
//! | [`AdamW`], of PyTorch | yes | 1e-8 | |
//! | [`AdamWeightDecay`], of google-research/albert | no | 1e-6 | |
//! | [`Lamb`], of google-research/albert | no | 1e-6 | ‖weights‖ / ‖update‖, per parameter |
//!
//! In all of them the weight decay is decoupled: it is added to the update, not to the gradient, and does not enter the moments.

mod adam;
mod adamw;
mod groups;
mod lamb;
#[cfg(test)]
mod tests;

pub use adam::{Adam, AdamOptions};
pub use adamw::{AdamW, AdamWeightDecay};
pub use groups::ParameterGroup;
pub use lamb::Lamb;

use crate::error::Result;
use crate::nn::Parameters;

/// Updates parameters by their gradients.
///
/// ```
/// use ndalbert::train::{AdamOptions, AdamW, Optimizer};
/// use ndarray::{Array1, array};
///
/// # fn main() -> ndalbert::Result<()> {
/// // Any tree of parameters; here, one of a single array without a name. It has no biases, so no groups either.
/// let mut weights = array![1.0f32, -2.0];
/// let options = AdamOptions { groups: Vec::new(), ..AdamOptions::torch() };
/// let mut optimizer = AdamW::new(options, || Array1::<f32>::zeros(2))?;
/// optimizer.update(&mut weights, &array![0.5, 0.0], 0.1)?;
/// assert!((weights[0] - 0.899).abs() < 1e-6 && (weights[1] + 1.998).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
pub trait Optimizer<P: Parameters>: Send {
    /// Takes one step: updates parameters and moments by gradients. Gradients are not checked for infinities and NaNs; see [`global_norm`](super::global_norm).
    ///
    /// `learning_rate` is that of this step, as from a [`Schedule`](super::Schedule). The result is bit-identical
    /// on any number of threads.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if the learning rate is negative or not finite, or if parameters or gradients do not have the names and shapes of the optimizer. Nothing is changed then.
    fn update(&mut self, parameters: &mut P, gradients: &P, learning_rate: f64) -> Result<()>;

    /// Sets gradients of parameters that [`update`](Self::update) does not change, such as those of a [frozen group](ParameterGroup::frozen), to zero. Before [`clip_global_norm`](super::clip_global_norm), this excludes them from the norm, as in PyTorch, which has no gradients for them. Does nothing by default.
    fn clear_frozen(&self, _gradients: &mut P) {}

    /// The state on which the next step depends, apart from options and arguments.
    fn state(&self) -> OptimizerState<'_, P>;

    /// Continues from a state: the number of steps, and the moments by the names that [`state`](Self::state) gives them.
    /// The optimizer then continues bit-identically.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if names or shapes are not this optimizer's, or if a value is invalid for a moment. The state is then unchanged.
    fn restore(&mut self, step: u64, moments: Vec<(&str, P)>) -> Result<()>;

    /// Its name and options, to compare with those of a saved state.
    fn description(&self) -> serde_json::Value;
}

impl<P: Parameters, O: Optimizer<P> + ?Sized> Optimizer<P> for Box<O> {
    fn update(&mut self, parameters: &mut P, gradients: &P, learning_rate: f64) -> Result<()> {
        (**self).update(parameters, gradients, learning_rate)
    }

    fn clear_frozen(&self, gradients: &mut P) {
        (**self).clear_frozen(gradients);
    }

    fn state(&self) -> OptimizerState<'_, P> {
        (**self).state()
    }

    fn restore(&mut self, step: u64, moments: Vec<(&str, P)>) -> Result<()> {
        (**self).restore(step, moments)
    }

    fn description(&self) -> serde_json::Value {
        (**self).description()
    }
}

/// An optimizer's state.
///
/// Each moment is a tree like the parameters. With its name as the visitor's prefix, all arrays have unique names (`exp_avg.albert.pooler.weight`).
#[derive(Debug)]
pub struct OptimizerState<'a, P> {
    /// Updates so far.
    pub step: u64,
    /// Running means of gradients and of their squares, by name.
    pub moments: Vec<(&'static str, &'a P)>,
}
