//! Training: loss → backward → clip → optimizer → checkpoint.
//!
//! A [`TrainingModel`] holds parameters and computes losses and gradients; an optimizer updates the parameters; a [`Trainer`] runs the training loop.

mod check;
mod clip;
pub mod datasets;
pub mod metrics;
mod optimizer;
mod peers;
pub mod pretraining;
mod schedule;
mod trainer;
mod values;

pub use clip::{clip_global_norm, global_norm};
pub use optimizer::{
    Adam, AdamOptions, AdamW, AdamWeightDecay, Lamb, Optimizer, OptimizerState, ParameterGroup,
};
pub use peers::{GradientPrecision, Peers};
pub use schedule::{Decay, Schedule, scale_learning_rate};
pub use trainer::{
    BestEvaluation, EvaluationMetrics, Event, Interval, LatestCheckpoint, MetricsLog, StepMetrics,
    StopReason, Trainer, TrainerOptions, TrainingData, TrainingOutcome, latest_checkpoint,
};

pub use crate::model::training::{
    ActivationPolicy, AnswerPositions, BackboneParameters, BackboneStates, Distillation, ExitLoss,
    LossOutput, LossTerm, PreTrainingLabels, Targets, TrainableModel, TrainingModel,
    TrainingOptions,
};

use crate::batch::Batch;

/// A batch and its labels.
#[derive(Clone, Debug)]
pub struct TrainingBatch<L> {
    /// The inputs.
    pub batch: Batch,
    /// The labels, of the type that the model's loss takes ([`TrainableModel::Labels`]).
    pub labels: L,
}
