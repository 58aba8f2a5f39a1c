//! The classes of a data set.

use std::collections::{BTreeSet, HashMap};

use super::features::shortened;
use crate::error::{Error, Result};

/// The names of classes in the order of their ids, for `id2label` of the model's config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelNames {
    names: Vec<String>,
    ids: HashMap<String, usize>,
}

impl LabelNames {
    /// Names in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Input`] if there are none, or two are the same.
    pub fn new<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(Error::input("label names", "at least one", "none"));
        }
        let ids: HashMap<String, usize> =
            names.iter().enumerate().map(|(id, name)| (name.clone(), id)).collect();
        if ids.len() < names.len() {
            let found = format!("{} different ones of {}", ids.len(), names.len());
            return Err(Error::input("label names", "each once", found));
        }
        Ok(Self { names, ids })
    }

    /// The different names among labels, sorted (by Unicode scalar values), as transformers' `run_glue` and `run_ner`
    /// order them.
    ///
    /// # Errors
    /// [`Error::Input`] if there are none.
    pub fn collect<'a>(labels: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let names: BTreeSet<&str> = labels.into_iter().collect();
        Self::new(names)
    }

    /// The names, by id.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// C, the number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: there is at least one class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The id of a name, if it is one of these.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.ids.get(name).copied()
    }

    /// The id of a name.
    ///
    /// # Errors
    /// [`Error::Input`] if it is none of these.
    pub fn id(&self, name: &str) -> Result<usize> {
        self.find(name).ok_or_else(|| {
            let expected = format!("one of {}", shortened(&self.names.join(", ")));
            Error::input("label", expected, format!("{:?}", shortened(name)))
        })
    }

    /// An id, if there is a class that has it.
    ///
    /// # Errors
    /// [`Error::Input`] otherwise.
    pub(super) fn check(&self, id: f64) -> Result<usize> {
        let is_id = id >= 0.0 && id.fract() == 0.0 && id < self.len() as f64;
        if is_id {
            return Ok(id as usize);
        }
        Err(Error::input("label", format!("a class below {}", self.len()), id.to_string()))
    }
}
