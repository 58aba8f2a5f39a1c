//! The output of a sequence is bit-identical alone and in any batch, on any number of threads.

mod common;

use std::thread;

use common::compare::assert_same_bits;
use common::random::{ids, numbers, small_config};
use ndalbert::{
    Albert, AlbertConfig, AlbertForPreTraining, Batch, Model, OutputOptions, Precision,
};
use ndarray::{Array1, Array2};
use rayon::ThreadPoolBuilder;

/// More than the columns of one block of the attention's and of the products' kernels.
const LONGEST: usize = 130;

/// Around the widths of vectors, panels and blocks, and odd ones between.
const LENGTHS: [usize; 18] = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 64, 97, LONGEST];

const VOCAB: u32 = 203;

/// Wide enough that a batch of a few hundred tokens is split over threads: each product is of more than 2²¹
/// multiply-adds, below which everything runs on the caller's thread.
fn config() -> AlbertConfig {
    small_config(|fields| {
        fields.vocab_size = VOCAB as usize;
        fields.embedding_size = 40;
        fields.hidden_size = 128;
        fields.intermediate_size = 512;
        fields.num_attention_heads = 4;
        fields.num_hidden_layers = 2;
        fields.max_position_embeddings = LONGEST;
        // Not the usual 0.02, with which all tokens of an untrained model are alike.
        fields.initializer_range = 0.2;
    })
}

/// One sequence: ids, types, and which of its columns are tokens.
#[derive(Clone)]
struct Sequence {
    ids: Vec<u32>,
    types: Vec<u32>,
    mask: Vec<u32>,
}

impl Sequence {
    fn new(seed: u64, length: usize, has_holes: bool) -> Self {
        let mask = numbers(seed + 1, 3).map(|number| u32::from(!has_holes || number > 0));
        Self {
            ids: ids(seed, length, VOCAB),
            types: ids(seed + 2, length, 2),
            mask: mask.take(length).collect(),
        }
    }
}

/// All lengths without holes, and some with.
fn sequences() -> Vec<Sequence> {
    let with_holes = [1, 2, 6, 17, 50, 129].map(|length| (length, true));
    let lengths = LENGTHS.map(|length| (length, false)).into_iter().chain(with_holes);
    lengths.zip(0..).map(|((length, holes), seed)| Sequence::new(seed, length, holes)).collect()
}

/// Pads with ids that would be seen if they were read.
fn batch(sequences: &[&Sequence]) -> Batch {
    let width = sequences.iter().map(|sequence| sequence.ids.len()).max().unwrap();
    let padded = |part: fn(&Sequence) -> &Vec<u32>, filling: u32| {
        Array2::from_shape_fn((sequences.len(), width), |(i, column)| {
            part(sequences[i]).get(column).copied().unwrap_or(filling)
        })
    };
    Batch::padded(padded(|sequence| &sequence.ids, 17).view())
        .token_type_ids(padded(|sequence| &sequence.types, 1).view())
        .attention_mask(padded(|sequence| &sequence.mask, 0).view())
        .build()
        .unwrap()
}

/// Everything a model computes for one sequence.
struct Outputs {
    /// Hidden states layer by layer, the last hidden state, and word scores.
    by_token: Vec<Array2<f32>>,
    /// The pooled output, and order scores.
    by_sequence: Vec<Array1<f32>>,
}

fn compute(model: &AlbertForPreTraining, sequences: &[&Sequence]) -> Vec<Outputs> {
    let batch = batch(sequences);
    let options = OutputOptions { hidden_states: true, attentions: false };
    let output = model.forward_with(&batch, options).unwrap();
    let backbone = model.albert().forward(&batch).unwrap();
    let pooled = backbone.pooler_output.unwrap();
    let of_sequence = |i| {
        let states = output.hidden_states.iter();
        let packed = states.chain([&backbone.last_hidden_state, &output.prediction_logits]);
        Outputs {
            by_token: packed.map(|packed| packed.sequence(i).to_owned()).collect(),
            by_sequence: [&pooled, &output.sop_logits].map(|rows| rows.row(i).to_owned()).into(),
        }
    };
    (0..sequences.len()).map(of_sequence).collect()
}

#[track_caller]
fn assert_same(what: &str, expected: &Outputs, found: &Outputs) {
    for (expected, found) in expected.by_token.iter().zip(&found.by_token) {
        assert_same_bits(what, expected, found);
    }
    for (expected, found) in expected.by_sequence.iter().zip(&found.by_sequence) {
        assert_same_bits(what, expected, found);
    }
}

