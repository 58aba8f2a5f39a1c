//! Gradients of models with exits: against PyTorch's autograd and central differences, and what
//! they do not depend on.

mod common;

use common::compare::assert_same_tensors;
use common::gradients::{
    LOSS, assert_golden, assert_slopes_of, assert_slopes_with_dropout, golden_gradients,
    some_directions,
};
use common::inputs::Inputs;
use common::problems::{Example, Labelled, Layout, Problem};
use common::random::lively;
use common::reference::exits::{Exiting, exit_logits, exit_loss};
use common::reference::{Reference, Tree, tree_of};
use common::weights::weights_of;
use ndalbert::train::{
    ActivationPolicy, Distillation, ExitLoss, LossOutput, TrainingModel, TrainingOptions,
};
use ndalbert::{Activation, Albert, AlbertConfig, AlbertForSentenceOrder, ConfigFields, Precision};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

/// Calls a generic function for the model of a problem, if it may have exits.
macro_rules! for_exits {
    ($problem:expr, $function:ident($($argument:expr),*)) => {
        match $problem {
            Problem::SentenceOrder => $function::<ndalbert::AlbertForSentenceOrder>($($argument),*),
            Problem::ChoiceByClass | Problem::ChoiceByDistribution => {
                $function::<ndalbert::AlbertForMultipleChoice>($($argument),*)
            }
            Problem::Regression | Problem::SingleLabel | Problem::MultiLabel => {
                $function::<ndalbert::AlbertForSequenceClassification>($($argument),*)
            }
            other => panic!("no exits for {other:?}"),
        }
    };
}

const PROBLEMS: [Problem; 6] = [
    Problem::SentenceOrder,
    Problem::ChoiceByClass,
    Problem::ChoiceByDistribution,
    Problem::Regression,
    Problem::SingleLabel,
    Problem::MultiLabel,
];

const BY_LAYER: TrainingOptions = TrainingOptions::DEFAULT;
const MEAN: TrainingOptions = TrainingOptions { exit_loss: ExitLoss::Mean, ..BY_LAYER };
const DISTILLED: TrainingOptions = distilled(BY_LAYER, 0.7, 2.0);

const fn distilled(others: TrainingOptions, weight: f64, temperature: f64) -> TrainingOptions {
    TrainingOptions { distillation: Some(Distillation { weight, temperature }), ..others }
}

/// How the losses of a problem's exits may add up.
fn options_of(problem: Problem) -> Vec<TrainingOptions> {
    match problem {
        Problem::Regression => vec![BY_LAYER, MEAN],
        _ => vec![BY_LAYER, MEAN, DISTILLED, distilled(MEAN, 2.0, 0.5)],
    }
}

/// All layers of a layout, or every other one, such that the last is there.
fn exits_of(layers: usize, step: usize) -> Vec<usize> {
    let mut exits: Vec<usize> = (1..=layers).rev().step_by(step).collect();
    exits.reverse();
    exits
}

fn example<M: Labelled>(
    problem: Problem,
    exits: &[usize],
    change: impl FnOnce(&mut ConfigFields),
) -> Example<M> {
    let config = problem.config(|fields| {
        fields.num_hidden_layers = exits[exits.len() - 1];
        change(fields);
        fields.exit_layers = exits.to_vec();
    });
    Example::new(problem, config, 5)
}

/// Loss and gradients, with dropout if there is a seed.
fn run<M: Labelled>(
    example: &Example<M>,
    options: TrainingOptions,
    seed: Option<u64>,
) -> (LossOutput, M::Parameters) {
    let mut model = example.training_model(options);
    let mut gradients = model.zero_gradients();
    let batch = example.inputs.batch();
    let output = model.backward(&batch, &example.labels, seed, 1.0, &mut gradients);
    (output.unwrap(), gradients)
}

// ---------------------------------------------------------------------------------------------------------------------
// PyTorch, and central differences

