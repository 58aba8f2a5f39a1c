//! What gradients do not depend on: threads, what is kept, how batches are cut; and what they add up to.

mod common;

use std::collections::BTreeMap;

use common::compare::assert_same_tensors;
use common::gradients::{NOTHING, assert_gradients_near, tree_dot, tree_length};
use common::inputs::Inputs;
use common::problems::{Example, Labelled, Layout, Problem, covering, for_problem};
use common::reference::{Tree, tree_of};
use common::weights::{applications, parameters_of, weights_of};
use ndalbert::nn::Linear;
use ndalbert::train::{ActivationPolicy, TrainingModel, TrainingOptions};
use ndalbert::{
    Activation, Albert, AlbertConfig, AlbertForMaskedLM, AlbertForMultipleChoice,
    AlbertForPreTraining, AlbertForQuestionAnswering, AlbertForSentenceOrder,
    AlbertForTokenClassification, Model, ParameterSharing, Precision,
};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::ThreadPoolBuilder;

/// Two orders of the same sums in single precision.
const ROUNDING: f64 = 1e-5;

const fn options(precision: Precision, activations: ActivationPolicy) -> TrainingOptions {
    TrainingOptions { precision, activations, ..TrainingOptions::DEFAULT }
}

/// Options of all kinds.
const OPTIONS: [TrainingOptions; 4] = [
    options(Precision::F32, ActivationPolicy::Keep),
    options(Precision::F32, ActivationPolicy::Recompute),
    options(Precision::Bf16, ActivationPolicy::Keep),
    options(Precision::Bf16, ActivationPolicy::Recompute),
];

/// Loss and gradients with dropout of the config's rates.
fn with_dropout<M: Labelled>(
    example: &Example<M>,
    options: TrainingOptions,
    seed: Option<u64>,
) -> (f64, M::Parameters) {
    let mut model = example.training_model(options);
    let mut gradients = model.zero_gradients();
    let batch = example.inputs.batch();
    let loss = model.backward(&batch, &example.labels, seed, 1.0, &mut gradients).unwrap();
    (loss.loss, gradients)
}

/// Wide and long enough that products and batches are split over threads, and with dropout everywhere.
fn wide_config(problem: Problem) -> AlbertConfig {
    problem.config(|fields| {
        fields.vocab_size = 203;
        fields.embedding_size = 40;
        fields.hidden_size = 60;
        fields.intermediate_size = 200;
        fields.num_hidden_groups = 2;
        fields.max_position_embeddings = 300;
        fields.hidden_dropout_prob = 0.1;
        fields.attention_probs_dropout_prob = 0.2;
        fields.classifier_dropout_prob = Some(0.3);
    })
}

/// Batches that are cut into groups of sequences, and one of which threads share the products.
fn wide_inputs() -> [Inputs; 3] {
    let even = Inputs::full(1, 8, 64, 203);
    let mut ragged = Inputs::full(2, 16, 48, 203);
    for (sequence, mut mask) in ragged.mask.outer_iter_mut().enumerate() {
        mask.iter_mut().skip(48 - 2 * sequence).for_each(|real| *real = 0);
        mask[sequence] = 0;
    }
    let mut uneven = Inputs::full(3, 2, 300, 203);
    uneven.mask.row_mut(1).iter_mut().skip(16).for_each(|real| *real = 0);
    [even, ragged, uneven]
}

