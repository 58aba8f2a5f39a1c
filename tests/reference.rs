//! The judge of gradients, judged: the reference in double precision computes the losses of the
//! crate's inference, and its slopes are the gradients that PyTorch gives.

mod common;

use common::gradients::{GoldenGradients, direction, golden_gradients, length, tree_length};
use common::problems::{Example, Labelled, Layout, Problem, covering, for_problem};
use common::reference::{Tree, tree_of};
use ndalbert::Activation;
use rayon::prelude::*;

/// How far losses of order 1 in single precision are from those in double precision.
const LOSS: f64 = 1e-5;

/// How far central differences in double precision, of steps of [`STEP`], are from golden
/// gradients, which are stored in single precision, over the length of the gradient of the tensor.
const SLOPE: f64 = 1e-6;

/// Small enough for the third derivative, large enough for the loss's own rounding.
const STEP: f64 = 1e-5;

/// The examples that gradients are judged on leave out no combination of two that matters.
#[test]
fn the_chosen_examples_cover_all_that_there_is() {
    let chosen = covering();
    let counts = |is_it: &dyn Fn(&(Problem, Layout, Activation)) -> bool| {
        chosen.iter().filter(|one| is_it(one)).count()
    };
    for layout in Layout::ALL {
        assert!(counts(&|one| one.1 == layout) >= 2, "{layout:?}");
        for problem in Problem::ALL {
            let both = counts(&|one| one.0 == problem && one.1.sharing == layout.sharing);
            assert!(both >= 1, "{problem:?}, {layout:?}");
        }
    }
    for &activation in Activation::ALL {
        assert!(counts(&|one| one.2 == activation) >= 2, "{activation}");
    }
}

#[test]
fn the_reference_has_the_losses_of_inference() {
    fn compare<M: Labelled>(problem: Problem, layout: Layout, activation: Activation) {
        let config = problem.config(|fields| {
            layout.apply(fields);
            fields.hidden_act = activation;
        });
        let example = Example::<M>::new(problem, config, 5);
        let expected = example.reference_loss(&example.reference());
        let found = f64::from(example.inference_loss().unwrap());
        let difference = (found - expected).abs() / expected.abs().max(1.0);
        let what = (problem, layout, activation);
        assert!(difference <= LOSS, "{what:?}: expected {expected}, found {found}");
    }
    covering().into_par_iter().for_each(|(problem, layout, activation)| {
        for_problem!(problem, compare(problem, layout, activation));
    });
}

#[test]
fn the_reference_has_the_losses_of_pytorch() {
    fn compare<M: Labelled>(golden: &GoldenGradients) {
        let example = golden.example::<M>();
        let found = example.reference_loss(&example.reference());
        let difference = (found - golden.loss).abs() / golden.loss.abs().max(1.0);
        assert!(difference <= 1e-7, "{}: expected {}, found {found}", golden.name, golden.loss);
    }
    let all = golden_gradients("gradients");
    assert_eq!(all.len(), 65);
    all.par_iter().for_each(|golden| for_problem!(golden.problem, compare(golden)));
}

/// Whether PyTorch's gradient is not the slope of the loss on purpose: `padding_idx` keeps the
/// padding's embedding as it is where it stands for a word.
fn is_frozen(golden: &GoldenGradients, tensor: &str) -> bool {
    golden.name.ends_with("_pad_in_text") && tensor.ends_with("word_embeddings.weight")
}

#[test]
fn the_reference_has_the_slopes_of_pytorch() {
    fn compare<M: Labelled>(golden: &GoldenGradients) {
        let example = golden.example::<M>();
        let reference = example.reference();
        let gradients = golden.gradients();
        assert!(gradients.keys().eq(tree_of(&example.parameters).keys()), "{}", golden.name);
        let total = tree_length(&gradients);
        for (tensor, gradient) in &gradients {
            if is_frozen(golden, tensor) {
                continue;
            }
            let along = direction(gradient.shape(), 3);
            let expected = (gradient * &along).sum();
            let tree = Tree::from([(tensor.clone(), along)]);
            let found = reference.slope(&tree, STEP, |moved| example.reference_loss(moved));
            let limit = SLOPE * length(gradient) + 1e-8 * total;
            let difference = (found - expected).abs();
            let what = format!("{}, {tensor}", golden.name);
            assert!(difference <= limit, "{what}: expected {expected:e}, found {found:e}");
        }
    }
    golden_gradients("gradients")
        .par_iter()
        .for_each(|golden| for_problem!(golden.problem, compare(golden)));
}
