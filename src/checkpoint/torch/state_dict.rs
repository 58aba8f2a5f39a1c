//! From what a pickle describes to named tensors.

use std::collections::HashSet;

use super::value::{Id, Object, RawTensor, Value};

/// How deep a dictionary of tensors may lie in other dictionaries.
const MAX_DEPTH: usize = 4;

/// The keys under which training scripts keep the model among other things, the most usual first.
const USUAL: [&str; 3] = ["state_dict", "model", "model_state_dict"];

/// The named tensors: those of the outermost dictionary, or if none of its values is a tensor, of one inside.
///
/// Values that are not tensors are passed over, and so are keys that are not strings.
pub(super) fn tensors(object: &Object) -> Result<Vec<(String, &RawTensor)>, String> {
    let mut dict = object.root;
    for _ in 0..MAX_DEPTH {
        let Value::Dict(entries) = object.heap.get(dict) else {
            let found = object.heap.get(dict).kind();
            return Err(format!("expected a dictionary of tensors, found {found}"));
        };
        let tensors = named(object, entries)?;
        if !tensors.is_empty() {
            return Ok(tensors);
        }
        dict = inner(object, entries)?;
    }
    Err(format!("no tensors in the dictionary, nor {MAX_DEPTH} dictionaries deep in it"))
}

/// The entries that are tensors.
fn named<'a>(
    object: &'a Object,
    entries: &[(Id, Id)],
) -> Result<Vec<(String, &'a RawTensor)>, String> {
    let mut seen = HashSet::new();
    let mut tensors = Vec::new();
    for &(key, value) in entries {
        let (Value::Str(name), &Value::Tensor(tensor)) =
            (object.heap.get(key), object.heap.get(value))
        else {
            continue;
        };
        if !seen.insert(&**name) {
            return Err(format!("tensor `{name}`: expected one of this name, found two"));
        }
        tensors.extend(object.tensors.get(tensor).map(|tensor| (name.to_string(), tensor)));
    }
    Ok(tensors)
}

/// The dictionary inside a dictionary that is to be looked into: under a usual key, or the only one.
fn inner(object: &Object, entries: &[(Id, Id)]) -> Result<Id, String> {
    let dicts: Vec<(&str, Id)> = entries
        .iter()
        .filter_map(|&(key, value)| match (object.heap.get(key), object.heap.get(value)) {
            (Value::Str(key), Value::Dict(_)) => Some((&**key, value)),
            _ => None,
        })
        .collect();
    let usual = USUAL.iter().find_map(|usual| dicts.iter().find(|(key, _)| key == usual));
    match (usual, &dicts[..]) {
        (Some(&(_, dict)), _) | (None, &[(_, dict)]) => Ok(dict),
        (None, []) => {
            Err("no tensors: the dictionary has none, nor a dictionary that might".into())
        }
        (None, several) => Err(format!(
            "no tensors in the outermost dictionary, and {} dictionaries in it, none under {}",
            several.len(),
            USUAL.map(|key| format!("`{key}`")).join(", "),
        )),
    }
}