#[test]
fn what_is_computed_again_is_the_same_to_the_bit() {
    fn compare<M: Labelled>(problem: Problem, layout: Layout, activation: Activation) {
        let config = problem.config(|fields| {
            layout.apply(fields);
            fields.hidden_act = activation;
            fields.hidden_dropout_prob = 0.1;
            fields.attention_probs_dropout_prob = 0.2;
        });
        let example = Example::<M>::new(problem, config, 3);
        for ([keep, recompute], seed) in [([0, 1], None), ([0, 1], Some(9)), ([2, 3], Some(9))] {
            let (loss, kept) = with_dropout(&example, OPTIONS[keep], seed);
            let (again, recomputed) = with_dropout(&example, OPTIONS[recompute], seed);
            let what = format!("{problem:?}, {layout:?}, {seed:?}, {:?}", OPTIONS[keep]);
            assert_eq!(loss.to_bits(), again.to_bits(), "{what}");
            assert_same_tensors(&what, &weights_of(&kept), &weights_of(&recomputed));
        }
    }
    for (problem, layout, activation) in covering() {
        for_problem!(problem, compare(problem, layout, activation));
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    fn compare<M: Labelled>(problem: Problem, options: TrainingOptions, seed: Option<u64>) {
        for inputs in wide_inputs() {
            let lengths = inputs.mask.sum_axis(Axis(1));
            let example = Example::<M>::with_inputs(problem, wide_config(problem), inputs, 4);
            let run = |threads| {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let (loss, gradients) = pool.install(|| with_dropout(&example, options, seed));
                (loss, weights_of(&gradients))
            };
            let (loss, expected) = run(1);
            for threads in [2, 3] {
                let what = format!("{problem:?}, {options:?}, {lengths}, {threads} threads");
                let (other, found) = run(threads);
                assert_eq!(loss.to_bits(), other.to_bits(), "{what}");
                assert_same_tensors(&what, &expected, &found);
            }
        }
    }
    for (options, seed) in OPTIONS.into_iter().zip([None, Some(5), Some(6), None]) {
        compare::<AlbertForPreTraining>(Problem::PreTraining, options, seed);
    }
    compare::<AlbertForMultipleChoice>(Problem::ChoiceByDistribution, OPTIONS[0], Some(5));
    compare::<AlbertForQuestionAnswering>(Problem::Questions, OPTIONS[0], None);
}

/// Cutting a batch into groups changes nothing but the order of sums.
#[test]
fn large_batches_have_the_gradients_of_their_sequences() {
    let config = wide_config(Problem::SentenceOrder);
    let [even, ..] = wide_inputs();
    let mut example =
        Example::<AlbertForSentenceOrder>::with_inputs(Problem::SentenceOrder, config, even, 4);
    example.labels = vec![0, 1, 1, 0, 1, 0, 0, 1];
    let (_, found) = example.gradients(TrainingOptions::default());
    let mut model = example.training_model(TrainingOptions::default());
    let mut expected = model.zero_gradients();
    for i in 0..8 {
        let batch = example.inputs.select(&[i]).batch();
        model.backward(&batch, &vec![example.labels[i]], None, 0.125, &mut expected).unwrap();
    }
    assert_gradients_near("eight sequences", &tree_of(&expected), &found, ROUNDING);
}

/// The gradient of a batch is the mean of its sequences' gradients, weighted by how many labels each has.
#[test]
fn batches_have_the_weighted_mean_of_their_sequences_gradients() {
    fn compare<M: Labelled>(
        problem: Problem,
        layout: Layout,
        parts: impl Fn(&M::Labels) -> Vec<(M::Labels, usize)>,
    ) {
        let config = problem.config(|fields| layout.apply(fields));
        let example = Example::<M>::new(problem, config, 6);
        let (whole, found) = example.gradients(TrainingOptions::default());
        let mut model = example.training_model(TrainingOptions::default());
        let mut expected = model.zero_gradients();
        let parts = parts(&example.labels);
        let counted: usize = parts.iter().map(|(_, count)| count).sum();
        let mut loss = 0.0;
        for (i, (labels, count)) in parts.iter().enumerate().filter(|(_, (_, count))| *count > 0) {
            let weight = *count as f64 / counted as f64;
            let batch = example.inputs.select(&[i]).batch();
            let part = model.backward(&batch, labels, None, weight as f32, &mut expected);
            loss += weight * part.unwrap().loss;
        }
        assert!((loss - whole.loss).abs() < ROUNDING, "{problem:?}: {loss} {}", whole.loss);
        assert_gradients_near(&format!("{problem:?}"), &tree_of(&expected), &found, ROUNDING);
    }
    let by_token = |labels: &ndarray::Array2<i64>| {
        let rows = labels.axis_chunks_iter(Axis(0), 1);
        rows.map(|row| (row.to_owned(), row.iter().filter(|label| **label != -100).count()))
            .collect()
    };
    let by_sequence = |labels: &Vec<i64>| {
        let counts = |&label: &i64| usize::from(label != -100);
        labels.iter().map(|label| (vec![*label], counts(label))).collect()
    };
    for layout in Layout::ALL {
        compare::<AlbertForMaskedLM>(Problem::MaskedLm, layout, by_token);
        compare::<AlbertForTokenClassification>(Problem::Tokens, layout, by_token);
        compare::<AlbertForSentenceOrder>(Problem::SentenceOrder, layout, by_sequence);
    }
}

#[test]
fn gradients_are_added_and_scaled() {
    fn compare<M: Labelled>(problem: Problem) {
        let example = Example::<M>::new(problem, problem.config(|_| ()), 7);
        let (expected_loss, once) = example.gradients(TrainingOptions::default());
        let once = tree_of(&once);
        let mut model = example.training_model(TrainingOptions::default());
        // Something is there already: the parameters themselves.
        let mut sum = example.parameters.clone();
        for scale in [1.0, -0.5, 3.0] {
            let batch = example.inputs.batch();
            let output = model.backward(&batch, &example.labels, None, scale, &mut sum).unwrap();
            assert_eq!(output, expected_loss, "{problem:?}: the loss itself is not scaled");
        }
        let start = tree_of(&example.parameters);
        let sums = tree_of(&sum);
        // Values that are zero except for rounding are rounded differently at every scale.
        let nothing = NOTHING * tree_length(&once);
        for (tensor, gradient) in &once {
            let expected = &start[tensor] + &(gradient * 3.5);
            let largest = gradient.fold(0.0, |largest: f64, value| largest.max(value.abs()));
            for (expected, found) in expected.iter().zip(&sums[tensor]) {
                let limit = ROUNDING * (largest + expected.abs()) + nothing;
                assert!((expected - found).abs() <= limit, "{tensor}: {expected} {found}");
            }
        }
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem));
    }
}

