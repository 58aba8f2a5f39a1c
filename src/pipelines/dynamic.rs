//! Pipelines behind a pointer, whatever their model.

use super::Pipeline;
use crate::error::Result;

/// A [`Pipeline`] as a trait object: every pipeline is one.
///
/// ```
/// use ndalbert::pipelines::{Classification, DynPipeline, TextClassification, TextInput};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pipelines/classifier");
/// let classify: Box<dyn DynPipeline<TextInput, Vec<Classification>>> =
///     Box::new(TextClassification::from_pretrained(directory)?);
/// println!("{}", classify.answer("the compiler shows an error".into())?[0]);
/// # Ok::<(), ndalbert::Error>(())
/// ```
pub trait DynPipeline<Input, Output>: Send + Sync {
    /// As [`Pipeline::run`].
    ///
    /// # Errors
    /// As there.
    fn answer(&self, input: Input) -> Result<Output>;

    /// As [`Pipeline::run_many`].
    fn answer_many(&self, inputs: Vec<Input>) -> Vec<Result<Output>>;
}

impl<P: Pipeline> DynPipeline<P::Input, P::Output> for P {
    fn answer(&self, input: P::Input) -> Result<P::Output> {
        self.run(input)
    }

    fn answer_many(&self, inputs: Vec<P::Input>) -> Vec<Result<P::Output>> {
        self.run_many(inputs)
    }
}
