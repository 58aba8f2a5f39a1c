//! Dropout in training: where it is, how often, and that a seed says all about it.

mod common;

use common::compare::assert_same_tensors;
use common::gradients::assert_slopes_with_dropout;
use common::inputs::Inputs;
use common::problems::{Example, Labelled, Problem, for_problem};
use common::weights::{Weights, weights_of};
use ndalbert::train::{ActivationPolicy, TrainingOptions};
use ndalbert::{
    Activation, AlbertConfig, AlbertForMaskedLM, AlbertForPreTraining, AlbertForQuestionAnswering,
    AlbertForSentenceOrder, AlbertForSequenceClassification, AlbertForTokenClassification,
    ConfigFields, ParameterSharing,
};
use ndarray::{Array1, Axis};

/// Rates of dropout on hidden states, on attention probabilities, and before classifiers.
type Rates = (f64, f64, Option<f64>);

fn set(fields: &mut ConfigFields, (hidden, attention, classifier): Rates) {
    fields.hidden_dropout_prob = hidden;
    fields.attention_probs_dropout_prob = attention;
    fields.classifier_dropout_prob = classifier;
}

fn example<M: Labelled>(problem: Problem, rates: Rates) -> Example<M> {
    let config = problem.config(|fields| {
        fields.hidden_act = Activation::Gelu;
        set(fields, rates);
    });
    Example::new(problem, config, 13)
}

/// Loss and gradients with dropout drawn from a seed.
fn run<M: Labelled>(example: &Example<M>, seed: Option<u64>) -> (f64, M::Parameters) {
    let mut model = example.training_model(TrainingOptions::default());
    let mut gradients = model.zero_gradients();
    let batch = example.inputs.batch();
    let output = model.backward(&batch, &example.labels, seed, 1.0, &mut gradients).unwrap();
    (output.loss, gradients)
}

fn weights<M: Labelled>(example: &Example<M>, seed: Option<u64>) -> Weights {
    weights_of(&run(example, seed).1)
}

const EVERYWHERE: Rates = (0.2, 0.3, Some(0.4));

#[test]
fn a_seed_says_all() {
    fn compare<M: Labelled>(problem: Problem) {
        let example = example::<M>(problem, EVERYWHERE);
        let (loss, first) = run(&example, Some(1));
        let (again, second) = run(&example, Some(1));
        assert_eq!(loss.to_bits(), again.to_bits(), "{problem:?}");
        let same = format!("{problem:?}, the same seed");
        assert_same_tensors(&same, &weights_of(&first), &weights_of(&second));
        let losses: Vec<f64> = [Some(1), Some(2), Some(3), Some(1 << 32), None]
            .map(|seed| run(&example, seed).0)
            .into();
        for (i, loss) in losses.iter().enumerate() {
            assert!(!losses[..i].contains(loss), "{problem:?}: seeds alike, {losses:?}");
        }
        let model = example.training_model(TrainingOptions::default());
        let without = model.loss(&example.inputs.batch(), &example.labels).unwrap().loss;
        assert!((losses[4] - without).abs() < 1e-6, "{problem:?}: dropout without a seed");
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem));
    }
}

#[test]
fn a_rate_of_zero_is_none_at_all() {
    fn compare<M: Labelled>(problem: Problem) {
        let example = example::<M>(problem, (0.0, 0.0, None));
        let what = format!("{problem:?}");
        assert_same_tensors(&what, &weights(&example, None), &weights(&example, Some(3)));
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem));
    }
}

