//! Losses that become gradients of logits.

use ndarray::{Array2, ArrayView2, Zip};

use super::LossTerm;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::cross_entropy::cross_entropy_backward;
use crate::nn::loss::{
    IGNORE_INDEX, binary_cross_entropy_with_logits, check_shapes, mean_squared_error,
    soft_cross_entropy,
};
use crate::nn::{contiguous_mut, softmax};

/// Which of some labels count, and their classes.
///
/// # Errors
/// [`Error::Input`] if there are not as many labels as there are rows, one is no class, or none
/// counts.
fn counted(labels: &[i64], rows: usize, classes: usize) -> Result<(Vec<usize>, Vec<usize>)> {
    if labels.len() != rows {
        return Err(Error::input("labels", rows.to_string(), labels.len().to_string()));
    }
    let (mut indices, mut counted) = (Vec::new(), Vec::new());
    for (i, &label) in labels.iter().enumerate().filter(|(_, label)| **label != IGNORE_INDEX) {
        let class = usize::try_from(label).ok().filter(|&class| class < classes);
        let Some(class) = class else {
            let expected = format!("a class below {classes} or {IGNORE_INDEX}");
            return Err(Error::input(format!("labels[{i}]"), expected, label.to_string()));
        };
        indices.push(i);
        counted.push(class);
    }
    if counted.is_empty() {
        let expected = format!("at least one label that is not {IGNORE_INDEX}");
        return Err(Error::input("labels", expected, "none"));
    }
    Ok((indices, counted))
}

/// Checks labels against logits `[N, C]`, before anything is computed with them.
///
/// # Errors
/// As [`cross_entropy`].
pub(super) fn check_classes(labels: &[i64], rows: usize, classes: usize) -> Result<()> {
    counted(labels, rows, classes).map(drop)
}

/// Mean cross-entropy of `logits` `[N, C]` against classes `[N]`, which become `scale` times its
/// gradient. −100 does not count.
///
/// # Errors
/// [`Error::Input`] if the lengths differ, a label is no class, or none counts.
pub(super) fn cross_entropy(
    isa: Isa,
    name: &'static str,
    logits: &mut Array2<f32>,
    labels: &[i64],
    scale: f32,
) -> Result<LossTerm> {
    let (rows, classes) = counted(labels, logits.nrows(), logits.ncols())?;
    let count = rows.len();
    let scale = scale / count as f32;
    let results = if count == logits.nrows() {
        cross_entropy_backward(isa, contiguous_mut(logits), &classes, scale)
    } else {
        let mut chosen = logits.select(ndarray::Axis(0), &rows);
        let results = cross_entropy_backward(isa, contiguous_mut(&mut chosen), &classes, scale);
        logits.fill(0.0);
        rows.iter().zip(chosen.outer_iter()).for_each(|(&i, row)| logits.row_mut(i).assign(&row));
        results
    };
    let loss = results.iter().map(|row| row.loss).sum::<f64>() / count as f64;
    let correct = results.iter().filter(|row| row.correct).count();
    Ok(LossTerm { name, loss, correct, count, has_classes: true })
}

/// Mean of −Σ target·log softmax(logits), and its gradient, as [`cross_entropy`].
pub(super) fn soft_cross_entropy_term(
    name: &'static str,
    logits: &mut Array2<f32>,
    targets: ArrayView2<'_, f32>,
    scale: f32,
) -> Result<LossTerm> {
    let loss = f64::from(soft_cross_entropy(logits.view(), targets)?);
    let scale = scale / logits.nrows() as f32;
    let probabilities = softmax(logits.view());
    let mut correct = 0;
    for ((mut d, p), target) in
        logits.outer_iter_mut().zip(probabilities.outer_iter()).zip(targets.outer_iter())
    {
        correct += usize::from(largest(d.view()) == largest(target));
        let total = target.sum();
        Zip::from(&mut d).and(p).and(target).for_each(|d, p, t| *d = scale * (p * total - t));
    }
    Ok(LossTerm { name, loss, correct, count: logits.nrows(), has_classes: true })
}

