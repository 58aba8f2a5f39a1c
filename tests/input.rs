//! Inputs that do not fit are refused, and say what was expected and found; outputs have the shapes
//! that are promised.

mod common;

use approx::assert_abs_diff_eq;
use common::compare::assert_same_bits;
use common::random::small_config;
use common::refused;
use ndalbert::{
    Albert, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForQuestionAnswering,
    AlbertForSentenceOrder, AlbertForSequenceClassification, AlbertForTokenClassification, Batch,
    Labels, Model, OutputOptions, ProblemType,
};
use ndarray::{Array2, Array3, Array4, arr0, array};

/// V 41, 12 positions, 2 types.
fn model<M: Model>() -> M {
    M::from_config(small_config(|_| {}), 1).unwrap()
}

/// Sequences of 4, 2 and 3 tokens; the last one's first column and a column in its midst are
/// masked.
fn batch() -> Batch {
    let ids = array![[2_i64, 7, 8, 3, 0], [2, 3, 0, 0, 0], [2, 9, 8, 7, 3]];
    let mask = array![[1_i64, 1, 1, 1, 0], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1]];
    Batch::padded(ids.view()).attention_mask(mask.view()).build().unwrap()
}

#[test]
fn ids_without_an_embedding_are_refused() {
    let albert: Albert = model();
    let ids = array![[2_i64, 7, 3], [2, 8, 3]];
    let padded = |ids: &Array2<i64>| Batch::padded(ids.view());
    let run = |batch: ndalbert::Result<Batch>| albert.forward(&batch.unwrap());

    let unknown = array![[2_i64, 7, 3], [2, 41, 3]];
    refused(run(padded(&unknown).build()), &["input_ids[1, 1]", "vocab_size = 41", "found 41"]);
    let types = array![[0_i64, 0, 0], [0, 0, 2]];
    let words = ["token_type_ids[1, 2]", "type_vocab_size = 2", "found 2"];
    refused(run(padded(&ids).token_type_ids(types.view()).build()), &words);
    let positions = array![[0_i64, 1, 2], [12, 1, 2]];
    let words = ["position_ids[1, 0]", "max_position_embeddings = 12", "found 12"];
    refused(run(padded(&ids).position_ids(positions.view()).build()), &words);
    let words = ["position_ids[0, 12]", "max_position_embeddings = 12", "found 12"];
    refused(run(Batch::from_sequences(&[vec![1; 13]])), &words);
    assert!(run(Batch::from_sequences(&[vec![1; 12]])).is_ok());
    let embeddings = Array3::zeros((1, 4, 7));
    let words = ["inputs_embeds width", "embedding_size = 6", "found 7"];
    refused(run(Batch::padded_embeddings(embeddings.view()).build()), &words);
}

#[test]
fn batches_of_nothing_are_refused() {
    let none: [Vec<u32>; 0] = [];
    let empty = ["number of sequences", "at least 1", "found 0"];
    refused(Batch::from_sequences(&none), &empty);
    refused(Batch::padded(Array2::<i64>::zeros((0, 4)).view()).build(), &empty);
    refused(Batch::padded_embeddings(Array3::zeros((0, 4, 6)).view()).build(), &empty);
    let short = ["length of sequence 0", "at least 1 token", "found 0"];
    refused(Batch::padded(Array2::<i64>::zeros((2, 0)).view()).build(), &short);
    refused(Batch::padded_embeddings(Array3::zeros((2, 0, 6)).view()).build(), &short);
    let words = ["length of sequence 1", "at least 1 token"];
    refused(Batch::from_sequences(&[vec![2, 3], vec![]]), &words);
    refused(Batch::padded(arr0(5_i64).view()).build(), &["input_ids axes", "at least 1"]);
    let flat = array![0.5_f32];
    refused(
        Batch::padded_embeddings(flat.view()).build(),
        &["inputs_embeds axes", "at least 2", "1"],
    );
}

