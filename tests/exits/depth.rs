//! An input leaves where its policy says, with what the model's exit says there; in any batch, on
//! any number of threads.
//!
//! A model that ends at an exit's layer is the reference: its pooled output is computed without any
//! of what is tested here.

use std::ops::Range;

use ndalbert::exits::{Agreement, Confidence, ExitPolicy, Patience, Predictions};
use ndalbert::{
    Albert, AlbertConfig, AlbertForMultipleChoice, AlbertForSentenceOrder,
    AlbertForSequenceClassification, AlbertParameters, Batch, Model, ParameterSharing, Precision,
    ProblemType,
};
use ndarray::{Array1, Array2};
use rayon::ThreadPoolBuilder;

use crate::common::compare::assert_same_bits;
use crate::common::random::{ids, lively, numbers, small_config};
use crate::common::refused;

const VOCAB: u32 = 101;
const LONGEST: usize = 90;
const LAYERS: usize = 6;

fn config(change: impl FnOnce(&mut ndalbert::ConfigFields)) -> AlbertConfig {
    small_config(|fields| {
        fields.vocab_size = VOCAB as usize;
        fields.hidden_size = 48;
        fields.intermediate_size = 96;
        fields.num_attention_heads = 4;
        fields.num_hidden_layers = LAYERS;
        fields.max_position_embeddings = LONGEST;
        fields.labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        fields.exit_layers = (1..=LAYERS).collect();
        change(fields);
    })
}

/// Sequences of all lengths, some of which hide tokens: the first one, too.
fn batch(members: &[usize]) -> Batch {
    let length = |i: usize| 1 + (i * 37) % LONGEST;
    let width = members.iter().map(|&i| length(i)).max().unwrap();
    let cell = |(row, column): (usize, usize)| {
        let i = members[row];
        let id = ids(i as u64, length(i), VOCAB).get(column).copied().unwrap_or(7);
        let is_hidden = i % 5 == 4 && (column % 3 == 0) && length(i) > 1;
        (id, u32::from(column < length(i) && !is_hidden))
    };
    let shape = (members.len(), width);
    Batch::padded(Array2::from_shape_fn(shape, |at| cell(at).0).view())
        .attention_mask(Array2::from_shape_fn(shape, |at| cell(at).1).view())
        .build()
        .unwrap()
}

/// More than several threads' groups at the widths above.
const SEQUENCES: usize = 60;

/// Lets each input leave after a layer of its own, and is as hopeful as it is told.
#[derive(Debug)]
struct Schedule {
    layers: Vec<usize>,
    hopeful: bool,
}

impl Schedule {
    fn new(inputs: usize, seed: u64, hopeful: bool) -> Self {
        let layers = numbers(seed, LAYERS as u32).map(|layer| layer as usize + 1);
        Self { layers: layers.take(inputs).collect(), hopeful }
    }
}

impl ExitPolicy for Schedule {
    fn leaves(&self, predictions: &Predictions<'_>) -> bool {
        predictions.layer(predictions.count() - 1) >= self.layers[predictions.input()]
    }

    fn may_leave_next(&self, predictions: Option<&Predictions<'_>>) -> bool {
        self.hopeful
            || predictions
                .is_some_and(|given| given.layer(given.count()) >= self.layers[given.input()])
    }
}

/// The logits of every exit for every sequence, from models that end there.
fn references(model: &AlbertForSequenceClassification, batch: &Batch) -> Vec<Array2<f32>> {
    let config = model.config();
    let exits = config.exit_layers.iter().enumerate();
    exits
        .map(|(exit, &layers)| {
            let mut fields = config.to_fields();
            fields.num_hidden_layers = layers;
            fields.exit_layers = Vec::new();
            fields.num_hidden_groups = fields.num_hidden_groups.min(layers);
            let config = AlbertConfig::new(fields).unwrap();
            let parameters = truncated(model.albert().to_parameters(), &config);
            let precision = model.precision();
            let albert = Albert::from_parameters_in(config, parameters, precision).unwrap();
            let pooled = albert.pooler_output(batch).unwrap();
            model.head().exit(exit).forward(pooled.view()).unwrap()
        })
        .collect()
}

/// The blocks of the first layers.
fn truncated(mut parameters: AlbertParameters, config: &AlbertConfig) -> AlbertParameters {
    let zeros = Albert::zero_parameters(config);
    parameters.encoder.attentions.truncate(zeros.encoder.attentions.len());
    parameters.encoder.feed_forwards.truncate(zeros.encoder.feed_forwards.len());
    parameters
}

fn model(config: AlbertConfig, precision: Precision) -> AlbertForSequenceClassification {
    let parameters = lively::<AlbertForSequenceClassification>(&config, 3);
    AlbertForSequenceClassification::from_parameters_in(config, parameters, precision).unwrap()
}

fn threads<R: Send>(count: usize, call: impl FnOnce() -> R + Send) -> R {
    ThreadPoolBuilder::new().num_threads(count).build().unwrap().install(call)
}