/// The classifiers' rate is that of transformers: the hidden states' own where it is null, but only
/// for tokens; none in question answering and masked LM.
#[test]
fn classifiers_have_the_dropout_that_transformers_gives_them() {
    fn is_active<M: Labelled>(problem: Problem, rates: Rates) -> bool {
        let example = example::<M>(problem, rates);
        run(&example, Some(3)).0 != run(&example, None).0
    }
    for problem in Problem::ALL {
        let has_none = matches!(problem, Problem::MaskedLm | Problem::Questions);
        let active = for_problem!(problem, is_active(problem, (0.0, 0.0, Some(0.5))));
        assert_eq!(active, !has_none, "{problem:?}");
        assert!(!for_problem!(problem, is_active(problem, (0.0, 0.0, None))), "{problem:?}");
        assert!(for_problem!(problem, is_active(problem, (0.5, 0.0, Some(0.0)))), "{problem:?}");
        assert!(for_problem!(problem, is_active(problem, (0.0, 0.5, Some(0.0)))), "{problem:?}");
    }
    // With null, a classifier of tokens drops what it reads at the hidden states' rate: whole
    // columns of its gradient.
    let zeros = |classifier| {
        let rates = (0.5, 0.0, classifier);
        let mut example = example::<AlbertForTokenClassification>(Problem::Tokens, rates);
        (example.inputs, example.labels) = (one_token(), ndarray::array![[1]]);
        zero_columns(&weights(&example, Some(5))["classifier.weight"])
    };
    assert!(zeros(None) > 0 && zeros(Some(0.0)) == 0);
    // In other classifiers, null is none.
    let mut example =
        example::<AlbertForSequenceClassification>(Problem::SingleLabel, (0.5, 0.0, None));
    (example.inputs, example.labels) = (one_token(), ndalbert::train::Targets::Classes(vec![1]));
    assert_eq!(zero_columns(&weights(&example, Some(5))["classifier.weight"]), 0);
}

/// A batch of one token, where what is dropped shows as zeros in gradients.
fn one_token() -> Inputs {
    Inputs::full(1, 1, 1, 37)
}

fn columns(values: &ndarray::ArrayD<f32>) -> impl Iterator<Item = Array1<f32>> + '_ {
    values.axis_iter(Axis(1)).map(|column| column.into_dimensionality().unwrap().to_owned())
}

fn zero_columns(values: &ndarray::ArrayD<f32>) -> usize {
    columns(values).filter(|column| column.iter().all(|&value| value == 0.0)).count()
}

/// Wide, so that there is something to count; nothing is shared, so that each layer's dropout can
/// be seen.
fn wide_config(rates: Rates) -> AlbertConfig {
    Problem::SentenceOrder.config(|fields| {
        fields.embedding_size = 60;
        fields.hidden_size = 120;
        fields.num_attention_heads = 30;
        fields.hidden_act = Activation::Gelu;
        fields.parameter_sharing = ParameterSharing::None;
        set(fields, rates);
    })
}

fn wide_example(rates: Rates) -> Example<AlbertForSentenceOrder> {
    let config = wide_config(rates);
    let mut example = Example::with_inputs(Problem::SentenceOrder, config, one_token(), 17);
    example.labels = vec![1];
    example
}

/// Asserts that `count` of `total` draws is what a rate lets expect, within four standard
/// deviations.
#[track_caller]
fn assert_rate(what: &str, count: usize, total: usize, rate: f64) {
    let deviation = (rate * (1.0 - rate) / total as f64).sqrt();
    let found = count as f64 / total as f64;
    assert!((found - rate).abs() < 4.0 * deviation, "{what}: {found} instead of {rate} of {total}");
}

const SEEDS: std::ops::Range<u64> = 100..160;

/// What is dropped has a gradient of zero: the mapping's column for an embedding, a bias for a
/// projected state, the projection's columns for an attention head, the classifier's column for a
/// pooled state.
#[test]
fn rates_are_those_of_the_config() {
    const LAYER: &str = "albert.encoder.albert_layer_groups";
    let example = wide_example((0.15, 0.35, Some(0.6)));
    let mut counts = [0; 6];
    let mut totals = [0; 6];
    for seed in SEEDS {
        let gradients = weights(&example, Some(seed));
        let get = |name: &str| &gradients[name];
        let mapping = get("albert.encoder.embedding_hidden_mapping_in.weight");
        counts[0] += zero_columns(mapping);
        totals[0] += 60;
        for layer in 0..2 {
            let block = format!("{LAYER}.{layer}.albert_layers.0.attention.dense");
            let bias = get(&format!("{block}.bias"));
            counts[1 + layer] += bias.iter().filter(|value| **value == 0.0).count();
            totals[1 + layer] += 120;
            let dropped = zero_columns(get(&format!("{block}.weight")));
            assert_eq!(dropped % 4, 0, "a head is dropped as a whole");
            counts[3 + layer] += dropped / 4;
            totals[3 + layer] += 30;
        }
        counts[5] += zero_columns(get("sop_classifier.classifier.weight"));
        totals[5] += 120;
    }
    let rates = [0.15, 0.15, 0.15, 0.35, 0.35, 0.6];
    let what = ["embeddings", "states 0", "states 1", "heads 0", "heads 1", "pooled"];
    for (i, rate) in rates.into_iter().enumerate() {
        assert_rate(what[i], counts[i], totals[i], rate);
    }
}