/// A model of no sharing whose layers have equal weights: what a shared block should learn is the sum over its copies.
#[test]
fn a_shared_blocks_gradient_is_the_sum_over_its_copies() {
    const GROUPS: &str = "albert_layer_groups.";
    fn compare<M: Labelled>(problem: Problem, layout: Layout) {
        let shared = Example::<M>::new(problem, problem.config(|f| layout.apply(f)), 8);
        let mut fields = shared.config.to_fields();
        let mut weights = weights_of(&shared.parameters);
        let order = applications(&shared.config);
        common::weights::unroll(&mut fields, &mut weights, &order);
        let config = AlbertConfig::new(fields).unwrap();
        let parameters = parameters_of::<M>(&config, &weights);
        let labels = M::labels(problem, &config, &shared.inputs);
        let untied = Example::<M> { config, parameters, inputs: shared.inputs.clone(), labels };

        let copies = tree_of(&untied.gradients(TrainingOptions::default()).1);
        let (of_layers, mut expected): (Tree, Tree) =
            copies.into_iter().partition(|(name, _)| name.contains(GROUPS));
        for (name, gradient) in of_layers {
            let (before, rest) = name.split_once(GROUPS).unwrap();
            let (layer, rest) = rest.split_once(".albert_layers.0.").unwrap();
            let [attention, ffn] = order[layer.parse::<usize>().unwrap()];
            let (group, inner) = if rest.starts_with("attention.") { attention } else { ffn };
            let shared = format!("{before}{GROUPS}{group}.albert_layers.{inner}.{rest}");
            let zeros = || ndarray::ArrayD::zeros(gradient.shape());
            *expected.entry(shared).or_insert_with(zeros) += &gradient;
        }
        let (_, found) = shared.gradients(TrainingOptions::default());
        let what = format!("{problem:?}, {layout:?}");
        assert_gradients_near(&what, &expected, &found, ROUNDING);
    }
    let layouts = Layout::ALL.into_iter().filter(|layout| layout.sharing != ParameterSharing::None);
    for layout in layouts {
        for problem in [Problem::PreTraining, Problem::Questions] {
            for_problem!(problem, compare(problem, layout));
        }
    }
}

