//! Every class of model behind one interface: a golden run in, tensors by transformers' names out.

use std::collections::BTreeMap;

use ndalbert::{
    Albert, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining,
    AlbertForQuestionAnswering, AlbertForSentenceOrder, AlbertForSequenceClassification,
    AlbertForTokenClassification, AttentionProbabilities, Batch, Labels, LoadReport, Packed,
    PreTrainedModel, Result,
};
use ndarray::{Array, Array2, ArrayD, Dimension, arr0};

use super::for_class;
use super::golden::{Case, Run};

/// Tensors by transformers' names, padded.
pub type Outputs = BTreeMap<String, ArrayD<f32>>;

/// A model of any class.
pub trait Computes {
    /// Everything that the run has a reference for, computed from a batch of its inputs.
    fn compute(&self, batch: &Batch, run: &Run) -> Outputs;
}

/// Loads a golden model as the class that its references are of.
pub fn load(case: &Case) -> (Box<dyn Computes>, LoadReport) {
    fn load<M: PreTrainedModel + Computes + 'static>(
        case: &Case,
    ) -> (Box<dyn Computes>, LoadReport) {
        let (model, report) = M::from_pretrained(&case.directory).unwrap();
        (Box::new(model), report)
    }
    for_class!(case.architecture.as_str(), load(case))
}

/// The outputs that every class has.
fn states_of(hidden_states: &[Packed], attentions: &[AttentionProbabilities]) -> Outputs {
    let states = hidden_states.iter().map(|states| states.to_padded().into_dyn()).enumerate();
    let states = states.map(|(i, values)| (format!("hidden_states.{i}"), values));
    let squares = attentions.iter().map(|layer| layer.to_padded().into_dyn()).enumerate();
    states.chain(squares.map(|(i, values)| (format!("attentions.{i}"), values))).collect()
}

fn put<D: Dimension>(outputs: &mut Outputs, name: &str, values: Array<f32, D>) {
    outputs.insert(name.to_owned(), values.into_dyn());
}

fn put_loss(outputs: &mut Outputs, loss: Option<Result<f32>>) {
    if let Some(loss) = loss {
        put(outputs, "loss", arr0(loss.unwrap()));
    }
}

/// The loss against labels `[B, S]`, if the run has labels.
fn by_token(run: &Run, loss: impl Fn(&Array2<i64>) -> Result<f32>) -> Option<Result<f32>> {
    run.rows("labels").map(|labels| loss(&labels))
}

/// The loss against class indices `[B]` or values `[B]` or `[B, C]`, if the run has labels.
fn by_sequence(run: &Run, loss: impl Fn(Labels<'_>) -> Result<f32>) -> Option<Result<f32>> {
    if let Some(classes) = run.integers.get("labels") {
        return Some(loss(Labels::Classes(&flat(classes))));
    }
    let values = run.floats.get("labels")?;
    let rows = values.shape()[0];
    let values = values.to_shape((rows, values.len() / rows)).unwrap();
    Some(loss(Labels::Values(values.view())))
}

fn flat(labels: &ArrayD<i64>) -> Vec<i64> {
    labels.iter().copied().collect()
}

impl Computes for Albert {
    fn compute(&self, batch: &Batch, run: &Run) -> Outputs {
        let output = self.forward_with(batch, run.options()).unwrap();
        let mut outputs = states_of(&output.hidden_states, &output.attentions);
        put(&mut outputs, "last_hidden_state", output.last_hidden_state.to_padded());
        if let Some(pooled) = output.pooler_output {
            put(&mut outputs, "pooler_output", pooled);
        }
        outputs
    }
}

impl Computes for AlbertForMaskedLM {
    fn compute(&self, batch: &Batch, run: &Run) -> Outputs {
        let output = self.forward_with(batch, run.options()).unwrap();
        let mut outputs = states_of(&output.hidden_states, &output.attentions);
        put(&mut outputs, "prediction_logits", output.logits.to_padded());
        put_loss(&mut outputs, by_token(run, |labels| output.loss(labels.view())));
        outputs
    }
}

impl Computes for AlbertForPreTraining {
    fn compute(&self, batch: &Batch, run: &Run) -> Outputs {
        let output = self.forward_with(batch, run.options()).unwrap();
        let mut outputs = states_of(&output.hidden_states, &output.attentions);
        put(&mut outputs, "prediction_logits", output.prediction_logits.to_padded());
        put(&mut outputs, "sop_logits", output.sop_logits.clone());
        let order = flat(&run.integers["sentence_order_label"]);
        put_loss(&mut outputs, by_token(run, |labels| output.loss(labels.view(), &order)));
        outputs
    }
}

impl Computes for AlbertForSentenceOrder {
    fn compute(&self, batch: &Batch, run: &Run) -> Outputs {
        let output = self.forward_with(batch, run.options()).unwrap();
        let mut outputs = states_of(&output.hidden_states, &output.attentions);
        put(&mut outputs, "sop_logits", output.logits.clone());
        let order = flat(&run.integers["sentence_order_label"]);
        put_loss(&mut outputs, Some(output.loss(&order)));
        outputs
    }
}

impl Computes for AlbertForMultipleChoice {
    fn compute(&self, batch: &Batch, run: &Run) -> Outputs {
        let output = self.forward_with(batch, run.shape().1, run.options()).unwrap();
        let mut outputs = states_of(&output.hidden_states, &output.attentions);
        put(&mut outputs, "logits", output.logits.clone());
        put_loss(&mut outputs, by_sequence(run, |labels| output.loss(labels)));
        outputs
    }
}

impl Computes for AlbertForSequenceClassification {
    fn compute(&self, batch: &Batch, run: &Run) -> Outputs {
        let output = self.forward_with(batch, run.options()).unwrap();
        let mut outputs = states_of(&output.hidden_states, &output.attentions);
        put(&mut outputs, "logits", output.logits.clone());
        put_loss(&mut outputs, by_sequence(run, |labels| output.loss(labels)));
        outputs
    }
}

impl Computes for AlbertForTokenClassification {
    fn compute(&self, batch: &Batch, run: &Run) -> Outputs {
        let output = self.forward_with(batch, run.options()).unwrap();
        let mut outputs = states_of(&output.hidden_states, &output.attentions);
        put(&mut outputs, "logits", output.logits.to_padded());
        put_loss(&mut outputs, by_token(run, |labels| output.loss(labels.view())));
        outputs
    }
}

impl Computes for AlbertForQuestionAnswering {
    fn compute(&self, batch: &Batch, run: &Run) -> Outputs {
        let output = self.forward_with(batch, run.options()).unwrap();
        let mut outputs = states_of(&output.hidden_states, &output.attentions);
        put(&mut outputs, "start_logits", output.start_logits());
        put(&mut outputs, "end_logits", output.end_logits());
        let positions = |name| run.integers.get(name).map(flat);
        let spans = positions("start_positions").zip(positions("end_positions"));
        put_loss(&mut outputs, spans.map(|(start, end)| output.loss(&start, &end)));
        outputs
    }
}
