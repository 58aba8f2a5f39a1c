//! `convert`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ndalbert::checkpoint::{Checkpoint, DType};
use ndalbert::pipelines::Files;
use ndalbert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining,
    AlbertForQuestionAnswering, AlbertForSentenceOrder, AlbertForSequenceClassification,
    AlbertForTokenClassification, AlbertTokenizer, LoadOptions, LoadReport, Model, PreTrainedModel,
};

use crate::arguments::Tensors;
use crate::{Failure, models};

/// Write a checkpoint of any format as safetensors
///
/// Reads safetensors, PyTorch or TensorFlow files, sharded or not, of any element type and with the tensor names of any release, and writes
/// config.json and model.safetensors, with the files of the tokenizer. The report lists weights that were not used or are newly initialised.
#[derive(Args)]
pub struct Options {
    /// A directory, a file of weights, or owner/model on the Hugging Face Hub
    #[arg(value_name = "MODEL")]
    pub model: String,
    #[command(flatten)]
    pub tensors: Tensors,
    /// The output directory, which is created if necessary
    #[arg(value_name = "DIR")]
    pub output: PathBuf,
    /// The type of the weights
    #[arg(long, value_enum, default_value = "f32", value_name = "TYPE")]
    pub dtype: Type,
    /// The model's class [default: from config.json, or from the tensors]
    #[arg(long = "as", value_name = "CLASS")]
    pub class: Option<String>,
    /// Replace an existing checkpoint in the directory
    #[arg(long)]
    pub force: bool,
}

/// The type of the weights.
#[derive(Clone, Copy, ValueEnum)]
pub enum Type {
    /// Single precision
    F32,
    /// Half precision: fails if a weight is too large for it
    F16,
    /// bfloat16
    Bf16,
    /// int8 with a scale per output, as used by models in int8: a quarter of the size
    Int8,
}

/// Files of the tokenizer and of sentence-transformers, next to config.json and weights.
const COMPANIONS: [&str; 10] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "vocab.txt",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
];

type Convert = fn(&Path, &Path, DType, &LoadOptions) -> ndalbert::Result<LoadReport>;

/// Every class that a checkpoint can be of.
const CLASSES: [(&str, Convert); 8] = [
    ("AlbertModel", convert::<Albert>),
    ("AlbertForPreTraining", convert::<AlbertForPreTraining>),
    ("AlbertForMaskedLM", convert::<AlbertForMaskedLM>),
    ("AlbertForSentenceOrder", convert::<AlbertForSentenceOrder>),
    ("AlbertForMultipleChoice", convert::<AlbertForMultipleChoice>),
    ("AlbertForSequenceClassification", convert::<AlbertForSequenceClassification>),
    ("AlbertForTokenClassification", convert::<AlbertForTokenClassification>),
    ("AlbertForQuestionAnswering", convert::<AlbertForQuestionAnswering>),
];

pub fn run(options: &Options) -> Result<(), Failure> {
    let path = models::directory(&options.model, Files::All)?;
    let load = options.tensors.load();
    let output = &options.output;
    for name in ["model.safetensors", "config.json"] {
        if !options.force && output.join(name).exists() {
            let found = output.join(name);
            return Err(format!("{}: exists already; --force replaces it", found.display()).into());
        }
    }
    let class = match &options.class {
        Some(class) => class.clone(),
        None => class_of(&path, &load)?,
    };
    let found = CLASSES.iter().find(|(name, _)| *name == class);
    let (_, convert) = found.ok_or_else(|| {
        let names = CLASSES.map(|(name, _)| name).join(", ");
        format!("expected a class of {names}, found {class}; --as CLASS names another")
    })?;
    let dtype = match options.dtype {
        Type::F32 => DType::F32,
        Type::F16 => DType::F16,
        Type::Bf16 => DType::BF16,
        Type::Int8 => DType::I8,
    };
    let report = convert(&path, output, dtype, &load)?;
    eprint!("{report}");
    let directory = match path.parent() {
        Some(parent) if path.is_file() => parent,
        _ => &path,
    };
    let copied = copy_companions(directory, output)?;
    eprintln!(
        "{}: {class}, {dtype}, of {}",
        output.join("model.safetensors").display(),
        report.path.display()
    );
    if copied == 0 {
        // Its vocabulary may have another name than those that are usual now.
        match AlbertTokenizer::from_pretrained(&path) {
            Ok(tokenizer) => tokenizer.save_pretrained(output)?,
            Err(error) => eprintln!("without a tokenizer: {error}"),
        }
    }
    Ok(())
}

fn convert<M: Model>(
    from: &Path,
    to: &Path,
    dtype: DType,
    load: &LoadOptions,
) -> ndalbert::Result<LoadReport> {
    let (config, parameters, report) = M::load_parameters(from, load)?;
    M::save_parameters_as(to, &config, &parameters, dtype)?;
    Ok(report)
}

/// The class that `config.json` names, or that has the head which is in the checkpoint.
fn class_of(path: &Path, load: &LoadOptions) -> Result<String, Failure> {
    let config = AlbertConfig::from_pretrained(path)?;
    let named = config.other.get("architectures").and_then(|names| names.get(0)?.as_str());
    if let Some(name) = named {
        return Ok(name.to_owned());
    }
    let checkpoint = Checkpoint::open(path)?;
    let tensors = checkpoint.albert_tensors(load)?;
    let has = |part: &str| tensors.keys().any(|name| name.starts_with(part));
    let classifier = tensors.get("classifier.weight").and_then(|name| checkpoint.get(name));
    let classifier = classifier.and_then(|weight| match *weight.shape() {
        [classes, width] if width == config.hidden_size => Some(classes),
        _ => None,
    });
    let class = match classifier {
        _ if has("predictions.") && has("sop_classifier.") => "AlbertForPreTraining",
        _ if has("predictions.") => "AlbertForMaskedLM",
        _ if has("sop_classifier.") => "AlbertForSentenceOrder",
        _ if has("qa_outputs.") => "AlbertForQuestionAnswering",
        Some(_) if !has("pooler.") => "AlbertForTokenClassification",
        Some(1) if config.num_labels() != 1 => "AlbertForMultipleChoice",
        Some(_) => "AlbertForSequenceClassification",
        None => "AlbertModel",
    };
    Ok(class.to_owned())
}

/// Copies what goes with the weights. How many files there were.
fn copy_companions(from: &Path, to: &Path) -> Result<usize, Failure> {
    let mut count = 0;
    for name in COMPANIONS {
        let (source, target) = (from.join(name), to.join(name));
        if !source.is_file() {
            continue;
        }
        count += 1;
        let failed = |error: std::io::Error| format!("{}: {error}", target.display());
        // In place: a file copied onto itself would be empty.
        if target.exists()
            && fs::canonicalize(&source)? == fs::canonicalize(&target).map_err(failed)?
        {
            continue;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let bytes = fs::read(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        ndalbert::checkpoint::write_atomically(&target, |file| file.write_all(&bytes))?;
    }
    Ok(count)
}
