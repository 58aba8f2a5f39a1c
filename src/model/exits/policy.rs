//! Policies, which decide where an input leaves.

use std::fmt;
use std::sync::Arc;

use ndarray::ArrayView1;

use super::{Agreement, Confidence, Patience};
use crate::config::ProblemType;
use crate::error::{Error, Result};
use crate::nn::softmax;

/// Decides after each exit whether an input leaves the model there.
///
/// Implemented by [`Patience`], [`Confidence`] and [`Agreement`]. A custom policy uses the predictions of an input so far:
///
/// ```
/// use ndalbert::exits::{ExitPolicy, Predictions};
///
/// /// Leaves as soon as the best class is ahead of the next best by a margin.
/// #[derive(Debug)]
/// struct Margin(f32);
///
/// impl ExitPolicy for Margin {
///     fn leaves(&self, predictions: &Predictions<'_>) -> bool {
///         let mut logits = predictions.newest().to_vec();
///         logits.sort_by(|a, b| b.total_cmp(a));
///         logits.len() > 1 && logits[0] - logits[1] > self.0
///     }
/// }
/// ```
///
/// A decision must depend on the predictions only, so that an input leaves at the same layer in any batch.
pub trait ExitPolicy: fmt::Debug + Send + Sync {
    /// Whether the input leaves after its newest prediction. Not called after the last layer.
    fn leaves(&self, predictions: &Predictions<'_>) -> bool;

    /// Whether the input could leave at the next exit for some prediction there, given the predictions so far (none before the first exit).
    ///
    /// If enough inputs of a group could leave, their first tokens are computed before the rest, which inputs that leave then save. This is a hint: a wrong answer costs time, but does not change results.
    fn may_leave_next(&self, _predictions: Option<&Predictions<'_>>) -> bool {
        true
    }

    /// Whether the policy applies to such predictions.
    ///
    /// # Errors
    /// [`Error::Input`] that names the missing requirement.
    fn check(&self, _problem: ProblemType) -> Result<()> {
        Ok(())
    }
}

impl<P: ExitPolicy + ?Sized> ExitPolicy for Arc<P> {
    fn leaves(&self, predictions: &Predictions<'_>) -> bool {
        (**self).leaves(predictions)
    }

    fn may_leave_next(&self, predictions: Option<&Predictions<'_>>) -> bool {
        (**self).may_leave_next(predictions)
    }

    fn check(&self, problem: ProblemType) -> Result<()> {
        (**self).check(problem)
    }
}

/// Parses a policy: `patience=3`, `confidence=0.9`, `entropy=0.2`, `agreement=1.5`, or
/// for regressions `patience=3,tolerance=0.1`.
///
/// ```
/// let policy = ndalbert::exits::parse("patience=3")?;
/// assert_eq!(format!("{policy:?}"), "Patience { exits: 3, tolerance: None }");
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] for any other text.
pub fn parse(text: &str) -> Result<Arc<dyn ExitPolicy>> {
    let wrong = || {
        let expected = "patience=N, patience=N,tolerance=X, confidence=P, entropy=X or agreement=X";
        Error::input("exit policy", expected, format!("{text:?}"))
    };
    let (first, rest) = text.split_once(',').map_or((text, None), |(a, b)| (a, Some(b)));
    let (name, value) = first.split_once('=').ok_or_else(wrong)?;
    let number = |value: &str| value.parse::<f32>().map_err(|_| wrong());
    if name == "patience" {
        let mut policy = Patience::new(value.parse().map_err(|_| wrong())?);
        if let Some(rest) = rest {
            policy = policy.tolerance(number(rest.strip_prefix("tolerance=").ok_or_else(wrong)?)?);
        }
        return Ok(Arc::new(policy));
    }
    match (name, rest) {
        ("confidence", None) => Ok(Arc::new(Confidence::new(number(value)?))),
        ("entropy", None) => Ok(Arc::new(Confidence::entropy(number(value)?))),
        ("agreement", None) => Ok(Arc::new(Agreement::new(number(value)?))),
        _ => Err(wrong()),
    }
}

