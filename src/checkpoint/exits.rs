//! Which classifiers of pooled outputs a checkpoint has: one after the last layer, or one after
//! each exit.
//!
//! Models with exits keep them as PABEE does, `classifiers.{i}` in the order of the layers. The
//! last one is saved under the name of a single classifier, too, so that transformers reads the
//! model at its full depth; when a checkpoint is read, that copy is skipped. PABEE's own
//! configurations say nothing of exits: there, as many classifiers as layers are one after each.

use std::collections::BTreeMap;

use super::names::{exit_name, single_name};
use crate::config::AlbertConfig;
use crate::error::Result;

/// The tensors of a linear layer.
const TENSORS: [&str; 2] = ["weight", "bias"];

/// The layers after which the checkpoint has a classifier, if its configuration does not say: all
/// of them, if there are as many classifiers as layers.
pub(super) fn unsaid(
    names: &BTreeMap<String, &str>,
    config: &AlbertConfig,
    prefix: &str,
) -> Option<Vec<usize>> {
    let layers = config.num_hidden_layers;
    let has = |exit| names.contains_key(&format!("{}.weight", exit_name(prefix, exit)));
    let is_of_pabee = config.exit_layers.is_empty() && (0..layers).all(has) && !has(layers);
    (is_of_pabee && layers > 1).then(|| (1..=layers).collect())
}

/// Makes the names of a checkpoint's tensors (canonical → the file's) those of the model's
/// parameters: the classifier after the last layer stands under the name that a model with so many
/// exits has for it.
pub(super) fn settle(names: &mut BTreeMap<String, &str>, config: &AlbertConfig, prefix: &str) {
    let single = single_name(prefix);
    let found = (0..).take_while(|&exit| {
        TENSORS
            .iter()
            .any(|tensor| names.contains_key(&format!("{}.{tensor}", exit_name(prefix, exit))))
    });
    let (found, wanted) = (found.count(), config.exit_layers.len());
    for tensor in TENSORS {
        let single = format!("{single}.{tensor}");
        let of_exit = |exit| format!("{}.{tensor}", exit_name(prefix, exit));
        if wanted <= 1 {
            // The model at its full depth.
            if found > 0 && !names.contains_key(&single) {
                let last = names.get(&of_exit(found - 1)).copied();
                names.extend(last.map(|last| (single, last)));
            }
        } else if let Some(copy) = names.remove(&single) {
            names.entry(of_exit(wanted - 1)).or_insert(copy);
        }
    }
}

/// The name of a single classifier's tensor, if this tensor belongs to the last exit of a model with exits.
pub(super) fn single_of(name: &str, config: &AlbertConfig) -> Option<String> {
    let last = config.exit_layers.len().checked_sub(1).filter(|&last| last > 0)?;
    let (layer, tensor) = name.rsplit_once('.')?;
    let prefix =
        ["", "sop_classifier"].into_iter().find(|prefix| exit_name(prefix, last) == layer)?;
    Some(format!("{}.{tensor}", single_name(prefix)))
}

/// The same configuration with other exits.
pub(super) fn with_exits(config: &AlbertConfig, exit_layers: Vec<usize>) -> Result<AlbertConfig> {
    AlbertConfig::new(crate::ConfigFields { exit_layers, ..config.to_fields() })
}
