//! The ONNX exports in tract, with a model for each shape. The setting is the name of the export.

use std::collections::HashMap;
use std::sync::Arc;

use contestant::{Case, Contestant, Piece};
use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

type Key = ([usize; 2], bool);

struct Tract {
    models: HashMap<Key, Arc<TypedRunnableModel>>,
    inputs: Vec<(Key, TVec<TValue>)>,
}

fn inputs(piece: &Piece) -> TractResult<TVec<TValue>> {
    let mut inputs: TVec<TValue> = tvec!(Tensor::from_shape(&piece.shape, &piece.ids)?.into());
    if piece.is_padded() {
        inputs.push(Tensor::from_shape(&piece.shape, &piece.mask)?.into());
    }
    Ok(inputs)
}

fn model(case: &Case, (shape, masked): Key) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = tract_onnx::onnx().model_for_path(case.graph(&case.setting, masked))?;
    for input in 0..1 + usize::from(masked) {
        model = model.with_input_fact(input, i64::fact(shape).into())?;
    }
    let output = if case.pooled { "pooler_output" } else { "last_hidden_state" };
    model.with_outputs_by_name([output])?.into_optimized()?.into_runnable()
}

impl Contestant for Tract {
    type Output = TValue;

    fn load(case: &Case) -> TractResult<Self> {
        set_default_executor(Executor::multithread(case.threads));
        let (mut models, mut all) = (HashMap::new(), Vec::new());
        for piece in &case.pieces {
            let key = (piece.shape, piece.is_padded());
            if !models.contains_key(&key) {
                models.insert(key, model(case, key)?);
            }
            all.push((key, inputs(piece)?));
        }
        Ok(Self { models, inputs: all })
    }

    fn run(&self, _: &Case, piece: usize) -> TractResult<TValue> {
        let (key, inputs) = &self.inputs[piece];
        Ok(self.models[key].run(inputs.clone())?.remove(0))
    }

    fn values(output: TValue) -> TractResult<Vec<f32>> {
        Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect())
    }
}

fn main() -> TractResult<()> {
    contestant::compete::<Tract>()
}