/// Checks a model's results against those of models that end at each exit's layer.
fn leaves_as_scheduled(config: AlbertConfig, precision: Precision) {
    let model = model(config, precision);
    let exits = &model.config().exit_layers;
    let members: Vec<usize> = (0..SEQUENCES).collect();
    let batch = batch(&members);
    let expected = references(&model, &batch);
    for (count, hopeful) in [(1, true), (1, false), (2, true), (3, false)] {
        for seed in 0..2 {
            let schedule = Schedule::new(SEQUENCES, seed, hopeful);
            let early = threads(count, || model.forward_until(&batch, &schedule).unwrap());
            for (i, &layers) in early.layers.iter().enumerate() {
                let exit = exits.iter().position(|&exit| exit >= schedule.layers[i]).unwrap();
                assert_eq!(layers, exits[exit], "{precision}: sequence {i}, {count} threads");
                let row = |logits: &Array2<f32>| logits.row(i).to_owned();
                let what = format!("{precision}: sequence {i} after layer {layers}");
                assert_same_bits(&what, &row(&expected[exit]), &row(&early.output.logits));
            }
        }
    }
}

#[test]
fn inputs_leave_with_what_a_model_of_that_depth_says() {
    for precision in Precision::ALL {
        leaves_as_scheduled(config(|_| ()), precision);
    }
}

#[test]
fn exits_may_follow_some_of_the_layers() {
    leaves_as_scheduled(config(|fields| fields.exit_layers = vec![2, 3, 6]), Precision::F32);
    leaves_as_scheduled(config(|fields| fields.exit_layers = vec![6]), Precision::F32);
}

#[test]
fn layers_need_not_be_one() {
    leaves_as_scheduled(config(|fields| fields.inner_group_num = 2), Precision::F32);
    let unshared = |fields: &mut ndalbert::ConfigFields| {
        fields.parameter_sharing = ParameterSharing::None;
    };
    leaves_as_scheduled(config(unshared), Precision::F32);
    let partly = |fields: &mut ndalbert::ConfigFields| {
        fields.parameter_sharing = ParameterSharing::Attention;
    };
    leaves_as_scheduled(config(partly), Precision::F32);
}

/// A policy that goes by the predictions, as all should.
fn policies() -> Vec<Box<dyn ExitPolicy>> {
    vec![
        Box::new(Patience::new(0)),
        Box::new(Patience::new(1)),
        Box::new(Patience::new(2)),
        Box::new(Confidence::new(0.6)),
        Box::new(Confidence::entropy(0.8)),
        Box::new(Agreement::new(1.0)),
        Box::new(Agreement::new(1.0).weights([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])),
    ]
}

#[test]
fn neither_batch_mates_nor_threads_change_where_an_input_leaves() {
    for precision in Precision::ALL {
        let model = model(config(|_| ()), precision);
        let mut telling = 0;
        for policy in policies() {
            let alone: Vec<_> = (0..SEQUENCES)
                .map(|i| model.forward_until(&batch(&[i]), &*policy).unwrap())
                .collect();
            let depths: std::collections::BTreeSet<_> =
                alone.iter().map(|early| early.layers[0]).collect();
            telling += usize::from(depths.len() > 1);
            let batches =
                [(0..SEQUENCES).collect(), (0..SEQUENCES).rev().collect(), vec![3, 3, 50]];
            for (count, members) in (1..=3).zip::<[Vec<usize>; 3]>(batches) {
                let together = batch(&members);
                let early = threads(count, || model.forward_until(&together, &*policy).unwrap());
                for (row, &i) in members.iter().enumerate() {
                    let what = format!("{precision} {policy:?}: sequence {i}");
                    assert_eq!(alone[i].layers[0], early.layers[row], "{what}");
                    let expected = alone[i].output.logits.row(0).to_owned();
                    assert_same_bits(&what, &expected, &early.output.logits.row(row).to_owned());
                }
            }
        }
        assert!(telling > 1, "{precision}: {telling} policies let inputs leave at several layers");
    }
}