/// Batches of sequences by index: all, reversed, in pairs with the longest, and shuffled into parts of all sizes.
fn batches(count: usize) -> Vec<Vec<usize>> {
    let mut batches = vec![(0..count).collect(), (0..count).rev().collect(), vec![0, 0, 0, 0]];
    let longest = LENGTHS.len() - 1;
    batches.extend((0..count).step_by(5).map(|i| vec![longest, i]));
    let mut shuffled: Vec<usize> = (0..count).collect();
    shuffled.sort_by_key(|&i| numbers(i as u64, u32::MAX).next());
    let mut rest = shuffled.as_slice();
    for size in 1.. {
        let (part, others) = rest.split_at(size.min(rest.len()));
        if part.is_empty() {
            break;
        }
        batches.push(part.to_vec());
        rest = others;
    }
    batches
}

#[test]
fn neither_batch_mates_nor_threads_change_a_bit() {
    Precision::ALL.into_iter().for_each(same_in_any_batch);
}

fn same_in_any_batch(precision: Precision) {
    let model = AlbertForPreTraining::from_config_in(config(), 5, precision).unwrap();
    let sequences = sequences();
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let alone: Vec<Outputs> = pool(1)
        .install(|| sequences.iter().flat_map(|sequence| compute(&model, &[sequence])).collect());
    for threads in [1, 2, 3] {
        for members in batches(sequences.len()) {
            let mates: Vec<&Sequence> = members.iter().map(|&i| &sequences[i]).collect();
            let together = pool(threads).install(|| compute(&model, &mates));
            for (&i, found) in members.iter().zip(&together) {
                let what = format!("{precision}: sequence {i} in {members:?} by {threads} threads");
                assert_same(&what, &alone[i], found);
            }
        }
    }
}

#[test]
fn several_threads_may_use_one_model_at_once() {
    let model = AlbertForPreTraining::from_config(config(), 6).unwrap();
    let sequences = sequences();
    let all: Vec<&Sequence> = sequences.iter().collect();
    let expected = compute(&model, &all);
    thread::scope(|scope| {
        let results: Vec<_> = (0..4).map(|_| scope.spawn(|| compute(&model, &all))).collect();
        for result in results {
            for (expected, found) in expected.iter().zip(&result.join().unwrap()) {
                assert_same("at once", expected, found);
            }
        }
    });
}

#[test]
fn scores_at_chosen_positions_are_those_of_all_positions() {
    let model = AlbertForPreTraining::from_config(config(), 7).unwrap();
    let sequences = sequences();
    let batch = batch(&sequences.iter().collect::<Vec<_>>());
    let all = model.forward(&batch).unwrap();
    let padded = all.prediction_logits.to_padded();
    // In any order, and more than once.
    let mut positions: Vec<(usize, usize)> = (0..sequences.len())
        .flat_map(|i| all.prediction_logits.columns(i).iter().map(move |&c| (i, c as usize)))
        .step_by(7)
        .collect();
    positions.reverse();
    positions.push(positions[0]);
    for count in [0, 1, positions.len()] {
        let (words, order) = model.logits_at(&batch, &positions[..count]).unwrap();
        assert_eq!(words.dim(), (count, VOCAB as usize));
        assert_same_bits("order", &all.sop_logits, &order);
        for (row, &(i, column)) in words.outer_iter().zip(&positions) {
            let expected = padded.slice(ndarray::s![i, column, ..]).to_owned();
            assert_same_bits(&format!("({i}, {column})"), &expected, &row.to_owned());
        }
    }
}

#[test]
fn models_can_be_sent_and_shared() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Albert>();
    is_send_and_sync::<AlbertForPreTraining>();
    is_send_and_sync::<Batch>();
}

/// The pooled output alone, whose last layer is computed for first tokens only, at widths where queries, keys and values
/// do and do not begin at a panel's edge.
#[test]
fn the_pooled_output_alone_is_the_same_to_the_bit() {
    let sequences = sequences();
    let batch = batch(&sequences.iter().collect::<Vec<_>>());
    for (hidden, precision) in
        [128, 100, 20].into_iter().flat_map(|hidden| Precision::ALL.map(|p| (hidden, p)))
    {
        for layers in [1, 3] {
            let config = small_config(|fields| {
                *fields = config().to_fields();
                fields.hidden_size = hidden;
                fields.num_hidden_layers = layers;
            });
            let albert = Albert::from_config_in(config, 3, precision).unwrap();
            let whole = albert.forward(&batch).unwrap().pooler_output.unwrap();
            let alone = albert.pooler_output(&batch).unwrap();
            assert_same_bits(&format!("{precision} H = {hidden}, L = {layers}"), &whole, &alone);
        }
    }
}
