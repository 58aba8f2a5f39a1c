//! From an opened checkpoint to parameters.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::ArrayViewMutD;

use super::load_options::{Labels, LoadOptions};
use super::locate::Located;
use super::{Checkpoint, Format, LoadReport, MismatchedShape};
use super::{decoder, exits, names};
use crate::config::{AlbertConfig, ConfigFields, different_labels, made_up_labels};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::nn::{Initializer, Parameters};

/// How many parameters a model may have beyond those in the checkpoint: a classifier's, for all
/// that anyone trains. A `config.json` that asks for more does not belong to the checkpoint, and is
/// refused before memory is taken for it.
const MAX_NEW_HEAD: usize = 1 << 26;

/// The same where the backbone may be missing, too: ALBERT-xxlarge's.
const MAX_NEW_MODEL: usize = 1 << 28;

/// Loads the parameters of a model from a checkpoint that is open.
pub(super) fn load_from<M: Model>(
    mut config: AlbertConfig,
    checkpoint: &Checkpoint,
    options: &LoadOptions,
) -> Result<(AlbertConfig, M::Parameters, LoadReport)> {
    let labels = match &options.labels {
        Some(Labels::Count(count)) => Some(made_up_labels(*count)?),
        Some(Labels::Names(names)) => Some(different_labels(names)?),
        None => unsaid_labels(checkpoint, &config)?,
    };
    if let Some(labels) = labels {
        config = AlbertConfig::new(ConfigFields { labels, ..config.to_fields() })?;
    }
    let mut loader = Loader::new(checkpoint, &config, options, M::NAME)?;
    let config = loader.settle_exits(config, exit_prefix::<M>()?)?;
    loader.check_sizes(&config)?;
    let has_decoder = names::have_decoder(&M::zero_parameters(&config));
    let config = loader.settle_decoder(&config, has_decoder)?;
    let mut parameters = M::zero_parameters(&config);
    let mut result = Ok(());
    parameters.visit_mut("", &mut |name, values| {
        if result.is_ok() {
            result = loader.load(name, values);
        }
    });
    result?;
    let report = loader.finish();
    Ok((config, parameters, report))
}

/// What precedes the names of a model's classifiers, if it may have exits.
fn exit_prefix<M: Model>() -> Result<Option<&'static str>> {
    let smallest = AlbertConfig::new(ConfigFields {
        vocab_size: 1,
        embedding_size: 1,
        hidden_size: 1,
        num_hidden_layers: 2,
        num_attention_heads: 1,
        intermediate_size: 1,
        max_position_embeddings: 1,
        exit_layers: vec![1, 2],
        ..ConfigFields::default()
    })?;
    Ok(names::exit_prefix(&M::zero_parameters(&smallest)))
}

/// As many labels as a TensorFlow checkpoint's classifier has, if its configuration says nothing
/// about labels: Google's have no such key.
fn unsaid_labels(checkpoint: &Checkpoint, config: &AlbertConfig) -> Result<Option<Vec<String>>> {
    let is_silent = config.labels == made_up_labels(2)?;
    let classifier = checkpoint.get(names::CLASSIFIER).map(|weight| weight.shape());
    match classifier {
        Some(&[classes, _]) if is_silent && checkpoint.format() == Format::TensorFlow => {
            made_up_labels(classes).map(Some)
        }
        _ => Ok(None),
    }
}

/// Fills parameters from a checkpoint, and keeps book.
struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    options: &'a LoadOptions,
    initializer: Initializer,
    /// Canonical names → the checkpoint's, of tensors that have not been used.
    unused: BTreeMap<String, &'a str>,
    /// What precedes the backbone's names in the checkpoint.
    backbone: &'a str,
    /// The canonical names among them that may be another network's: only their shapes tell.
    doubtful: BTreeSet<String>,
    /// The checkpoint's names of what is not the model's.
    others: Vec<&'a str>,
    report: LoadReport,
}

impl<'a> Loader<'a> {
    fn new(
        checkpoint: &'a Checkpoint,
        config: &AlbertConfig,
        options: &'a LoadOptions,
        architecture: &'static str,
    ) -> Result<Self> {
        let Located { backbone, tensors: mut unused, doubtful, others } =
            checkpoint.locate(options.under(), options.initialize_missing_backbone)?;
        unused.retain(|canonical, _| !names::is_buffer(canonical));
        let report = LoadReport {
            path: checkpoint.path().to_owned(),
            architecture,
            unexpected: Vec::new(),
            newly_initialized: Vec::new(),
            mismatched: Vec::new(),
            untied: Vec::new(),
            non_finite: Vec::new(),
            seed: options.seed,
        };
        let initializer =
            Initializer::new(config.initializer_range, config.pad_row(), options.seed)?;
        Ok(Self { checkpoint, options, initializer, backbone, unused, doubtful, others, report })
    }

