//! The format since torch 1.6: a zip archive with `<name>/data.pkl` and the storages
//! `<name>/data/<key>`.

use super::super::source::Source;
use super::input::{Input, MAX_PICKLE};
use super::value::Object;
use super::{Fault, Storages, machine, zip};

/// Reads the pickle of an archive and finds its storages.
pub(super) fn read(source: &Source) -> Result<(Object, Storages), Fault> {
    let entries = zip::entries(source)?;
    let mut roots = entries.keys().filter_map(|name| {
        let root = name.strip_suffix("/data.pkl")?;
        (!root.contains('/')).then_some(root)
    });
    let (root, second) = (roots.next(), roots.next());
    let root = match (root, second) {
        (Some(root), None) => root,
        (Some(_), Some(_)) => {
            return Err("expected one `data.pkl` in the archive, found several".into());
        }
        (None, _) => {
            return Err("a zip archive without `data.pkl`, so not a file of torch.save's".into());
        }
    };
    let entry = |name: &str| entries.get(&format!("{root}/{name}")).map(|entry| entry.place);
    let code = format!("{root}/code/");
    let is_script =
        entry("constants.pkl").is_some() || entries.keys().any(|name| name.starts_with(&code));
    if is_script {
        return Err(
            "a TorchScript archive, which is a program: load it with torch.jit and torch.save its \
             state_dict"
                .into(),
        );
    }
    if let Some((name, _)) = entries.iter().find(|(_, entry)| !entry.stored) {
        return Err(format!(
            "entry `{name}`: expected it to be stored as it is, as torch.save does, found it compressed or encrypted: \
             was the file zipped again? Load it with torch and save it"
        )
        .into());
    }
    if let Some(order) = entry("byteorder") {
        let order =
            Input::new(source, order.start, order.start + order.len.min(8)).bytes(order.len)?;
        if order != b"little" {
            return Err(format!(
                "expected a little-endian file, found the byte order {:?}: load it with torch and save it as \
                 safetensors",
                String::from_utf8_lossy(&order)
            )
            .into());
        }
    }
    let Some(pickle) = entry("data.pkl").filter(|pickle| pickle.len <= MAX_PICKLE) else {
        return Err(format!("expected a `data.pkl` of at most {MAX_PICKLE} bytes").into());
    };
    let object = machine::load(&mut Input::new(source, pickle.start, pickle.start + pickle.len))?;
    let prefix = format!("{root}/data/");
    let storages = entries
        .iter()
        .filter_map(|(name, entry)| Some((name.strip_prefix(&prefix)?.to_owned(), entry.place)))
        .collect();
    Ok((object, storages))
}
