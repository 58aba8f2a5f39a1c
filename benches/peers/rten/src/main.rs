//! The ONNX exports in rten. The setting is the name of the export, and perhaps ` packed`: weights
//! are then packed when the model is loaded.

use std::sync::Arc;

use anyhow::Result;
use contestant::{Case, Contestant};
use rten::{Model, ModelOptions, RunOptions, ThreadPool, Value, ValueOrView};

struct Rten {
    /// With a mask, and without.
    models: [Option<Model>; 2],
    pieces: Vec<Vec<Value>>,
    options: RunOptions,
}

impl Contestant for Rten {
    type Output = Value;

    fn load(case: &Case) -> Result<Self> {
        let (name, packed) = match case.setting.strip_suffix(" packed") {
            Some(name) => (name, true),
            None => (case.setting.as_str(), false),
        };
        let model = |masked: bool| -> Result<Option<Model>> {
            if case.pieces.iter().all(|piece| piece.is_padded() != masked) {
                return Ok(None);
            }
            let mut options = ModelOptions::with_all_ops();
            Ok(Some(options.prepack_weights(packed).load_file(case.graph(name, masked))?))
        };
        let value = |shape, values: &[i64]| {
            Value::from_shape(shape, values.iter().map(|&id| id as i32).collect::<Vec<_>>())
        };
        let mut pieces = Vec::new();
        for piece in &case.pieces {
            let mut values = vec![value(piece.shape, &piece.ids)?];
            if piece.is_padded() {
                values.push(value(piece.shape, &piece.mask)?);
            }
            pieces.push(values);
        }
        let pool = ThreadPool::with_num_threads(case.threads);
        let options = RunOptions::default().with_thread_pool(Some(Arc::new(pool)));
        Ok(Self { models: [model(false)?, model(true)?], pieces, options })
    }

    fn run(&self, case: &Case, piece: usize) -> Result<Value> {
        let values = &self.pieces[piece];
        let model = self.models[values.len() - 1]
            .as_ref()
            .expect("a model is loaded for each kind of piece");
        let mut inputs = Vec::new();
        for (name, value) in ["input_ids", "attention_mask"].into_iter().zip(values) {
            inputs.push((model.node_id(name)?, ValueOrView::from(value)));
        }
        let output = if case.pooled { "pooler_output" } else { "last_hidden_state" };
        let [output] = model.run_n(inputs, [model.node_id(output)?], Some(self.options.clone()))?;
        Ok(output)
    }

    fn values(output: Value) -> Result<Vec<f32>> {
        let tensor: rten_tensor::Tensor<f32> = output.try_into()?;
        Ok(tensor.into_data())
    }
}

fn main() -> Result<()> {
    contestant::compete::<Rten>()
}
