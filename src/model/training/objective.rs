//! The loss for the logits of a sequence classifier.

use ndarray::{Array2, ArrayView2, CowArray, Ix2};

use super::loss::{
    binary_cross_entropy_term, binary_divergence, cross_entropy, divergence,
    soft_cross_entropy_term, squared_error_term,
};
use super::{Distillation, LossTerm, Targets};
use crate::config::ProblemType;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::model::heads::{Comparison, comparison};
use crate::nn::loss::IGNORE_INDEX;

/// The targets of logits.
pub(super) struct Objective<'a> {
    /// How many logits are compared with each other: classes, or a prompt's choices.
    columns: usize,
    against: Against<'a>,
}

enum Against<'a> {
    Classes(&'a [i64]),
    Distributions(ArrayView2<'a, f32>),
    Numbers(CowArray<'a, f32, Ix2>),
    Labels(ArrayView2<'a, f32>),
}

impl<'a> Objective<'a> {
    /// Of classes, one for each row of that many logits.
    pub(super) fn classes(labels: &'a [i64], columns: usize) -> Self {
        Self { columns, against: Against::Classes(labels) }
    }

    /// For a classifier of sequences, of any kind of problem.
    ///
    /// # Errors
    /// [`Error::Input`] if the labels are not of the kind that the problem needs.
    pub(super) fn of_problem(
        problem_type: Option<ProblemType>,
        outputs: usize,
        targets: &'a Targets,
    ) -> Result<Self> {
        let against = match comparison(problem_type, outputs, targets.as_labels())? {
            Comparison::CrossEntropy(classes) => Against::Classes(classes),
            Comparison::SquaredError(values) => Against::Numbers(values),
            Comparison::BinaryCrossEntropy(values) => Against::Labels(values),
        };
        Ok(Self { columns: outputs, against })
    }

    /// Of choices: a logit for each of `sequences`, and targets of as many prompts as these belong
    /// to.
    ///
    /// # Errors
    /// [`Error::Input`] if the sequences cannot be shared out to the prompts.
    pub(super) fn of_choices(sequences: usize, targets: &'a Targets) -> Result<Self> {
        let (prompts, against) = match targets {
            Targets::Classes(classes) => (classes.len(), Against::Classes(classes)),
            Targets::Values(values) => (values.nrows(), Against::Distributions(values.view())),
        };
        if prompts == 0 || !sequences.is_multiple_of(prompts) {
            let expected = format!("a number that divides the {sequences} sequences");
            return Err(Error::input("number of labels", expected, prompts.to_string()));
        }
        Ok(Self { columns: sequences / prompts, against })
    }

    /// How many logits are compared with each other.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The loss of logits, which become `scale` times its gradient.
    ///
    /// # Errors
    /// That of the loss.
    pub(super) fn term(
        &self,
        isa: Isa,
        name: &'static str,
        logits: &mut Array2<f32>,
        scale: f32,
    ) -> Result<LossTerm> {
        match &self.against {
            Against::Classes(classes) => cross_entropy(isa, name, logits, classes, scale),
            Against::Distributions(values) => {
                soft_cross_entropy_term(name, logits, values.view(), scale)
            }
            Against::Numbers(values) => squared_error_term(name, logits, values.view(), scale),
            Against::Labels(values) => {
                binary_cross_entropy_term(name, logits, values.view(), scale)
            }
        }
    }

    /// How far `student` is from `teacher`, a mean over what counts; `scale` times its gradient is
    /// added to `d`.
    ///
    /// # Errors
    /// [`Error::Input`] in a regression, where there is no distribution.
    pub(super) fn distil(
        &self,
        distillation: Distillation,
        (student, teacher): (&Array2<f32>, &Array2<f32>),
        scale: f32,
        d: &mut Array2<f32>,
    ) -> Result<f64> {
        let Distillation { weight, temperature } = distillation;
        let scale = weight * f64::from(scale);
        let logits = (student, teacher);
        let all = || (0..student.nrows()).collect::<Vec<_>>();
        let loss = match &self.against {
            Against::Classes(classes) => {
                let counted = all().into_iter().filter(|&i| classes[i] != IGNORE_INDEX);
                divergence(logits, &counted.collect::<Vec<_>>(), temperature, scale, d)
            }
            Against::Distributions(_) => divergence(logits, &all(), temperature, scale, d),
            Against::Labels(_) => binary_divergence(logits, temperature, scale, d),
            Against::Numbers(_) => {
                let expected = "classes, labels or choices, which have probabilities";
                return Err(Error::input("distillation", expected, "a regression"));
            }
        };
        Ok(weight * loss)
    }
}
