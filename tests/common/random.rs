//! Models and inputs made up for a test, the same each time.

use ndalbert::{AlbertConfig, ConfigFields};

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
