//! How a checkpoint is loaded.

use crate::kernels::Precision;

/// How a checkpoint is loaded.
///
/// ```
/// use ndalbert::{AlbertForSequenceClassification, LoadOptions, Model, PreTrainedModel};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");
/// let options = LoadOptions::new().num_labels(5).seed(7);
/// let (model, report) = AlbertForSequenceClassification::from_pretrained_with(directory, &options)?;
/// assert_eq!(model.config().num_labels(), 5);
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    pub(super) seed: u64,
    pub(super) labels: Option<Labels>,
    pub(super) exit_layers: Option<Vec<usize>>,
    pub(super) ignore_mismatched_sizes: bool,
    pub(super) initialize_missing_backbone: bool,
    tensors_under: Option<String>,
    pub(super) precision: Precision,
    #[cfg(feature = "hub")]
    revision: Option<String>,
}

/// The labels of classifiers, instead of the config's.
#[derive(Clone, Debug)]
pub(super) enum Labels {
    /// This number of labels, named as in transformers.
    Count(usize),
    Names(Vec<String>),
}

impl LoadOptions {
    /// The defaults: seed 0, the config's labels, and an error for other shapes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Initialises missing parameters from this seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Gives classifiers this many labels instead of the config's, named `LABEL_0` and so on.
    ///
    /// If [`labels`](Self::labels) is called as well, the last call counts.
    #[must_use]
    pub fn num_labels(mut self, count: usize) -> Self {
        self.labels = Some(Labels::Count(count));
        self
    }

    /// Gives classifiers these labels, in the order of their classes, instead of the config's, also
    /// in the `config.json` that they are saved with (`id2label`, `label2id`).
    ///
    /// A head that the checkpoint has keeps its weights if it has as many classes. If it has
    /// another number, loading fails or, with
    /// [`ignore_mismatched_sizes`](Self::ignore_mismatched_sizes), creates a new head. Duplicate labels or none at all are an error when loading.
    ///
    /// ```
    /// use ndalbert::{AlbertForSequenceClassification, LoadOptions, Model, PreTrainedModel};
    ///
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");
    /// let options = LoadOptions::new().labels(["negative", "neutral", "positive"]);
    /// let (model, report) = AlbertForSequenceClassification::from_pretrained_with(directory, &options)?;
    /// assert_eq!(model.config().labels[2], "positive");
    /// assert_eq!(report.newly_initialized, ["classifier.weight", "classifier.bias"]);
    /// # Ok::<(), ndalbert::Error>(())
    /// ```
    #[must_use]
    pub fn labels(mut self, labels: impl IntoIterator<Item: Into<String>>) -> Self {
        self.labels = Some(Labels::Names(labels.into_iter().map(Into::into).collect()));
        self
    }

    /// Gives models that classify whole sequences exits after these layers, instead of the config's
    /// [`exit_layers`](crate::ConfigFields::exit_layers): counted from 1, ascending, ending with the model's last layer. If empty, the model has a single classifier after its last layer.
    ///
    /// Classifiers that the checkpoint lacks are newly initialised; see [`exits`](crate::exits).
    #[must_use]
    pub fn exit_layers(mut self, layers: impl IntoIterator<Item = usize>) -> Self {
        self.exit_layers = Some(layers.into_iter().collect());
        self
    }

    /// Executes the model's layers in this precision; see [`Precision`].
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Selects the revision (a branch, tag or commit) of a model on the Hub. Ignored for an existing directory.
    #[cfg(feature = "hub")]
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Newly initialises parameters whose tensors have another shape, and reports them, instead of failing
    /// (transformers' option of the same name).
    #[must_use]
    pub fn ignore_mismatched_sizes(mut self, ignore: bool) -> Self {
        self.ignore_mismatched_sizes = ignore;
        self
    }

    /// Also initialises missing embeddings and encoder tensors, as transformers does. By default this is an error, because such a checkpoint is hardly the intended one.
    #[must_use]
    pub fn initialize_missing_backbone(mut self, initialize: bool) -> Self {
        self.initialize_missing_backbone = initialize;
        self
    }

    /// Selects the ALBERT whose tensors are under this dictionary or prefix of the file: `"ema"`, `"net.bert"`.
    ///
    /// Only necessary if a file has several, which the error lists. Names of nested dictionaries are joined by dots. Prefixes between this path and ALBERT's own names (`module.`, `albert.`) may be omitted.
    #[must_use]
    pub fn tensors_under(mut self, path: impl Into<String>) -> Self {
        self.tensors_under = Some(path.into());
        self
    }

    /// The place that was chosen.
    pub(super) fn under(&self) -> Option<&str> {
        self.tensors_under.as_deref()
    }

    pub(crate) fn chosen_revision(&self) -> Option<&str> {
        #[cfg(feature = "hub")]
        return self.revision.as_deref();
        #[cfg(not(feature = "hub"))]
        None
    }
}