#[test]
fn patience_is_counted_as_in_pabee() {
    let model = model(config(|_| ()), Precision::F32);
    let batch = batch(&(0..SEQUENCES).collect::<Vec<_>>());
    let logits = references(&model, &batch);
    for patience in 1..4 {
        let early = model.forward_until(&batch, &Patience::new(patience)).unwrap();
        for (i, &layers) in early.layers.iter().enumerate() {
            // As in the paper's code: a counter that a change sets back.
            let class = |exit: usize| {
                let row = logits[exit].row(i);
                (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()
            };
            let (mut counter, mut expected) = (0, LAYERS);
            for exit in 1..LAYERS {
                counter = if class(exit) == class(exit - 1) { counter + 1 } else { 0 };
                if counter == patience {
                    expected = exit + 1;
                    break;
                }
            }
            assert_eq!(layers, expected, "sequence {i}, patience {patience}");
        }
    }
}

#[test]
fn numbers_and_labels_leave_by_their_own_criteria() {
    let numbers = config(|fields| {
        fields.problem_type = Some(ProblemType::Regression);
        fields.labels = vec!["number".to_owned()];
    });
    let numbers = model(numbers, Precision::F32);
    let all = batch(&(0..SEQUENCES).collect::<Vec<_>>());
    refused(numbers.forward_until(&all, &Patience::new(1)), &["tolerance"]);
    refused(numbers.forward_until(&all, &Confidence::new(0.9)), &["regression", "confidence"]);
    refused(numbers.forward_until(&all, &Agreement::new(1.0)), &["regression", "agreement"]);
    let early = numbers.forward_until(&all, &Patience::new(1).tolerance(0.2)).unwrap();
    let logits = references(&numbers, &all);
    for (i, &layers) in early.layers.iter().enumerate() {
        let close = |exit: &usize| (logits[*exit][[i, 0]] - logits[exit - 1][[i, 0]]).abs() <= 0.2;
        assert_eq!(layers, (1..LAYERS).find(close).map_or(LAYERS, |exit| exit + 1));
    }
    let labels = config(|fields| {
        fields.problem_type = Some(ProblemType::MultiLabelClassification);
    });
    let labels = model(labels, Precision::F32);
    let early = labels.forward_until(&all, &Patience::new(1)).unwrap();
    let logits = references(&labels, &all);
    for (i, &layers) in early.layers.iter().enumerate() {
        let set = |exit: usize| logits[exit].row(i).mapv(|logit| logit > 0.0);
        let same = |exit: &usize| set(*exit) == set(exit - 1);
        assert_eq!(layers, (1..LAYERS).find(same).map_or(LAYERS, |exit| exit + 1));
    }
}

#[test]
fn choices_of_a_prompt_leave_together() {
    let config = config(|_| ());
    let parameters = lively::<AlbertForMultipleChoice>(&config, 8);
    let choose = AlbertForMultipleChoice::from_parameters(config, parameters).unwrap();
    let (choices, prompts) = (3, SEQUENCES / 3);
    let all = batch(&(0..SEQUENCES).collect::<Vec<_>>());
    for hopeful in [false, true] {
        let schedule = Schedule::new(prompts, 4, hopeful);
        let early = threads(2, || choose.forward_until(&all, choices, &schedule).unwrap());
        assert_eq!(early.layers, schedule.layers);
        assert_eq!(early.output.logits.dim(), (prompts, choices));
        for (prompt, &layers) in schedule.layers.iter().enumerate() {
            let members: Range<usize> = prompt * choices..(prompt + 1) * choices;
            let own = batch(&members.collect::<Vec<_>>());
            let whole = Schedule { layers: vec![layers], hopeful: false };
            let alone = choose.forward_until(&own, choices, &whole).unwrap();
            let row = early.output.logits.row(prompt).to_owned();
            assert_same_bits("choices", &alone.output.logits.row(0).to_owned(), &row);
        }
    }
    let patience = choose.forward_until(&all, choices, &Patience::new(1)).unwrap();
    assert!(patience.layers.iter().any(|&layers| layers < LAYERS));
    // At the last layer, they are what they are without exits.
    let full = Schedule { layers: vec![LAYERS; prompts], hopeful: true };
    let late = choose.forward_until(&all, choices, &full).unwrap().output.logits;
    assert_same_bits("full depth", &choose.forward(&all, choices).unwrap().logits, &late);
    refused(choose.forward_until(&all, 7, &full), &["multiple of 7"]);
    refused(choose.forward_until(&all, 0, &full), &["at least 1"]);
}

#[test]
fn sentence_order_has_exits_too() {
    let config = config(|_| ());
    let parameters = lively::<AlbertForSentenceOrder>(&config, 9);
    let order = AlbertForSentenceOrder::from_parameters(config, parameters).unwrap();
    let all = batch(&(0..SEQUENCES).collect::<Vec<_>>());
    let full = Schedule { layers: vec![LAYERS; SEQUENCES], hopeful: true };
    let late = order.forward_until(&all, &full).unwrap();
    assert_same_bits("full depth", &order.forward(&all).unwrap().logits, &late.output.logits);
    let early = order.forward_until(&all, &Patience::new(1)).unwrap();
    assert!(early.layers.iter().any(|&layers| layers < LAYERS));
}

#[test]
fn what_is_no_number_goes_all_the_way() {
    let config = config(|_| ());
    let mut parameters = lively::<AlbertForSequenceClassification>(&config, 3);
    for exit in &mut parameters.head.exits {
        exit.bias = Array1::from_elem(3, f32::NAN);
    }
    let model = AlbertForSequenceClassification::from_parameters(config, parameters).unwrap();
    for policy in policies().into_iter().skip(1) {
        let early = model.forward_until(&batch(&[1, 2, 3]), &*policy).unwrap();
        assert_eq!(early.layers, [LAYERS; 3], "{policy:?}");
    }
}

#[test]
fn a_model_without_exits_says_so() {
    let model = model(config(|fields| fields.exit_layers.clear()), Precision::F32);
    let error = model.forward_until(&batch(&[1]), &Patience::new(1));
    refused(error, &["exit_layers"]);
}