    /// Compares the sizes of the configuration with what is in the checkpoint, before memory is
    /// allocated for them.
    fn check_sizes(&self, config: &AlbertConfig) -> Result<()> {
        for (name, shape) in names::landmarks(config) {
            let Some(&source) = self.unused.get(name) else { continue };
            let found = self.checkpoint.get(source).filter(|found| found.shape() != shape);
            if let Some(found) = found {
                self.refuse_shape(source, &shape, found.shape())?;
            }
        }
        let elements = |name: &&str| self.checkpoint.get(name).map_or(0, |info| info.len());
        let available: usize = self.unused.values().map(elements).sum();
        let needed = config.parameter_count().total()
            + config.masked_lm_head_parameter_count()
            // No larger than the word embeddings, which the checkpoint has.
            - config.decoder_parameter_count()
            + config.classifier_parameter_count(config.num_labels())
                * config.exit_layers.len().max(1);
        let new = match self.options.initialize_missing_backbone {
            true => MAX_NEW_MODEL,
            false => MAX_NEW_HEAD,
        };
        if needed > available.saturating_add(new) {
            let expected = format!("about the {needed} parameters that config.json makes");
            let found = format!("{available} in the checkpoint");
            return Err(Error::tensor(self.checkpoint.path(), "(all)", expected, found));
        }
        Ok(())
    }

    /// The configuration with the exits of what is loaded, whose names begin with `prefix` if the
    /// model may have any.
    fn settle_exits(&mut self, config: AlbertConfig, prefix: Option<&str>) -> Result<AlbertConfig> {
        let Some(prefix) = prefix else { return Ok(config) };
        let asked = self.options.exit_layers.clone();
        let layers = asked.or_else(|| exits::unsaid(&self.unused, &config, prefix));
        let config = match layers {
            Some(layers) => exits::with_exits(&config, layers)?,
            None => config,
        };
        exits::settle(&mut self.unused, &config, prefix);
        Ok(config)
    }

    /// The configuration of what is loaded: which of the decoder's tensors are its own is in the
    /// checkpoint.
    fn settle_decoder(&mut self, config: &AlbertConfig, has_decoder: bool) -> Result<AlbertConfig> {
        let shapes = [
            (names::DECODER_WEIGHT, &[config.vocab_size, config.embedding_size][..]),
            (names::DECODER_BIAS, &[config.vocab_size]),
        ];
        for (tie, shape) in shapes {
            let Some(&source) = self.unused.get(tie.tensor) else { continue };
            let fits = self.checkpoint.get(source).is_some_and(|found| found.shape() == shape);
            if !fits && self.doubtful.contains(tie.tensor) {
                self.unused.remove(tie.tensor);
                self.others.push(source);
            }
        }
        let ignore = self.options.ignore_mismatched_sizes;
        let settled =
            decoder::settle(self.checkpoint, &mut self.unused, config, has_decoder, ignore);
        let (config, untied) = settled?;
        self.report.untied = untied;
        Ok(config)
    }

    /// An error, unless other shapes are to be ignored.
    fn refuse_shape(&self, name: &str, expected: &[usize], found: &[usize]) -> Result<()> {
        if self.options.ignore_mismatched_sizes {
            return Ok(());
        }
        let (expected, found) = (format!("shape {expected:?}"), format!("{found:?}"));
        Err(Error::tensor(self.checkpoint.path(), name, expected, found))
    }

    /// Fills the parameter of that name.
    fn load(&mut self, name: &str, mut values: ArrayViewMutD<'_, f32>) -> Result<()> {
        let canonical = names::without_backbone(name);
        let source = self.unused.remove(canonical);
        let Some(source) = source else { return self.initialize(name, values) };
        let Some(info) = self.checkpoint.get(source) else { return self.initialize(name, values) };
        // The shape is compared before anything is allocated for it.
        if info.shape() != values.shape() {
            if self.doubtful.contains(canonical) {
                self.others.push(source);
                return self.initialize(name, values);
            }
            let (expected, found) = (values.shape().to_vec(), info.shape().to_vec());
            self.refuse_shape(source, &expected, &found)?;
            let source = source.to_owned();
            self.initializer.fill(name, values);
            self.report.mismatched.push(MismatchedShape { name: source, expected, found });
            return Ok(());
        }
        self.checkpoint.read_into(source, values.view_mut())?;
        if values.iter().any(|value| !value.is_finite()) {
            self.report.non_finite.push(source.to_owned());
        }
        Ok(())
    }

    fn initialize(&mut self, name: &str, values: ArrayViewMutD<'_, f32>) -> Result<()> {
        if names::is_essential(name) && !self.options.initialize_missing_backbone {
            let expected = format!("a tensor of shape {:?}", values.shape());
            let foreign = format!("{}{}", self.backbone, names::without_backbone(name));
            let found = self.checkpoint.foreign(&foreign).unwrap_or("none");
            return Err(Error::tensor(self.checkpoint.path(), name, expected, found));
        }
        self.initializer.fill(name, values);
        self.report.newly_initialized.push(name.to_owned());
        Ok(())
    }

    fn finish(mut self) -> LoadReport {
        self.report.unexpected =
            self.unused.into_values().chain(self.others).map(str::to_owned).collect();
        self.report.unexpected.sort();
        self.report
    }
}