#[test]
fn arrays_that_do_not_fit_the_ids_are_refused() {
    let ids = array![[2_i64, 7, 3], [2, 8, 3]];
    let padded = || Batch::padded(ids.view());
    let (wide, flat) = (Array2::<i64>::zeros((2, 4)), array![1_i64, 1, 1]);
    let other = array![[1_i64, 1, 1], [1, 2, 0]];
    let negative = array![[0_i64, 0, 0], [0, -1, 0]];
    for (result, words) in [
        (padded().attention_mask(wide.view()).build(), ["attention_mask", "(2, 3)", "(2, 4)"]),
        (padded().attention_mask(flat.view()).build(), ["attention_mask", "(2, 3)", "(1, 3)"]),
        (padded().attention_mask(other.view()).build(), ["attention_mask[1, 1]", "0 or 1", "2"]),
        (padded().attention_mask(negative.view()).build(), ["attention_mask", "0 to", "-1"]),
        (padded().token_type_ids(wide.view()).build(), ["token_type_ids", "(2, 3)", "(2, 4)"]),
        (padded().token_type_ids(negative.view()).build(), ["token_type_ids", "0 to", "-1"]),
        (padded().position_ids(wide.view()).build(), ["position_ids", "(2, 3)", "(2, 4)"]),
        (padded().position_ids(negative.view()).build(), ["position_ids", "0 to", "-1"]),
        (Batch::padded(negative.view()).build(), ["input_ids", "0 to", "found -1"]),
    ] {
        refused(result, &words);
    }
    let pairs = [([2_u32, 3].as_slice(), [0_u32].as_slice())];
    refused(Batch::from_ids_and_types(pairs), &["token types of sequence 0", "2", "found 1"]);
}

/// Of shape [1, S] or [S], types and positions serve all sequences, as in transformers.
#[test]
fn one_row_of_types_or_positions_serves_all() {
    let albert: Albert = model();
    let ids = array![[2_i64, 7, 3], [2, 8, 3]];
    let row = array![1_u32, 0, 1];
    let rows = array![[1_i64, 0, 1], [1, 0, 1]];
    let states = |builder: ndalbert::BatchBuilder| {
        albert.forward(&builder.build().unwrap()).unwrap().last_hidden_state.to_padded()
    };
    let padded = || Batch::padded(ids.view());
    let (one, all) = (padded().token_type_ids(row.view()), padded().token_type_ids(rows.view()));
    assert_eq!(states(one), states(all));
    let (one, all) = (padded().position_ids(row.view()), padded().position_ids(rows.view()));
    assert_eq!(states(one), states(all));
}

/// Any integers and any number of axes before the last, in any memory order.
#[test]
fn arrays_of_choices_are_flattened() {
    let albert: Albert = model();
    let choices = Array3::from_shape_fn((2, 3, 5), |(b, n, s)| 1 + (b * 15 + n * 5 + s) as u32);
    let rows = choices.to_shape((6, 5)).unwrap().mapv(i64::from);
    let transposed = rows.t().as_standard_layout().into_owned();
    let states = |batch: ndalbert::Result<Batch>| {
        albert.forward(&batch.unwrap()).unwrap().last_hidden_state.to_padded()
    };
    let expected = states(Batch::padded(rows.view()).build());
    assert_eq!(expected.dim(), (6, 5, 15));
    assert_eq!(states(Batch::padded(choices.view()).build()), expected);
    assert_eq!(states(Batch::padded(transposed.t()).build()), expected);
    let table = albert.word_embeddings();
    let embeddings =
        Array4::from_shape_fn((2, 3, 5, 6), |(b, n, s, e)| table[[choices[[b, n, s]] as usize, e]]);
    assert_eq!(states(Batch::padded_embeddings(embeddings.view()).build()), expected);
}

#[test]
fn choices_that_do_not_divide_are_refused() {
    let model: AlbertForMultipleChoice = model();
    for (choices, words) in [(2, "a multiple of 2"), (0, "at least 1 choice"), (4, "of 4 choices")]
    {
        refused(model.forward(&batch(), choices), &["number of sequences", words, "found 3"]);
    }
    let output = model.forward(&batch(), 3).unwrap();
    assert_eq!(output.logits.dim(), (1, 3));
    refused(output.loss(Labels::Classes(&[3])), &["labels[0]", "below 3", "found 3"]);
    refused(output.loss(Labels::Classes(&[0, 1])), &["labels", "expected 1", "found 2"]);
    let wide = array![[0.5_f32, 0.5]];
    refused(output.loss(Labels::Values(wide.view())), &["labels", "[1, 3]", "[1, 2]"]);
}

