//! What Adam's descendants have in common: options, moments, and how these change.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::groups::{ParameterGroup, Treatment, treatments};
use super::{Optimizer, OptimizerState};
use crate::error::{Error, Result};
use crate::model::check_shapes;
use crate::nn::Parameters;
use crate::train::check::check_not_negative;
use crate::train::values::{CHUNK, ValuesMut, values, views, views_mut};

/// The constants of Adam and its descendants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamOptions {
    /// The decay rate of the mean of gradients.
    pub beta1: f64,
    /// The decay rate of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean of squares, outside the root and after the bias correction, if
    /// there is one.
    pub eps: f64,
    /// The weight decay: each step subtracts `learning_rate · weight_decay` times the weight.
    pub weight_decay: f64,
    /// Parameters with different settings.
    pub groups: Vec<ParameterGroup>,
}

impl AdamOptions {
    /// PyTorch's constants: β 0.9 and 0.999, ε 1e-8, weight decay 0.01. LayerNorms and biases do
    /// not decay, as is customary (for example, in transformers' `Trainer`).
    pub fn torch() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            groups: vec![ParameterGroup::without_decay()],
        }
    }

    /// google-research/albert's constants: as [`torch`](Self::torch), but ε 1e-6; and LayerNorms
    /// and biases also have no trust ratio.
    pub fn google() -> Self {
        Self { eps: 1e-6, ..Self::torch() }
    }

    fn validate(&self) -> Result<()> {
        for (what, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::input(what, "a number from 0 to below 1", beta.to_string()));
            }
        }
        // Where a gradient has always been 0, this is all that is divided by.
        if !(self.eps as f32).is_normal() || self.eps < 0.0 {
            let found = self.eps.to_string();
            return Err(Error::input("eps", "a normal number above 0 in single precision", found));
        }
        check_not_negative("weight decay", self.weight_decay)
    }
}

/// What one descendant of Adam does that others do otherwise.
pub trait Descendant: 'static {
    /// Its name.
    const NAME: &'static str;

    /// The names of its two moments, as its origin has them.
    const MOMENTS: [&'static str; 2];

    /// The rule of a step, which are counted from 1.
    fn rule(options: &AdamOptions, step: u64) -> Rule;

    /// Changes moments and weights.
    fn apply(rule: &Rule, chunks: Vec<Chunk<'_>>);
}

/// An optimizer with two moments: [`AdamW`](super::AdamW),
/// [`AdamWeightDecay`](super::AdamWeightDecay) or [`Lamb`](super::Lamb), which is what `D` says.
pub struct Adam<P, D> {
    options: AdamOptions,
    /// One for each array of the tree.
    treatments: Vec<Treatment>,
    step: u64,
    moments: [P; 2],
    descendant: PhantomData<fn() -> D>,
}

impl<P: Parameters, D: Descendant> Adam<P, D> {
    /// An optimizer of trees like those that `zeros` makes. The options are [`AdamOptions::torch`]
    /// for [`AdamW`](super::AdamW), [`AdamOptions::google`] for the others, or others.
    ///
    /// # Errors
    /// [`Error::Input`] if an option has a value that makes no sense, or a group matches no
    /// parameter.
    pub fn new(options: AdamOptions, zeros: impl Fn() -> P) -> Result<Self> {
        options.validate()?;
        let mut moments = [zeros(), zeros()];
        for moment in &mut moments {
            moment.visit_mut("", &mut |_, mut values| values.fill(0.0));
        }
        let mut parameters = Vec::new();
        moments[0].visit("", &mut |name, _| parameters.push(name.to_owned()));
        let treatments = treatments(&options.groups, options.weight_decay, &parameters)?;
        Ok(Self { options, treatments, step: 0, moments, descendant: PhantomData })
    }

    fn tensors<'a>(&'a mut self, parameters: &'a mut P, gradients: &'a P) -> Vec<Tensor<'a>> {
        let [mean, square] = &mut self.moments;
        let moments = views_mut(mean).into_iter().zip(views_mut(square));
        let arrays = views_mut(parameters).into_iter().zip(views(gradients)).zip(moments);
        let treated = arrays.zip(&self.treatments).filter(|(_, treatment)| !treatment.frozen);
        treated
            .map(|(((weights, gradients), (mean, square)), &treatment)| Tensor {
                treatment,
                weights: ValuesMut::new(weights),
                gradients: values(gradients),
                mean: ValuesMut::new(mean),
                square: ValuesMut::new(square),
            })
            .collect()
    }
}

