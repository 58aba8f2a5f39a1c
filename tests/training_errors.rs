//! What training refuses, and that gradients are then as they were.

mod common;

use common::problems::{Example, Labelled, Layout, Problem, for_problem};
use common::refused;
use ndalbert::train::{
    ActivationPolicy, AnswerPositions, BackboneStates, PreTrainingLabels, Targets, TrainingModel,
    TrainingOptions,
};
use ndalbert::{
    AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining, AlbertForQuestionAnswering,
    AlbertForSentenceOrder, AlbertForSequenceClassification, AlbertForTokenClassification, Batch,
    Error, PreTrainedModel, Precision, Result,
};
use ndarray::{Array2, array};

fn example<M: Labelled>(problem: Problem) -> Example<M> {
    Example::new(problem, problem.config(|_| ()), 1)
}

/// Asserts that `loss` and `backward` refuse labels, and that gradients, which hold something
/// already, stay as they are.
#[track_caller]
fn assert_refused<M: Labelled>(example: &Example<M>, labels: M::Labels, words: &[&str]) {
    assert_batch_refused(example, &example.inputs.batch(), &labels, words);
}

#[track_caller]
fn assert_batch_refused<M: Labelled>(
    example: &Example<M>,
    batch: &Batch,
    labels: &M::Labels,
    words: &[&str],
) {
    for activations in [ActivationPolicy::Keep, ActivationPolicy::Recompute] {
        let options = TrainingOptions { activations, ..TrainingOptions::default() };
        let mut model = example.training_model(options);
        refused(model.loss(batch, labels), words);
        let mut gradients = example.parameters.clone();
        for seed in [None, Some(1)] {
            let result = model.backward(batch, labels, seed, 1.0, &mut gradients);
            assert!(matches!(result, Err(Error::Input { .. })), "{result:?}");
            refused(result, words);
            assert_eq!(gradients, example.parameters, "gradients were changed");
        }
    }
}

/// The rows and columns of the inputs that every example here has.
const SHAPE: (usize, usize) = (4, 9);

/// Labels for tokens with one at a place.
fn one_label(place: (usize, usize), label: i64) -> Array2<i64> {
    let mut labels = Array2::from_elem(SHAPE, -100);
    labels[place] = label;
    labels
}

#[test]
fn labels_of_tokens_that_are_none_are_refused() {
    let nothing = || Array2::from_elem(SHAPE, -100);
    let words = example::<AlbertForMaskedLM>(Problem::MaskedLm);
    let tokens = example::<AlbertForTokenClassification>(Problem::Tokens);
    let cases: [(Array2<i64>, &[&str]); 5] = [
        (one_label((0, 1), -1), &["labels", "-1"]),
        (one_label((0, 1), i64::MAX), &["labels", "9223372036854775807"]),
        (one_label((0, 1), i64::MIN), &["labels", "-9223372036854775808"]),
        (nothing(), &["labels", "at least one", "none"]),
        (Array2::from_elem((4, 8), 1), &["labels", "(4, 9)", "(4, 8)"]),
    ];
    for (labels, expected) in cases {
        assert_refused(&words, labels.clone(), expected);
        assert_refused(&tokens, labels, expected);
    }
    assert_refused(&words, one_label((0, 1), 37), &["labels", "37"]);
    assert_refused(&tokens, one_label((0, 1), 5), &["labels", "5"]);
    // Where the mask has no token: after a sequence's end, in a hole, and at a first token that
    // only the pooler sees.
    for place in [(0, 6), (2, 3), (3, 0)] {
        assert_refused(&words, one_label(place, 1), &["labels", "mask"]);
        assert_refused(&tokens, one_label(place, 1), &["labels", "mask"]);
    }
}

