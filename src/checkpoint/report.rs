//! What loading did not use, and what is newly initialised.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The result of loading a checkpoint into a model: transformers' warnings as a value.
///
/// Its [`Display`](fmt::Display) is the warning, and empty if there is none:
///
/// ```
/// use ndalbert::{AlbertForMultipleChoice, PreTrainedModel};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");
/// let (model, report) = AlbertForMultipleChoice::from_pretrained(directory)?;
/// assert_eq!(report.newly_initialized, ["classifier.weight", "classifier.bias"]);
/// assert!(report.to_string().contains("TRAIN this model"));
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// The file (of a sharded checkpoint, the index) that was loaded.
    pub path: PathBuf,
    /// The class that was loaded ([`Model::NAME`](crate::Model::NAME)).
    pub architecture: &'static str,
    /// Tensors of the checkpoint that the model does not use, by their names in the file.
    pub unexpected: Vec<String>,
    /// Parameters of the model that the checkpoint lacks. They were initialised as in transformers.
    pub newly_initialized: Vec<String>,
    /// Tensors whose shape differs from the model's parameters, which were newly initialised instead.
    pub mismatched: Vec<MismatchedShape>,
    /// Tensors that the configuration ties to others, but whose values differ. They were loaded, and the model's configuration records that they are not tied.
    pub untied: Vec<UntiedTensor>,
    /// Tensors with NaN or infinite values. They were loaded unchanged.
    pub non_finite: Vec<String>,
    /// The seed of newly initialised parameters.
    pub seed: u64,
}

/// A tensor whose shape is not what the model's configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MismatchedShape {
    /// Its name in the checkpoint.
    pub name: String,
    /// The shape in the model.
    pub expected: Vec<usize>,
    /// The shape in the checkpoint.
    pub found: Vec<usize>,
}

/// A tensor of a masked-LM decoder that differs from the one that it should be a copy of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntiedTensor {
    /// Its name in the checkpoint.
    pub name: String,
    /// The other's name there: the word embeddings, or the head's bias.
    pub tied_to: String,
}

impl LoadReport {
    /// Whether every tensor was used, every parameter was found, what is tied is equal, and all values are finite.
    pub fn is_clean(&self) -> bool {
        self.unexpected.is_empty()
            && self.newly_initialized.is_empty()
            && self.mismatched.is_empty()
            && self.untied.is_empty()
            && self.non_finite.is_empty()
    }
}

/// The most names that are listed one by one.
const LISTED: usize = 24;

/// Names; for very many, only their common prefix and their number.
fn listed(names: &[String]) -> String {
    if names.len() <= LISTED {
        return names.join(", ");
    }
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        groups.entry(name.split('.').next().unwrap_or_default()).or_default().push(name);
    }
    let shown = groups.into_iter().map(|(first, names)| match names[..] {
        [name] => name.to_owned(),
        _ => format!("{first}.… ({} tensors)", names.len()),
    });
    shown.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, class) = (self.path.display(), self.architecture);
        if !self.unexpected.is_empty() {
            writeln!(f, "Some weights of the checkpoint {path} were not used by {class}:")?;
            writeln!(f, "  {}", listed(&self.unexpected))?;
            writeln!(f, "  This is expected if it was trained for another task.")?;
        }
        if !self.newly_initialized.is_empty() {
            writeln!(
                f,
                "Some weights of {class} are not in the checkpoint {path} and are newly initialised (seed {}):",
                self.seed
            )?;
            writeln!(f, "  {}", self.newly_initialized.join(", "))?;
        }
        if !self.mismatched.is_empty() {
            writeln!(
                f,
                "Some weights of the checkpoint {path} have another shape than in {class} and are newly initialised:"
            )?;
            for MismatchedShape { name, expected, found } in &self.mismatched {
                writeln!(f, "  {name}: expected {expected:?}, found {found:?}")?;
            }
        }
        if !(self.newly_initialized.is_empty() && self.mismatched.is_empty()) {
            writeln!(
                f,
                "You should probably TRAIN this model on a task before using its answers."
            )?;
        }
        if !self.untied.is_empty() {
            writeln!(
                f,
                "Some weights of the checkpoint {path} differ from those that {class} ties them to, and are not tied:"
            )?;
            for UntiedTensor { name, tied_to } in &self.untied {
                writeln!(f, "  {name} differs from {tied_to}")?;
            }
        }
        if !self.non_finite.is_empty() {
            writeln!(f, "Some weights of the checkpoint {path} are NaN or infinite:")?;
            writeln!(f, "  {}", self.non_finite.join(", "))?;
        }
        Ok(())
    }
}
