//! What goes into the model: padded arrays, from a file or from text.

use std::fs;
use std::ops::Range;
use std::path::Path;

use ndalbert::ndarray::{ArrayD, ArrayViewD, Axis};
use ndalbert::{AlbertTokenizer, Batch, Encoding, Error, Result};
use safetensors::{Dtype, SafeTensors};

use crate::cli::Failure;
use crate::tensors::Tensors;

const OPTIONAL: [&str; 3] = ["attention_mask", "token_type_ids", "position_ids"];

/// Arrays under transformers' names, `[B, S]` or, with choices, `[B, N, S]`.
pub struct Inputs {
    /// What to call them in messages.
    origin: String,
    words: Words,
    /// `[B, S]` or `[B, N, S]`.
    shape: Vec<usize>,
    attention_mask: Option<ArrayD<i64>>,
    token_type_ids: Option<ArrayD<i64>>,
    position_ids: Option<ArrayD<i64>>,
}

enum Words {
    Ids(ArrayD<i64>),
    /// With one more axis, E.
    Embeddings(ArrayD<f32>),
}

impl Words {
    /// The shape without the axis E.
    fn shape(&self) -> &[usize] {
        match self {
            Self::Ids(ids) => ids.shape(),
            Self::Embeddings(values) => &values.shape()[..values.ndim().saturating_sub(1)],
        }
    }
}

impl Inputs {
    /// B.
    pub fn num_rows(&self) -> usize {
        self.shape[0]
    }

    /// N, 1 where there are no choices.
    pub fn num_choices(&self) -> usize {
        if self.shape.len() == 3 { self.shape[1] } else { 1 }
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Some rows as a batch.
    pub fn batch(&self, rows: Range<usize>) -> Result<Batch> {
        let mut builder = match &self.words {
            Words::Ids(ids) => Batch::padded(slice(ids, &rows)),
            Words::Embeddings(values) => Batch::padded_embeddings(slice(values, &rows)),
        };
        if let Some(mask) = &self.attention_mask {
            builder = builder.attention_mask(slice(mask, &rows));
        }
        if let Some(ids) = &self.token_type_ids {
            builder = builder.token_type_ids(slice(ids, &rows));
        }
        if let Some(ids) = &self.position_ids {
            builder = builder.position_ids(slice(ids, &rows));
        }
        builder.build()
    }

    /// Adds the arrays to what will be written.
    pub fn add_to(&self, tensors: &mut Tensors) {
        if let Words::Ids(ids) = &self.words {
            tensors.add_integers("input_ids", ids);
        }
        let optional = [&self.attention_mask, &self.token_type_ids, &self.position_ids];
        for (name, ids) in OPTIONAL.into_iter().zip(optional) {
            if let Some(ids) = ids {
                tensors.add_integers(name, ids);
            }
        }
    }

    /// Reads a safetensors file.
    pub fn from_file(path: &Path, has_choices: bool) -> Result<Self, Failure> {
        let bytes = fs::read(path).map_err(|error| Error::Io { path: path.to_owned(), error })?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| Error::Format { path: path.to_owned(), reason: error.to_string() })?;
        let file = InputFile { path, tensors };
        file.mention_unused();
        let words = file.words(has_choices)?;
        let shape = words.shape().to_vec();
        let [attention_mask, token_type_ids, position_ids] =
            OPTIONAL.map(|name| file.ids_of_shape(name, &shape));
        Ok(Self {
            origin: path.display().to_string(),
            attention_mask: attention_mask?,
            token_type_ids: token_type_ids?,
            position_ids: position_ids?,
            words,
            shape,
        })
    }
}

fn slice<'a, T>(array: &'a ArrayD<T>, rows: &Range<usize>) -> ArrayViewD<'a, T> {
    array.slice_axis(Axis(0), rows.clone().into())
}