#[test]
fn half_precision_gradients_point_the_same_way() {
    fn compare<M: Labelled>(problem: Problem) {
        let config = problem.config(|fields| fields.hidden_act = Activation::Gelu);
        let example = Example::<M>::new(problem, config, 9);
        let [exact, rounded] =
            [OPTIONS[0], OPTIONS[2]].map(|options| tree_of(&example.gradients(options).1));
        let cosine = tree_dot(&exact, &rounded) / tree_length(&exact) / tree_length(&rounded);
        assert!(cosine > 0.999, "{problem:?}: {cosine}");
        assert_ne!(exact, rounded, "{problem:?}: nothing was rounded");
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The loss, and its terms

#[test]
fn losses_are_those_of_inference_and_of_the_backward_pass() {
    fn compare<M: Labelled>(problem: Problem) {
        let example = Example::<M>::new(problem, problem.config(|_| ()), 2);
        let model = example.training_model(TrainingOptions::default());
        let (of_backward, _) = example.gradients(TrainingOptions::default());
        let alone = model.loss(&example.inputs.batch(), &example.labels).unwrap();
        let inference = f64::from(example.inference_loss().unwrap());
        assert!((alone.loss - inference).abs() < 2e-6 * inference.max(1.0), "{problem:?}");
        assert!((alone.loss - of_backward.loss).abs() < 1e-6, "{problem:?}");
        let sum: f64 = alone.terms.iter().map(|term| term.loss).sum();
        assert!((alone.loss - sum).abs() < 1e-9, "{problem:?}: {alone:?}");
        for (one, other) in alone.terms.iter().zip(&of_backward.terms) {
            let [one, other] = [one, other].map(|term| (term.name, term.correct, term.count));
            assert_eq!(one, other, "{problem:?}");
        }
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem));
    }
}

#[test]
fn terms_count_what_was_guessed_right() {
    let config = Problem::PreTraining.config(|_| ());
    let example = Example::<AlbertForPreTraining>::new(Problem::PreTraining, config, 2);
    let (output, _) = example.gradients(TrainingOptions::default());
    let model =
        AlbertForPreTraining::from_parameters(example.config.clone(), example.parameters.clone());
    let scores = model.unwrap().forward(&example.inputs.batch()).unwrap();
    let best = |row: ndarray::ArrayView1<'_, f32>| -> i64 {
        let largest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        largest.unwrap().0 as i64
    };
    let words = scores.prediction_logits.to_padded();
    let masked_lm = example.labels.masked_lm.indexed_iter();
    let masked_lm: Vec<bool> = masked_lm
        .filter(|(_, label)| **label != -100)
        .map(|((i, column), &label)| best(words.slice(ndarray::s![i, column, ..])) == label)
        .collect();
    let order = scores.sop_logits.outer_iter().zip(&example.labels.sentence_order);
    let order: Vec<bool> = order
        .filter(|(_, label)| **label != -100)
        .map(|(row, &label)| best(row) == label)
        .collect();
    let expected: BTreeMap<&str, (usize, usize)> =
        [("masked_lm", masked_lm), ("sentence_order", order)]
            .map(|(name, right)| (name, (right.iter().filter(|r| **r).count(), right.len())))
            .into();
    let found: BTreeMap<&str, (usize, usize)> =
        output.terms.iter().map(|term| (term.name, (term.correct, term.count))).collect();
    assert_eq!(expected, found);
}

#[test]
fn changed_parameters_are_those_that_are_computed_with() {
    let config = Problem::PreTraining.config(|_| ());
    let example = Example::<AlbertForPreTraining>::new(Problem::PreTraining, config, 2);
    let other =
        Example::<AlbertForPreTraining>::new(Problem::PreTraining, example.config.clone(), 3);
    for options in OPTIONS {
        let (expected_loss, expected) = {
            let mut model: TrainingModel<AlbertForPreTraining> =
                TrainingModel::new(example.config.clone(), other.parameters.clone(), options)
                    .unwrap();
            let mut gradients = model.zero_gradients();
            let batch = example.inputs.batch();
            let loss = model.backward(&batch, &example.labels, None, 1.0, &mut gradients);
            (loss.unwrap(), gradients)
        };
        let mut model = example.training_model(options);
        let answer = model.update(|parameters| {
            *parameters = other.parameters.clone();
            Ok(42)
        });
        assert_eq!(answer.unwrap(), 42);
        assert_eq!(*model.parameters(), other.parameters);
        let mut gradients = model.zero_gradients();
        let batch = example.inputs.batch();
        let loss = model.backward(&batch, &example.labels, None, 1.0, &mut gradients).unwrap();
        assert_eq!(loss, expected_loss);
        assert_eq!(gradients, expected);
        assert_eq!(model.into_parameters(), other.parameters);
    }
}