#[test]
fn labels_of_pre_training_that_are_none_are_refused() {
    let example = example::<AlbertForPreTraining>(Problem::PreTraining);
    let labels = |masked_lm, sentence_order: &[i64]| PreTrainingLabels {
        masked_lm,
        sentence_order: sentence_order.to_vec(),
    };
    let nothing = Array2::from_elem(SHAPE, -100);
    let one = one_label((0, 1), 3);
    assert_refused(&example, labels(nothing, &[0, 1, 0, 1]), &["labels", "none"]);
    assert_refused(&example, labels(one.clone(), &[0, 1, 2, 1]), &["labels", "2"]);
    assert_refused(&example, labels(one.clone(), &[-100; 4]), &["labels", "none"]);
    assert_refused(&example, labels(one.clone(), &[0, 1]), &["labels", "4", "2"]);
    assert_refused(&example, labels(one_label((0, 1), 37), &[0, 1, 0, 1]), &["labels", "37"]);
    let order = self::example::<AlbertForSentenceOrder>(Problem::SentenceOrder);
    for (labels, words) in [
        (vec![0, 1, 2, 0], ["labels", "2"]),
        (vec![0, -1, 0, 0], ["labels", "-1"]),
        (vec![0, 1, 1], ["4", "3"]),
        (vec![], ["4", "0"]),
        (vec![-100; 4], ["labels", "none"]),
    ] {
        assert_refused(&order, labels, &words);
    }
}

#[test]
fn targets_that_are_none_are_refused() {
    let choices = example::<AlbertForMultipleChoice>(Problem::ChoiceByClass);
    let cases: [(Targets, &[&str]); 8] = [
        (Targets::Classes(vec![0, 2]), &["2"]),
        (Targets::Classes(vec![0, -3]), &["-3"]),
        // Four sequences are not three prompts, nor none.
        (Targets::Classes(vec![0, 1, 0]), &["4"]),
        (Targets::Classes(vec![]), &[]),
        (Targets::Classes(vec![0; 5]), &["4"]),
        (Targets::Values(Array2::zeros((2, 3))), &["3"]),
        (Targets::Values(Array2::zeros((3, 2))), &[]),
        (Targets::Values(Array2::zeros((0, 2))), &[]),
    ];
    for (targets, words) in cases {
        assert_refused(&choices, targets, words);
    }
    for (problem, targets) in [
        (Problem::SingleLabel, Targets::Classes(vec![0, 1, 3, 0])),
        (Problem::SingleLabel, Targets::Classes(vec![-100; 4])),
        (Problem::SingleLabel, Targets::Classes(vec![0; 3])),
        (Problem::SingleLabel, Targets::Values(Array2::zeros((4, 3)))),
        (Problem::MultiLabel, Targets::Classes(vec![0; 4])),
        (Problem::MultiLabel, Targets::Values(Array2::zeros((4, 2)))),
        (Problem::Regression, Targets::Values(Array2::zeros((3, 2)))),
    ] {
        let example = example::<AlbertForSequenceClassification>(problem);
        assert_refused(&example, targets, &["labels"]);
    }
}

#[test]
fn answers_that_are_none_are_refused() {
    let example = example::<AlbertForQuestionAnswering>(Problem::Questions);
    let answer = |start: [i64; 4], end: [i64; 4]| AnswerPositions {
        start: start.to_vec(),
        end: end.to_vec(),
    };
    assert_refused(&example, answer([6, 0, 0, 1], [0, 0, 0, 1]), &["start_positions[0]", "6"]);
    assert_refused(&example, answer([0, 0, 0, 1], [0, 0, 3, 1]), &["end_positions[2]", "3"]);
    assert_refused(&example, answer([0, 0, 0, -1], [0, 0, 0, 1]), &["start_positions[3]", "mask"]);
    assert_refused(&example, answer([9; 4], [0, 0, 0, 1]), &["start_positions", "none"]);
    let few = AnswerPositions { start: vec![0, 0, 0, 1], end: vec![0] };
    assert_refused(&example, few, &["end_positions", "4", "1"]);
}

#[test]
fn batches_that_do_not_fit_the_model_are_refused() {
    let example = example::<AlbertForSentenceOrder>(Problem::SentenceOrder);
    let refuse = |batch: Batch, words: &[&str]| {
        assert_batch_refused(&example, &batch, &vec![0], words);
    };
    refuse(Batch::from_sequences(&[vec![2, 37]]).unwrap(), &["input_ids[0, 1]", "37"]);
    refuse(Batch::from_sequences(&[vec![1; 12]]).unwrap(), &["position_ids", "11"]);
    let types = Batch::from_ids_and_types([(&[1_u32, 2][..], &[0_u32, 2][..])]).unwrap();
    refuse(types, &["token_type_ids[0, 1]", "2"]);
    let embeddings = ndarray::Array3::<f32>::zeros((1, 2, 6));
    refuse(Batch::padded_embeddings(embeddings.view()).build().unwrap(), &["width", "6"]);
}

