//! Dependencies run one way: what a floor of the source tree may import are the floors below it.

use std::fs;
use std::path::Path;

/// The floors, from the lowest up: modules of `src`, some of which share a floor.
const FLOORS: [&[&str]; 12] = [
    &["error"],
    &["hash", "files"],
    &["memory"],
    &["hub"],
    &["layout"],
    &["kernels"],
    &["nn"],
    &["config"],
    &["batch"],
    &["model"],
    &["text", "checkpoint"],
    &["pipelines", "train"],
];

/// What is imported by the name that `lib.rs` gives it, and the module that has it.
const EXPORTS: [(&str, &str); 9] = [
    ("AlbertConfig", "config"),
    ("AlbertTokenizer", "text"),
    ("ConfigFields", "config"),
    ("Error", "error"),
    ("LoadReport", "checkpoint"),
    ("MemoryFiles", "memory"),
    ("Precision", "kernels"),
    ("Result", "error"),
    ("exits", "model"),
];

#[test]
fn no_import_runs_up() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut known = 0;
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if module == "lib" || module == "bin" {
            continue;
        }
        known += 1;
        let floor = floor(&module).unwrap_or_else(|| panic!("{module} is on no floor"));
        for file in sources(&path) {
            for import in imports(&fs::read_to_string(&file).unwrap()) {
                let exported = EXPORTS.iter().find(|(name, _)| *name == import);
                let target = exported.map_or(&*import, |(_, module)| module);
                let allowed = target == module || self::floor(target).is_some_and(|f| f < floor);
                if !allowed {
                    wrong.push(format!("{}: crate::{import}", file.display()));
                }
            }
        }
    }
    assert_eq!(known, FLOORS.concat().len(), "every floor is there");
    assert!(wrong.is_empty(), "imports of a floor that is not below:\n{}", wrong.join("\n"));
}

#[test]
fn every_form_of_import_is_read() {
    let source = "use crate::a::b;\nuse crate::{c, d::{e, f}, g};\n/// [`x`](crate::x)\nlet y = crate::h::i();\n// crate::z";
    assert_eq!(imports(source), ["a", "c", "d", "g", "h"]);
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The Rust files of a module: itself, or all in its directory.
fn sources(path: &Path) -> Vec<std::path::PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| sources(&path))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The first step of every path that begins with `crate::`, outside of comments.
fn imports(source: &str) -> Vec<String> {
    let lines = source.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    let code: String = lines.flat_map(|line| [line, "\n"]).collect();
    let mut found = Vec::new();
    for (start, prefix) in code.match_indices("crate::") {
        let rest = &code[start + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(steps(list)),
            None => found.extend(word(rest)),
        }
    }
    found
}

/// The first step of every path in a list that `}` closes.
fn steps(list: &str) -> Vec<String> {
    let (mut depth, mut begins, mut found) = (0, true, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && !character.is_whitespace() => {
                found.extend(word(&list[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    found
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}
