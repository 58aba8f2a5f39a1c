//! `….index.json`: which tensor of a sharded checkpoint is in which file.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::source::{Source, describe};
use super::tensor::TensorInfo;
use crate::files::{MAX_JSON, as_text};
use crate::memory::Origin;
use crate::{Error, Result};

/// The most shards, all of which are open at the same time.
const MAX_SHARDS: usize = 128;

/// An index whose shards are all names of files in its directory.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    directory: PathBuf,
    /// Tensor → shard.
    entries: Vec<(String, String)>,
    shards: BTreeSet<String>,
}

/// Reads the index at `path`.
///
/// # Errors
///
/// `Error::Io` if it cannot be read; `Error::Format` if it is too long, is not JSON with a
/// `weight_map`, names a tensor twice, names no shard or more than [`MAX_SHARDS`], or names one
/// that is not a plain name of a file.
pub(super) fn read(origin: Origin<'_>, path: &Path) -> Result<Index> {
    let source = Source::open_in(origin, path)?;
    if source.len() > MAX_JSON {
        return Err(source.error(format!(
            "expected an index of at most {MAX_JSON} bytes, found {}; it begins like {}",
            source.len(),
            describe(&source.head::<16>()?),
        )));
    }
    // At most MAX_JSON.
    let mut text = vec![0; source.len() as usize];
    source.read_exact_at(0, &mut text)?;
    let text = as_text(path, &text)?;
    let Document { weight_map: WeightMap(entries) } = serde_json::from_slice(text)
        .map_err(|error| source.error(format!("not the index of a sharded checkpoint: {error}")))?;
    let mut shards = BTreeSet::new();
    for (tensor, shard) in &entries {
        if let Some(why) = refusal(shard) {
            return Err(source.error(format!(
                "tensor `{tensor}`: expected a shard next to the index, found {shard:?}, {why}"
            )));
        }
        if !shards.contains(shard) {
            shards.insert(shard.clone());
        }
    }
    if shards.is_empty() || shards.len() > MAX_SHARDS {
        return Err(source.error(format!(
            "expected `weight_map` to name 1 to {MAX_SHARDS} shards, found {}",
            shards.len()
        )));
    }
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Index { path: path.to_owned(), directory, entries, shards })
}

/// The names of the shards that the index at `path` refers to.
///
/// # Errors
///
/// Those of [`read`].
pub(super) fn shards(path: &Path) -> Result<Vec<String>> {
    Ok(read(Origin::Disk, path)?.shards.into_iter().collect())
}

impl Index {
    /// The shards' paths.
    pub fn shards(&self) -> impl Iterator<Item = PathBuf> {
        self.shards.iter().map(|shard| self.directory.join(shard))
    }

    /// Checks that every tensor is where the index says.
    ///
    /// A shard may have tensors that the index does not mention: transformers loads them too.
    pub fn check<'a>(&self, get: impl Fn(&str) -> Option<&'a TensorInfo>) -> Result<()> {
        for (name, shard) in &self.entries {
            let path = self.directory.join(shard);
            let found = match get(name) {
                Some(tensor) if tensor.file() == path => continue,
                Some(tensor) => format!("it in {}", tensor.file().display()),
                None => "it in no shard".to_owned(),
            };
            return Err(Error::tensor(&self.path, name, format!("it in {shard}"), found));
        }
        Ok(())
    }
}

/// Why a shard may not be opened: only a plain name stays within the directory on every system.
fn refusal(shard: &str) -> Option<&'static str> {
    if shard.is_empty() {
        Some("an empty name")
    } else if shard == "." || shard == ".." {
        Some("a directory")
    } else if shard.contains(['/', '\\']) {
        Some("a path rather than a name")
    } else if shard.contains(':') {
        Some("which has a `:`, on Windows a drive or a stream")
    } else if shard.contains(char::is_control) {
        Some("which has a control character")
    } else {
        None
    }
}

#[derive(Debug, Deserialize)]
struct Document {
    weight_map: WeightMap,
}

/// The pairs in the order of the file; a map would hide the first of two entries for one tensor.
#[derive(Debug)]
struct WeightMap(Vec<(String, String)>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WeightMapVisitor)
    }
}

struct WeightMapVisitor;

impl<'de> Visitor<'de> for WeightMapVisitor {
    type Value = WeightMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from the names of tensors to the names of files")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        while let Some((name, shard)) = map.next_entry::<String, String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("tensor `{name}` occurs twice")));
            }
            entries.push((name, shard));
        }
        Ok(WeightMap(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, read, refusal};

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn an_index_with_a_byte_order_mark() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors.index.json");
        std::fs::write(&path, "\u{FEFF}{\"weight_map\": {\"a\": \"b.safetensors\"}}").unwrap();
        assert_eq!(read(Origin::Disk, &path).unwrap().shards.len(), 1);
    }

    #[test]
    fn only_plain_names_are_shards() {
        assert_eq!(refusal("model-00001-of-00002.safetensors"), None);
        for shard in
            ["", ".", "..", "../x", "/etc/x", "a/b", "..\\x", "C:\\x", "C:x", "x:y", "a\0b"]
        {
            assert!(refusal(shard).is_some(), "{shard:?}");
        }
    }
}