/// What is kept is divided by the part that is kept, so that means stay as they are.
#[test]
fn what_is_kept_is_scaled() {
    const RATE: f32 = 0.25;
    let example = wide_example((0.0, 0.0, Some(f64::from(RATE))));
    let ratio = |seed| -> Vec<f32> {
        let gradients = weights(&example, seed);
        let weight = &gradients["sop_classifier.classifier.weight"];
        // The bias's gradient is that of the logits; what it is multiplied by is what the
        // classifier reads.
        let logit = gradients["sop_classifier.classifier.bias"][[0]];
        columns(weight).map(|column| column[0] / logit).collect()
    };
    let without = ratio(None);
    for seed in SEEDS {
        for (dropped, kept) in ratio(Some(seed)).iter().zip(&without) {
            let scaled = kept / (1.0 - RATE);
            let is_right =
                *dropped == 0.0 || (dropped - scaled).abs() < 1e-5 * scaled.abs().max(1e-3);
            assert!(is_right, "{dropped}, of {kept}");
        }
    }
}

/// Layers, places, tokens and sequences draw independently of each other: what two of them drop
/// together is the product of the rates.
#[test]
fn every_place_draws_for_itself() {
    const RATE: f64 = 0.4;
    let dropped = |inputs: Inputs, seed| -> [Vec<bool>; 3] {
        let mut example = wide_example((RATE, 0.0, Some(0.0)));
        example.labels = vec![1; inputs.sequences()];
        example.inputs = inputs;
        let gradients = weights(&example, Some(seed));
        let mapping = &gradients["albert.encoder.embedding_hidden_mapping_in.weight"];
        let mapping = columns(mapping).map(|column| column.iter().all(|&value| value == 0.0));
        let biases = [0, 1].map(|layer| {
            let name = format!(
                "albert.encoder.albert_layer_groups.{layer}.albert_layers.0.attention.dense.bias"
            );
            gradients[&name].iter().map(|&value| value == 0.0).collect()
        });
        let [first, second] = biases;
        [mapping.collect(), first, second]
    };
    let both = |one: &[bool], other: &[bool]| {
        one.iter().zip(other).filter(|(one, other)| **one && **other).count()
    };
    let (mut layers, mut places, mut tokens, mut sequences) = (0, 0, 0, 0);
    let mut seeds = 0;
    for seed in SEEDS {
        let [embeddings, first, second] = dropped(one_token(), seed);
        layers += both(&first, &second);
        places += both(&embeddings, &first);
        let [embeddings, ..] = dropped(Inputs::full(1, 1, 2, 37), seed);
        tokens += embeddings.iter().filter(|dropped| **dropped).count();
        let [embeddings, ..] = dropped(Inputs::full(1, 2, 1, 37), seed);
        sequences += embeddings.iter().filter(|dropped| **dropped).count();
        let [_, other, _] = dropped(one_token(), seed + 1000);
        seeds += both(&first, &other);
    }
    let runs = SEEDS.count();
    assert_rate("both layers", layers, 120 * runs, RATE * RATE);
    assert_rate("embeddings and states", places, 60 * runs, RATE * RATE);
    assert_rate("both tokens", tokens, 60 * runs, RATE * RATE);
    assert_rate("both sequences", sequences, 60 * runs, RATE * RATE);
    assert_rate("both seeds", seeds, 120 * runs, RATE * RATE);
}

// -------------------------------------------------------------------------------------------------
// Gradients with dropout

/// Which keeps its slopes, where a seed decides what is dropped.
#[test]
fn gradients_are_the_slopes_of_the_loss_with_the_same_seed() {
    fn compare<M: Labelled>(problem: Problem, activations: ActivationPolicy) {
        let example = example::<M>(problem, EVERYWHERE);
        let options = TrainingOptions { activations, ..TrainingOptions::default() };
        assert_slopes_with_dropout(&format!("{problem:?}"), &example, options, 21);
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem, ActivationPolicy::Keep));
    }
    compare::<AlbertForPreTraining>(Problem::PreTraining, ActivationPolicy::Recompute);
    compare::<AlbertForMaskedLM>(Problem::MaskedLm, ActivationPolicy::Recompute);
    compare::<AlbertForQuestionAnswering>(Problem::Questions, ActivationPolicy::Recompute);
}
