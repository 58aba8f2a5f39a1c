//! Evaluation, and which one was the best.

use std::collections::BTreeMap;

use serde_json::Value;

use super::losses::{LossMean, named};
use super::state::PastEvaluation;
use super::{BestEvaluation, EvaluationMetrics, Trainer, TrainingData};
use crate::error::{Error, Result};
use crate::train::{TrainableModel, TrainingModel};

/// Data to evaluate on, always the same.
pub(super) struct EvaluationData<'a, L> {
    data: Box<dyn TrainingData<L> + 'a>,
    start: Value,
}

/// Measures of a model by name.
pub(super) type Measure<'a, M> =
    Box<dyn FnMut(&TrainingModel<M>) -> Result<Vec<(String, f64)>> + 'a>;

impl<'a, L> EvaluationData<'a, L> {
    pub(super) fn new(data: Box<dyn TrainingData<L> + 'a>) -> Result<Self> {
        let start = data.state()?;
        Ok(Self { data, start })
    }

    /// Loss and accuracy over one epoch: means over all labels that count, independent of batches.
    fn measure<M: TrainableModel<Labels = L>>(
        &mut self,
        model: &TrainingModel<M>,
    ) -> Result<Vec<(String, f64)>> {
        self.data.restore(&self.start)?;
        let mut mean = LossMean::default();
        let mut is_empty = true;
        while let Some(batch) = self.data.next_batch()? {
            mean.add(&model.loss(&batch.batch, &batch.labels)?, |term| term.count as f64);
            is_empty = false;
        }
        if is_empty {
            return Err(Error::input("evaluation data", "a batch", "the end of the data"));
        }
        Ok(named(&mean.output()))
    }
}

impl<M: TrainableModel, O> Trainer<'_, M, O> {
    /// Evaluates the current model without dropout, on the data of [`evaluate_on`](Self::evaluate_on) and with the metrics of [`with_metrics`](Self::with_metrics).
    ///
    /// # Errors
    /// Those of data and measures, and [`Error::Input`] if there is neither or the data is empty.
    pub fn evaluate(&mut self) -> Result<EvaluationMetrics> {
        let Self { model, evaluation, measures, progress, .. } = self;
        let mut metrics = BTreeMap::new();
        if let Some(evaluation) = evaluation {
            metrics.extend(evaluation.measure(model)?);
        }
        for measure in measures {
            metrics.extend(measure(model)?);
        }
        if metrics.is_empty() {
            return Err(Error::input("evaluation", "data or measures", "neither"));
        }
        Ok(EvaluationMetrics { step: progress.step, metrics })
    }

    /// Records an evaluation. Returns whether it is the best so far.
    pub(super) fn judge(&mut self, evaluation: &EvaluationMetrics) -> Result<bool> {
        let name = &self.options.metric_for_best_model;
        let Some(&metric) = evaluation.metrics.get(name) else {
            let known: Vec<_> = evaluation.metrics.keys().map(String::as_str).collect();
            let expected = format!("one of {}", known.join(", "));
            return Err(Error::input("metric_for_best_model", expected, name.as_str()));
        };
        let is_better = |best: f64| match self.options.greater_is_better {
            true => metric > best,
            false => metric < best,
        };
        let progress = &mut self.progress;
        let is_best = metric.is_finite() && progress.best.is_none_or(|best| is_better(best.metric));
        if is_best {
            progress.best = Some(BestEvaluation { step: progress.step, metric });
            progress.evaluations_without_improvement = 0;
        } else {
            progress.evaluations_without_improvement += 1;
        }
        let metric = Some(metric).filter(|metric| metric.is_finite());
        progress.evaluations.push(PastEvaluation { step: progress.step, metric });
        Ok(is_best)
    }
}
