//! The files of a repository that a model is read from.

use std::path::Path;

use super::index::shards;
use super::open::CANDIDATES;
use crate::config::ConfigFile;
use crate::hub::{Find, Lack, Wanted};
use crate::layout;

/// Weights of the speech model Kokoro, under the names that its own `KModel` knows, and the key of
/// its `config.json` that has the ALBERT in it.
const KOKORO: [&str; 2] = ["kokoro-v1_0.pth", "kokoro-v1_1-zh.pth"];
const PLBERT: &str = "plbert";

/// What messages call weights.
const WEIGHTS: &str = "its weights";

/// `config.json` and the weights.
pub(crate) struct ModelFiles;

impl Wanted for ModelFiles {
    fn find_all<E: From<Lack>>(&self, find: &mut Find<'_, E>) -> Result<(), E> {
        ConfigFile.find_all(find)?;
        Self::find_weights(find)
    }

    fn is_here(&self, name: &Path) -> bool {
        layout::is_here(name)
    }
}

impl ModelFiles {
    /// Finds the first weights in transformers' order, and what an index refers to.
    pub fn find_weights<E: From<Lack>>(find: &mut Find<'_, E>) -> Result<(), E> {
        for (name, kind) in CANDIDATES {
            let Some(path) = find(name)? else { continue };
            return if kind.is_index() { find_shards(name, &path, find) } else { Ok(()) };
        }
        if ConfigFile::has_key(PLBERT, find)? {
            for name in KOKORO {
                if find(name)?.is_some() {
                    return Ok(());
                }
            }
        }
        let reason = format!(
            "no weights that can be read: looked for {}; those of TensorFlow or Flax must first be converted, for example by transformers",
            CANDIDATES.map(|(name, _)| name).join(", ")
        );
        Err(Lack::Part { name: WEIGHTS, reason }.into())
    }
}

/// Finds the shards of the index `name`, which is at `path`.
fn find_shards<E: From<Lack>>(name: &str, path: &Path, find: &mut Find<'_, E>) -> Result<(), E> {
    for shard in shards(path).map_err(Lack::from)? {
        if find(&shard)?.is_none() {
            let reason = format!("{name} refers to {shard}, which is not there");
            return Err(Lack::Reference { name: WEIGHTS, reason }.into());
        }
    }
    Ok(())
}
