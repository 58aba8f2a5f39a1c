//! That the parity tests would notice: each usual mistake of a reimplementation, planted through
//! the public API into a model that is right, moves some output by at least fifty times what
//! `tests/parity.rs` lets pass.
//!
//! `tests/golden/README.md` has the margins of more mistakes, planted in transformers itself.

mod common;

use common::compare::{TOLERANCE, differences};
use common::golden::{self, Run};
use common::weights::{Block, Change, Weights, applications, build_changed, unroll};
use ndalbert::{Activation, AlbertConfig, ConfigFields};
use ndarray::{ArrayD, Axis};

/// How many times the tolerance a mistake must change an output.
const MARGIN: f32 = 50.0;

/// A mistake in the model, in what it is given, or in what its loss is given.
struct Mistake {
    name: &'static str,
    case: &'static str,
    model: Box<Change<'static>>,
    input: Box<dyn Fn(&mut Run)>,
}

fn in_model(
    case: &'static str,
    name: &'static str,
    model: impl Fn(&mut ConfigFields, &mut Weights) + 'static,
) -> Mistake {
    Mistake { name, case, model: Box::new(model), input: Box::new(|_| {}) }
}

fn in_input(case: &'static str, name: &'static str, input: impl Fn(&mut Run) + 'static) -> Mistake {
    Mistake { name, case, model: Box::new(|_, _| {}), input: Box::new(input) }
}

/// The largest difference from the references over the runs of a golden model, in units of the
/// tolerance; of final outputs, since some mistakes make another number of layers.
fn change(mistake: &Mistake) -> f32 {
    let case = golden::case(mistake.case);
    let model = build_changed(&case, &mistake.model);
    let changes = case.runs.into_iter().flat_map(|mut run| {
        run.floats.retain(|name, _| {
            !name.starts_with("hidden_states.") && !name.starts_with("attentions.")
        });
        let mut given = run.clone();
        (mistake.input)(&mut given);
        differences(&run, &model.compute(&given.batch(), &given))
    });
    changes.map(|difference| difference.scaled / TOLERANCE).fold(0.0, f32::max)
}

fn assert_all_seen(mistakes: &[Mistake]) {
    for mistake in mistakes {
        let (change, right) = (change(mistake), change(&in_input(mistake.case, "none", |_| {})));
        println!("{} in {}: {change:.0} × the tolerance", mistake.name, mistake.case);
        assert!(right <= 1.0, "{} differs without a mistake: {right}", mistake.case);
        assert!(change >= MARGIN, "{} in {}: {change}", mistake.name, mistake.case);
    }
}

#[test]
fn a_wrong_activation_is_seen() {
    use Activation::{Gelu, GeluNew, Linear, Relu, Silu, Tanh};
    let computed_as = |case, wrong: Activation| {
        in_model(case, wrong.name(), move |fields, _| fields.hidden_act = wrong)
    };
    assert_all_seen(&[
        computed_as("masked_lm", Gelu),
        computed_as("masked_lm_gelu", GeluNew),
        computed_as("token_classification", GeluNew),
        computed_as("inner_3", Gelu),
        computed_as("legacy_base", Gelu),
        computed_as("base_wide_embedding", Gelu),
        computed_as("groups_3_of_4", Silu),
        computed_as("groups_2_of_5_inner_2", Linear),
        computed_as("groups_2_of_4_inner_2", Gelu),
        computed_as("sequence_classification_3", Relu),
        computed_as("sequence_classification_3_single_label", Tanh),
    ]);
}

#[test]
fn a_wrong_epsilon_or_norm_is_seen() {
    assert_all_seen(&[
        in_model("eps_small", "eps 1e-5 instead of 1e-12", |fields, _| {
            fields.layer_norm_eps = 1e-5
        }),
        in_model("eps_large", "eps 1e-12 instead of 1e-5", |fields, _| {
            fields.layer_norm_eps = 1e-12
        }),
        in_model(
            "base",
            "the norm before the mapping without its weight and bias",
            |_, weights| {
                weights.get_mut("embeddings.LayerNorm.weight").unwrap().fill(1.0);
                weights.get_mut("embeddings.LayerNorm.bias").unwrap().fill(0.0);
            },
        ),
        in_model("base", "the two norms of a layer exchanged", |_, weights| {
            exchange(weights, "attention.LayerNorm", "full_layer_layer_norm")
        }),
    ]);
}

