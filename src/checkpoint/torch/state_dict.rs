//! From the description in a pickle to named tensors.

use std::collections::HashSet;

use super::value::{Id, Object, RawTensor, Value};

/// How deep dictionaries and lists are looked into.
const MAX_DEPTH: usize = 32;

/// The most bytes that the names of all tensors of a pickle may have together, and those of the dictionaries and lists
/// that are looked into. Many dictionaries may share one long key, so that the pickle's length does not bound this.
const MAX_NAMES: usize = 16 << 20;

/// What is found, by name.
pub(super) struct Named<'a> {
    pub tensors: Vec<(String, &'a RawTensor)>,
    /// Tensors that cannot be read, and their kinds.
    pub foreign: Vec<(String, &'static str)>,
}

/// The named tensors, whatever dictionaries, lists and tuples they are in.
///
/// Keys and list indices are joined by dots. Values that are not tensors are skipped, and so are keys that are
/// neither strings nor integers. What the pickle has at several places is found at the first.
pub(super) fn tensors(object: &Object) -> Result<Named<'_>, String> {
    let mut walk = Walk {
        object,
        path: String::new(),
        written: 0,
        visited: HashSet::new(),
        names: HashSet::new(),
        found: Named { tensors: Vec::new(), foreign: Vec::new() },
    };
    walk.container(object.root, 0)?;
    if !(walk.found.tensors.is_empty() && walk.found.foreign.is_empty()) {
        return Ok(walk.found);
    }
    match object.heap.get(object.root) {
        Value::Dict(_) => {
            Err("no tensors: the dictionary has none, nor has any dictionary or list in it".into())
        }
        Value::Object(class) => Err(format!(
            "expected a dictionary of tensors, found an object of the class {}: if you trust the file, load it with \
             torch and save its state_dict",
            class.escape_debug()
        )),
        other => Err(format!("expected a dictionary of tensors, found {}", other.kind())),
    }
}

/// The state of traversing nested values.
struct Walk<'a> {
    object: &'a Object,
    /// The keys that lead to what is being looked at, joined by dots.
    path: String,
    /// How many bytes were ever written to it.
    written: usize,
    /// Dictionaries, lists and tuples, which may contain each other, or themselves.
    visited: HashSet<Id>,
    names: HashSet<String>,
    found: Named<'a>,
}

impl Walk<'_> {
    fn container(&mut self, id: Id, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH || !self.visited.insert(id) {
            return Ok(());
        }
        match self.object.heap.get(id) {
            Value::Dict(entries) => {
                for &(key, value) in entries {
                    match self.object.heap.get(key) {
                        Value::Str(key) => self.entry(|| key.to_string(), value, depth)?,
                        Value::Int(key) => self.entry(|| key.to_string(), value, depth)?,
                        _ => {}
                    }
                }
            }
            Value::List(items) | Value::Tuple(items) => {
                for (place, &value) in items.iter().enumerate() {
                    self.entry(|| place.to_string(), value, depth)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn entry(&mut self, key: impl Fn() -> String, value: Id, depth: usize) -> Result<(), String> {
        let found = self.object.heap.get(value);
        let is_container = matches!(found, Value::Dict(_) | Value::List(_) | Value::Tuple(_));
        if !is_container && !matches!(found, Value::Tensor(_) | Value::Foreign(_)) {
            return Ok(());
        }
        let before = self.path.len();
        if depth > 0 {
            self.path.push('.');
        }
        let key = key();
        self.written = self.written.saturating_add(self.path.len()).saturating_add(key.len());
        if self.written > MAX_NAMES {
            return Err(format!("names of tensors of more than {MAX_NAMES} bytes together"));
        }
        self.path.push_str(&key);
        match found {
            &Value::Tensor(tensor) => self.tensor(tensor)?,
            Value::Foreign(kind) => self.found.foreign.push((self.path.clone(), kind)),
            _ => self.container(value, depth + 1)?,
        }
        self.path.truncate(before);
        Ok(())
    }

    fn tensor(&mut self, index: usize) -> Result<(), String> {
        let name = &self.path;
        if !self.names.insert(name.clone()) {
            return Err(format!("tensor `{name}`: expected one of this name, found two"));
        }
        let found = &mut self.found.tensors;
        found.extend(self.object.tensors.get(index).map(|tensor| (name.clone(), tensor)));
        Ok(())
    }
}