/// A small step against the gradient lowers every loss.
#[test]
fn a_step_against_the_gradient_lowers_the_loss() {
    fn compare<M: Labelled>(problem: Problem) {
        let example = Example::<M>::new(problem, problem.config(|_| ()), 12);
        let (before, gradients) = example.gradients(TrainingOptions::default());
        let gradients = weights_of(&gradients);
        let slope: f32 = gradients.values().map(|values| values.mapv(|x| x * x).sum()).sum();
        let mut weights = weights_of(&example.parameters);
        let step = 0.01 / slope.sqrt();
        for (name, values) in &mut weights {
            values.scaled_add(-step, &gradients[name]);
        }
        let moved = Example::<M> {
            parameters: parameters_of::<M>(&example.config, &weights),
            config: example.config,
            inputs: example.inputs,
            labels: example.labels,
        };
        let (after, _) = moved.gradients(TrainingOptions::default());
        let expected = f64::from(step * slope);
        let found = before.loss - after.loss;
        assert!((found / expected - 1.0).abs() < 0.2, "{problem:?}: {found} for {expected}");
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem));
    }
}

/// (softmax(x·Wᵀ + b) − one-hot(labels)) / N, the gradient of a mean cross-entropy over labels other than −100.
fn d_logits(x: ArrayView2<'_, f32>, linear: &Linear, labels: &[i64]) -> Array2<f32> {
    let mut d = x.dot(&linear.weight.t()) + &linear.bias;
    for (mut row, &label) in d.outer_iter_mut().zip(labels) {
        let sum: f32 = row.iter().map(|x| x.exp()).sum();
        match usize::try_from(label) {
            Ok(label) => {
                row.mapv_inplace(|x| x.exp() / sum);
                row[label] -= 1.0;
            }
            Err(_) => row.fill(0.0),
        }
    }
    d / labels.iter().filter(|label| **label >= 0).count() as f32
}

/// A head made by hand on the backbone, on its pooled output or on its states, gives it the gradients that the crate's own does.
#[test]
fn losses_of_ones_own_train_the_backbone() {
    let config = Problem::SentenceOrder.config(|_| ());
    let example = Example::<AlbertForSentenceOrder>::new(Problem::SentenceOrder, config, 2);
    let batch = example.inputs.batch();
    let classifier = &example.parameters.head.classifier;
    let pooler = example.parameters.albert.pooler.as_ref().unwrap();
    for (options, of_tokens) in OPTIONS.into_iter().flat_map(|o| [(o, false), (o, true)]) {
        let (_, expected) = example.gradients(options);
        let albert = example.parameters.albert.clone();
        let mut model =
            TrainingModel::<Albert>::new(example.config.clone(), albert, options).unwrap();
        let mut gradients = model.zero_gradients();
        model
            .backward_with(&batch, None, &mut gradients, |states, gradients| {
                let pooled = states.pooled.as_ref().unwrap();
                let d = d_logits(pooled.view(), classifier, &example.labels);
                // Rows and columns the other way round in memory, which must not matter.
                let d_pooled = classifier.weight.t().dot(&d.t()).reversed_axes();
                let mut d_states = states.zeros_like();
                if of_tokens {
                    let d = d_pooled * (1.0 - pooled * pooled);
                    for (i, d) in d.outer_iter().enumerate() {
                        let first = batch.token_rows(i).start;
                        d_states.tokens.row_mut(first).assign(&d.dot(&pooler.weight));
                    }
                    // Not on the way of these; as in a head's, there may be something in it.
                    gradients.pooler = expected.albert.pooler.clone();
                } else {
                    d_states.pooled = Some(d_pooled);
                }
                Ok(((), d_states))
            })
            .unwrap();
        let what = format!("{options:?}, of tokens: {of_tokens}");
        assert_gradients_near(&what, &tree_of(&expected.albert), &gradients, ROUNDING);
    }
}
