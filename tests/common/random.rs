//! Random models and inputs for tests, the same each time.

use ndalbert::{AlbertConfig, ConfigFields, Model, Parameters};
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::{Distribution, Normal};
use rand_chacha::ChaCha8Rng;

/// Fields of a model of odd sizes that is built in no time.
pub fn small_fields() -> ConfigFields {
    ConfigFields {
        vocab_size: 41,
        embedding_size: 6,
        hidden_size: 15,
        num_hidden_layers: 4,
        num_attention_heads: 3,
        intermediate_size: 22,
        max_position_embeddings: 12,
        type_vocab_size: 2,
        ..ConfigFields::default()
    }
}

/// A valid config of [`small_fields`] with changes.
pub fn small_config(change: impl FnOnce(&mut ConfigFields)) -> AlbertConfig {
    let mut fields = small_fields();
    change(&mut fields);
    AlbertConfig::new(fields).unwrap()
}

/// Numbers below `limit`, from a linear congruential generator: all that made-up inputs need.
pub fn numbers(seed: u64, limit: u32) -> impl Iterator<Item = u32> {
    let step = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    std::iter::successors(step(&seed), step).map(move |state| (state >> 33) as u32 % limit)
}

/// A sequence of ids.
pub fn ids(seed: u64, length: usize, vocab_size: u32) -> Vec<u32> {
    numbers(seed, vocab_size).take(length).collect()
}

/// Parameters that put every part of a model to use, as those of the golden models: activations of
/// order 1, attention that chooses, biases and norms far from 0 and 1.
pub fn lively<M: Model>(config: &AlbertConfig, seed: u64) -> M::Parameters {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut parameters = M::zero_parameters(config);
    parameters.visit_mut("", &mut |name, mut values| {
        let (mean, deviation) = spread(name, values.shape());
        let distribution = Normal::new(mean, deviation).unwrap();
        values.map_inplace(|value| *value = distribution.sample(&mut generator));
    });
    parameters
}

/// The mean and deviation of a parameter's values.
fn spread(name: &str, shape: &[usize]) -> (f32, f32) {
    if name.ends_with("bias") {
        return (0.0, 0.3);
    }
    if name.contains("LayerNorm") || name.contains("layer_norm") {
        return (1.0, 0.3);
    }
    if name.contains("embeddings") {
        return (0.0, 0.7);
    }
    (0.0, 1.1 / (shape[1] as f32).sqrt())
}
