//! The texts that an example is about.

#[path = "read_text.rs"]
mod read_text;

use std::path::{Path, PathBuf};

use super::cli::Failure;
use read_text::read_text;

/// Texts of arguments: `--text TEXT` and `--texts FILE`, as often as one likes.
#[derive(Default)]
pub struct Texts(Vec<String>);

impl Texts {
    /// Takes an option if it is one of these.
    pub fn take(&mut self, name: &str, arguments: &mut lexopt::Parser) -> Result<bool, Failure> {
        match name {
            "text" => self.0.push(lexopt::ValueExt::string(arguments.value()?)?),
            "texts" => self.0.extend(lines(&PathBuf::from(arguments.value()?))?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Those that were given, or else `default`.
    pub fn or(self, default: &[&str]) -> Vec<String> {
        if self.0.is_empty() {
            default.iter().map(|&text| text.to_owned()).collect()
        } else {
            self.0
        }
    }
}

/// The lines of a file that are not empty.
fn lines(path: &Path) -> Result<Vec<String>, Failure> {
    let text = read_text(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(format!("{}: there is no text in it", path.display()).into());
    }
    Ok(lines)
}
