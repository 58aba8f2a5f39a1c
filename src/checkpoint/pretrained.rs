//! `from_pretrained` and `save_pretrained`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ndarray::ArrayViewMutD;
use serde_json::json;

use super::load_options::{Labels, LoadOptions};
use super::locate::Located;
use super::write::{stage_safetensors, stage_stored};
use super::{Checkpoint, DType, Format, LoadReport, MismatchedShape, ModelFiles};
use super::{decoder, exits, names, quantized};
use crate::config::{AlbertConfig, ConfigFields, different_labels, made_up_labels};
use crate::error::{Error, Result};
use crate::files::{Staged, check_path, commit_all, stage_json};
use crate::hub;
use crate::kernels::Precision;
use crate::memory::MemoryFiles;
use crate::model::Model;
use crate::nn::{Initializer, Parameters};

/// How many parameters a model may have beyond those in the checkpoint: enough for any realistic classifier. A `config.json` that requires more does not belong to the checkpoint, and is refused before memory is allocated.
const MAX_NEW_HEAD: usize = 1 << 26;

/// The same where the backbone may be missing, too: ALBERT-xxlarge's.
const MAX_NEW_MODEL: usize = 1 << 28;

/// Loading and saving, for every model.
///
/// A directory holds `config.json` and the weights in any of the formats that [`Checkpoint`] reads. The path may also be that of a weight file next to `config.json`, or, with the feature `hub`, a name on the [Hub](crate::hub). Any model can be loaded from any ALBERT checkpoint: missing tensors of a head are newly initialised, unnecessary ones are skipped, and the [`LoadReport`] lists both. A masked-LM decoder whose values differ from the word embeddings keeps them, also where `config.json` ties it: the
/// model's configuration then has [`tie_word_embeddings`](crate::ConfigFields::tie_word_embeddings) `false`.
pub trait PreTrainedModel: Model {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] or [`Error::Config`] for files that cannot be read or are invalid;
    /// [`Error::Tensor`] if embeddings or encoder are incomplete or the shape of a tensor does not match `config.json`.
    fn from_pretrained(directory: impl AsRef<Path>) -> Result<(Self, LoadReport)> {
        Self::from_pretrained_with(directory, &LoadOptions::default())
    }

    /// As [`from_pretrained`](Self::from_pretrained), with options.
    ///
    /// # Errors
    /// As [`from_pretrained`](Self::from_pretrained).
    fn from_pretrained_with(
        directory: impl AsRef<Path>,
        options: &LoadOptions,
    ) -> Result<(Self, LoadReport)> {
        let (config, parameters, report) = Self::load_parameters(directory, options)?;
        Ok((Self::from_parameters_in(config, parameters, options.precision)?, report))
    }

    /// Loads a checkpoint whose files are in memory: `config.json`, and weights in any format but TensorFlow's.
    ///
    /// The model and the report are those of [`from_pretrained`](Self::from_pretrained) for a directory of these files.
    ///
    /// # Errors
    /// As [`from_pretrained`](Self::from_pretrained); they name the file.
    fn from_bytes(files: &MemoryFiles) -> Result<(Self, LoadReport)> {
        Self::from_bytes_with(files, &LoadOptions::default())
    }

    /// As [`from_bytes`](Self::from_bytes), with options.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    fn from_bytes_with(files: &MemoryFiles, options: &LoadOptions) -> Result<(Self, LoadReport)> {
        let config = AlbertConfig::read_files(files)?;
        let checkpoint = Checkpoint::from_bytes(files)?;
        let (config, parameters, report) = load_from::<Self>(config, &checkpoint, options)?;
        Ok((Self::from_parameters_in(config, parameters, options.precision)?, report))
    }

    /// Loads the parameters without building an executable model, for training or converting.
    ///
    /// # Errors
    /// As [`from_pretrained`](Self::from_pretrained).
    fn load_parameters(
        directory: impl AsRef<Path>,
        options: &LoadOptions,
    ) -> Result<(AlbertConfig, Self::Parameters, LoadReport)> {
        let directory = directory.as_ref();
        check_path(directory, "a checkpoint's directory")?;
        let path = &hub::locate(directory, options.chosen_revision(), &ModelFiles)?;
        let config = AlbertConfig::from_pretrained(path)?;
        let checkpoint = Checkpoint::open(path)?;
        load_from::<Self>(config, &checkpoint, options)
    }

    /// Writes `model.safetensors` and `config.json` into a directory, which is created if necessary. Weights are written as f32; those of a model in [`Int8`](Precision::Int8) as bytes with scales ([`DType::I8`]) at a quarter of the size, which load bit-identically in int8.
    ///
    /// Both are written to temporary files and synced before either is replaced, so a failed save leaves the old files intact.
    ///
    /// transformers loads the directory without a warning, with four exceptions that it cannot express: layers that
    /// share only their attention or only their feed-forward blocks (see
    /// [`ParameterSharing`](crate::ParameterSharing)),
    /// [`AlbertForSentenceOrder`](crate::AlbertForSentenceOrder), in which it misses the masked-LM head, and decoders of
    /// which only the bias is not tied
    /// ([`tie_decoder_bias`](crate::ConfigFields::tie_decoder_bias)), which it loads correctly. For a model with [`exits`](crate::exits), it reads the last classifier and reports the others as unexpected.
    ///
    /// # Errors
    /// [`Error::Io`]; for custom models, [`Error::Tensor`] if [`Parameters`] use a name twice, and [`Error::Format`] if there are more tensors than a safetensors file can hold.
    fn save_pretrained(&self, directory: impl AsRef<Path>) -> Result<()> {
        let (config, parameters) = (self.config(), self.to_parameters());
        let directory = directory.as_ref();
        commit_all(stage_model::<Self>(directory, config, &parameters, saved_type(self))?)
    }

    /// Like [`save_pretrained`](Self::save_pretrained), from parameters without an executable model.
    ///
    /// # Errors
    /// As [`save_pretrained`](Self::save_pretrained).
    fn save_parameters(
        directory: impl AsRef<Path>,
        config: &AlbertConfig,
        parameters: &Self::Parameters,
    ) -> Result<()> {
        Self::save_parameters_as(directory, config, parameters, DType::F32)
    }

    /// As [`save_parameters`](Self::save_parameters), with weights of another type: [`DType::F32`], [`DType::F16`],
    /// [`DType::BF16`], or [`DType::I8`], which rounds them as a model in int8 does.
    ///
    /// # Errors
    /// As [`save_pretrained`](Self::save_pretrained), and those of
    /// [`write_safetensors_as`](super::write_safetensors_as).
    fn save_parameters_as(
        directory: impl AsRef<Path>,
        config: &AlbertConfig,
        parameters: &Self::Parameters,
        dtype: DType,
    ) -> Result<()> {
        let directory = directory.as_ref();
        if dtype == DType::I8 {
            // What is rounded how is found when the model is built.
            let parameters = parameters.clone();
            let model = Self::from_parameters_in(config.clone(), parameters, Precision::Int8)?;
            return model.save_pretrained(directory);
        }
        commit_all(stage_model::<Self>(directory, config, parameters, dtype)?)
    }
}

