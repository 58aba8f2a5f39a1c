//! Classifiers of pooled outputs, after the last layer and after earlier ones: how their losses add
//! up.

use ndarray::Array2;
use serde::Serialize;

use super::LossTerm;
use super::backbone::BackboneStates;
use super::heads::HeadPass;
use super::objective::Objective;
use crate::error::{Error, Result};
use crate::nn::Linear;

/// How the losses of a model's exits are combined.
///
/// Lⱼ is the loss of the classifier after layer j, with the labels of all, for j in the
/// configuration's [`exit_layers`](crate::ConfigFields::exit_layers). Without exits, either is the
/// loss after the last layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExitLoss {
    /// Σ j·Lⱼ / Σ j, the weighting of PABEE, in which later exits count more. See section 3 of ["BERT Loses Patience"](https://arxiv.org/abs/2006.04152) (Zhou et al.,
    /// 2020).
    #[default]
    ByLayer,
    /// The plain mean of all Lⱼ.
    Mean,
}

/// Self-distillation: earlier exits learn from the probabilities of the last one, in addition to the labels.
///
/// To the loss of each earlier exit, `weight`·T²·KL(p ‖ q) is added, where p and q are the probabilities of the last and of this exit, both from logits divided by the temperature T, averaged over the labels that count. For multi-label models, it is the mean of the labels' divergences. The last exit receives no gradient from it.
/// T² keeps the gradients' scale the same at any temperature, as in ["Distilling the Knowledge in a
/// Neural Network"](https://arxiv.org/abs/1503.02531) (Hinton et al., 2015).
///
/// A regression has no probabilities, so its loss returns an error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distillation {
    /// Its weight relative to the labels; at least 0.
    pub weight: f64,
    /// T, greater than 0: the higher, the more uniform the probabilities.
    pub temperature: f64,
}

impl Distillation {
    /// # Errors
    /// [`Error::Input`] if weight or temperature are out of range.
    pub(super) fn check(self) -> Result<()> {
        let Self { weight, temperature } = self;
        if !(weight.is_finite() && weight >= 0.0) {
            let expected = "a finite number, 0 or more";
            return Err(Error::input("weight of distillation", expected, weight.to_string()));
        }
        if !(temperature.is_finite() && temperature > 0.0) {
            let expected = "a finite number above 0";
            let found = temperature.to_string();
            return Err(Error::input("temperature of distillation", expected, found));
        }
        Ok(())
    }
}

impl ExitLoss {
    /// The share of each exit, by the layers that they follow.
    fn shares(self, layers: &[usize]) -> Vec<f64> {
        let weight = |&layer: &usize| match self {
            Self::ByLayer => layer as f64,
            Self::Mean => 1.0,
        };
        let total: f64 = layers.iter().map(weight).sum();
        layers.iter().map(|layer| weight(layer) / total).collect()
    }
}

