//! How a pipeline is loaded.

use crate::checkpoint::LoadOptions;
use crate::kernels::Precision;

/// How many tokens go through a model together where nothing else is said: as many as make full use of a processor of
/// some tens of cores.
pub(super) const TOKENS_PER_BATCH: usize = 8192;

/// How a pipeline is loaded.
///
/// ```
/// use ndalbert::Precision;
/// use ndalbert::pipelines::{PipelineOptions, TextClassification};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pipelines/classifier");
/// let options = PipelineOptions::new().precision(Precision::Int8).max_length(128);
/// let classify = TextClassification::from_pretrained_with(directory, &options)?;
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    pub(super) load: LoadOptions,
    pub(super) tokens_per_batch: usize,
    pub(super) max_length: Option<usize>,
    pub(super) initialize_missing_head: bool,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            load: LoadOptions::new(),
            tokens_per_batch: TOKENS_PER_BATCH,
            max_length: None,
            initialize_missing_head: false,
        }
    }
}

impl PipelineOptions {
    /// The defaults: single precision, groups of 8192 tokens, texts up to the model's input length.
    pub fn new() -> Self {
        Self::default()
    }

    /// Executes the model's layers in this precision; see [`Precision`].
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.load = self.load.precision(precision);
        self
    }

    /// Sets the approximate number of tokens that the model processes together. More than the default gains nothing. Less needs less memory and answers sooner when inputs arrive slowly: with 1, each input is processed alone.
    #[must_use]
    pub fn tokens_per_batch(mut self, tokens: usize) -> Self {
        self.tokens_per_batch = tokens;
        self
    }

    /// Truncates texts (with their special tokens) to this number of tokens, or to the model's input length if that is less.
    #[must_use]
    pub fn max_length(mut self, tokens: usize) -> Self {
        self.max_length = Some(tokens);
        self
    }

    /// Initialises a head that the checkpoint lacks at random, as transformers does, instead of failing: for tests and measurements.
    #[must_use]
    pub fn initialize_missing_head(mut self, initialize: bool) -> Self {
        self.initialize_missing_head = initialize;
        self
    }

    /// Sets all other options of loading; the precision in them replaces one set before.
    #[must_use]
    pub fn load(mut self, load: LoadOptions) -> Self {
        self.load = load;
        self
    }
}
