//! Examples, run as a user runs them.

use std::env;
#[cfg(unix)]
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What an example has said.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// A path in the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The examples are built beside the directory that the tests are built in.
fn command(example: &str, arguments: &[&str], temporary: &TempDir) -> Command {
    let test = env::current_exe().unwrap();
    let target = test.ancestors().nth(2).unwrap();
    let binary = target.join("examples").join(format!("{example}{}", env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{}: `cargo test` builds it", binary.display());
    let mut command = Command::new(&binary);
    command.args(arguments).env("TMPDIR", temporary.path()).stdin(Stdio::null());
    command
}

pub fn run(example: &str, arguments: &[&str], temporary: &TempDir) -> Run {
    Run::of(command(example, arguments, temporary).output().unwrap())
}

/// Runs an example with a variable of the environment.
#[allow(dead_code)] // Not every test binary does.
pub fn run_with(variable: (&str, &str), example: &str, arguments: &[&str]) -> Run {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = command(example, arguments, &temporary);
    Run::of(command.env(variable.0, variable.1).output().unwrap())
}

/// Runs an example and presses Ctrl-C as soon as it says `when` on standard error.
#[cfg(unix)]
pub fn interrupt(example: &str, arguments: &[&str], when: &str) -> Run {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = command(example, arguments, &temporary);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut said: Vec<String> = Vec::new();
    for line in lines.by_ref() {
        said.push(line);
        if said.iter().any(|line| line.contains(when)) {
            break;
        }
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    said.extend(lines);
    let mut run = Run::of(child.wait_with_output().unwrap());
    run.stderr = said.join("\n");
    run
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
