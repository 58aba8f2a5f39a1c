//! `inspect`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use ndalbert::AlbertConfig;
use ndalbert::checkpoint::{Checkpoint, Format, TensorInfo};
use ndalbert::pipelines::Files;
use serde_json::{Value, json};

use crate::arguments::{Tensors, To};
use crate::grouped::grouped;
use crate::table::Align::{Left, Right};
use crate::table::Table;
use crate::{Failure, models};

/// Show the contents of a checkpoint
///
/// Prints its configuration, how many parameters each part has, and its tensors, without reading their values. Also for a single file of
/// weights.
#[derive(Args)]
pub struct Options {
    /// A directory, a file of weights, or owner/model on the Hugging Face Hub
    #[arg(value_name = "MODEL")]
    pub model: String,
    #[command(flatten)]
    pub which: Tensors,
    /// Write tables, or one line of JSON [default: table on a terminal, else jsonl]
    #[arg(short = 't', long, value_enum, value_name = "FORMAT")]
    pub to: Option<To>,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    let path = models::directory(&options.model, Files::Model)?;
    let config = match path.is_dir() {
        true => Some(AlbertConfig::from_pretrained(&path)?),
        false => None,
    };
    let checkpoint = Checkpoint::open(&path)?;
    let mut out = io::stdout().lock();
    let default = if out.is_terminal() { To::Table } else { To::Jsonl };
    let tensors: Vec<_> = tensors(&checkpoint, options.which.under.as_deref()).collect();
    match options.to.unwrap_or(default) {
        To::Jsonl => writeln!(out, "{}", in_json(config.as_ref(), &checkpoint, &tensors))?,
        To::Table => in_tables(&mut out, config.as_ref(), &checkpoint, &tensors)?,
    }
    Ok(())
}

/// Name, tensor, and bytes in the file.
type Row<'a> = (&'a str, &'a TensorInfo, Option<usize>);

/// All tensors, or those under a path.
fn tensors<'a>(checkpoint: &'a Checkpoint, under: Option<&str>) -> impl Iterator<Item = Row<'a>> {
    let is_under = move |name: &&str| {
        under.is_none_or(|path| {
            let rest = name.strip_prefix(path.trim_end_matches('.'));
            path.is_empty() || rest.is_some_and(|rest| rest.starts_with('.'))
        })
    };
    checkpoint.names().filter(is_under).filter_map(|name| {
        let tensor = checkpoint.get(name)?;
        Some((name, tensor, tensor.size()))
    })
}

fn format(checkpoint: &Checkpoint) -> &'static str {
    match checkpoint.format() {
        Format::Safetensors => "safetensors",
        Format::Torch => "PyTorch",
        Format::TensorFlow => "TensorFlow",
    }
}

/// The parts of the backbone, and their parameters.
fn parts(config: &AlbertConfig) -> [(&'static str, usize); 6] {
    let count = config.parameter_count();
    [
        ("embeddings", count.embeddings),
        ("embedding_hidden_mapping_in", count.embedding_hidden_mapping_in),
        ("attention", count.attention),
        ("ffn", count.ffn),
        ("pooler", count.pooler),
        ("total", count.total()),
    ]
}

fn in_json(config: Option<&AlbertConfig>, checkpoint: &Checkpoint, tensors: &[Row<'_>]) -> Value {
    let tensor = |&(name, tensor, bytes): &Row<'_>| {
        let (dtype, file) = (tensor.dtype().to_string(), tensor.file().display().to_string());
        json!({ "name": name, "dtype": dtype, "shape": tensor.shape(), "bytes": bytes, "file": file })
    };
    let counted = |config: &AlbertConfig| {
        let parts = parts(config).map(|(name, count)| (name.to_owned(), count.into()));
        Value::Object(parts.into_iter().collect())
    };
    json!({
        "file": checkpoint.path().display().to_string(),
        "format": format(checkpoint),
        "metadata": checkpoint.metadata(),
        "config": config.map(AlbertConfig::to_json),
        "backbone_parameters": config.map(counted),
        "tensors": tensors.iter().map(tensor).collect::<Vec<_>>(),
    })
}

fn in_tables(
    out: &mut dyn Write,
    config: Option<&AlbertConfig>,
    checkpoint: &Checkpoint,
    tensors: &[Row<'_>],
) -> io::Result<()> {
    if let Some(config) = config {
        writeln!(out, "Configuration\n\n{}", settings(config))?;
        let mut table = Table::new([("backbone", Left), ("parameters", Right)]);
        parts(config)
            .iter()
            .for_each(|(name, count)| table.row([(*name).to_owned(), grouped(*count)]));
        writeln!(out, "{table}")?;
    }
    let mut table =
        Table::new([("tensor", Left), ("type", Left), ("shape", Left), ("bytes", Right)]);
    let (mut count, mut elements, mut total) = (0, 0, 0);
    for &(name, tensor, bytes) in tensors {
        (count, elements, total) = (count + 1, elements + tensor.len(), total + bytes.unwrap_or(0));
        let bytes = bytes.map(grouped).unwrap_or_default();
        table.row([
            name.to_owned(),
            tensor.dtype().to_string(),
            format!("{:?}", tensor.shape()),
            bytes,
        ]);
    }
    writeln!(out, "{}, {}\n\n{table}", shown(checkpoint.path()), format(checkpoint))?;
    let [count, elements, total] = [count, elements, total].map(grouped);
    writeln!(out, "{count} tensors, {elements} elements, {total} bytes")
}

/// The configuration, a key in each row.
fn settings(config: &AlbertConfig) -> Table<2> {
    let mut table = Table::new([("key", Left), ("value", Left)]);
    if let Value::Object(map) = config.to_json() {
        for (key, value) in map {
            table.row([key, value.to_string()]);
        }
    }
    table
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
