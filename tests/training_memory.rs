//! What a step takes in memory besides what is there anyway.

mod checkpoint_support;

use checkpoint_support::peak_of;
use ndalbert::train::{TrainingModel, TrainingOptions};
use ndalbert::{
    AlbertConfig, AlbertForPreTraining, ConfigFields, Model, ParameterSharing, Parameters,
};

/// Packed matrices take about twice the memory of the parameters, since they have both orientations. The old ones are dropped before new ones are packed.
#[test]
fn updates_do_not_hold_packed_matrices_twice() {
    let config = AlbertConfig::new(ConfigFields {
        vocab_size: 100,
        embedding_size: 16,
        hidden_size: 128,
        num_attention_heads: 2,
        num_hidden_layers: 4,
        intermediate_size: 512,
        parameter_sharing: ParameterSharing::None,
        ..ConfigFields::default()
    })
    .unwrap();
    let parameters = AlbertForPreTraining::random_parameters(&config, 1).unwrap();
    let bytes = size_of::<f32>() * parameters.parameter_count();
    // With zeros to compare shapes with, which are dropped again.
    let (model, packed) = peak_of(|| {
        let options = TrainingOptions::default();
        TrainingModel::<AlbertForPreTraining>::new(config, parameters, options).unwrap()
    });
    assert!(packed > 5 * bytes / 2, "{packed} bytes for {bytes} of parameters");
    let mut model = model;
    let (result, more) = peak_of(|| model.update(|_| Ok(())));
    result.unwrap();
    // Those zeros again, and next to nothing besides.
    assert!(more < 11 * bytes / 10, "{more} bytes more for {bytes} of parameters");
}
