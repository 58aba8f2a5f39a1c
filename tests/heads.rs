//! Heads without a model, and the `Debug` output of models.

use ndalbert::heads::{
    LinearHead, MaskedLmHead, MaskedLmHeadParameters, MaskedLmOutput, QuestionAnsweringOutput,
    SentenceOrderOutput,
};
use ndalbert::ndarray::array;
use ndalbert::ndarray::{Array1, Array2};
use ndalbert::nn::{LayerNorm, Linear};
use ndalbert::{
    AlbertConfig, AlbertForPreTraining, AlbertForQuestionAnswering, AlbertForSentenceOrder, Batch,
    ConfigFields, EmbeddingParameters, EncoderParameters, Model, PreTrainedModel,
};

const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");

#[test]
#[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
fn the_report_names_the_class_that_was_loaded_and_the_config_the_one_of_transformers() {
    let (model, report) = AlbertForSentenceOrder::from_pretrained(CHECKPOINT).unwrap();
    assert_eq!(report.architecture, "AlbertForSentenceOrder");
    let saved = tempfile::tempdir().unwrap();
    model.save_pretrained(saved.path()).unwrap();
    let json = std::fs::read_to_string(saved.path().join("config.json")).unwrap();
    assert!(json.contains(&format!("\"{}\"", AlbertForSentenceOrder::ARCHITECTURE)), "{json}");
    assert_eq!(AlbertForSentenceOrder::ARCHITECTURE, "AlbertForPreTraining");
}

/// V = 20, E = 6, H = 12.
fn config() -> AlbertConfig {
    AlbertConfig::new(ConfigFields {
        vocab_size: 20,
        embedding_size: 6,
        hidden_size: 12,
        num_attention_heads: 2,
        num_hidden_layers: 2,
        intermediate_size: 16,
        ..ConfigFields::default()
    })
    .unwrap()
}