#[test]
fn gradients_are_those_of_pytorch() {
    let all = golden_gradients("exit_gradients");
    assert!(all.len() >= 12 && all.iter().any(|golden| golden.options.distillation.is_some()));
    all.par_iter().for_each(|golden| for_exits!(golden.problem, assert_golden(golden)));
}

/// Every problem in every layout, with exits after all layers and after some, and all ways to add
/// up losses.
#[test]
fn every_tensor_has_the_slopes_of_the_reference() {
    fn compare<M: Labelled + Exiting>(
        problem: Problem,
        (layout, step): (Layout, usize),
        options: TrainingOptions,
    ) {
        let exits = exits_of(layout.layers, step);
        let example = example::<M>(problem, &exits, |fields| {
            layout.apply(fields);
            fields.hidden_act = Activation::Gelu;
        });
        let what = format!("{problem:?}, {layout:?}, {exits:?}, {options:?}");
        let Example { inputs, labels, .. } = &example;
        let reference = example.reference();
        // What earlier exits learn from does not move with the parameters.
        let teacher = exit_logits::<M>(&reference, inputs).pop().unwrap();
        let loss =
            |moved: &Reference<'_>| exit_loss::<M>(moved, (inputs, labels), options, &teacher);
        let (output, gradients) = example.gradients(options);
        let expected = loss(&reference);
        let difference = (output.loss - expected).abs() / expected.abs().max(1.0);
        assert!(difference <= LOSS, "{what}: expected {expected}, found {}", output.loss);
        let gradients = tree_of(&gradients);
        assert_slopes_of(&what, &reference, loss, &gradients, |_, shape| some_directions(shape));
    }
    let problems = PROBLEMS
        .into_iter()
        .flat_map(|problem| options_of(problem).into_iter().map(move |options| (problem, options)));
    let cases: Vec<_> = problems.enumerate().collect();
    cases.into_par_iter().for_each(|(i, (problem, options))| {
        let layouts = Layout::ALL.into_iter().cycle().skip(i).step_by(4).take(2);
        for (step, layout) in (1..).zip(layouts) {
            for_exits!(problem, compare(problem, (layout, step), options));
        }
    });
}

#[test]
fn gradients_with_dropout_are_slopes_of_the_loss_with_the_same_seed() {
    fn compare<M: Labelled>(problem: Problem, options: TrainingOptions) {
        let example = example::<M>(problem, &[1, 2, 3], |fields| {
            fields.hidden_act = Activation::Gelu;
            set_dropout(fields);
        });
        assert_slopes_with_dropout(&format!("{problem:?}"), &example, options, 21);
    }
    for problem in PROBLEMS {
        for_exits!(problem, compare(problem, BY_LAYER));
    }
    let recomputed = TrainingOptions { activations: ActivationPolicy::Recompute, ..MEAN };
    compare::<AlbertForSentenceOrder>(Problem::SentenceOrder, recomputed);
}

fn set_dropout(fields: &mut ConfigFields) {
    fields.hidden_dropout_prob = 0.2;
    fields.attention_probs_dropout_prob = 0.3;
    fields.classifier_dropout_prob = Some(0.4);
}