/// Where the gradients go of the classifier after the last layer, of those of the exits before it,
/// and of what they read.
pub(super) type ClassifierGradients<'g> =
    (&'g mut Linear, &'g mut [Linear], &'g mut BackboneStates);

/// The classifier after the last layer, and those of the exits before it, against one objective.
/// What was right is counted after the last layer.
///
/// # Errors
/// Those of the loss, and if there is no pooler.
pub(super) fn pooled_classifiers(
    pass: &HeadPass<'_>,
    name: &'static str,
    (last, exits): (&Linear, &[Linear]),
    gradients: Option<ClassifierGradients<'_>>,
    objective: &Objective<'_>,
) -> Result<LossTerm> {
    let rate = pass.config.classifier_dropout_prob;
    let layers = &pass.config.exit_layers[..];
    let of_exits = exits.iter().zip(&pass.states.exits).zip(layers);
    let of_exits = of_exits.map(|((linear, pooled), &layer)| {
        (linear, pass.classify(linear, pooled.view(), pass.dropout(rate, Some(layer))))
    });
    let mut classified: Vec<_> = of_exits.collect();
    classified.push((last, pass.classify(last, pass.pooled()?, pass.dropout(rate, None))));
    let mut logits = Vec::new();
    for (_, classified) in &mut classified {
        logits.push(in_rows(std::mem::take(&mut classified.logits), objective.columns())?);
    }
    let shares = match exits {
        [] => vec![1.0],
        _ => pass.options.exit_loss.shares(layers),
    };
    let term = weighted_term(pass, name, &mut logits, &shares, objective)?;
    let Some((d_last, d_exits, states)) = gradients else { return Ok(term) };
    let to = d_exits.iter_mut().zip(&mut states.exits).chain(
        // A model whose head reads the pooled output has one.
        states.pooled.as_mut().map(|pooled| (d_last, pooled)),
    );
    for (((linear, classified), logits), (gradient, d_pooled)) in
        classified.iter_mut().zip(logits).zip(to)
    {
        classified.logits = in_rows(logits, linear.weight.nrows())?;
        *d_pooled += &pass.classify_backward(linear, classified, gradient);
    }
    Ok(term)
}

/// What the losses of all exits' logits add up to; they become its gradients.
fn weighted_term(
    pass: &HeadPass<'_>,
    name: &'static str,
    logits: &mut [Array2<f32>],
    shares: &[f64],
    objective: &Objective<'_>,
) -> Result<LossTerm> {
    let Some((last, early)) = logits.split_last_mut() else {
        return Err(Error::input("classifiers", "at least one", "none"));
    };
    let distillation = pass.options.distillation.filter(|_| !early.is_empty());
    let distillation = distillation.map(|how| (how, last.clone()));
    let mut loss = 0.0;
    for (logits, share) in early.iter_mut().zip(shares) {
        let scale = pass.scale * *share as f32;
        let student = distillation.is_some().then(|| logits.clone());
        let mut of_exit = objective.term(pass.isa, name, logits, scale)?.loss;
        if let (Some((how, teacher)), Some(student)) = (&distillation, &student) {
            of_exit += objective.distil(*how, (student, teacher), scale, logits)?;
        }
        loss += share * of_exit;
    }
    let share = shares.last().copied().unwrap_or(1.0);
    let mut term = objective.term(pass.isa, name, last, pass.scale * share as f32)?;
    term.loss = loss + share * term.loss;
    Ok(term)
}

/// The same logits in rows of another length.
fn in_rows(logits: Array2<f32>, columns: usize) -> Result<Array2<f32>> {
    let shape = (logits.len() / columns.max(1), columns);
    logits
        .into_shape_with_order(shape)
        .map_err(|error| Error::input("logits", format!("{shape:?}"), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_layers_or_equal_and_add_up_to_one() {
        assert_eq!(ExitLoss::ByLayer.shares(&[1, 2, 3, 4]), [0.1, 0.2, 0.3, 0.4]);
        assert_eq!(ExitLoss::ByLayer.shares(&[2, 6]), [0.25, 0.75]);
        assert_eq!(ExitLoss::Mean.shares(&[1, 2, 3, 4]), [0.25; 4]);
        for way in [ExitLoss::ByLayer, ExitLoss::Mean] {
            assert_eq!(way.shares(&[12]), [1.0]);
        }
    }

    #[test]
    fn distillation_without_a_meaning_is_refused() {
        let check = |weight, temperature| Distillation { weight, temperature }.check();
        assert!(check(0.0, 1e-3).is_ok() && check(2.5, 4.0).is_ok());
        for (weight, temperature, named) in [
            (-0.1, 1.0, "weight"),
            (f64::NAN, 1.0, "weight"),
            (f64::INFINITY, 1.0, "weight"),
            (1.0, 0.0, "temperature"),
            (1.0, -2.0, "temperature"),
            (1.0, f64::NAN, "temperature"),
        ] {
            let error = check(weight, temperature).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
