//! How far outputs are from the references.

use std::collections::BTreeMap;
use std::fmt;

use ndarray::{Array, Array2, ArrayD, Dimension};

use super::golden::Run;
use super::heads::Outputs;

/// The largest difference that counts as equal: absolute where outputs are of order 1, relative
/// above that.
pub const TOLERANCE: f32 = 2e-5;

/// One tensor's element that is furthest from the reference, in units in which [`TOLERANCE`] is the
/// limit.
#[derive(Clone, Debug)]
pub struct Difference {
    pub tensor: String,
    place: String,
    found: f32,
    expected: f32,
    /// |found − expected| / max(1, |expected|); infinite for a NaN.
    pub scaled: f32,
    /// The largest |found − expected| of the tensor, not necessarily this element's.
    pub absolute: f32,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, found, expected, scaled, .. } = self;
        write!(f, "{place}: expected {expected}, found {found}: {scaled:e} apart")
    }
}

/// Whether an element is computed here: transformers also computes something for masked positions.
fn is_computed(tensor: &str, index: &[usize], mask: &Array2<i64>) -> bool {
    let masked = |column| mask[[index[0], column]] == 0;
    match (kind(tensor), index.len()) {
        ("last_hidden_state" | "prediction_logits" | "hidden_states", _) => !masked(index[1]),
        ("start_logits" | "end_logits", _) => !masked(index[1]),
        ("logits", 3) => !masked(index[1]),
        ("attentions", _) => !masked(index[2]),
        ("pooler_output" | "sop_logits" | "logits" | "loss", _) => true,
        (other, _) => panic!("unknown tensor {other}"),
    }
}

/// A tensor's name without its number.
fn kind(tensor: &str) -> &str {
    tensor.split('.').next().unwrap_or(tensor)
}

/// For every tensor of the reference, the largest difference.
pub fn differences(run: &Run, outputs: &Outputs) -> Vec<Difference> {
    let mask = run.mask();
    run.expected().map(|(name, expected)| difference(run, name, expected, outputs, &mask)).collect()
}

fn difference(
    run: &Run,
    name: &str,
    expected: &ArrayD<f32>,
    outputs: &Outputs,
    mask: &Array2<i64>,
) -> Difference {
    let place = format!("{}/{} {name}", run.case, run.name);
    let found = outputs.get(name).unwrap_or_else(|| panic!("{place} was not computed"));
    assert_eq!(found.shape(), expected.shape(), "shape of {place}");
    let mut worst = Difference {
        tensor: kind(name).to_owned(),
        place: place.clone(),
        found: 0.0,
        expected: 0.0,
        scaled: 0.0,
        absolute: 0.0,
    };
    for (index, &expected) in expected.indexed_iter() {
        let index = index.slice();
        if !is_computed(name, index, mask) {
            continue;
        }
        let found = found[index];
        let distance = (found - expected).abs();
        let distance = if distance.is_nan() { f32::INFINITY } else { distance };
        let scaled = distance / expected.abs().max(1.0);
        worst.absolute = worst.absolute.max(distance);
        if scaled > worst.scaled {
            let place = format!("{place}{index:?}");
            worst = Difference { place, found, expected, scaled, ..worst };
        }
    }
    worst
}

/// Asserts that rows of masked positions are zero, as `to_padded` promises.
pub fn assert_zero_where_masked(run: &Run, outputs: &Outputs) {
    let mask = run.mask();
    for (name, _) in run.expected() {
        for (index, &value) in outputs[name].indexed_iter() {
            let place = (&run.case, &run.name, name, index.slice());
            assert!(is_computed(name, index.slice(), &mask) || value == 0.0, "{place:?}: {value}");
        }
    }
}

/// Asserts that two sets of outputs, or of weights, are bit-identical.
#[track_caller]
pub fn assert_same_tensors(what: &str, expected: &Outputs, found: &Outputs) {
    assert!(expected.keys().eq(found.keys()), "{what}: {:?} {:?}", expected.keys(), found.keys());
    for (name, values) in expected {
        assert_same_bits(&format!("{what}: {name}"), values, &found[name]);
    }
}

/// Asserts that two arrays are bit-identical.
#[track_caller]
pub fn assert_same_bits<D: Dimension>(what: &str, expected: &Array<f32, D>, found: &Array<f32, D>) {
    assert_eq!(expected.shape(), found.shape(), "{what}");
    for ((index, expected), found) in expected.indexed_iter().zip(found) {
        assert_eq!(expected.to_bits(), found.to_bits(), "{what}{index:?}: {expected} {found}");
    }
}

/// The largest differences seen, by kind of tensor, and what was compared.
#[derive(Default)]
pub struct Largest {
    pub tensors: usize,
    by_kind: BTreeMap<String, (usize, f32, Option<Difference>)>,
}

impl Largest {
    /// Compares, asserts, and remembers.
    #[track_caller]
    pub fn assert_close(&mut self, run: &Run, outputs: &Outputs) {
        for difference in differences(run, outputs) {
            assert!(difference.scaled <= TOLERANCE, "{difference}");
            self.tensors += 1;
            let (count, absolute, worst) =
                self.by_kind.entry(difference.tensor.clone()).or_default();
            *count += 1;
            *absolute = absolute.max(difference.absolute);
            if worst.as_ref().is_none_or(|worst| difference.scaled > worst.scaled) {
                *worst = Some(difference);
            }
        }
    }
}

impl fmt::Display for Largest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (count, absolute, worst)) in &self.by_kind {
            write!(f, "{kind}: {count} tensors, largest absolute difference {absolute:.1e}")?;
            match worst {
                Some(worst) => writeln!(f, ", furthest {worst}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