/// Which states a classifier does not see shows as columns of zeros in its gradient.
#[test]
fn every_exits_classifier_has_a_dropout_of_its_own() {
    let mut example =
        example::<AlbertForSentenceOrder>(Problem::SentenceOrder, &[1, 2, 3, 4], |fields| {
            fields.hidden_size = 120;
            fields.num_attention_heads = 30;
            fields.hidden_dropout_prob = 0.0;
            fields.attention_probs_dropout_prob = 0.0;
            fields.classifier_dropout_prob = Some(0.5);
        });
    (example.inputs, example.labels) = (Inputs::full(1, 1, 1, 37), vec![1]);
    let dropped = |seed| -> Vec<Vec<bool>> {
        let head = run(&example, BY_LAYER, Some(seed)).1.head;
        let classifiers = head.exits.iter().chain([&head.classifier]);
        let columns = classifiers.map(|gradient| gradient.weight.columns());
        columns.map(|columns| columns.into_iter().map(|c| c[0] == 0.0).collect()).collect()
    };
    let mut counts = [[0; 4]; 4];
    for seed in 100..160 {
        let patterns = dropped(seed);
        for (counts, one) in counts.iter_mut().zip(&patterns) {
            for (count, other) in counts.iter_mut().zip(&patterns) {
                *count += one.iter().zip(other).filter(|(one, other)| **one && **other).count();
            }
        }
    }
    // What two of them drop together is the product of the rates, within four standard deviations.
    for (one, counts) in counts.iter().enumerate() {
        for (other, &count) in counts.iter().enumerate() {
            let rate = if one == other { 0.5 } else { 0.25 };
            let total = 60.0 * 120.0;
            let found = count as f64 / total;
            let deviation = f64::sqrt(rate * (1.0 - rate) / total);
            let is_within = (found - rate).abs() < 4.0 * deviation;
            assert!(is_within, "exits {one} and {other} drop {found}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What gradients do not depend on

#[track_caller]
fn assert_same<M: Labelled>(
    what: &str,
    (loss, gradients): &(LossOutput, M::Parameters),
    (other, found): &(LossOutput, M::Parameters),
) {
    assert_eq!(loss, other, "{what}");
    assert_same_tensors(what, &weights_of(gradients), &weights_of(found));
}

#[test]
fn what_is_computed_again_is_the_same_to_the_bit() {
    fn compare<M: Labelled>(problem: Problem, layout: Layout) {
        let example = example::<M>(problem, &exits_of(layout.layers, 1), |fields| {
            layout.apply(fields);
            set_dropout(fields);
        });
        for precision in [Precision::F32, Precision::Bf16] {
            let [kept, again] =
                [ActivationPolicy::Keep, ActivationPolicy::Recompute].map(|activations| {
                    let options = TrainingOptions { precision, activations, ..BY_LAYER };
                    run(&example, options, Some(9))
                });
            assert_same::<M>(&format!("{problem:?}, {layout:?}, {precision}"), &kept, &again);
        }
    }
    for (problem, layout) in PROBLEMS.into_iter().zip(Layout::ALL) {
        for_exits!(problem, compare(problem, layout));
    }
}

/// Batches that are cut into groups of sequences, and one of which threads share the products.
#[test]
fn threads_do_not_change_a_bit() {
    let config = Problem::SentenceOrder.config(|fields| {
        fields.vocab_size = 203;
        fields.hidden_size = 60;
        fields.intermediate_size = 200;
        fields.num_hidden_layers = 3;
        fields.max_position_embeddings = 300;
        fields.exit_layers = vec![1, 2, 3];
        set_dropout(fields);
    });
    let mut ragged = Inputs::full(2, 16, 48, 203);
    for (sequence, mut mask) in ragged.mask.outer_iter_mut().enumerate() {
        mask.iter_mut().skip(48 - 2 * sequence).for_each(|real| *real = 0);
        mask[sequence] = 0;
    }
    for inputs in [Inputs::full(1, 8, 64, 203), ragged, Inputs::full(3, 2, 300, 203)] {
        let example = Example::<AlbertForSentenceOrder>::with_inputs(
            Problem::SentenceOrder,
            config.clone(),
            inputs,
            4,
        );
        for precision in [Precision::F32, Precision::Bf16] {
            let [one, two, three] = [1, 2, 3].map(|threads| {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let options = TrainingOptions { precision, ..DISTILLED };
                pool.install(|| run(&example, options, Some(5)))
            });
            for other in [two, three] {
                assert_same::<AlbertForSentenceOrder>(&precision.to_string(), &one, &other);
            }
        }
    }
}

/// A single exit, after the last layer, is the model without any.
#[test]
fn options_of_exits_do_not_change_a_bit_without_exits() {
    fn compare<M: Labelled>(problem: Problem) {
        let [plain, single] = [vec![], vec![3]].map(|exits| {
            let config = problem.config(|fields| {
                (fields.num_hidden_layers, fields.exit_layers) = (3, exits);
                set_dropout(fields);
            });
            Example::<M>::new(problem, config, 5)
        });
        let expected = run(&plain, BY_LAYER, Some(1));
        for options in [BY_LAYER, MEAN, DISTILLED] {
            let what = format!("{problem:?}, {options:?}");
            assert_same::<M>(&what, &expected, &run(&plain, options, Some(1)));
            assert_same::<M>(&what, &expected, &run(&single, options, Some(1)));
        }
    }
    for problem in PROBLEMS {
        for_exits!(problem, compare(problem));
    }
}

#[test]
fn gradients_are_scaled_and_added() {
    let example = example::<AlbertForSentenceOrder>(Problem::SentenceOrder, &[1, 2], |_| ());
    let once = tree_of(&run(&example, DISTILLED, None).1);
    let mut model = example.training_model(DISTILLED);
    let mut sum = model.zero_gradients();
    for scale in [0.5, 2.0] {
        model.backward(&example.inputs.batch(), &example.labels, None, scale, &mut sum).unwrap();
    }
    let expected: Tree = once.into_iter().map(|(name, values)| (name, values * 2.5)).collect();
    common::gradients::assert_gradients_near("2.5 times", &expected, &sum, 1e-5);
}

// ---------------------------------------------------------------------------------------------------------------------
// A custom loss

/// Half the squared length of what the pooler makes of earlier exits, twice that of the last.
#[test]
fn a_loss_of_ones_own_has_the_pooled_outputs_of_exits() {
    let config = AlbertConfig::new(ConfigFields {
        exit_layers: vec![1, 3, 4],
        num_hidden_layers: 4,
        inner_group_num: 2,
        hidden_act: Activation::Gelu,
        ..Problem::SentenceOrder.config(|_| ()).to_fields()
    })
    .unwrap();
    let inputs = Inputs::masked(3, config.vocab_size);
    let parameters = lively::<Albert>(&config, 3);
    let mut model =
        TrainingModel::<Albert>::new(config.clone(), parameters.clone(), BY_LAYER).unwrap();
    let mut gradients = model.zero_gradients();
    let found = model
        .backward_with(&inputs.batch(), None, &mut gradients, |states, _| {
            let mut d_states = states.zeros_like();
            d_states.exits.clone_from(&states.exits);
            d_states.pooled = states.pooled.as_ref().map(|pooled| pooled * 2.0);
            let squares = |pooled: &ndarray::Array2<f32>| f64::from(pooled.map(|x| x * x).sum());
            let last = squares(states.pooled.as_ref().unwrap());
            Ok((states.exits.iter().map(squares).sum::<f64>() / 2.0 + last, d_states))
        })
        .unwrap();
    assert_eq!(model.states(&inputs.batch()).unwrap().exits.len(), 2);

    // The reference knows a backbone by its name in models.
    let prefixed: Tree =
        tree_of(&parameters).into_iter().map(|(name, x)| (format!("albert.{name}"), x)).collect();
    let reference = Reference { config: &config, weights: prefixed };
    let loss = |moved: &Reference<'_>| {
        let square = |layer| moved.pooled_after(layer, &inputs).map(|x| x * x).sum();
        (square(1) + square(3)) / 2.0 + square(4)
    };
    let expected = loss(&reference);
    assert!((found - expected).abs() < LOSS * expected, "{found} {expected}");
    let gradients: Tree =
        tree_of(&gradients).into_iter().map(|(name, x)| (format!("albert.{name}"), x)).collect();
    assert_slopes_of("own", &reference, loss, &gradients, |_, shape| some_directions(shape));
}
