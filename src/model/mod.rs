//! The model: factorized embeddings → one shared layer, applied L times → pooler → heads.
//!
//! Every model has two forms. Its *parameters* ([`AlbertParameters`], [`ModelParameters`]) are plain arrays that are loaded, saved, compared and trained. The *executable* ([`Albert`], [`AlbertForMaskedLM`], …) is built from them: its weights are packed once for the processor. It is immutable and `Send + Sync`, and holds one copy of each weight.

mod albert;
mod embeddings;
mod encoder;
pub mod exits;
mod groups;
pub mod heads;
mod layer;
mod outliers;
mod parameters;
pub(crate) mod training;
mod workspace;

pub use albert::{Albert, AlbertOutput, OutputOptions};
pub use parameters::{AlbertParameters, EmbeddingParameters, EncoderParameters, ModelParameters};
pub use workspace::Workspace;

use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::Precision;
use crate::nn::{Initializer, Parameters};

/// The interface of all models: a configuration and parameters.
///
/// For loading and saving, see [`PreTrainedModel`](crate::PreTrainedModel), which every model implements.
pub trait Model: Sized + Send + Sync {
    /// Its tree of parameters.
    type Parameters: Parameters + Clone;

    /// Its class in transformers, as `config.json` names it under `architectures`.
    const ARCHITECTURE: &'static str;

    /// Its name in load reports: its class in this crate if transformers has none.
    const NAME: &'static str = Self::ARCHITECTURE;

    /// Parameters of the right shapes, all zero.
    fn zero_parameters(config: &AlbertConfig) -> Self::Parameters;

    /// Builds the executable model, in single precision.
    ///
    /// # Errors
    /// [`Error::Input`] if a parameter does not have the shape that the configuration gives it, or if the environment
    /// forces an instruction set that this processor lacks.
    fn from_parameters(config: AlbertConfig, parameters: Self::Parameters) -> Result<Self> {
        Self::from_parameters_in(config, parameters, Precision::F32)
    }

    /// Builds the executable model in the given precision.
    ///
    /// # Errors
    /// As [`from_parameters`](Self::from_parameters), and [`Error::Input`] if a layer has more inputs than [`Precision::Int8`] can sum (66,311).
    fn from_parameters_in(
        config: AlbertConfig,
        parameters: Self::Parameters,
        precision: Precision,
    ) -> Result<Self>;

    /// The parameters from which the model was built: bit-identical in single precision, otherwise as rounded by the model.
    fn to_parameters(&self) -> Self::Parameters;

    /// The precision of the model.
    fn precision(&self) -> Precision;

    /// The model's configuration.
    fn config(&self) -> &AlbertConfig;

    /// New random parameters, distributed as in transformers (normal weights of standard deviation `initializer_range`), reproducible from the seed.
    ///
    /// # Errors
    /// [`Error::Config`] if `initializer_range` is not a standard deviation in single precision.
    fn random_parameters(config: &AlbertConfig, seed: u64) -> Result<Self::Parameters> {
        let mut parameters = Self::zero_parameters(config);
        Initializer::new(config.initializer_range, config.pad_row(), seed)?
            .fill_all(&mut parameters);
        Ok(parameters)
    }

    /// A new model with random parameters.
    ///
    /// # Errors
    /// As [`random_parameters`](Self::random_parameters) and [`from_parameters`](Self::from_parameters).
    fn from_config(config: AlbertConfig, seed: u64) -> Result<Self> {
        Self::from_config_in(config, seed, Precision::F32)
    }

    /// Like [`from_config`](Self::from_config), in the given precision.
    ///
    /// # Errors
    /// As [`random_parameters`](Self::random_parameters) and [`from_parameters_in`](Self::from_parameters_in).
    fn from_config_in(config: AlbertConfig, seed: u64, precision: Precision) -> Result<Self> {
        let parameters = Self::random_parameters(&config, seed)?;
        Self::from_parameters_in(config, parameters, precision)
    }
}

/// Checks that a tree has the arrays and shapes of another; both come in the order of the visitor.
pub(crate) fn check_shapes(found: &impl Parameters, expected: &impl Parameters) -> Result<()> {
    let (expected, found) = (shapes(expected), shapes(found));
    let count = expected.len().max(found.len());
    let differs = (0..count).find(|&i| expected.get(i) != found.get(i));
    let Some(i) = differs else { return Ok(()) };
    match (expected.get(i), found.get(i)) {
        (Some((name, expected)), Some((other, found))) if name == other => {
            let what = format!("parameter `{name}`");
            Err(Error::input(what, format!("{expected:?}"), format!("{found:?}")))
        }
        (expected, found) => {
            let shown = |entry: Option<&(String, _)>| match entry {
                Some((name, _)) => format!("`{name}`"),
                None => "no more".to_owned(),
            };
            Err(Error::input(format!("parameter {i}"), shown(expected), shown(found)))
        }
    }
}

fn shapes(parameters: &impl Parameters) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Vec::new();
    parameters
        .visit("", &mut |name, values| shapes.push((name.to_owned(), values.shape().to_vec())));
    shapes
}