/// An input file, and what is wrong with it.
struct InputFile<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl InputFile<'_> {
    /// A misspelt name should not go unnoticed.
    fn mention_unused(&self) {
        let is_used =
            |name: &str| OPTIONAL.contains(&name) || name == "input_ids" || name == "inputs_embeds";
        let mut unused = self.tensors.names();
        unused.retain(|name| !is_used(name));
        unused.sort_unstable();
        if !unused.is_empty() {
            eprintln!("{}: not used: {}\n", self.path.display(), unused.join(", "));
        }
    }

    fn words(&self, has_choices: bool) -> Result<Words> {
        let (axes, names) = if has_choices { (3, "[B, N, S]") } else { (2, "[B, S]") };
        let (name, words) = match (self.ids("input_ids")?, self.embeddings()?) {
            (Some(ids), None) => ("input_ids", Words::Ids(ids)),
            (None, Some(values)) => ("inputs_embeds", Words::Embeddings(values)),
            (None, None) => return Err(self.error("input_ids", "a tensor of integers", "none")),
            (Some(_), Some(_)) => {
                return Err(self.error("inputs_embeds", "either this or input_ids", "both"));
            }
        };
        if words.shape().len() != axes || words.shape()[0] == 0 {
            let width = if name == "input_ids" { "" } else { " and the embedding's width" };
            let expected = format!("shape {names}{width}, B at least 1");
            let found = self.tensors.tensor(name).map(|tensor| tensor.shape().to_vec());
            return Err(self.error(name, &expected, &format!("{:?}", found.unwrap_or_default())));
        }
        Ok(words)
    }

    fn embeddings(&self) -> Result<Option<ArrayD<f32>>> {
        let name = "inputs_embeds";
        let Ok(tensor) = self.tensors.tensor(name) else { return Ok(None) };
        match tensor.dtype() {
            Dtype::F32 => {
                let values = numbers(tensor.data(), f32::from_le_bytes);
                self.array(name, tensor.shape(), values).map(Some)
            }
            other => Err(self.error(name, "F32", &other.to_string())),
        }
    }

    /// Integers of any type.
    fn ids(&self, name: &str) -> Result<Option<ArrayD<i64>>> {
        let Ok(tensor) = self.tensors.tensor(name) else { return Ok(None) };
        let bytes = tensor.data();
        let values = match tensor.dtype() {
            Dtype::I64 => numbers(bytes, i64::from_le_bytes),
            Dtype::I32 => numbers(bytes, |value| i32::from_le_bytes(value).into()),
            Dtype::I16 => numbers(bytes, |value| i16::from_le_bytes(value).into()),
            Dtype::I8 => numbers(bytes, |value| i8::from_le_bytes(value).into()),
            Dtype::U32 => numbers(bytes, |value| u32::from_le_bytes(value).into()),
            Dtype::U16 => numbers(bytes, |value| u16::from_le_bytes(value).into()),
            Dtype::U8 | Dtype::BOOL => numbers(bytes, |[value]| value.into()),
            other => return Err(self.error(name, "integers or booleans", &other.to_string())),
        };
        self.array(name, tensor.shape(), values).map(Some)
    }

    /// Integers of the shape of the words, or `[1, S]` for all rows alike.
    fn ids_of_shape(&self, name: &str, shape: &[usize]) -> Result<Option<ArrayD<i64>>> {
        let Some(ids) = self.ids(name)? else { return Ok(None) };
        let row = [1, shape.last().copied().unwrap_or_default()];
        match ids.broadcast(shape) {
            Some(all) if ids.shape() == shape || ids.shape() == row => Ok(Some(all.to_owned())),
            _ => {
                let expected = format!("shape {shape:?} or {row:?}");
                Err(self.error(name, &expected, &format!("{:?}", ids.shape())))
            }
        }
    }

    fn array<T>(&self, name: &str, shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>> {
        ArrayD::from_shape_vec(shape, values)
            .map_err(|error| self.error(name, "values of its shape", &error.to_string()))
    }

    fn error(&self, tensor: &str, expected: &str, found: &str) -> Error {
        Error::Tensor {
            path: self.path.to_owned(),
            tensor: tensor.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }
}

fn numbers<const SIZE: usize, T>(bytes: &[u8], read: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&value| read(value)).collect()
}

/// Texts, one row a line.
pub struct Lines<'a> {
    /// What to call them in messages.
    pub origin: String,
    pub text: &'a str,
    /// Whether a line is a prompt and its choices.
    pub has_choices: bool,
}

impl Lines<'_> {
    /// Encodes and pads every line. `positions` is how many tokens the model can take.
    pub fn encode(self, tokenizer: &AlbertTokenizer, positions: usize) -> Result<Inputs, Failure> {
        let mut encodings: Vec<Vec<Encoding>> = Vec::new();
        for (number, line) in (1..).zip(self.text.lines()) {
            let failure =
                |what: &dyn std::fmt::Display| format!("{}, line {number}: {what}", self.origin);
            let row = self.encode_line(line, tokenizer).map_err(|error| failure(&error))?;
            if let Some(long) = row.iter().map(Encoding::len).find(|&length| length > positions) {
                let what = format!(
                    "{long} tokens, but the model has {positions} positions; --max-length {positions} cuts longer texts"
                );
                return Err(failure(&what).into());
            }
            if let Some(first) = encodings.first().filter(|first| first.len() != row.len()) {
                let what = format!("{} choices, but line 1 has {}", row.len(), first.len());
                return Err(failure(&what).into());
            }
            encodings.push(row);
        }
        if encodings.is_empty() {
            return Err(format!("{}: there is no text in it", self.origin).into());
        }
        self.pad(&encodings, tokenizer.pad_token_id())
    }

    fn encode_line(
        &self,
        line: &str,
        tokenizer: &AlbertTokenizer,
    ) -> Result<Vec<Encoding>, Failure> {
        let fields: Vec<&str> = line.split('\t').collect();
        match (self.has_choices, fields.as_slice()) {
            (true, [_]) => Err("expected a prompt and choices, separated by tabs".into()),
            (true, [prompt, choices @ ..]) => Ok(tokenizer.encode_choices(prompt, choices)?),
            (false, [text]) => Ok(vec![tokenizer.encode(text)?]),
            (false, [first, second]) => Ok(vec![tokenizer.encode_pair(first, second)?]),
            _ => Err(format!("expected a text or two, found {}", fields.len()).into()),
        }
    }

    /// Pads to the longest, as transformers does with `padding=True`.
    fn pad(self, rows: &[Vec<Encoding>], pad: u32) -> Result<Inputs, Failure> {
        let choices = rows.first().map_or(1, Vec::len);
        let length = rows.iter().flatten().map(Encoding::len).max().unwrap_or(0);
        let shape = match self.has_choices {
            true => vec![rows.len(), choices, length],
            false => vec![rows.len(), length],
        };
        let padded = |values: &dyn Fn(&Encoding) -> Vec<u32>, pad: u32| {
            let padded = rows.iter().flatten().flat_map(|encoding| {
                let mut values = values(encoding);
                values.resize(length, pad);
                values.into_iter().map(i64::from)
            });
            ArrayD::from_shape_vec(shape.as_slice(), padded.collect())
        };
        Ok(Inputs {
            words: Words::Ids(padded(&|encoding| encoding.ids.clone(), pad)?),
            attention_mask: Some(padded(&|encoding| vec![1; encoding.len()], 0)?),
            token_type_ids: Some(padded(&|encoding| encoding.type_ids.clone(), 0)?),
            position_ids: None,
            origin: self.origin,
            shape,
        })
    }
}
