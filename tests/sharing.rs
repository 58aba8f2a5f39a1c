//! What the sharing strategies store, how many parameters each has, and that all of them come back.

mod common;

use common::compare::assert_same_tensors;
use common::directory::{config_json, stored, weights_in};
use common::golden;
use common::heads::Computes;
use common::random::small_config;
use common::weights::weights_of;
use ndalbert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining,
    AlbertForQuestionAnswering, AlbertForSentenceOrder, AlbertForSequenceClassification,
    AlbertForTokenClassification, Model, ParameterSharing, Parameters, PreTrainedModel,
};

const STRATEGIES: [ParameterSharing; 4] = [
    ParameterSharing::All,
    ParameterSharing::Attention,
    ParameterSharing::Ffn,
    ParameterSharing::None,
];

const ATTENTION: [&str; 10] = [
    "attention.LayerNorm.bias",
    "attention.LayerNorm.weight",
    "attention.dense.bias",
    "attention.dense.weight",
    "attention.key.bias",
    "attention.key.weight",
    "attention.query.bias",
    "attention.query.weight",
    "attention.value.bias",
    "attention.value.weight",
];

const FFN: [&str; 6] = [
    "ffn.bias",
    "ffn.weight",
    "ffn_output.bias",
    "ffn_output.weight",
    "full_layer_layer_norm.bias",
    "full_layer_layer_norm.weight",
];

const OUTSIDE_THE_LAYERS: [&str; 9] = [
    "embeddings.LayerNorm.bias",
    "embeddings.LayerNorm.weight",
    "embeddings.position_embeddings.weight",
    "embeddings.token_type_embeddings.weight",
    "embeddings.word_embeddings.weight",
    "encoder.embedding_hidden_mapping_in.bias",
    "encoder.embedding_hidden_mapping_in.weight",
    "pooler.bias",
    "pooler.weight",
];

/// The names that a backbone with these many groups of attention and of feed-forward blocks has.
fn names(attention_groups: usize, ffn_groups: usize, inner: usize) -> Vec<String> {
    let block = |parts: &[&str], groups: usize| -> Vec<String> {
        let blocks = (0..groups).flat_map(|group| (0..inner).map(move |layer| (group, layer)));
        let path =
            |(group, layer)| format!("encoder.albert_layer_groups.{group}.albert_layers.{layer}");
        blocks.flat_map(|at| parts.iter().map(move |part| format!("{}.{part}", path(at)))).collect()
    };
    let mut names = OUTSIDE_THE_LAYERS.map(str::to_owned).to_vec();
    names.extend(block(&ATTENTION, attention_groups));
    names.extend(block(&FFN, ffn_groups));
    names.sort();
    names
}

fn config(sharing: ParameterSharing, layers: usize, groups: usize, inner: usize) -> AlbertConfig {
    small_config(|fields| {
        fields.parameter_sharing = sharing;
        fields.num_hidden_layers = layers;
        fields.num_hidden_groups = groups;
        fields.inner_group_num = inner;
    })
}

#[test]
#[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
fn what_is_shared_is_stored_once_per_group_and_the_rest_per_layer() {
    for (sharing, layers, groups, inner, attention, ffn) in [
        (ParameterSharing::All, 4, 1, 1, 1, 1),
        (ParameterSharing::All, 5, 2, 2, 2, 2),
        (ParameterSharing::Attention, 4, 1, 1, 1, 4),
        (ParameterSharing::Attention, 5, 2, 2, 2, 5),
        (ParameterSharing::Ffn, 4, 1, 1, 4, 1),
        (ParameterSharing::Ffn, 5, 3, 2, 5, 3),
        (ParameterSharing::None, 4, 1, 1, 4, 4),
        (ParameterSharing::None, 4, 4, 2, 4, 4),
    ] {
        let config = config(sharing, layers, groups, inner);
        let model = Albert::from_config(config.clone(), 3).unwrap();
        let directory = tempfile::tempdir().unwrap();
        model.save_pretrained(directory.path()).unwrap();
        let found: Vec<String> = stored(directory.path()).into_keys().collect();
        assert_eq!(found, names(attention, ffn, inner), "{sharing} {layers} {groups} {inner}");
        assert_eq!(config_json(directory.path())["parameter_sharing"], sharing.name());

        let (loaded, report) = Albert::from_pretrained(directory.path()).unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(loaded.config().to_fields().num_hidden_groups, config.num_hidden_groups);
        assert_eq!(loaded.config().parameter_sharing, sharing);
        assert_same_tensors("weights", &weights_in(&model), &weights_in(&loaded));
        let mut run = golden::case("base_no_pooler").runs.remove(0);
        run.floats.clear();
        run.integers.values_mut().for_each(|ids| ids.mapv_inplace(|id| id % 12));
        let [before, after] = [&model, &loaded].map(|model| model.compute(&run.batch(), &run));
        assert_same_tensors("outputs", &before, &after);
    }
}

