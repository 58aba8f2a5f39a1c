//! A pre-training step, and how long each part of it takes.

use std::time::Instant;

use ndalbert::heads::PreTrainingHeadParameters;
use ndalbert::train::{
    AdamOptions, AdamW, Optimizer, PreTrainingLabels, TrainingModel, TrainingOptions,
    clip_global_norm,
};
use ndalbert::{AlbertConfig, AlbertForPreTraining, Batch, ModelParameters, Parameters, Result};

/// The learning rate of all steps. Steps take as long at any other.
const LEARNING_RATE: f64 = 1e-4;

/// What gradients are clipped at.
const MAX_NORM: f64 = 1.0;

type Tree = ModelParameters<PreTrainingHeadParameters>;

/// A model, its gradients and its optimizer.
pub struct Pretraining {
    model: TrainingModel<AlbertForPreTraining>,
    gradients: Tree,
    optimizer: AdamW<Tree>,
}

/// The seconds of a step and of its parts, which are all of it but for what it takes to look at the clock.
pub struct Step {
    pub loss: f64,
    pub whole: f64,
    /// Gradients to zero, forward pass, loss, backward pass.
    pub backward: f64,
    pub clip: f64,
    /// The optimizer.
    pub update: f64,
    /// The rest of [`TrainingModel::update`], mostly packing the changed weights.
    pub pack: f64,
}

impl Pretraining {
    pub fn new(config: AlbertConfig, parameters: Tree, options: TrainingOptions) -> Result<Self> {
        let model = TrainingModel::new(config, parameters, options)?;
        let gradients = model.zero_gradients();
        let optimizer = AdamW::new(AdamOptions::torch(), || model.zero_gradients())?;
        Ok(Self { model, gradients, optimizer })
    }

    pub fn config(&self) -> &AlbertConfig {
        self.model.config()
    }

    /// The number of values of the model, of gradients, and of the optimizer's moments.
    pub fn sizes(&self) -> [usize; 3] {
        let moments = self.optimizer.state().moments;
        let moments = moments.iter().map(|(_, moment)| moment.parameter_count()).sum();
        [self.model.parameters().parameter_count(), self.gradients.parameter_count(), moments]
    }

    /// One step without dropout.
    pub fn step(&mut self, batch: &Batch, labels: &PreTrainingLabels) -> Result<Step> {
        let Self { model, gradients, optimizer } = self;
        let start = Instant::now();
        gradients.visit_mut("", &mut |_, mut values| values.fill(0.0));
        let loss = model.backward(batch, labels, None, 1.0, gradients)?.loss;
        let backward = start.elapsed();
        clip_global_norm(gradients, MAX_NORM)?;
        let clip = start.elapsed() - backward;
        let update = model.update(|parameters| {
            let start = Instant::now();
            optimizer.update(parameters, gradients, LEARNING_RATE)?;
            Ok(start.elapsed())
        })?;
        let whole = start.elapsed();
        let pack = whole - backward - clip - update;
        let [whole, backward, clip, update, pack] =
            [whole, backward, clip, update, pack].map(|part| part.as_secs_f64());
        Ok(Step { loss, whole, backward, clip, update, pack })
    }
}
