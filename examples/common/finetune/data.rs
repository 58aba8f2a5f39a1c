//! The examples of a file, and the features that are made of them.

use std::io::Write;
use std::path::Path;

use ndalbert::train::datasets::{Examples, LoadedExamples};

use super::{Failure, Options};

impl Options {
    /// Reads two files: examples to learn from (none if there is no file), and to evaluate on.
    pub fn read<T>(
        &self,
        (train, validation): (Option<&Path>, &Path),
        read: impl Fn(&Path) -> ndalbert::Result<Examples<T>>,
    ) -> Result<[LoadedExamples<T>; 2], Failure> {
        let load = |path| read(path)?.load(self.skip_bad);
        Ok([train.map(load).transpose()?.unwrap_or_default(), load(validation)?])
    }
}

/// Makes features of examples, and says what was skipped, if anything was.
pub fn encode<T: Sync, F: Send>(
    examples: &mut LoadedExamples<T>,
    out: &mut dyn Write,
    encode: impl Fn(&T) -> ndalbert::Result<F> + Sync,
) -> Result<Vec<F>, Failure> {
    let features = examples.encode(encode)?;
    if examples.skipped().count() > 0 {
        writeln!(out, "{}", examples.skipped())?;
    }
    Ok(features)
}