/// Mean squared difference, and its gradient, as [`cross_entropy`].
pub(super) fn squared_error_term(
    name: &'static str,
    outputs: &mut Array2<f32>,
    targets: ArrayView2<'_, f32>,
    scale: f32,
) -> Result<LossTerm> {
    check_shapes(outputs.view(), targets)?;
    let loss = f64::from(mean_squared_error(outputs.view(), targets)?);
    let scale = 2.0 * scale / outputs.len() as f32;
    Zip::from(&mut *outputs).and(targets).for_each(|x, y| *x = scale * (*x - y));
    Ok(LossTerm { name, loss, correct: 0, count: outputs.nrows(), has_classes: false })
}

/// Mean binary cross-entropy, and its gradient, as [`cross_entropy`]; each logit is a prediction.
pub(super) fn binary_cross_entropy_term(
    name: &'static str,
    logits: &mut Array2<f32>,
    targets: ArrayView2<'_, f32>,
    scale: f32,
) -> Result<LossTerm> {
    let loss = f64::from(binary_cross_entropy_with_logits(logits.view(), targets)?);
    let scale = scale / logits.len() as f32;
    let right = |(&x, &y): (&f32, &f32)| (x > 0.0) == (y > 0.5);
    let correct = logits.iter().zip(targets).filter(|&pair| right(pair)).count();
    let count = logits.len();
    Zip::from(logits).and(targets).for_each(|x, y| {
        *x = scale * (1.0 / (1.0 + (-*x).exp()) - y);
    });
    Ok(LossTerm { name, loss, correct, count, has_classes: true })
}

/// Mean over `rows` of T²·KL(softmax(teacher / T) ‖ softmax(student / T)), of logits `[N, C]`;
/// `scale` times its gradient by the student's is added to `d`.
pub(super) fn divergence(
    (student, teacher): (&Array2<f32>, &Array2<f32>),
    rows: &[usize],
    temperature: f64,
    scale: f64,
    d: &mut Array2<f32>,
) -> f64 {
    let mean = 1.0 / rows.len() as f64;
    let mut loss = 0.0;
    for &row in rows {
        let [p, q] = [teacher, student].map(|x| log_probabilities(x.row(row), temperature));
        for (d, (&p, &q)) in d.row_mut(row).iter_mut().zip(p.iter().zip(&q)) {
            loss += p.exp() * (p - q);
            *d += (scale * mean * temperature * (q.exp() - p.exp())) as f32;
        }
    }
    temperature.powi(2) * loss * mean
}

/// As [`divergence`], where each logit is a prediction: the mean over all of them.
pub(super) fn binary_divergence(
    (student, teacher): (&Array2<f32>, &Array2<f32>),
    temperature: f64,
    scale: f64,
    d: &mut Array2<f32>,
) -> f64 {
    // ln σ(x)
    let log_sigmoid = |x: f64| x.min(0.0) - (-x.abs()).exp().ln_1p();
    let mean = 1.0 / student.len() as f64;
    let mut loss = 0.0;
    for (d, (&teacher, &student)) in d.iter_mut().zip(teacher.iter().zip(student)) {
        let [p, q] = [teacher, student].map(|x| f64::from(x) / temperature);
        for sign in [1.0, -1.0] {
            let [p, q] = [p, q].map(|x| log_sigmoid(sign * x));
            loss += p.exp() * (p - q);
        }
        let [p, q] = [p, q].map(|x| log_sigmoid(x).exp());
        *d += (scale * mean * temperature * (q - p)) as f32;
    }
    temperature.powi(2) * loss * mean
}

/// ln softmax(logits / T) of a row.
fn log_probabilities(logits: ndarray::ArrayView1<'_, f32>, temperature: f64) -> Vec<f64> {
    let scaled = logits.iter().map(|&x| f64::from(x) / temperature);
    let largest = scaled.clone().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scaled.clone().map(|x| (x - largest).exp()).sum();
    scaled.map(|x| x - largest - sum.ln()).collect()
}

