//! Golden models with something changed.

use std::collections::BTreeMap;

use ndalbert::{AlbertConfig, ConfigFields, LoadOptions, Model, Parameters, PreTrainedModel};
use ndarray::ArrayD;

use super::for_class;
use super::golden::Case;
use super::heads::Computes;

/// Parameters by transformers' names.
pub type Weights = BTreeMap<String, ArrayD<f32>>;

/// What is changed about a model before it is built.
pub type Change<'a> = dyn Fn(&mut ConfigFields, &mut Weights) + 'a;

/// The group and inner layer of a block.
pub type Block = (usize, usize);

/// Copies of all arrays of a tree.
pub fn weights_of(parameters: &impl Parameters) -> Weights {
    let mut weights = Weights::new();
    parameters.visit("", &mut |name, values| {
        assert!(weights.insert(name.to_owned(), values.to_owned()).is_none(), "two {name}");
    });
    weights
}

/// A model's parameters from copies of their arrays.
pub fn parameters_of<M: Model>(config: &AlbertConfig, weights: &Weights) -> M::Parameters {
    let mut parameters = M::zero_parameters(config);
    parameters.visit_mut("", &mut |name, mut values| {
        let given = weights.get(name).unwrap_or_else(|| panic!("no weights for {name}"));
        assert_eq!(values.shape(), given.shape(), "{name}");
        values.assign(given);
    });
    parameters
}

/// Builds a golden model with a change.
pub fn build_changed(case: &Case, change: &Change<'_>) -> Box<dyn Computes> {
    fn build<M: PreTrainedModel + Computes + 'static>(
        case: &Case,
        change: &Change<'_>,
    ) -> Box<dyn Computes> {
        let (config, parameters, _) =
            M::load_parameters(&case.directory, &LoadOptions::new()).unwrap();
        let (mut fields, mut weights) = (config.to_fields(), weights_of(&parameters));
        change(&mut fields, &mut weights);
        let config = AlbertConfig::new(fields).unwrap();
        let parameters = parameters_of::<M>(&config, &weights);
        Box::new(M::from_parameters(config, parameters).unwrap())
    }
    for_class!(case.architecture.as_str(), build(case, change))
}

/// The attention and the feed-forward block of each application of a layer, in order, as
/// transformers (and, for the sharing strategies, `tests/golden/README.md`) has it.
pub fn applications(config: &AlbertConfig) -> Vec<[Block; 2]> {
    let per_group = config.num_hidden_layers as f64 / config.num_hidden_groups as f64;
    let group = |is_shared: bool, layer: usize| {
        if is_shared { (layer as f64 / per_group) as usize } else { layer }
    };
    let sharing = config.parameter_sharing.name();
    let layers = 0..config.num_hidden_layers;
    layers
        .flat_map(|layer| (0..config.inner_group_num).map(move |inner| (layer, inner)))
        .map(|(layer, inner)| {
            [
                (group(matches!(sharing, "all" | "attention"), layer), inner),
                (group(matches!(sharing, "all" | "ffn"), layer), inner),
            ]
        })
        .collect()
}

/// Writes a model out with a layer of its own for every application: these blocks, in this order.
pub fn unroll(fields: &mut ConfigFields, weights: &mut Weights, order: &[[Block; 2]]) {
    const GROUPS: &str = "albert_layer_groups.";
    let (blocks, mut unrolled): (Weights, Weights) =
        std::mem::take(weights).into_iter().partition(|(name, _)| name.contains(GROUPS));
    for (layer, [attention, ffn]) in order.iter().enumerate() {
        let path = |(group, inner): Block| format!("{GROUPS}{group}.albert_layers.{inner}.");
        let own = path((layer, 0));
        for (name, values) in &blocks {
            let shared = path(if name.contains(".attention.") { *attention } else { *ffn });
            if name.contains(&shared) {
                unrolled.insert(name.replace(&shared, &own), values.clone());
            }
        }
    }
    *weights = unrolled;
    fields.num_hidden_layers = order.len();
    fields.num_hidden_groups = order.len();
    fields.inner_group_num = 1;
    fields.parameter_sharing = ndalbert::ParameterSharing::None;
}