/// The predictions of an input's exits so far; at least one.
#[derive(Clone, Copy, Debug)]
pub struct Predictions<'a> {
    pub(super) problem: ProblemType,
    /// One after the other, `width` values each.
    pub(super) logits: &'a [f32],
    pub(super) width: usize,
    pub(super) exit_layers: &'a [usize],
    pub(super) input: usize,
}

impl<'a> Predictions<'a> {
    /// What the logits are: of one class among several (of a choice among several), of labels of
    /// which any number applies, or numbers.
    pub fn problem(&self) -> ProblemType {
        self.problem
    }

    /// The number of predictions: one for each exit that the input has passed.
    pub fn count(&self) -> usize {
        self.logits.len() / self.width
    }

    /// The logits of an exit, counted from 0: of C classes, or of N choices.
    ///
    /// # Panics
    /// If the input has not passed it.
    pub fn logits(&self, exit: usize) -> ArrayView1<'a, f32> {
        ArrayView1::from(&self.logits[exit * self.width..][..self.width])
    }

    /// The logits of the last exit that was passed.
    pub fn newest(&self) -> ArrayView1<'a, f32> {
        self.logits(self.count() - 1)
    }

    /// The layer, counted from 1, that an exit follows.
    ///
    /// # Panics
    /// If there is no such exit.
    pub fn layer(&self, exit: usize) -> usize {
        self.exit_layers[exit]
    }

    /// The layers, counted from 1, of all exits.
    pub fn exit_layers(&self) -> &'a [usize] {
        self.exit_layers
    }

    /// The index of the input in its batch, for experiments: a policy that uses it makes results depend on the batch.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Whether two exits predict the same: the same class, the same labels, or numbers that differ
    /// by no more than `tolerance`. NaN agrees with nothing.
    pub fn agree(&self, exit: usize, other: usize, tolerance: f32) -> bool {
        let (one, other) = (self.logits(exit), self.logits(other));
        if one.iter().chain(&other).any(|logit| logit.is_nan()) {
            return false;
        }
        let mut pairs = one.iter().zip(&other);
        match self.problem {
            ProblemType::SingleLabelClassification => greatest(one) == greatest(other),
            ProblemType::MultiLabelClassification => pairs.all(|(a, b)| (*a > 0.0) == (*b > 0.0)),
            ProblemType::Regression => pairs.all(|(a, b)| (a - b).abs() <= tolerance),
        }
    }

    /// The probability of an exit's prediction: of the class, or of the least certain label. NaN for a regression.
    pub fn confidence(&self, exit: usize) -> f32 {
        let logits = self.logits(exit);
        match self.problem {
            ProblemType::SingleLabelClassification => {
                softmax(logits).fold(0.0, |most, p| if p.is_nan() { *p } else { p.max(most) })
            }
            ProblemType::MultiLabelClassification => {
                let certain = |logit: &f32| 1.0 / (1.0 + (-logit.abs()).exp());
                logits.iter().map(certain).fold(1.0, |least: f32, p| {
                    if p.is_nan() || least.is_nan() { f32::NAN } else { least.min(p) }
                })
            }
            ProblemType::Regression => f32::NAN,
        }
    }

    /// The entropy of an exit's prediction in nats: over the classes, or of the least certain label. NaN for a regression.
    pub fn entropy(&self, exit: usize) -> f32 {
        let term = |p: f32| if p > 0.0 { -p * p.ln() } else { 0.0 };
        match self.problem {
            ProblemType::SingleLabelClassification => {
                let probabilities = softmax(self.logits(exit));
                match probabilities.iter().any(|p| p.is_nan()) {
                    true => f32::NAN,
                    false => probabilities.iter().map(|&p| term(p)).sum(),
                }
            }
            ProblemType::MultiLabelClassification => {
                let p = self.confidence(exit);
                if p.is_nan() { p } else { term(p) + term(1.0 - p) }
            }
            ProblemType::Regression => f32::NAN,
        }
    }
}

