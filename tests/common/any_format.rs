//! Bytes as a file of any format of fine-tuning's data: shared by the fuzz target `data_readers`
//! and the test of mutations.

use std::fs;
use std::path::Path;

use ndalbert::Result;
use ndalbert::train::datasets::{
    ConllColumns, Examples, GlueTask, LoadedExamples, class_names, read_c3, read_choices,
    read_classification, read_conll, read_race, read_squad, read_swag, read_tsv,
};

/// Reads the bytes after the first, which picks the format, through a file in an empty directory.
pub fn read_any_format(directory: &Path, bytes: &[u8]) {
    let Some((&format, content)) = bytes.split_first() else { return };
    // Some readers look at a name's end.
    let name = if format & 0x80 == 0 { "data.txt" } else { "data.jsonl" };
    let path = &directory.join(name);
    fs::write(path, content).expect("room for it");
    let variant = (format & 0x7f) / 8;
    match format % 8 {
        0 => drop(read(|| read_conll(path, columns(variant)))),
        1 => drop(read(|| read_squad(path))),
        2 => drop(read(|| read_swag(path))),
        3 => drop(read(|| read_race(if variant == 0 { directory } else { path }))),
        4 => drop(read(|| read_c3(path))),
        5 => drop(read(|| read_choices(path))),
        6 => drop(read(|| read_classification(path)).map(|examples| class_names(&examples))),
        _ => tables(path, variant),
    }
    fs::remove_file(path).expect("it was written");
}

/// Reads a file as it is, and again without its bad records, of which there must be none if the
/// first time went well.
fn read<T>(reader: impl Fn() -> Result<Examples<T>>) -> Option<LoadedExamples<T>> {
    let strict = reader().and_then(Iterator::collect::<Result<Vec<T>>>);
    let loaded = reader().and_then(|examples| examples.load(true));
    if let Ok(strict) = strict {
        let loaded = loaded.as_ref().expect("what is read strictly is read leniently");
        assert_eq!(strict.len(), loaded.len());
    }
    loaded.ok()
}

/// Reads a table of each of GLUE's tasks, or of one without labels.
fn tables(path: &Path, number: u8) {
    let task = GlueTask::ALL[usize::from(number) % GlueTask::ALL.len()];
    for is_labelled in [true, false] {
        read(|| read_tsv(path, &task.layout(is_labelled)));
    }
}

fn columns(number: u8) -> ConllColumns {
    match number % 4 {
        0 => ConllColumns::default(),
        tag => ConllColumns { word: usize::from(number % 2), tag: Some(usize::from(tag)) },
    }
}
