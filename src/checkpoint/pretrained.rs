//! `from_pretrained` and `save_pretrained`.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::load_options::LoadOptions;
use super::loader::load_from;
use super::write::{stage_safetensors, stage_stored};
use super::{Checkpoint, DType, LoadReport, ModelFiles};
use super::{exits, quantized};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::files::{Staged, check_path, commit_all, stage_json};
use crate::hub;
use crate::kernels::Precision;
use crate::memory::MemoryFiles;
use crate::model::Model;
use crate::nn::Parameters;

/// Loading and saving, for every model.
///
/// A directory holds `config.json` and the weights in any of the formats that [`Checkpoint`] reads.
/// The path may also be that of a weight file next to `config.json`, or, with the feature `hub`, a
/// name on the [Hub](crate::hub). Any model can be loaded from any ALBERT checkpoint: missing
/// tensors of a head are newly initialised, unnecessary ones are skipped, and the [`LoadReport`]
/// lists both. A masked-LM decoder whose values differ from the word embeddings keeps them, also
/// where `config.json` ties it: the model's configuration then has
/// [`tie_word_embeddings`](crate::ConfigFields::tie_word_embeddings) `false`.
pub trait PreTrainedModel: Model {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] or [`Error::Config`] for files that cannot be read or are
    /// invalid; [`Error::Tensor`] if embeddings or encoder are incomplete or the shape of a tensor
    /// does not match `config.json`.
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

    /// Loads a checkpoint whose files are in memory: `config.json`, and weights in any format but
    /// TensorFlow's.
    ///
    /// The model and the report are those of [`from_pretrained`](Self::from_pretrained) for a
    /// directory of these files.
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

    /// Writes `model.safetensors` and `config.json` into a directory, which is created if
    /// necessary. Weights are written as f32; those of a model in [`Int8`](Precision::Int8) as
    /// bytes with scales ([`DType::I8`]) at a quarter of the size, which load bit-identically in
    /// int8.
    ///
    /// Both are written to temporary files and synced before either is replaced, so a failed save
    /// leaves the old files intact.
    ///
    /// transformers loads the directory without a warning, with four exceptions that it cannot
    /// express: layers that share only their attention or only their feed-forward blocks (see
    /// [`ParameterSharing`](crate::ParameterSharing)),
    /// [`AlbertForSentenceOrder`](crate::AlbertForSentenceOrder), in which it misses the masked-LM
    /// head, and decoders of which only the bias is not tied
    /// ([`tie_decoder_bias`](crate::ConfigFields::tie_decoder_bias)), which it loads correctly. For
    /// a model with [`exits`](crate::exits), it reads the last classifier and reports the others as
    /// unexpected.
    ///
    /// # Errors
    /// [`Error::Io`]; for custom models, [`Error::Tensor`] if [`Parameters`] use a name twice, and
    /// [`Error::Format`] if there are more tensors than a safetensors file can hold.
    fn save_pretrained(&self, directory: impl AsRef<Path>) -> Result<()> {
        let (config, parameters) = (self.config(), self.to_parameters());
        let directory = directory.as_ref();
        commit_all(stage_model::<Self>(directory, config, &parameters, saved_type(self))?)
    }

    /// Like [`save_pretrained`](Self::save_pretrained), from parameters without an executable
    /// model.
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

    /// As [`save_parameters`](Self::save_parameters), with weights of another type: [`DType::F32`],
    /// [`DType::F16`], [`DType::BF16`], or [`DType::I8`], which rounds them as a model in int8
    /// does.
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

/// What the weights of a model are saved as.
pub(crate) fn saved_type(model: &impl Model) -> DType {
    if model.precision() == Precision::Int8 { DType::I8 } else { DType::F32 }
}

/// Creates a directory if necessary, and writes the files of `save_pretrained` to temporary files
/// in it.
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
