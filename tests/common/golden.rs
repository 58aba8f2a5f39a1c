//! The golden models of `tests/golden/models`, as its README describes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::{Batch, OutputOptions};
use ndarray::{Array2, ArrayD, ArrayView2, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Tensors that are passed to a model; all others of type f32 are what transformers computed.
const INPUTS: [&str; 2] = ["inputs_embeds", "labels"];

/// A model, and what transformers computes with it.
pub struct Case {
    pub name: String,
    pub directory: PathBuf,
    /// The class that the references are of.
    pub architecture: String,
    /// Whether the references are those of another case that has the same weights in another form.
    pub is_copy: bool,
    pub runs: Vec<Run>,
}

/// One call of a model: inputs, labels, and what transformers answered.
#[derive(Clone)]
pub struct Run {
    pub case: String,
    pub name: String,
    pub floats: BTreeMap<String, ArrayD<f32>>,
    pub integers: BTreeMap<String, ArrayD<i64>>,
}

/// Where the golden models are.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models")
}

/// Every golden model, by name.
pub fn cases() -> Vec<Case> {
    let entries = fs::read_dir(directory()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.iter().map(|name| case(name)).collect()
}

/// The golden model of that name.
pub fn case(name: &str) -> Case {
    let path = directory().join(name);
    let config: Value =
        serde_json::from_slice(&fs::read(path.join("config.json")).unwrap()).unwrap();
    let architecture = config["architectures"][0].as_str().unwrap().to_owned();
    let original = fs::read_to_string(path.join("golden_of.txt")).ok();
    let golden = directory().join(original.as_deref().unwrap_or(name).trim());
    let runs = read_runs(name, &golden.join("golden.safetensors"));
    let is_copy = original.is_some();
    Case { name: name.to_owned(), directory: path, architecture, is_copy, runs }
}

/// The tensors of a golden file, by what stands before the first point of their names.
pub fn read_runs(case: &str, path: &Path) -> Vec<Run> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    for (full_name, tensor) in file.tensors() {
        let (run, name) = full_name.split_once('.').unwrap();
        let run = runs.entry(run.to_owned()).or_insert_with(|| Run {
            case: case.to_owned(),
            name: run.to_owned(),
            floats: BTreeMap::new(),
            integers: BTreeMap::new(),
        });
        let (shape, data) = (IxDyn(tensor.shape()), tensor.data());
        match tensor.dtype() {
            Dtype::F32 => {
                let values = data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
                let values = ArrayD::from_shape_vec(shape, values.collect()).unwrap();
                run.floats.insert(name.to_owned(), values);
            }
            Dtype::I64 => {
                let values = data.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes));
                let values = ArrayD::from_shape_vec(shape, values.collect()).unwrap();
                run.integers.insert(name.to_owned(), values);
            }
            other => panic!("{full_name}: {other:?}"),
        }
    }
    runs.into_values().map(without_padded_loss).collect()
}

/// transformers' question answering counts the logits of padding, which do not exist here; the
/// reference for those runs is the loss without them.
fn without_padded_loss(mut run: Run) -> Run {
    if let Some(loss) = run.floats.remove("loss_unpadded") {
        run.floats.insert("loss".to_owned(), loss);
    }
    run
}

impl Run {
    /// What transformers computed, by name.
    pub fn expected(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> {
        let outputs = self.floats.iter().filter(|(name, _)| !INPUTS.contains(&name.as_str()));
        outputs.map(|(name, values)| (name.as_str(), values))
    }

    /// `[B·N, S]` of the words, and N (1 where the inputs have no axis of choices).
    pub fn shape(&self) -> ((usize, usize), usize) {
        let words = match self.integers.get("input_ids") {
            Some(ids) => ids.shape(),
            None => self.floats["inputs_embeds"].shape().split_last().unwrap().1,
        };
        let (length, outer) = words.split_last().unwrap();
        ((outer.iter().product(), *length), outer.get(1).copied().unwrap_or(1))
    }

    /// Integers of that name as `[B·N, S]`.
    pub fn rows(&self, name: &str) -> Option<Array2<i64>> {
        let flat = |array: &ArrayD<i64>| array.to_shape(self.shape().0).unwrap().into_owned();
        self.integers.get(name).map(flat)
    }

    /// The attention mask `[B·N, S]`, ones if none was passed.
    pub fn mask(&self) -> Array2<i64> {
        self.rows("attention_mask").unwrap_or_else(|| Array2::ones(self.shape().0))
    }

    /// What to ask the model for: what the reference has.
    pub fn options(&self) -> OutputOptions {
        OutputOptions {
            hidden_states: self.floats.contains_key("hidden_states.0"),
            attentions: self.floats.contains_key("attentions.0"),
        }
    }

    /// The inputs as transformers got them, with all their axes.
    pub fn batch(&self) -> Batch {
        let mut builder = match self.integers.get("input_ids") {
            Some(ids) => Batch::padded(ids.view()),
            None => Batch::padded_embeddings(self.floats["inputs_embeds"].view()),
        };
        if let Some(mask) = self.integers.get("attention_mask") {
            builder = builder.attention_mask(mask.view());
        }
        if let Some(types) = self.integers.get("token_type_ids") {
            builder = builder.token_type_ids(types.view());
        }
        if let Some(positions) = self.integers.get("position_ids") {
            builder = builder.position_ids(positions.view());
        }
        builder.build().unwrap()
    }

    /// The inputs as sequences of their own lengths, if they are that: ids at default positions,
    /// padded on the right, one of them not at all.
    pub fn ragged_batch(&self) -> Option<Batch> {
        let (ids, mask) = (self.rows("input_ids")?, self.mask());
        let is_prefix = |row: ArrayView2<'_, i64>| row.iter().is_sorted_by(|a, b| a >= b);
        let lengths: Vec<usize> = mask.outer_iter().map(|row| row.sum() as usize).collect();
        let fits = mask.outer_iter().all(|row| is_prefix(row.insert_axis(ndarray::Axis(0))))
            && lengths.iter().min() > Some(&0)
            && lengths.iter().max() == Some(&ids.ncols());
        if !fits || self.integers.contains_key("position_ids") {
            return None;
        }
        let types = self.rows("token_type_ids").unwrap_or_else(|| Array2::zeros(ids.dim()));
        let cut = |rows: &Array2<i64>| -> Vec<Vec<u32>> {
            let rows = rows.outer_iter().zip(&lengths);
            rows.map(|(row, &length)| row.iter().take(length).map(|&id| id as u32).collect())
                .collect()
        };
        let (ids, types) = (cut(&ids), cut(&types));
        let pairs = ids.iter().zip(&types).map(|(ids, types)| (ids.as_slice(), types.as_slice()));
        Some(Batch::from_ids_and_types(pairs).unwrap())
    }
}