impl<P: Parameters + Send, D: Descendant> Optimizer<P> for Adam<P, D> {
    fn update(&mut self, parameters: &mut P, gradients: &P, learning_rate: f64) -> Result<()> {
        check_not_negative("learning rate", learning_rate)?;
        check_like("parameters", parameters, &self.moments[0])?;
        check_like("gradients", gradients, &self.moments[0])?;
        self.step += 1;
        let rule = D::rule(&self.options, self.step);
        let mut tensors = self.tensors(parameters, gradients);
        let chunks = tensors.iter_mut().enumerate();
        D::apply(&rule, chunks.flat_map(|(i, tensor)| tensor.chunks(i, learning_rate)).collect());
        tensors.into_iter().for_each(Tensor::store);
        Ok(())
    }

    fn clear_frozen(&self, gradients: &mut P) {
        let arrays = views_mut(gradients).into_iter().zip(&self.treatments);
        let frozen = arrays.filter(|(_, treatment)| treatment.frozen);
        frozen.for_each(|(mut values, _)| values.fill(0.0));
    }

    fn state(&self) -> OptimizerState<'_, P> {
        let moments = D::MOMENTS.into_iter().zip(&self.moments).collect();
        OptimizerState { step: self.step, moments }
    }

    fn restore(&mut self, step: u64, moments: Vec<(&str, P)>) -> Result<()> {
        let found: Vec<&str> = moments.iter().map(|(name, _)| *name).collect();
        if found != D::MOMENTS {
            let (expected, found) = (format!("{:?}", D::MOMENTS), format!("{found:?}"));
            return Err(Error::input("moments", expected, found));
        }
        let lowest = [f32::MIN, 0.0];
        for (((name, moment), own), lowest) in moments.iter().zip(&self.moments).zip(lowest) {
            check_like(name, moment, own)?;
            check_values(name, moment, lowest)?;
        }
        for ((_, moment), own) in moments.into_iter().zip(&mut self.moments) {
            *own = moment;
        }
        self.step = step;
        Ok(())
    }

    fn description(&self) -> Value {
        json!({ (D::NAME): self.options })
    }
}

/// Checks that a tree has names and shapes of another.
fn check_like(what: &str, found: &impl Parameters, expected: &impl Parameters) -> Result<()> {
    check_shapes(found, expected).map_err(|error| match error {
        Error::Input { what: place, expected, found } => {
            Error::input(format!("{what}: {place}"), expected, found)
        }
        other => other,
    })
}

/// Checks that all values of a moment are finite and none is below the lowest that it may have.
fn check_values(what: &str, moment: &impl Parameters, lowest: f32) -> Result<()> {
    let mut wrong = None;
    moment.visit("", &mut |name, values| {
        let found = values.iter().find(|value| !(value.is_finite() && **value >= lowest));
        wrong = wrong.take().or_else(|| found.map(|value| (name.to_owned(), *value)));
    });
    let Some((name, value)) = wrong else { return Ok(()) };
    let expected = format!("finite numbers of at least {lowest:e}");
    Err(Error::input(format!("{what}: parameter `{name}`"), expected, value.to_string()))
}

/// One array of each tree.
struct Tensor<'a> {
    treatment: Treatment,
    weights: ValuesMut<'a>,
    gradients: Cow<'a, [f32]>,
    mean: ValuesMut<'a>,
    square: ValuesMut<'a>,
}

impl Tensor<'_> {
    fn chunks(&mut self, tensor: usize, learning_rate: f64) -> impl Iterator<Item = Chunk<'_>> {
        let Treatment { learning_rate_factor, weight_decay, trust_ratio, .. } = self.treatment;
        let weights = self.weights.slice().chunks_mut(CHUNK).zip(self.gradients.chunks(CHUNK));
        let (mean, square) = (self.mean.slice(), self.square.slice());
        let moments = mean.chunks_mut(CHUNK).zip(square.chunks_mut(CHUNK));
        weights.zip(moments).map(move |((weights, gradients), (mean, square))| Chunk {
            tensor,
            learning_rate: learning_rate * learning_rate_factor,
            weight_decay: weight_decay as f32,
            trust_ratio,
            weights,
            gradients,
            mean,
            square,
        })
    }

    fn store(self) {
        self.weights.store();
        self.mean.store();
        self.square.store();
    }
}