/// A loss against labels `[B, S]`.
type Loss<'a> = dyn Fn(Array2<i64>) -> ndalbert::Result<f32> + 'a;

#[test]
fn labels_that_do_not_fit_tokens_are_refused() {
    let ignored = Array2::from_elem((3, 5), -100_i64);
    let with = |at: [usize; 2], label: i64| {
        let mut labels = ignored.clone();
        labels[at] = label;
        labels
    };
    let masked_lm = model::<AlbertForMaskedLM>().forward(&batch()).unwrap();
    let tokens = model::<AlbertForTokenClassification>().forward(&batch()).unwrap();
    let losses: [(&Loss<'_>, i64); 2] =
        [(&|labels| masked_lm.loss(labels.view()), 41), (&|labels| tokens.loss(labels.view()), 2)];
    for (loss, classes) in losses {
        let below = format!("below {classes}");
        refused(loss(Array2::zeros((3, 4))), &["labels", "(3, 5)", "(3, 4)"]);
        refused(loss(Array2::zeros((2, 5))), &["labels", "(3, 5)", "(2, 5)"]);
        refused(loss(with([0, 1], classes)), &["labels", &below, &format!("found {classes}")]);
        refused(loss(with([0, 1], -1)), &["labels", &below, "found -1"]);
        refused(loss(with([2, 2], 1)), &["labels[2, 2]", "outside the attention mask", "found 1"]);
        // The first token is computed even where it is masked, but it is not a token.
        refused(loss(with([2, 0], 1)), &["labels[2, 0]", "outside the attention mask"]);
        refused(loss(ignored.clone()), &["labels", "at least one", "none"]);
        assert!(loss(with([2, 1], classes - 1)).unwrap().is_finite());
    }
}

#[test]
fn labels_that_do_not_fit_sequences_are_refused() {
    let order = model::<AlbertForSentenceOrder>().forward(&batch()).unwrap();
    refused(order.loss(&[0, 1]), &["labels", "expected 3", "found 2"]);
    refused(order.loss(&[0, 1, 2]), &["labels[2]", "below 2", "found 2"]);
    refused(order.loss(&[-100; 3]), &["labels", "at least one", "none"]);

    let values = Array2::<f32>::zeros((3, 2));
    let classify = |problem| {
        let config = small_config(|fields| fields.problem_type = problem);
        let model = AlbertForSequenceClassification::from_config(config, 1).unwrap();
        model.forward(&batch()).unwrap()
    };
    let single = classify(Some(ProblemType::SingleLabelClassification));
    refused(single.loss(Labels::Values(values.view())), &["labels", "class indices", "values"]);
    let multi = classify(Some(ProblemType::MultiLabelClassification));
    refused(multi.loss(Labels::Classes(&[0, 1, 0])), &["labels", "values", "class indices"]);
    let regression = classify(Some(ProblemType::Regression));
    refused(regression.loss(Labels::Classes(&[0, 1, 0])), &["labels", "[3, 2]", "[3, 1]"]);
    let narrow = Array2::<f32>::zeros((3, 1));
    refused(classify(None).loss(Labels::Values(narrow.view())), &["labels", "[3, 2]", "[3, 1]"]);
    refused(classify(None).loss(Labels::Classes(&[0, 1, 2])), &["labels[2]", "below 2", "2"]);
}

#[test]
fn spans_that_do_not_fit_are_refused() {
    let output = model::<AlbertForQuestionAnswering>().forward(&batch()).unwrap();
    let words = ["start_positions", "expected 3", "found 2"];
    refused(output.loss(&[0, 0], &[0, 0, 1]), &words);
    let words = ["end_positions[2]", "inside the attention mask", "found 2"];
    refused(output.loss(&[0, 0, 1], &[0, 0, 2]), &words);
    // Negative counts as 0, as in transformers; here, 0 is masked.
    let words = ["start_positions[2]", "inside the attention mask", "found -7"];
    refused(output.loss(&[0, 0, -7], &[0, 0, 1]), &words);
    let words = ["start_positions", "at least one position below 5", "none"];
    refused(output.loss(&[5, 9, 6], &[0, 0, 1]), &words);
    assert!(output.loss(&[0, -1, 5], &[3, 9, 4]).unwrap().is_finite());
}

#[test]
fn scores_can_be_asked_for_at_tokens_only() {
    let model: AlbertForMaskedLM = model();
    for position in [(3, 0), (0, 4), (0, 5), (2, 0), (2, 2), (usize::MAX, usize::MAX)] {
        let found = format!("sequence {}, column {}", position.0, position.1);
        let words = ["position", "inside the batch and its attention mask", &found];
        refused(model.logits_at(&batch(), &[(0, 0), position]), &words);
    }
    assert_eq!(model.logits_at(&batch(), &[(2, 4), (0, 0)]).unwrap().dim(), (2, 41));
    assert_eq!(model.logits_at(&batch(), &[]).unwrap().dim(), (0, 41));
}

#[test]
fn what_was_not_asked_for_is_not_returned() {
    let albert: Albert = model();
    let output = albert.forward(&batch()).unwrap();
    assert!(output.hidden_states.is_empty() && output.attentions.is_empty());
    let states = output.last_hidden_state.to_padded();
    let bare = albert.without_pooler();
    let options = OutputOptions { attentions: true, ..OutputOptions::default() };
    let output = bare.forward_with(&batch(), options).unwrap();
    assert!(output.pooler_output.is_none() && output.hidden_states.is_empty());
    assert!(bare.to_parameters().pooler.is_none());
    assert_same_bits("states", &states, &output.last_hidden_state.to_padded());
}

#[test]
fn hidden_states_and_attentions_are_one_per_application() {
    let config = small_config(|fields| {
        fields.num_hidden_layers = 5;
        fields.num_hidden_groups = 2;
        fields.inner_group_num = 2;
    });
    let albert = Albert::from_config(config, 2).unwrap();
    let options = OutputOptions { hidden_states: true, attentions: true };
    let output = albert.forward_with(&batch(), options).unwrap();
    assert_eq!((output.hidden_states.len(), output.attentions.len()), (11, 10));
    let last = output.last_hidden_state.to_padded();
    assert_same_bits("last", &last, &output.hidden_states[10].to_padded());
    assert_ne!(last, output.hidden_states[0].to_padded());

    let is_token =
        |i: usize, column: usize| output.last_hidden_state.columns(i).contains(&(column as u32));
    for states in &output.hidden_states {
        for ((i, column, _), &value) in states.to_padded().indexed_iter() {
            assert_eq!(is_token(i, column), value != 0.0, "{i} {column}: {value}");
        }
    }
    for layer in &output.attentions {
        let padded = layer.to_padded();
        assert_eq!(padded.dim(), (3, 3, 5, 5));
        for ((i, _, query, key), &value) in padded.indexed_iter() {
            let is_seen = is_token(i, query) && is_token(i, key);
            assert_eq!(is_seen, value > 0.0, "{i} {query} {key}: {value}");
        }
        for (i, tokens) in [4, 2, 3].into_iter().enumerate() {
            let square = layer.sequence(i);
            assert_eq!(square.dim(), (3, tokens, tokens));
            for row in square.rows() {
                assert_abs_diff_eq!(row.sum(), 1.0, epsilon = 1e-6);
            }
        }
    }
}

/// A sequence of padding alone is computed, finite, and leaves its mates as they were.
#[test]
fn a_sequence_without_tokens_has_a_pooled_output_and_nothing_else() {
    let albert: Albert = model();
    let ids = array![[2_i64, 7, 3], [5, 5, 5]];
    let mask = array![[1_i64, 1, 1], [0, 0, 0]];
    let batch = Batch::padded(ids.view()).attention_mask(mask.view()).build().unwrap();
    let options = OutputOptions { hidden_states: true, attentions: true };
    let output = albert.forward_with(&batch, options).unwrap();
    assert_eq!(output.last_hidden_state.sequence(1).dim(), (0, 15));
    assert_eq!(output.attentions[0].sequence(1).dim(), (3, 0, 0));
    let pooled = output.pooler_output.unwrap();
    assert!(pooled.iter().all(|value| value.is_finite()));
    let alone = albert.forward(&Batch::from_sequences(&[[2, 7, 3]]).unwrap()).unwrap();
    assert_eq!(alone.pooler_output.unwrap().row(0), pooled.row(0));
    assert_eq!(alone.last_hidden_state.sequence(0), output.last_hidden_state.sequence(0));
}