/// The place of the greatest value; of equal ones, the first.
fn greatest(values: ArrayView1<'_, f32>) -> usize {
    let better = |best: usize, (place, value): (usize, &f32)| {
        if *value > values[best] { place } else { best }
    };
    values.iter().enumerate().fold(0, better)
}

/// An error for policies that need probabilities.
pub(super) fn needs_classes(policy: &str) -> Error {
    let expected = format!("classes, whose probabilities `{policy}` reads");
    Error::input("predictions", expected, "a regression (`patience` with a tolerance fits)")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::model::exits) const LAYERS: [usize; 4] = [1, 2, 3, 4];

    pub(in crate::model::exits) fn predictions(
        problem: ProblemType,
        width: usize,
        logits: &[f32],
    ) -> Predictions<'_> {
        Predictions { problem, logits, width, exit_layers: &LAYERS, input: 0 }
    }

    #[test]
    fn predictions_agree_on_classes_labels_or_numbers() {
        let logits = [1.0, 2.0, 0.5, 3.0, -1.0, 2.0];
        let of = |problem| predictions(problem, 2, &logits);
        let single = of(ProblemType::SingleLabelClassification);
        assert!(single.agree(0, 1, 0.0) && single.agree(1, 2, 0.0));
        let several = of(ProblemType::MultiLabelClassification);
        assert!(several.agree(0, 1, 0.0) && !several.agree(1, 2, 0.0));
        let numbers = of(ProblemType::Regression);
        assert!(numbers.agree(0, 1, 1.0) && !numbers.agree(0, 1, 0.9));
        let unknown = [f32::NAN, 0.0, f32::NAN, 0.0];
        for problem in [ProblemType::SingleLabelClassification, ProblemType::Regression] {
            assert!(!predictions(problem, 2, &unknown).agree(0, 1, 10.0));
        }
    }

    #[test]
    fn confidence_and_entropy_are_those_of_the_probabilities() {
        let logits = [0.0, 3.0_f32.ln()];
        let single = predictions(ProblemType::SingleLabelClassification, 2, &logits);
        assert!((single.confidence(0) - 0.75).abs() < 1e-6);
        let entropy = -(0.75 * 0.75_f32.ln() + 0.25 * 0.25_f32.ln());
        assert!((single.entropy(0) - entropy).abs() < 1e-6);
        let logits = [5.0, -(3.0_f32.ln())];
        let several = predictions(ProblemType::MultiLabelClassification, 2, &logits);
        assert!((several.confidence(0) - 0.75).abs() < 1e-6);
        assert!((several.entropy(0) - entropy).abs() < 1e-6);
        let unknown = [f32::NAN, 1.0];
        for problem in
            [ProblemType::SingleLabelClassification, ProblemType::MultiLabelClassification]
        {
            let unknown = predictions(problem, 2, &unknown);
            assert!(unknown.confidence(0).is_nan() && unknown.entropy(0).is_nan(), "{problem:?}");
        }
    }

    #[test]
    fn policies_are_named() {
        for (text, policy) in [
            ("patience=3", "Patience { exits: 3, tolerance: None }"),
            ("patience=2,tolerance=0.5", "Patience { exits: 2, tolerance: Some(0.5) }"),
            ("confidence=0.9", "Confidence { least: 0.9 }"),
            ("entropy=0.25", "Entropy { most: 0.25 }"),
            ("agreement=1.5", "Agreement { least: 1.5, weights: None }"),
        ] {
            assert_eq!(format!("{:?}", parse(text).unwrap()), policy);
        }
        for text in
            ["", "patience", "patience=-1", "patience=3,x=1", "entropy=1,tolerance=1", "x=1"]
        {
            assert!(parse(text).unwrap_err().to_string().contains("patience=N"), "{text}");
        }
    }
}