/// A piece of one parameter, of which one thread does all.
pub struct Chunk<'a> {
    /// Which parameter it is of.
    pub(super) tensor: usize,
    pub(super) learning_rate: f64,
    pub(super) weight_decay: f32,
    pub(super) trust_ratio: bool,
    pub(super) weights: &'a mut [f32],
    gradients: &'a [f32],
    mean: &'a mut [f32],
    square: &'a mut [f32],
}

/// How moments change, and what update follows from them.
pub struct Rule {
    /// What is kept of each moment, and what is added of the new.
    mean: [f32; 2],
    square: [f32; 2],
    /// What bias correction multiplies the mean, and the root of the squares, by.
    mean_correction: f32,
    root_correction: f32,
    eps: f32,
}

impl Rule {
    /// With bias correction: moments start at 0, and so lack what a mean over more steps would
    /// have.
    pub(super) fn corrected(options: &AdamOptions, step: u64) -> Self {
        let share = |beta: f64| 1.0 - beta.powf(step as f64);
        Self {
            mean_correction: (1.0 / share(options.beta1)) as f32,
            root_correction: (1.0 / share(options.beta2).sqrt()) as f32,
            ..Self::uncorrected(options)
        }
    }

    /// Without bias correction, and so the same for every step.
    pub(super) fn uncorrected(options: &AdamOptions) -> Self {
        let &AdamOptions { beta1, beta2, eps, .. } = options;
        Self {
            mean: [beta1 as f32, (1.0 - beta1) as f32],
            square: [beta2 as f32, (1.0 - beta2) as f32],
            mean_correction: 1.0,
            root_correction: 1.0,
            eps: eps as f32,
        }
    }

    /// Brings the moments up to date.
    #[inline(always)]
    fn accumulate(&self, gradient: f32, mean: &mut f32, square: &mut f32) {
        *mean = self.mean[0] * *mean + self.mean[1] * gradient;
        *square = self.square[0] * *square + self.square[1] * (gradient * gradient);
    }

    /// The update that is subtracted from a weight, before multiplication by the learning rate.
    #[inline(always)]
    fn direction(&self, weight_decay: f32, weight: f32, mean: f32, square: f32) -> f32 {
        let root = square.sqrt() * self.root_correction;
        mean * self.mean_correction / (root + self.eps) + weight_decay * weight
    }
}

impl Chunk<'_> {
    /// Changes moments and weights.
    pub(super) fn update(&mut self, rule: &Rule) {
        let (rate, decay) = (self.learning_rate as f32, self.weight_decay);
        let Self { weights, gradients, mean, square, .. } = self;
        let moments = mean.iter_mut().zip(square.iter_mut());
        for ((weight, &gradient), (mean, square)) in weights.iter_mut().zip(*gradients).zip(moments)
        {
            rule.accumulate(gradient, mean, square);
            *weight -= rate * rule.direction(decay, *weight, *mean, *square);
        }
    }

    /// Changes the moments, and no more.
    pub(super) fn update_moments(&mut self, rule: &Rule) {
        let moments = self.mean.iter_mut().zip(self.square.iter_mut());
        for (&gradient, (mean, square)) in self.gradients.iter().zip(moments) {
            rule.accumulate(gradient, mean, square);
        }
    }

    /// Writes the updates of the weights from `start` on into `directions`, as many as fit.
    pub(super) fn directions(&self, rule: &Rule, start: usize, directions: &mut [f32]) {
        let range = start..start + directions.len();
        let moments = self.mean[range.clone()].iter().zip(&self.square[range.clone()]);
        let values = self.weights[range].iter().zip(moments);
        for (direction, (&weight, (&mean, &square))) in directions.iter_mut().zip(values) {
            *direction = rule.direction(self.weight_decay, weight, mean, square);
        }
    }

    /// Changes the weights by moments that are up to date, at a multiple of the learning rate.
    pub(super) fn update_weights(&mut self, rule: &Rule, ratio: f64) {
        let (rate, decay) = ((self.learning_rate * ratio) as f32, self.weight_decay);
        let moments = self.mean.iter().zip(self.square.iter());
        for (weight, (&mean, &square)) in self.weights.iter_mut().zip(moments) {
            *weight -= rate * rule.direction(decay, *weight, mean, square);
        }
    }
}
