//! The format before torch 1.6: pickles in a row, then storages in a row.
//!
//! A magic number, a version, what machine wrote it, the object, the storages' keys; then for each
//! key the number of elements in eight bytes, and the elements. `_legacy_save` and `_legacy_load`
//! of `torch/serialization.py` are its definition.

use std::collections::{HashMap, HashSet};

use super::super::source::Source;
use super::super::tensor::Storage;
use super::input::Input;
use super::machine;
use super::value::{Object, Value};
use super::{Fault, Storages};

/// What the first pickle is.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;

/// What a pickle of protocol 2 or later begins with; its protocol is the next byte.
pub(super) const PICKLE: u8 = 0x80;

/// The only version there is.
const PROTOCOL: i128 = 1001;

/// The bytes before each storage: its number of elements.
const COUNT: u64 = 8;

/// Reads the pickles of an old file and finds its storages.
pub(super) fn read(source: &Source) -> Result<(Object, Storages), Fault> {
    let mut input = Input::new(source, 0, source.len());
    let magic = load(&mut input, "the magic number")?;
    if !matches!(magic.heap.get(magic.root), Value::Int(MAGIC)) {
        return Err("a Python pickle, but without the magic number of torch.save".into());
    }
    let version = load(&mut input, "the version")?;
    match version.heap.get(version.root) {
        Value::Int(PROTOCOL) => {}
        Value::Int(other) => {
            let reason =
                format!("expected version {PROTOCOL} of torch's old format, found {other}");
            return Err(reason.into());
        }
        other => return Err(format!("expected a version, found {}", other.kind()).into()),
    }
    check_machine(&load(&mut input, "the system's description")?)?;
    let object = load(&mut input, "the object")?;
    let keys = load(&mut input, "the storages' keys")?;
    let storages = locate(source, &object, &keys, input.position())?;
    Ok((object, storages))
}

fn load(input: &mut Input<'_>, what: &str) -> Result<Object, Fault> {
    machine::load(input).map_err(|fault| fault.within(|| what.to_owned()))
}

/// Refuses a file of a big-endian machine.
fn check_machine(system: &Object) -> Result<(), Fault> {
    let Value::Dict(entries) = system.heap.get(system.root) else {
        return Err("expected the system's description to be a dictionary".into());
    };
    let little = entries.iter().find_map(|&(key, value)| match system.heap.get(key) {
        Value::Str(key) if &**key == "little_endian" => Some(system.heap.get(value)),
        _ => None,
    });
    match little {
        Some(Value::Bool(true)) => Ok(()),
        Some(Value::Bool(false)) => {
            Err("expected a little-endian file, found one that a big-endian machine has \
             written: load it with torch and save it as safetensors"
                .into())
        }
        _ => Err("the system's description does not say `little_endian`".into()),
    }
}

/// Walks over the storages, which begin at `position`, without reading their elements.
fn locate(
    source: &Source,
    object: &Object,
    keys: &Object,
    mut position: u64,
) -> Result<Storages, Fault> {
    let references: HashMap<&str, _> =
        object.storages.iter().rev().map(|storage| (&*storage.key, storage)).collect();
    let Value::List(keys_in_order) = keys.heap.get(keys.root) else {
        return Err("expected a list of the storages' keys".into());
    };
    let mut storages = Storages::new();
    let mut seen = HashSet::new();
    for &key in keys_in_order {
        let Value::Str(key) = keys.heap.get(key) else {
            return Err("a storage's key that is not a string".into());
        };
        if !seen.insert(key) {
            return Err(format!("storage `{key}`: expected one of this key, found two").into());
        }
        let Some(reference) = references.get(&**key) else {
            return Err(format!(
                "storage `{key}`: expected a tensor that refers to it, found none"
            )
            .into());
        };
        let mut count = [0; COUNT as usize];
        source.read_exact_at(position, &mut count)?;
        let count = u64::from_le_bytes(count);
        if count != reference.elements {
            return Err(format!(
                "storage `{key}`: expected {} elements, found {count}",
                reference.elements
            )
            .into());
        }
        let start = position.saturating_add(COUNT);
        let size = reference.dtype.size().unwrap_or(0) as u64;
        let end = count.checked_mul(size).and_then(|len| start.checked_add(len));
        let Some(end) = end.filter(|&end| end <= source.len()) else {
            return Err(format!(
                "storage `{key}`: expected {count} elements of {} from byte {start}, the file ends at byte {}",
                reference.dtype,
                source.len()
            )
            .into());
        };
        storages.insert(key.to_string(), Storage { start, len: end - start });
        position = end;
    }
    Ok(storages)
}