/// The index of the largest value, the first of equals.
fn largest(row: ndarray::ArrayView1<'_, f32>) -> usize {
    let better = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
    (0..row.len()).fold(0, better)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    type Term<'a> = &'a dyn Fn(&mut Array2<f32>, f32) -> Result<LossTerm>;

    /// Asserts that a term makes of logits `scale` times its slopes.
    fn assert_gradient(what: &str, logits: &Array2<f32>, term: Term<'_>) {
        const STEP: f32 = 1e-2;
        for scale in [1.0, -0.25] {
            let mut found = logits.clone();
            term(&mut found, scale).unwrap();
            for (index, &found) in found.indexed_iter() {
                let at = |step: f32| {
                    let mut moved = logits.clone();
                    moved[index] += step;
                    term(&mut moved, 1.0).unwrap().loss
                };
                let slope = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP) * f64::from(scale);
                let difference = (f64::from(found) - slope).abs();
                assert!(difference < 1e-4, "{what}{index:?}: expected {slope}, found {found}");
            }
        }
    }

    #[test]
    fn gradients_are_slopes() {
        let isa = Isa::current().unwrap();
        let logits = array![[0.3, -1.2, 0.8], [1.5, 0.1, -0.4], [0.0, 0.7, 0.2], [-2.0, 0.5, 1.0]];
        // Rows that do not add up to 1, as PyTorch takes them, too.
        let targets = array![[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.0, 0.25, 0.0]];
        let terms: [(&str, Term<'_>); 5] = [
            ("all", &|x, scale| cross_entropy(isa, "", x, &[2, 0, 1, 1], scale)),
            ("some", &|x, scale| cross_entropy(isa, "", x, &[-100, 0, -100, 1], scale)),
            ("soft", &|x, scale| soft_cross_entropy_term("", x, targets.view(), scale)),
            ("squared", &|x, scale| squared_error_term("", x, targets.view(), scale)),
            ("binary", &|x, scale| binary_cross_entropy_term("", x, targets.view(), scale)),
        ];
        for (what, term) in terms {
            assert_gradient(what, &logits, term);
        }
    }

    #[test]
    fn what_does_not_count_has_neither_loss_nor_gradient() {
        let isa = Isa::current().unwrap();
        let mut logits = array![[f32::NAN, 0.0], [0.0, 0.0], [f32::INFINITY, 0.0]];
        let term = cross_entropy(isa, "loss", &mut logits, &[-100, 1, -100], 2.0).unwrap();
        assert_eq!(logits, array![[0.0, 0.0], [1.0, -1.0], [0.0, 0.0]]);
        assert!((term.loss - 2f64.ln()).abs() < 1e-6);
        assert_eq!((term.correct, term.count), (0, 1), "of equal logits, the first is the guess");
    }

    #[test]
    fn labels_that_do_not_fit_change_nothing() {
        let isa = Isa::current().unwrap();
        for labels in [&[0, 1][..], &[0, 1, 2], &[0, -1, 1], &[-100; 3]] {
            let mut logits = Array2::ones((3, 2));
            assert!(cross_entropy(isa, "", &mut logits, labels, 1.0).is_err(), "{labels:?}");
            assert_eq!(logits, Array2::<f32>::ones((3, 2)));
        }
        for shape in [(2, 2), (3, 1)] {
            let targets = Array2::zeros(shape);
            let mut logits = Array2::ones((3, 2));
            assert!(soft_cross_entropy_term("", &mut logits, targets.view(), 1.0).is_err());
            assert!(squared_error_term("", &mut logits, targets.view(), 1.0).is_err());
            assert!(binary_cross_entropy_term("", &mut logits, targets.view(), 1.0).is_err());
        }
    }

    #[test]
    fn right_guesses_are_counted() {
        let logits = array![[2.0, 1.0], [-1.0, 3.0], [0.5, -0.5]];
        let targets = array![[0.9, 0.1], [0.6, 0.4], [1.0, 0.0]];
        let soft = soft_cross_entropy_term("", &mut logits.clone(), targets.view(), 1.0).unwrap();
        assert_eq!((soft.correct, soft.count), (2, 3));
        let binary = binary_cross_entropy_term("", &mut logits.clone(), targets.view(), 1.0);
        assert_eq!(binary.map(|term| (term.correct, term.count)).unwrap(), (3, 6));
    }
}
