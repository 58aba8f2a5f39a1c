//! The output file.

use std::collections::HashMap;
use std::path::Path;

use ndalbert::checkpoint::write_atomically;
use ndalbert::ndarray::ArrayD;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::cli::Failure;
use crate::heads::Features;
use crate::table::{Align, Table};

/// Tensors in the order in which they came, as the bytes that will be written.
#[derive(Default)]
pub struct Tensors(Vec<Tensor>);

struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensors {
    pub fn add_integers(&mut self, name: &str, values: &ArrayD<i64>) {
        self.0.push(Tensor {
            name: name.to_owned(),
            dtype: Dtype::I64,
            shape: values.shape().to_vec(),
            bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
    }

    /// Appends a batch's features to those of the batches before it, along the first axis; there is
    /// memory for `batches` of the first one's size.
    pub fn append(&mut self, features: Features, batches: usize) {
        for (name, values) in features {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            match self.0.iter_mut().find(|tensor| tensor.name == name) {
                Some(tensor) => {
                    tensor.shape[0] += values.shape()[0];
                    tensor.bytes.extend(bytes);
                }
                None => {
                    let mut all = Vec::with_capacity(values.len() * size_of::<f32>() * batches);
                    all.extend(bytes);
                    let shape = values.shape().to_vec();
                    self.0.push(Tensor { name, dtype: Dtype::F32, shape, bytes: all });
                }
            }
        }
    }

    /// Writes the file, wholly or not at all.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let views = self.0.iter().map(|tensor| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)?;
            Ok((tensor.name.as_str(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, Failure>>()?;
        // What PyTorch's readers want to see.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata))?;
        Ok(write_atomically(path, |file| file.write_all(&bytes))?)
    }

    /// Names, types, shapes and sizes.
    pub fn table(&self) -> Table<4> {
        let mut table = Table::new([
            ("tensor", Align::Left),
            ("type", Align::Left),
            ("shape", Align::Left),
            ("bytes", Align::Right),
        ]);
        for Tensor { name, dtype, shape, bytes } in &self.0 {
            let size = bytes.len().to_string();
            table.row([name.clone(), dtype.to_string(), format!("{shape:?}"), size]);
        }
        table
    }
}