#[test]
fn ignored_inputs_are_seen() {
    let ignored = |case, input| in_input(case, input, move |run| drop(run.integers.remove(input)));
    assert_all_seen(&[
        ignored("base", "attention_mask"),
        ignored("masked_lm", "attention_mask"),
        ignored("long_130", "attention_mask"),
        ignored("question_answering", "attention_mask"),
        ignored("pretraining", "token_type_ids"),
        ignored("base_wide_embedding", "token_type_ids"),
        ignored("base_no_pooler", "position_ids"),
        ignored("multiple_choice", "position_ids"),
        in_input("long_130", "one hole of the mask overlooked", |run| {
            let mask = run.integers.get_mut("attention_mask");
            let hole = mask.and_then(|mask| mask.iter_mut().find(|value| **value == 0));
            hole.into_iter().for_each(|value| *value = 1);
        }),
        in_input(
            "long_130",
            "positions counted over unmasked tokens only",
            count_unmasked_positions,
        ),
        in_input("base", "a sequence without keys attends to everything", |run| {
            for mut row in run.integers.get_mut("attention_mask").into_iter().flat_map(rows_mut) {
                let is_empty = row.sum() == 0;
                row.iter_mut().filter(|_| is_empty).for_each(|value| *value = 1);
            }
        }),
    ]);
}

fn rows_mut(
    array: &mut ArrayD<i64>,
) -> ndarray::iter::LanesMut<'_, i64, ndarray::Dim<ndarray::IxDynImpl>> {
    let last = Axis(array.ndim() - 1);
    array.lanes_mut(last)
}

fn count_unmasked_positions(run: &mut Run) {
    let Some(mask) = run.integers.get("attention_mask") else { return };
    let mut positions = mask.clone();
    for mut row in rows_mut(&mut positions) {
        let mut before = 0;
        row.iter_mut().for_each(|value| {
            before += *value;
            *value = (before - 1).max(0);
        });
    }
    run.integers.insert("position_ids".to_owned(), positions);
}

/// Which block an application uses, by a rule of the fields, the layer and the inner layer that is
/// not transformers'.
fn misplaced(
    case: &'static str,
    name: &'static str,
    rule: impl Fn(&ConfigFields, usize, usize) -> Block + 'static,
) -> Mistake {
    in_model(case, name, move |fields, weights| {
        let order: Vec<[Block; 2]> = (0..fields.num_hidden_layers)
            .flat_map(|layer| (0..fields.inner_group_num).map(move |inner| (layer, inner)))
            .map(|(layer, inner)| [rule(fields, layer, inner); 2])
            .collect();
        unroll(fields, weights, &order);
    })
}

fn by_integer_division(fields: &ConfigFields, layer: usize, inner: usize) -> Block {
    let layers_per_group = fields.num_hidden_layers / fields.num_hidden_groups;
    ((layer / layers_per_group).min(fields.num_hidden_groups - 1), inner)
}

#[test]
fn a_wrong_group_is_seen() {
    assert_all_seen(&[
        misplaced("groups_3_of_4", "group by integer division", by_integer_division),
        misplaced("groups_3_of_7", "group by integer division", by_integer_division),
        misplaced("groups_3_of_7", "group i % G", |f, i, j| (i % f.num_hidden_groups, j)),
        misplaced("groups_14_of_18", "group i·G / L without rounding errors", |f, i, j| {
            (i * f.num_hidden_groups / f.num_hidden_layers, j)
        }),
        misplaced("groups_2_of_4_inner_2", "group 0 always", |_, _, j| (0, j)),
        misplaced("groups_2_of_5_inner_2", "last group first", |f, i, j| {
            let groups = f.num_hidden_groups;
            (groups - 1 - i * groups / f.num_hidden_layers, j)
        }),
        in_model(
            "sharing_ffn_2_of_5_inner_2",
            "the layers' own half is the first layer's everywhere",
            |fields, weights| unroll_with_first(fields, weights, 0),
        ),
        in_model(
            "sharing_attention",
            "the layers' own half is the first layer's everywhere",
            |fields, weights| unroll_with_first(fields, weights, 1),
        ),
    ]);
}

/// Takes one half (attention 0, feed-forward 1) of every layer from group 0.
fn unroll_with_first(fields: &mut ConfigFields, weights: &mut Weights, half: usize) {
    let mut order = applications(&AlbertConfig::new(fields.clone()).unwrap());
    order.iter_mut().for_each(|blocks| blocks[half].0 = 0);
    unroll(fields, weights, &order);
}

#[test]
fn wrong_inner_layers_are_seen() {
    assert_all_seen(&[
        misplaced("inner_3", "only the first inner layer", |_, _, _| (0, 0)),
        misplaced("inner_3", "inner layers in reverse", |f, _, j| (0, f.inner_group_num - 1 - j)),
        misplaced("groups_2_of_5_inner_2", "inner layers exchanged", |f, i, j| {
            (i * f.num_hidden_groups / f.num_hidden_layers, 1 - j)
        }),
        in_model("inner_3", "one inner layer per layer, i % inner", |fields, weights| {
            let order = (0..fields.num_hidden_layers).map(|i| [(0, i % 3); 2]);
            unroll(fields, weights, &order.collect::<Vec<_>>());
        }),
        in_model("inner_3", "inner loop outside the layer loop", |fields, weights| {
            let layers = fields.num_hidden_layers;
            let order = (0..3).flat_map(|j| (0..layers).map(move |_| [(0, j); 2]));
            unroll(fields, weights, &order.collect::<Vec<_>>());
        }),
    ]);
}

