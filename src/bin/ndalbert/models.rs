//! From a name to a model's directory.

use std::path::{Path, PathBuf};

use ndalbert::pipelines::Files;
use ndalbert::{AlbertTokenizer, LoadReport};

use crate::Failure;

/// The directory (or file of weights) of a model, which is downloaded if need be, with a bar on a terminal.
#[cfg(feature = "hub")]
pub fn directory(name: &str, files: Files) -> Result<PathBuf, Failure> {
    use indicatif::{ProgressBar, ProgressStyle};
    use ndalbert::hub::Hub;

    // Without a home directory, local ones are as good as ever.
    if is_local(name) {
        return Ok(name.into());
    }
    let style = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(style)?);
    let shown = bar.clone();
    let hub = Hub::from_env()?.on_progress(move |progress| {
        if shown.length() != Some(progress.total) || shown.message() != progress.file {
            shown.reset();
            shown.set_length(progress.total);
            shown.set_message(progress.file.to_owned());
        }
        shown.set_position(progress.received);
    });
    let directory = hub.resolve(name, files);
    bar.finish_and_clear();
    Ok(directory?)
}

/// The directory (or file of weights) of a model, which must be on this machine.
#[cfg(not(feature = "hub"))]
pub fn directory(name: &str, _files: Files) -> Result<PathBuf, Failure> {
    if is_local(name) {
        return Ok(name.into());
    }
    Ok(ndalbert::pipelines::resolve(name)?)
}

/// Whether it is a directory, a file of weights, or what the names of a TensorFlow checkpoint's files begin with, that is there.
fn is_local(name: &str) -> bool {
    Path::new(name).exists() || Path::new(&format!("{name}.index")).is_file()
}

/// A model's tokenizer, cutting texts to a length if there is one.
pub fn tokenizer(name: &str, max_length: Option<usize>) -> Result<AlbertTokenizer, Failure> {
    let tokenizer = AlbertTokenizer::from_pretrained(directory(name, Files::Tokenizer)?)?;
    Ok(match max_length {
        Some(length) => tokenizer.with_max_length(length)?,
        None => tokenizer,
    })
}

/// Prints what is doubtful about a model: weights that are newly initialised or not finite. That a checkpoint has more than a task needs is
/// nothing to warn of.
pub fn warn(report: &LoadReport) {
    eprint!("{}", LoadReport { unexpected: Vec::new(), ..report.clone() });
}
