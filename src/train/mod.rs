//! Training: loss → backward → clip → optimizer → checkpoint.
//!
//! A [`TrainingModel`] holds parameters and computes losses and gradients; an optimizer changes the parameters.

pub mod datasets;
pub mod metrics;

pub use crate::model::training::{
    ActivationPolicy, AnswerPositions, LossOutput, LossTerm, PreTrainingLabels, Targets,
    TrainableModel, TrainingModel, TrainingOptions,
};

use crate::batch::Batch;

/// A batch, and what its outputs are compared with.
#[derive(Clone, Debug)]
pub struct TrainingBatch<L> {
    /// The inputs.
    pub batch: Batch,
    /// The labels, of the type that the model's loss takes ([`TrainableModel::Labels`]).
    pub labels: L,
}