/// The same numbers of parameters from the config alone, in the tree, and in what is built.
#[test]
fn parameters_are_counted_from_the_config_alone() {
    for sharing in STRATEGIES {
        for (layers, groups) in [(1, 1), (4, 1), (4, 2), (5, 3), (4, 4)] {
            if sharing == ParameterSharing::None && groups != 1 && groups != layers {
                continue;
            }
            for (inner, embedding) in [(1, 6), (2, 15), (3, 40)] {
                let config = AlbertConfig::new(ndalbert::ConfigFields {
                    embedding_size: embedding,
                    labels: ["a", "b", "c"].map(str::to_owned).into(),
                    ..self::config(sharing, layers, groups, inner).to_fields()
                });
                assert_counts(&config.unwrap());
            }
        }
    }
}

fn assert_counts(config: &AlbertConfig) {
    fn assert_count<M: Model>(config: &AlbertConfig, expected: usize) {
        let (tree, built) =
            (M::zero_parameters(config), M::from_config(config.clone(), 0).unwrap());
        assert_eq!(tree.parameter_count(), expected, "{} {config:?}", M::ARCHITECTURE);
        assert_eq!(built.to_parameters().parameter_count(), expected, "{}", M::ARCHITECTURE);
    }
    let count = config.parameter_count();
    let (total, masked_lm) = (count.total(), config.masked_lm_head_parameter_count());
    let without_pooler = total - count.pooler;
    let classifier = |outputs| config.classifier_parameter_count(outputs);
    assert_count::<Albert>(config, total);
    assert_count::<AlbertForMaskedLM>(config, without_pooler + masked_lm);
    assert_count::<AlbertForPreTraining>(config, total + masked_lm + classifier(2));
    assert_count::<AlbertForSentenceOrder>(config, total + classifier(2));
    assert_count::<AlbertForMultipleChoice>(config, total + classifier(1));
    assert_count::<AlbertForSequenceClassification>(config, total + classifier(3));
    assert_count::<AlbertForTokenClassification>(config, without_pooler + classifier(3));
    assert_count::<AlbertForQuestionAnswering>(config, without_pooler + classifier(2));
    let parts = weights_of(&Albert::zero_parameters(config));
    let of = |part: &str| -> usize {
        parts.iter().filter(|(name, _)| name.contains(part)).map(|(_, values)| values.len()).sum()
    };
    assert_eq!(count.attention, of(".attention."));
    assert_eq!(count.ffn, of(".ffn") + of(".full_layer_layer_norm"));
    assert_eq!(count.encoder(), of("albert_layer_groups"));
    assert_eq!(count.embeddings, of("embeddings."));
    assert_eq!(count.embedding_hidden_mapping_in, of("embedding_hidden_mapping_in"));
    assert_eq!(count.pooler, of("pooler"));
}

/// Zeros of these sizes take no memory until they are written.
#[test]
fn published_models_have_the_parameters_that_their_configs_count() {
    for config in [
        AlbertConfig::base_v2(),
        AlbertConfig::xxlarge_v2(),
        AlbertConfig::chinese_small(),
        AlbertConfig::bert_base(),
    ] {
        let tree = Albert::zero_parameters(&config);
        assert_eq!(tree.parameter_count(), config.parameter_count().total());
    }
}

/// A mapping of E → H is a layer of its own also where E = H, so that it is stored, loaded and applied.
#[test]
#[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
fn the_mapping_is_there_also_where_it_maps_to_the_same_width() {
    let config = small_config(|fields| fields.embedding_size = fields.hidden_size);
    let directory = tempfile::tempdir().unwrap();
    Albert::from_config(config, 1).unwrap().save_pretrained(directory.path()).unwrap();
    let shapes = stored(directory.path());
    assert_eq!(shapes["encoder.embedding_hidden_mapping_in.weight"], [15, 15]);
}