impl<M: Model> PreTrainedModel for M {}

/// Loads the parameters of a model from a checkpoint that is open.
fn load_from<M: Model>(
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

/// As many labels as a TensorFlow checkpoint's classifier has, if its configuration says nothing about labels: Google's have no
/// such key.
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

/// The element type in which weights are saved.
pub(crate) fn saved_type(model: &impl Model) -> DType {
    if model.precision() == Precision::Int8 { DType::I8 } else { DType::F32 }
}

/// Creates a directory if necessary, and writes the files of `save_pretrained` to temporary files in it.
pub(crate) fn stage_model<M: Model>(
    directory: &Path,
    config: &AlbertConfig,
    parameters: &M::Parameters,
    dtype: DType,
) -> Result<[Staged; 2]> {
    check_path(directory, "a directory to save to")?;
    fs::create_dir_all(directory).map_err(|error| Error::io(directory, error))?;
    let mut tensors = Vec::new();
    parameters.visit("", &mut |name, values| {
        tensors.extend(exits::single_of(name, config).map(|single| (single, values.clone())));
        tensors.push((name.to_owned(), values));
    });
    let mut json = config.to_json();
    json["architectures"] = json!([M::ARCHITECTURE]);
    let name = match dtype {
        DType::F16 => "float16",
        DType::BF16 => "bfloat16",
        _ => "float32",
    };
    json["dtype"] = json!(name);
    if let Some(dtype) = json.get_mut("torch_dtype") {
        *dtype = json!(name);
    }
    let path = directory.join("model.safetensors");
    let weights = match dtype {
        DType::I8 => stage_stored(&path, quantized::stored(config, tensors)?)?,
        _ => stage_safetensors(&path, dtype, tensors)?,
    };
    Ok([weights, stage_json(&directory.join("config.json"), &json)?])
}

/// Fills parameters from a checkpoint, and records which tensors were used.
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
    /// The names of unused tensors in the checkpoint.
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

    /// Compares the sizes in the configuration with the checkpoint, before memory is allocated for them.
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

    /// The configuration with the exits of the checkpoint, whose names begin with `prefix` if the model may have any.
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

    /// The configuration of the loaded model: the checkpoint determines which tensors of the decoder are not tied.
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

    /// An error, unless other shapes are ignored.
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
