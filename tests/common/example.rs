//! Examples, run as a user runs them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What an example has said.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A path in the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The examples are built beside the directory that the tests are built in.
pub fn run(example: &str, arguments: &[&str], temporary: &TempDir) -> Run {
    let test = env::current_exe().unwrap();
    let target = test.ancestors().nth(2).unwrap();
    let binary = target.join("examples").join(format!("{example}{}", env::consts::EXE_SUFFIX));
    let output = Command::new(&binary)
        .args(arguments)
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo test` builds it", binary.display()));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs an example that must succeed.
pub fn succeed(example: &str, arguments: &[&str]) -> Run {
    let run = run(example, arguments, &tempfile::tempdir().unwrap());
    assert_eq!(run.code, Some(0), "{example} {arguments:?}: {}", run.stderr);
    run
}

/// Asserts that an example answers with one line that has all of `parts`.
pub fn fail(example: &str, arguments: &[&str], parts: &[&str]) {
    let run = run(example, arguments, &tempfile::tempdir().unwrap());
    let what = format!("{example} {arguments:?}: {}", run.stderr);
    assert_eq!(run.code, Some(1), "{what}");
    let error = run.stderr.lines().last().unwrap();
    assert!(error.starts_with("error: "), "{what}");
    assert!(parts.iter().all(|part| error.contains(part)), "{what} lacks one of {parts:?}");
    assert!(!error.contains("Error {") && !error.contains("Err("), "{what}");
}
