//! Gradients against PyTorch's autograd, and against central differences of a reference in double
//! precision.

mod common;

use common::gradients::{
    LOSS, RELATIVE, STEP, assert_golden, assert_slopes_of, direction, element, golden_gradients,
    length, some_directions, tree_dot,
};
use common::inputs::Inputs;
use common::problems::{Example, Labelled, Layout, Problem, covering, for_problem};
use common::random::numbers;
use common::reference::{Tree, tree_of};
use ndalbert::train::TrainingOptions;
use ndalbert::{Activation, AlbertForMaskedLM, AlbertForPreTraining, AlbertForSentenceOrder};
use ndarray::{Array2, Array3, ArrayD};
use rayon::prelude::*;

// -------------------------------------------------------------------------------------------------
// PyTorch

#[test]
fn gradients_are_those_of_pytorch() {
    golden_gradients("gradients")
        .par_iter()
        .for_each(|golden| for_problem!(golden.problem, assert_golden(golden)));
}

// -------------------------------------------------------------------------------------------------
// Central differences

/// The loss and the gradient of an example.
fn judged<M: Labelled>(example: &Example<M>) -> Tree {
    let (output, gradients) = example.gradients(TrainingOptions::default());
    let expected = example.reference_loss(&example.reference());
    let difference = (output.loss - expected).abs() / expected.abs().max(1.0);
    assert!(difference <= LOSS, "loss: expected {expected}, found {}", output.loss);
    tree_of(&gradients)
}

/// Asserts that the slope of the reference's loss along directions of single tensors, of which
/// `directions` draws some for a shape, is that which the gradient says.
fn assert_slopes<M: Labelled>(
    what: &str,
    example: &Example<M>,
    gradients: &Tree,
    directions: impl Fn(&str, &[usize]) -> Vec<ArrayD<f64>>,
) {
    let reference = example.reference();
    assert_slopes_of(
        what,
        &reference,
        |moved| example.reference_loss(moved),
        gradients,
        directions,
    );
}

/// An example of a problem; its weights depend on the layout and the activation.
fn example<M: Labelled>(problem: Problem, layout: Layout, activation: Activation) -> Example<M> {
    let config = problem.config(|fields| {
        layout.apply(fields);
        fields.hidden_act = activation;
    });
    let seed = layout.layers * 100 + layout.inner * 10 + activation.name().len();
    Example::new(problem, config, seed as u64)
}

/// Tensor by tensor, some elements and a direction.
#[test]
fn every_tensor_has_the_slopes_of_the_reference() {
    fn compare<M: Labelled>(problem: Problem, layout: Layout, activation: Activation) {
        let example = example::<M>(problem, layout, activation);
        let gradients = judged(&example);
        let what = format!("{problem:?}, {layout:?}, {activation}");
        assert_slopes(&what, &example, &gradients, |_, shape| some_directions(shape));
    }
    covering().into_par_iter().for_each(|(problem, layout, activation)| {
        for_problem!(problem, compare(problem, layout, activation));
    });
}

/// Every problem with every layout, activations taking turns: one direction in which all tensors
/// have their part, each by about as much as the others.
#[test]
fn every_combination_has_the_slope_of_the_reference() {
    fn compare<M: Labelled>(problem: Problem, layout: Layout, activation: Activation) {
        let example = example::<M>(problem, layout, activation);
        let gradients = judged(&example);
        let parts = gradients.iter().enumerate().map(|(seed, (tensor, gradient))| {
            let length = length(gradient);
            (tensor.clone(), direction(gradient.shape(), seed as u64) / length.max(0.01))
        });
        let along: Tree = parts.collect();
        // The direction is up to a hundred times as long as one of a single tensor.
        let step = STEP / 100.0;
        let expected =
            example.reference().slope(&along, step, |moved| example.reference_loss(moved));
        let found = tree_dot(&gradients, &along);
        let limit = RELATIVE * (along.len() as f64).sqrt();
        let what = format!("{problem:?}, {layout:?}, {activation}");
        let is_within = (found - expected).abs() <= limit;
        assert!(is_within, "{what}: expected {expected}, found {found}, ±{limit:e}");
    }
    let layouts = |problem| Layout::ALL.into_iter().map(move |layout| (problem, layout));
    let cases: Vec<_> = Problem::ALL.into_iter().flat_map(layouts).collect();
    cases.into_par_iter().enumerate().for_each(|(i, (problem, layout))| {
        for activation in Activation::ALL.iter().cycle().skip(i).step_by(5).take(2) {
            for_problem!(problem, compare(problem, layout, *activation));
        }
    });
}

/// Rows of the word embeddings, one by one: of words that occur, of words that are only guessed or
/// never seen, and of padding.
#[test]
fn every_word_has_the_slopes_of_the_reference() {
    fn compare<M: Labelled>(problem: Problem) {
        let example = example::<M>(problem, Layout::ALL[1], Activation::GeluNew);
        let mut gradients = judged(&example);
        gradients.retain(|tensor, _| tensor.ends_with("word_embeddings.weight"));
        assert_slopes(&format!("{problem:?}"), &example, &gradients, |_, shape| {
            (0..shape[0]).map(|row| element(shape, row * shape[1] + row % shape[1])).collect()
        });
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem));
    }
}