#[test]
fn linear_layers_that_do_not_fit_are_refused() {
    for (weight, bias, expected) in [
        ([2, 12], 3, "length of a linear layer's bias: expected 2, found 3"),
        ([2, 12], 0, "length of a linear layer's bias: expected 2, found 0"),
        ([2, 0], 2, "[out, in], neither of them 0, found [2, 0]"),
        ([0, 12], 0, "[out, in], neither of them 0, found [0, 12]"),
    ] {
        let linear = Linear { weight: Array2::zeros(weight), bias: Array1::zeros(bias) };
        let error = LinearHead::new(linear).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let head = LinearHead::new(Linear::zeros(12, 2)).unwrap();
    assert_eq!(head.forward(Array2::zeros((0, 12)).view()).unwrap().dim(), (0, 2));
    assert!(head.forward(Array2::zeros((3, 11)).view()).is_err());
}

#[test]
fn masked_lm_parameters_that_do_not_fit_are_refused() {
    let refused = |change: &dyn Fn(&mut MaskedLmHeadParameters), expected: &str| {
        let mut parameters = MaskedLmHeadParameters::zeros(&config());
        change(&mut parameters);
        let error = MaskedLmHead::new(&config(), parameters).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let norm = "`predictions.LayerNorm.weight`: expected [6], found";
    refused(&|p| p.layer_norm = LayerNorm::zeros(4), norm);
    refused(&|p| p.layer_norm = LayerNorm::zeros(0), norm);
    let bias = "`predictions.LayerNorm.bias`: expected [6], found [2]";
    refused(&|p| p.layer_norm.bias = Array1::zeros(2), bias);
    refused(&|p| p.dense.bias = Array1::zeros(0), "`predictions.dense.bias`: expected [6]");
    refused(&|p| p.dense = Linear::zeros(11, 6), "expected [6, 12], found [6, 11]");
    refused(&|p| p.bias = Array1::zeros(19), "`predictions.bias`: expected [20], found [19]");
}

/// Two sequences, the first token of the second one masked.
fn batch() -> Batch {
    let ids = array![[2_i64, 7, 8, 3], [2, 9, 3, 0]];
    let mask = array![[1_i64, 1, 1, 1], [0, 1, 1, 0]];
    Batch::padded(ids.view()).attention_mask(mask.view()).build().unwrap()
}

#[test]
fn heads_of_several_models_share_one_backbone() {
    let pretraining = AlbertForPreTraining::from_config(config(), 1).unwrap();
    let answering = AlbertForQuestionAnswering::from_config(config(), 1).unwrap();
    let expected = pretraining.forward(&batch()).unwrap();
    let spans = answering.forward(&batch()).unwrap();

    let (albert, heads) = pretraining.into_parts();
    let output = albert.forward(&batch()).unwrap();
    let states = &output.last_hidden_state;
    let words = heads.masked_lm.forward(states.rows(), albert.word_embeddings()).unwrap();
    let words = MaskedLmOutput::new(states.with_rows(words).unwrap());
    let order = heads.sentence_order.forward(output.pooler_output.unwrap().view()).unwrap();
    let order = SentenceOrderOutput::new(order);
    assert_eq!(words.logits.to_padded(), expected.prediction_logits.to_padded());
    assert_eq!(order.logits, expected.sop_logits);
    let labels = array![[-100, 7, -100, -100], [-100, 9, -100, -100]];
    let loss = words.loss(labels.view()).unwrap() + order.loss(&[0, 1]).unwrap();
    assert_eq!(loss, expected.loss(labels.view(), &[0, 1]).unwrap());

    let logits = states.with_rows(answering.head().forward(states.rows()).unwrap()).unwrap();
    let found = QuestionAnsweringOutput::new(logits).unwrap();
    assert_eq!(found.start_logits(), spans.start_logits());
    assert_eq!(found.loss(&[1, 2], &[2, 2]).unwrap(), spans.loss(&[1, 2], &[2, 2]).unwrap());
    assert!(QuestionAnsweringOutput::new(states.clone()).is_err());
}

#[test]
fn rows_are_of_all_tokens_that_were_computed_and_of_no_others() {
    let albert = ndalbert::Albert::from_config(config(), 1).unwrap();
    let states = albert.forward(&batch()).unwrap().last_hidden_state;
    assert_eq!(states.rows().dim(), (batch().num_tokens(), 12));
    assert_eq!((states.rows().nrows(), states.sequence(1).nrows()), (7, 2));
    assert!(states.with_rows(Array2::zeros((7, 1))).is_ok());
    let error = states.with_rows(Array2::zeros((6, 12))).unwrap_err().to_string();
    assert_eq!(error, "number of rows: expected 7, found 6");
}

#[test]
fn every_part_of_the_parameters_has_zeros() {
    let zeros = AlbertForPreTraining::zero_parameters(&config());
    assert_eq!(EmbeddingParameters::zeros(&config()), zeros.albert.embeddings);
    assert_eq!(EncoderParameters::zeros(&config()), zeros.albert.encoder);
    assert_eq!(MaskedLmHeadParameters::zeros(&config()), zeros.head.masked_lm);
}

#[test]
fn the_best_span_is_neither_padding_nor_too_long_nor_outside_the_text() {
    let albert = ndalbert::Albert::from_config(config(), 1).unwrap();
    let states = albert.forward(&batch()).unwrap().last_hidden_state;
    // Two scores for each of 7 tokens, the fifth of which is masked; all are below padding's 0.
    let logits = array![
        [-1.0, -9.0],
        [-2.0, -8.0],
        [-7.0, -6.0],
        [-8.0, -3.0],
        [-0.5, -0.5],
        [-4.0, -5.0],
        [-6.0, -2.0]
    ];
    let output = QuestionAnsweringOutput::new(states.with_rows(logits).unwrap()).unwrap();
    let span = |sequence, columns, length| {
        output.best_span(sequence, columns, length).map(|span| (span.start, span.end, span.score))
    };
    assert_eq!(span(0, 0..4, 4), Some((0, 3, -4.0)));
    assert_eq!(span(0, 1..4, 4), Some((1, 3, -5.0)));
    assert_eq!(span(0, 1..4, 2), Some((1, 2, -8.0)));
    assert_eq!(span(1, 0..4, 4), Some((1, 2, -6.0)));
    assert_eq!(span(1, 0..4, 1), Some((2, 2, -8.0)));
    assert_eq!((span(1, 3..4, 4), span(1, 0..4, 0)), (None, None));
    assert_eq!(output.start_logits()[[1, 3]], 0.0);
}

#[test]
fn the_best_spans_are_the_best_of_all() {
    let albert = ndalbert::Albert::from_config(config(), 1).unwrap();
    let tokens = 250;
    let batch = Batch::from_sequences(&[vec![2; tokens]]).unwrap();
    let states = albert.forward(&batch).unwrap().last_hidden_state;
    // Few different scores, so that there are ties; 31,375 spans.
    let score = |(row, output): (usize, usize)| ((row * 7 + output * 3) % 11) as f32;
    let logits = Array2::from_shape_fn((tokens, 2), score);
    let output = QuestionAnsweringOutput::new(states.with_rows(logits.clone()).unwrap()).unwrap();
    for max_tokens in [3, tokens] {
        let spans = (0..tokens).flat_map(|start| (start..tokens).map(move |end| (start, end)));
        let mut all: Vec<_> = spans
            .filter(|(start, end)| end - start < max_tokens)
            .map(|(start, end)| (logits[[start, 0]] + logits[[end, 1]], start, end))
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        for count in [0, 1, 5, 400, 40_000] {
            let best = output.best_spans(0, 0..tokens, max_tokens, count);
            let best: Vec<_> = best.iter().map(|span| (span.score, span.start, span.end)).collect();
            assert_eq!(best, all[..count.min(all.len())], "{count} of {max_tokens}");
        }
    }
}

#[test]
fn models_are_shown_by_their_sizes() {
    let shown = format!("{:?}", AlbertForPreTraining::from_config(config(), 1).unwrap());
    for part in [
        "AlbertForPreTraining { albert: Albert { vocab_size: 20, embedding_size: 6, hidden_size: 12",
        "parameter_sharing: All, pooler: true, precision: F32 }",
        "MaskedLmHead { hidden_size: 12, embedding_size: 6, vocab_size: 20 }",
        "LinearHead { inputs: 12, outputs: 2 }",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(shown.len() < 500, "{shown}");
    // That this compiles is what is tested.
    AlbertForQuestionAnswering::from_pretrained("nowhere/at/all").unwrap_err();
}