#[test]
fn wrong_weights_are_seen() {
    assert_all_seen(&[
        in_model("base_no_pooler", "the mapping skipped where E = H", |_, weights| {
            let mapping = "encoder.embedding_hidden_mapping_in";
            let identity = ndarray::Array2::eye(15).into_dyn();
            *weights.get_mut(&format!("{mapping}.weight")).unwrap() = identity;
            weights.get_mut(&format!("{mapping}.bias")).unwrap().fill(0.0);
        }),
        in_model("base_wide_embedding", "attention not scaled", |fields, weights| {
            scale(weights, "query", head_size(fields).sqrt())
        }),
        in_model("base", "attention scaled by 1/√H", |fields, weights| {
            let heads = fields.num_attention_heads as f32;
            scale(weights, "query", heads.sqrt().recip());
        }),
        in_model("base", "query and key exchanged", |_, weights| exchange(weights, "query", "key")),
        in_model("base_no_pooler", "heads interleaved", |fields, weights| {
            let (heads, size) = (fields.num_attention_heads, fields.hidden_size);
            let order: Vec<usize> =
                (0..size).map(|i| i % (size / heads) * heads + i / (size / heads)).collect();
            for (name, values) in weights.iter_mut().filter(|(name, _)| {
                ["query", "key", "value"].iter().any(|part| name.contains(part))
            }) {
                assert!(name.contains("attention."), "{name}");
                *values = values.select(Axis(0), &order);
            }
        }),
        in_model("masked_lm", "decoder bias added twice", |_, weights| {
            scale(weights, "predictions.bias", 2.0)
        }),
        in_model("pretraining", "decoder bias missing", |_, weights| {
            scale(weights, "predictions.bias", 0.0)
        }),
        in_model("question_answering", "start and end exchanged", |_, weights| {
            for (_, values) in weights.iter_mut().filter(|(name, _)| name.contains("qa_outputs")) {
                values.invert_axis(Axis(0));
            }
        }),
    ]);
}

#[test]
fn wrong_losses_are_seen() {
    assert_all_seen(&[
        in_input("masked_lm", "ignored labels counted as class 0", |run| {
            let mask = run.mask();
            let labels = run.integers.get_mut("labels").unwrap();
            labels.zip_mut_with(&mask.into_dyn(), |label, &mask| {
                *label = if mask == 1 { (*label).max(0) } else { *label };
            });
        }),
        in_input("question_answering", "spans out of range counted at the last position", |run| {
            if run.integers.contains_key("attention_mask") {
                return; // There, the last position is none that has a score.
            }
            let last = run.shape().0.1 as i64 - 1;
            for name in ["start_positions", "end_positions"] {
                let positions = run.integers.get_mut(name);
                positions.into_iter().for_each(|array| array.mapv_inplace(|p| p.min(last)));
            }
        }),
        in_input("multiple_choice", "soft labels read as their argmax", |run| {
            let Some(labels) = run.floats.get_mut("labels") else { return };
            for mut row in labels.outer_iter_mut() {
                let most = row.fold(0.0, |most: f32, &share| most.max(share));
                row.mapv_inplace(|share| f32::from(u8::from(share == most)));
            }
        }),
        in_model(
            "sequence_classification_3_regression",
            "values taken for probabilities",
            |fields, _| fields.problem_type = None,
        ),
    ]);
}

fn head_size(fields: &ConfigFields) -> f32 {
    (fields.hidden_size / fields.num_attention_heads) as f32
}

/// Multiplies all arrays whose name contains `part`.
fn scale(weights: &mut Weights, part: &str, factor: f32) {
    let chosen = weights.iter_mut().filter(|(name, _)| name.contains(part));
    assert!(chosen.map(|(_, values)| *values *= factor).count() > 0, "no {part}");
}

/// Exchanges the arrays whose names contain `a` with those that have `b` in its place.
fn exchange(weights: &mut Weights, a: &str, b: &str) {
    let names: Vec<String> = weights.keys().filter(|name| name.contains(a)).cloned().collect();
    assert!(!names.is_empty(), "no {a}");
    for name in names {
        let (first, second) = (weights[&name].clone(), weights[&name.replace(a, b)].clone());
        weights.insert(name.replace(a, b), first);
        weights.insert(name, second);
    }
}
