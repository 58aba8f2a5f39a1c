//! Building files as `torch.save` does, byte by byte, so that they can be wrong anywhere.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

/// The pickle of the magic number.
pub const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const SYSTEM: &[u8] = b"\x80\x02}X\x0d\0\0\0little_endian\x88s.";

/// A string, an integer and a tuple of integers.
pub fn text(value: &str) -> Vec<u8> {
    [b"X", &(value.len() as u32).to_le_bytes()[..], value.as_bytes()].concat()
}

pub fn int(value: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &value.to_le_bytes()].concat()
}

pub fn tuple(values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|&value| int(value)).collect();
    [b"(", &values[..], b"t"].concat()
}

pub fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// The persistent id of a storage, in parts that can be replaced.
pub fn storage(class: &str, key: &str, elements: i64, view: &[u8]) -> Vec<u8> {
    let class = global("torch", class);
    [b"(", &text("storage")[..], &class, &text(key), &text("cpu"), &int(elements), view, b"tQ"]
        .concat()
}

/// A tensor in a storage.
pub fn tensor(storage: &[u8], offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let rebuild = global("torch._utils", "_rebuild_tensor_v2");
    let rest = [b"\x89", &global("collections", "OrderedDict")[..], b")RtR"].concat();
    [&rebuild[..], b"(", storage, &int(offset), &tuple(shape), &tuple(strides), &rest[..]].concat()
}

/// A dictionary with one entry, `w`, as a whole pickle.
pub fn dict(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02}", &text("w")[..], value, b"s."].concat()
}

/// The old format: an object, and storages of so many elements and with these bytes.
pub fn legacy(object: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    legacy_of(&[MAGIC, b"\x80\x02M\xe9\x03.", SYSTEM, object], storages)
}

/// The same with other pickles before the storages' keys.
pub fn legacy_of(pickles: &[&[u8]], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut bytes = pickles.concat();
    bytes.extend(b"\x80\x02](");
    storages.iter().for_each(|(key, ..)| bytes.extend(text(key)));
    bytes.extend(b"e.");
    for (_, elements, data) in storages {
        bytes.extend(elements.to_le_bytes());
        bytes.extend(*data);
    }
    bytes
}

/// The new format: an archive of these entries.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
