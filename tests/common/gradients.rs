//! The golden gradients of `tests/golden/gradients`, and how gradients are compared.

use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::train::{Distillation, ExitLoss, TrainingOptions};
use ndalbert::{AlbertConfig, Parameters};
use ndarray::ArrayD;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::{Distribution, StandardNormal};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;
use serde_json::Value;

use super::golden::{Run, read_runs};
use super::inputs::Inputs;
use super::problems::{Example, Labelled, Problem};
use super::random::numbers;
use super::reference::{Reference, Tree, tree_of};
use super::weights::{parameters_of, weights_of};

/// How far a loss in single precision is from that in double precision.
pub const LOSS: f64 = 1e-5;

/// The step of central differences along directions of length 1. The reference's rounding, 1e-15,
/// is far below what this leaves of a loss's change, and so is the third derivative.
pub const STEP: f64 = 1e-6;

/// Elements of each tensor that are looked at one by one.
const ELEMENTS: usize = 2;

/// The length of a gradient's error over that of the gradient, tensor by tensor.
pub const RELATIVE: f64 = 1e-4;

/// The error of a gradient that is next to nothing, as that of a key's bias, which is zero but for
/// rounding: over the length of the gradients of all tensors together.
pub const NOTHING: f64 = 1e-6;

/// What is shorter than this part of all gradients together is zero in PyTorch's double precision.
const ZERO: f64 = 1e-12;

/// A model, inputs and labels, and what PyTorch's autograd gives for them.
pub struct GoldenGradients {
    pub name: String,
    pub problem: Problem,
    pub config: AlbertConfig,
    /// How the losses of exits add up.
    pub options: TrainingOptions,
    pub inputs: Run,
    parameters: Run,
    gradients: Run,
    pub loss: f64,
}

/// Every golden file of a folder, by name.
pub fn golden_gradients(folder: &str) -> Vec<GoldenGradients> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| GoldenGradients::read(path)).collect()
}

/// The metadata of a golden file.
pub fn metadata(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    serde_json::from_str(&header.metadata().as_ref().unwrap()["golden"]).unwrap()
}

/// How a golden file says that the losses of exits add up.
fn options_of(metadata: &Value) -> TrainingOptions {
    let exit_loss = match metadata["exit_loss"].as_str() {
        None | Some("by_layer") => ExitLoss::ByLayer,
        Some("mean") => ExitLoss::Mean,
        Some(other) => panic!("no loss of exits {other}"),
    };
    let number = |name| metadata["distillation"][name].as_f64();
    let distillation = number("weight").zip(number("temperature"));
    let distillation =
        distillation.map(|(weight, temperature)| Distillation { weight, temperature });
    TrainingOptions { exit_loss, distillation, ..TrainingOptions::default() }
}

impl GoldenGradients {
    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let metadata = metadata(path);
        let runs: [Run; 4] = read_runs(&name, path).try_into().ok().unwrap();
        let [gradients, inputs, outputs, parameters] = runs;
        Self {
            problem: Problem::from_name(metadata["problem"].as_str().unwrap()),
            config: AlbertConfig::from_json(metadata["config"].clone()).unwrap(),
            options: options_of(&metadata),
            inputs,
            parameters,
            gradients,
            loss: f64::from(outputs.floats["loss"].sum()),
            name,
        }
    }

    pub fn example<M: Labelled>(&self) -> Example<M> {
        Example {
            config: self.config.clone(),
            parameters: parameters_of::<M>(&self.config, &self.parameters.floats),
            inputs: Inputs::of_run(&self.inputs),
            labels: M::labels_of_run(&self.inputs),
        }
    }

    pub fn gradients(&self) -> Tree {
        let arrays = self.gradients.floats.iter();
        arrays.map(|(name, values)| (name.clone(), values.mapv(f64::from))).collect()
    }
}

/// The length of an array as a vector.
pub fn length(values: &ArrayD<f64>) -> f64 {
    values.fold(0.0, |sum, value| sum + value * value).sqrt()
}

/// The length of all arrays as one vector.
pub fn tree_length(tree: &Tree) -> f64 {
    tree.values().map(|values| length(values).powi(2)).sum::<f64>().sqrt()
}

/// Σ x·y over all arrays of `y`.
pub fn tree_dot(x: &Tree, y: &Tree) -> f64 {
    y.iter().map(|(name, values)| (&x[name] * values).sum()).sum()
}

/// Asserts that the gradient of every tensor is PyTorch's up to [`RELATIVE`], and those that are
/// zero up to [`NOTHING`].
#[track_caller]
pub fn assert_gradients(what: &str, expected: &Tree, found: &impl Parameters) {
    assert_within(what, expected, found, |length, total| {
        if length < ZERO * total { NOTHING * total } else { RELATIVE * length }
    });
}

/// Asserts that gradients are those that were computed in another way in single precision, up to a
/// relative error and [`NOTHING`].
#[track_caller]
pub fn assert_gradients_near(what: &str, expected: &Tree, found: &impl Parameters, relative: f64) {
    assert_within(what, expected, found, |length, total| relative * length + NOTHING * total);
}