/// With a matrix and a bias of its own, and with a bias alone. What a tied decoder would add to the
/// word embeddings is no part of their slopes then.
#[test]
fn decoders_of_their_own_have_the_slopes_of_the_reference() {
    fn compare<M: Labelled>(problem: Problem, (tied, tied_bias): (bool, bool)) {
        let config = problem.config(|fields| {
            (fields.tie_word_embeddings, fields.tie_decoder_bias) = (tied, tied_bias);
        });
        let example = Example::<M>::new(problem, config, 7);
        let gradients = judged(&example);
        let length_of = |name: &str| gradients.get(name).map(length);
        assert_eq!(length_of("predictions.decoder.weight").is_some_and(|len| len > 0.0), !tied);
        assert!(length_of("predictions.decoder.bias").is_some_and(|length| length > 0.0));
        assert_eq!(length_of("predictions.bias"), Some(0.0));
        let what = format!("{problem:?}, {tied}, {tied_bias}");
        assert_slopes(&what, &example, &gradients, |_, shape| some_directions(shape));
    }
    for ties in [(false, true), (true, false)] {
        for problem in [Problem::MaskedLm, Problem::PreTraining] {
            for_problem!(problem, compare(problem, ties));
        }
    }
}

/// Without a decoder, a word that does not occur has no part in the loss, and neither has padding.
#[test]
fn what_does_not_occur_has_no_gradient() {
    let config = Problem::SentenceOrder.config(|_| ());
    let mut example = Example::<AlbertForSentenceOrder>::new(Problem::SentenceOrder, config, 4);
    example.labels = vec![0, 1, 1, 0];
    let (_, gradients) = example.gradients(TrainingOptions::default());
    let Inputs { ids, mask, .. } = &example.inputs;
    let embeddings = gradients.albert.embeddings;
    for (id, row) in embeddings.word_embeddings.outer_iter().enumerate() {
        // A first token is seen by the pooler even where it is masked.
        let occurs = ids.indexed_iter().any(|((sequence, column), &other)| {
            other == id as i64 && (mask[[sequence, column]] == 1 || column == 0)
        });
        let counts = occurs && row.iter().any(|&value| value != 0.0);
        assert!(counts || row.iter().all(|&value| value == 0.0 && !occurs), "word {id}: {row}");
    }
    let positions = embeddings.position_embeddings;
    for (position, row) in positions.outer_iter().enumerate() {
        let is_used = position < example.inputs.length();
        assert_eq!(row.iter().any(|&value| value != 0.0), is_used, "position {position}");
    }
}

/// The same position twice, and none in order.
#[test]
fn positions_of_ones_own_have_the_slopes_of_the_reference() {
    let config = Problem::PreTraining.config(|_| ());
    let mut example = Example::<AlbertForPreTraining>::new(Problem::PreTraining, config, 8);
    let columns = example.inputs.ids.dim();
    example.inputs.positions =
        Array2::from_shape_fn(columns, |(row, column)| ((7 * column + row) % 4) as i64);
    let gradients = judged(&example);
    assert_slopes("positions", &example, &gradients, |_, shape| some_directions(shape));
}

/// Where embeddings are given, the table is but the decoder's.
#[test]
fn embeddings_of_ones_own_leave_the_table_to_the_decoder() {
    let with_embeddings = |config: &ndalbert::AlbertConfig| {
        let mut inputs = Inputs::masked(6, config.vocab_size);
        let shape = (inputs.sequences(), inputs.length(), config.embedding_size);
        let mut drawn = numbers(9, 2001).map(|number| number as f32 / 1000.0 - 1.0);
        inputs.embeds = Some(Array3::from_shape_simple_fn(shape, || drawn.next().unwrap()));
        inputs
    };
    let config = Problem::PreTraining.config(|_| ());
    let inputs = with_embeddings(&config);
    let example =
        Example::<AlbertForPreTraining>::with_inputs(Problem::PreTraining, config, inputs, 6);
    let gradients = judged(&example);
    assert_slopes("embeddings", &example, &gradients, |_, shape| some_directions(shape));

    let config = Problem::SentenceOrder.config(|_| ());
    let inputs = with_embeddings(&config);
    let example =
        Example::<AlbertForSentenceOrder>::with_inputs(Problem::SentenceOrder, config, inputs, 6);
    let (_, gradients) = example.gradients(TrainingOptions::default());
    assert!(gradients.albert.embeddings.word_embeddings.iter().all(|&value| value == 0.0));
}

/// Sequences that the mask excludes as a whole attend to nothing, but have a first token for the
/// pooler.
#[test]
fn sequences_without_keys_have_the_slopes_of_the_reference() {
    let config = Problem::SentenceOrder.config(|fields| fields.num_hidden_layers = 3);
    let mut inputs = Inputs::masked(2, config.vocab_size);
    inputs.mask.row_mut(1).fill(0);
    let example =
        Example::<AlbertForSentenceOrder>::with_inputs(Problem::SentenceOrder, config, inputs, 2);
    let gradients = judged(&example);
    assert_slopes("without keys", &example, &gradients, |_, shape| some_directions(shape));
}

/// An epsilon that counts, as in some published configs.
#[test]
fn a_large_epsilon_has_the_slopes_of_the_reference() {
    let config = Problem::MaskedLm.config(|fields| fields.layer_norm_eps = 0.05);
    let example = Example::<AlbertForMaskedLM>::new(Problem::MaskedLm, config, 2);
    let gradients = judged(&example);
    assert_slopes("epsilon", &example, &gradients, |_, shape| some_directions(shape));
}

/// Long enough for the kernels' blocks and for several groups of sequences.
#[test]
fn long_sequences_have_the_slopes_of_the_reference() {
    let config = Problem::PreTraining.config(|fields| {
        fields.hidden_size = 40;
        fields.num_attention_heads = 2;
        fields.intermediate_size = 70;
        fields.vocab_size = 150;
        fields.max_position_embeddings = 140;
    });
    let inputs = Inputs::full(3, 4, 140, config.vocab_size);
    let example =
        Example::<AlbertForPreTraining>::with_inputs(Problem::PreTraining, config, inputs, 3);
    let gradients = judged(&example);
    assert_slopes("long", &example, &gradients, |_, shape| vec![direction(shape, 1)]);
}