#[test]
fn gradients_of_another_shape_are_refused() {
    fn compare<M: Labelled>(problem: Problem) {
        let example = example::<M>(problem);
        let mut model = example.training_model(TrainingOptions::default());
        for layout in [Layout::ALL[1], Layout::ALL[7]] {
            let mut others = M::zero_parameters(&problem.config(|fields| layout.apply(fields)));
            let batch = example.inputs.batch();
            refused(model.backward(&batch, &example.labels, None, 1.0, &mut others), &["expected"]);
        }
        let mut others = M::zero_parameters(&problem.config(|fields| fields.vocab_size = 38));
        let batch = example.inputs.batch();
        let result = model.backward(&batch, &example.labels, None, 1.0, &mut others);
        refused(result, &["word_embeddings", "37", "38"]);
        let model = example.training_model(TrainingOptions::default());
        assert!(
            common::weights::weights_of(&model.zero_gradients())
                .values()
                .all(|values| { values.iter().all(|&value| value == 0.0) })
        );
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem));
    }
}

#[test]
fn precisions_and_parameters_that_cannot_be_trained_are_refused() {
    fn compare<M: Labelled>(problem: Problem) {
        let example = example::<M>(problem);
        let new = |parameters, precision| -> Result<TrainingModel<M>> {
            let options = TrainingOptions { precision, ..TrainingOptions::default() };
            TrainingModel::new(example.config.clone(), parameters, options)
        };
        refused(new(example.parameters.clone(), Precision::Int8).map(|_| ()), &["precision"]);
        let others = || M::zero_parameters(&problem.config(|fields| fields.intermediate_size = 18));
        refused(new(others(), Precision::F32).map(|_| ()), &["ffn", "17", "18"]);

        let mut model = new(example.parameters.clone(), Precision::F32).unwrap();
        let refusal = model.update(|parameters| {
            *parameters = others();
            Ok(())
        });
        refused(refusal, &["ffn", "17", "18"]);
    }
    for problem in Problem::ALL {
        for_problem!(problem, compare(problem));
    }
}

#[test]
fn an_error_of_a_change_is_handed_on() {
    let example = example::<AlbertForSentenceOrder>(Problem::SentenceOrder);
    let mut model = example.training_model(TrainingOptions::default());
    let result = model.update(|_| AlbertForSentenceOrder::from_pretrained("nowhere/at/all"));
    refused(result, &["nowhere"]);
}

#[test]
fn refused_labels_do_not_spoil_what_follows() {
    let example = example::<AlbertForMaskedLM>(Problem::MaskedLm);
    let (expected_loss, expected) = example.gradients(TrainingOptions::default());
    let mut model = example.training_model(TrainingOptions::default());
    let mut gradients = model.zero_gradients();
    let batch = example.inputs.batch();
    let bad = array![[1_i64]];
    assert!(model.backward(&batch, &bad, None, 1.0, &mut gradients).is_err());
    let loss = model.backward(&batch, &example.labels, None, 1.0, &mut gradients).unwrap();
    assert_eq!((loss, gradients), (expected_loss, expected));
}

#[test]
fn gradients_of_states_of_another_shape_are_refused() {
    let config = Problem::SentenceOrder.config(|_| ());
    let example = Example::<AlbertForSentenceOrder>::new(Problem::SentenceOrder, config, 2);
    let mut model = example.training_model(TrainingOptions::default());
    let mut gradients = example.parameters.clone();
    let wrong: [fn(&BackboneStates) -> BackboneStates; 3] = [
        |states| BackboneStates { pooled: None, ..states.clone() },
        |states| BackboneStates { tokens: states.tokens.t().to_owned(), ..states.clone() },
        |states| BackboneStates { pooled: Some(Array2::zeros((1, 12))), ..states.clone() },
    ];
    for wrong in wrong {
        let result = model.backward_with(&example.inputs.batch(), None, &mut gradients, |s, _| {
            Ok(((), wrong(s)))
        });
        assert!(result.unwrap_err().to_string().contains("gradients of states"));
        assert_eq!(gradients, example.parameters, "gradients were changed");
    }
}
