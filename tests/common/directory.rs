//! Checkpoints made for a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ndalbert::checkpoint::write_safetensors;
use ndalbert::{AlbertConfig, Model, PreTrainedModel};
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

use super::weights::{Weights, weights_of};

/// A directory with a model of random weights, and these weights.
pub fn saved<M: PreTrainedModel>(config: &AlbertConfig, seed: u64) -> (TempDir, Weights) {
    let directory = tempfile::tempdir().unwrap();
    let parameters = M::random_parameters(config, seed).unwrap();
    M::save_parameters(directory.path(), config, &parameters).unwrap();
    (directory, weights_of(&parameters))
}

/// A directory with these tensors, whatever they are.
pub fn written(config: &AlbertConfig, weights: &Weights) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    config.save(directory.path().join("config.json")).unwrap();
    write_weights(directory.path(), weights);
    directory
}

/// Replaces a directory's weights.
pub fn write_weights(directory: &Path, weights: &Weights) {
    let views = weights.iter().map(|(name, values)| (name.as_str(), values.view()));
    write_safetensors(directory.join("model.safetensors"), views).unwrap();
}

/// The names and shapes of the tensors in a directory, by the `safetensors` crate.
pub fn stored(directory: &Path) -> BTreeMap<String, Vec<usize>> {
    let bytes = fs::read(directory.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec())).collect()
}

/// A directory's `config.json`.
pub fn config_json(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join("config.json")).unwrap()).unwrap()
}

/// The weights of a model that was built.
pub fn weights_in<M: Model>(model: &M) -> Weights {
    weights_of(&model.to_parameters())
}