/// `limit` is the error that is let pass, for the lengths of a tensor's gradient and of all
/// together.
#[track_caller]
fn assert_within(
    what: &str,
    expected: &Tree,
    found: &impl Parameters,
    limit: impl Fn(f64, f64) -> f64,
) {
    let found = tree_of(found);
    assert!(expected.keys().eq(found.keys()), "{what}: {:?}", found.keys());
    let total = tree_length(expected);
    for (name, expected) in expected {
        let (length, error) = (length(expected), length(&(&found[name] - expected)));
        let limit = limit(length, total);
        // A NaN is within no limit.
        let is_within = error <= limit;
        assert!(is_within, "{what}: {name} is {error:e} off, of {length:e}: more than {limit:e}");
    }
}

/// A direction of length 1 in the space of one array, drawn from a seed.
pub fn direction(shape: &[usize], seed: u64) -> ArrayD<f64> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let drawn = ArrayD::from_shape_simple_fn(shape, || StandardNormal.sample(&mut generator));
    let length = length(&drawn);
    drawn / length
}

/// A single element of an array, as a direction.
pub fn element(shape: &[usize], index: usize) -> ArrayD<f64> {
    let mut along = ArrayD::zeros(shape);
    *along.iter_mut().nth(index).unwrap() = 1.0;
    along
}

/// Some elements, and a direction that all elements have a part in.
pub fn some_directions(shape: &[usize]) -> Vec<ArrayD<f64>> {
    let len: usize = shape.iter().product();
    let elements = numbers(len as u64, len as u32).take(ELEMENTS);
    let elements = elements.map(|index| element(shape, index as usize));
    elements.chain([direction(shape, len as u64)]).collect()
}

/// Asserts that the slope of the reference's loss along directions of single tensors, of which
/// `directions` draws some for a shape, is that which the gradient says.
pub fn assert_slopes_of(
    what: &str,
    reference: &Reference<'_>,
    loss: impl Fn(&Reference<'_>) -> f64,
    gradients: &Tree,
    directions: impl Fn(&str, &[usize]) -> Vec<ArrayD<f64>>,
) {
    let nothing = NOTHING * tree_length(gradients);
    for (tensor, gradient) in gradients {
        let length = length(gradient);
        for along in directions(tensor, gradient.shape()) {
            let found = (gradient * &along).sum();
            let along = Tree::from([(tensor.clone(), along)]);
            let expected = reference.slope(&along, STEP, &loss);
            let limit = RELATIVE * length + nothing;
            let is_within = (found - expected).abs() <= limit;
            assert!(
                is_within,
                "{what}, {tensor}: expected {expected:e}, found {found:e}, ±{limit:e}"
            );
        }
    }
}

/// Asserts that loss and gradients of a golden file are PyTorch's.
pub fn assert_golden<M: Labelled>(golden: &GoldenGradients) {
    let (output, gradients) = golden.example::<M>().gradients(golden.options);
    let difference = (output.loss - golden.loss).abs() / golden.loss.abs().max(1.0);
    assert!(difference <= LOSS, "{}: {} {}", golden.name, output.loss, golden.loss);
    assert_gradients(&golden.name, &golden.gradients(), &gradients);
}

/// A step in which the loss changes by much more than its rounding, and the remainder of the
/// differences below is small.
const WIDE_STEP: f64 = 0.02;

/// Asserts that the loss of a model with dropout as a function of its parameters has the slope that
/// its gradient says. In single precision: differences of the fourth order, along the gradient of
/// each tensor, where the slope is its length.
pub fn assert_slopes_with_dropout<M: Labelled>(
    what: &str,
    example: &Example<M>,
    options: TrainingOptions,
    seed: u64,
) {
    let batch = example.inputs.batch();
    let mut model = example.training_model(options);
    let mut gradients = model.zero_gradients();
    model.backward(&batch, &example.labels, Some(seed), 1.0, &mut gradients).unwrap();
    let start = weights_of(&example.parameters);
    let mut loss_at = |along: &Tree, distance: f64| {
        let mut moved = start.clone();
        for (tensor, values) in along {
            let values = values.mapv(|value| (distance * value) as f32);
            *moved.get_mut(tensor).unwrap() += &values;
        }
        let moved = parameters_of::<M>(&example.config, &moved);
        model
            .update(|parameters| {
                *parameters = moved;
                Ok(())
            })
            .unwrap();
        let mut unused = model.zero_gradients();
        model.backward(&batch, &example.labels, Some(seed), 1.0, &mut unused).unwrap().loss
    };
    for (tensor, gradient) in &tree_of(&gradients) {
        let length = length(gradient);
        if length < 1e-4 {
            continue;
        }
        let along = Tree::from([(tensor.clone(), gradient / length)]);
        let mut difference = |step: f64| loss_at(&along, step) - loss_at(&along, -step);
        let (near, far) = (difference(WIDE_STEP), difference(2.0 * WIDE_STEP));
        let slope = (8.0 * near - far) / (12.0 * WIDE_STEP);
        let is_within = (slope - length).abs() <= 0.01 * length + 3e-4;
        assert!(is_within, "{what}, {tensor}: {slope} along a gradient of {length}");
    }
}
