//! The file of a repository that a configuration is read from.

use std::path::Path;

use serde_json::Value;

use crate::files::{MAX_JSON, read_text};
use crate::hub::{Find, Lack, Wanted};
use crate::layout;

/// The configuration's name.
pub(crate) const CONFIG: &str = "config.json";

/// `config.json` alone.
pub(crate) struct ConfigFile;

impl Wanted for ConfigFile {
    fn find_all<E: From<Lack>>(&self, find: &mut Find<'_, E>) -> Result<(), E> {
        match find(CONFIG)? {
            Some(_) => Ok(()),
            None => Err(Lack::File(CONFIG).into()),
        }
    }

    fn is_here(&self, name: &Path) -> bool {
        layout::is_here(name)
    }
}

impl ConfigFile {
    /// Whether the configuration has a key. If it is not JSON, whoever loads it reports that.
    pub fn has_key<E: From<Lack>>(key: &str, find: &mut Find<'_, E>) -> Result<bool, E> {
        let Some(path) = find(CONFIG)? else { return Ok(false) };
        let bytes = read_text(&path, MAX_JSON).map_err(Lack::from)?;
        let config: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(config.get(key).is_some())
    }
}
