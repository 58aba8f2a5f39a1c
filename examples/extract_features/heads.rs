//! Every head, and the names of what it computes.

use std::path::Path;

use ndalbert::ndarray::{Array, ArrayD, Dimension};
use ndalbert::{
    Albert, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining,
    AlbertForQuestionAnswering, AlbertForSequenceClassification, AlbertForTokenClassification,
    AttentionProbabilities, Batch, LoadOptions, LoadReport, OutputOptions, Packed, PreTrainedModel,
    Result,
};

/// Tensors by name. The first axis is B, or B·N.
pub type Features = Vec<(String, ArrayD<f32>)>;

/// What is put on top of the backbone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Head {
    Base,
    PreTraining,
    MaskedLm,
    MultipleChoice,
    SequenceClassification,
    TokenClassification,
    QuestionAnswering,
}

/// A model of any head.
pub trait Extract {
    /// Computes everything that the head gives. `num_choices` is of use to multiple choice only.
    fn extract(
        &self,
        batch: &Batch,
        num_choices: usize,
        options: OutputOptions,
    ) -> Result<Features>;
}

impl Head {
    const NAMES: [(&'static str, Self); 7] = [
        ("base", Self::Base),
        ("pretraining", Self::PreTraining),
        ("masked-lm", Self::MaskedLm),
        ("multiple-choice", Self::MultipleChoice),
        ("sequence-classification", Self::SequenceClassification),
        ("token-classification", Self::TokenClassification),
        ("question-answering", Self::QuestionAnswering),
    ];

    pub fn from_name(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, head)| *head).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name);
            format!("expected one of {}", names.join(", "))
        })
    }

    /// Loads a checkpoint with this head, whatever head it was saved with.
    pub fn load(
        self,
        directory: &Path,
        options: &LoadOptions,
    ) -> Result<(Box<dyn Extract>, LoadReport)> {
        match self {
            Self::Base => load::<Albert>(directory, options),
            Self::PreTraining => load::<AlbertForPreTraining>(directory, options),
            Self::MaskedLm => load::<AlbertForMaskedLM>(directory, options),
            Self::MultipleChoice => load::<AlbertForMultipleChoice>(directory, options),
            Self::SequenceClassification => {
                load::<AlbertForSequenceClassification>(directory, options)
            }
            Self::TokenClassification => load::<AlbertForTokenClassification>(directory, options),
            Self::QuestionAnswering => load::<AlbertForQuestionAnswering>(directory, options),
        }
    }
}

fn load<M: PreTrainedModel + Extract + 'static>(
    directory: &Path,
    options: &LoadOptions,
) -> Result<(Box<dyn Extract>, LoadReport)> {
    let (model, report) = M::from_pretrained_with(directory, options)?;
    Ok((Box::new(model), report))
}

impl Extract for Albert {
    fn extract(&self, batch: &Batch, _: usize, options: OutputOptions) -> Result<Features> {
        let output = self.forward_with(batch, options)?;
        let mut features = layers(&output.hidden_states, &output.attentions);
        features.push(named("last_hidden_state", output.last_hidden_state.to_padded()));
        features.extend(output.pooler_output.map(|pooled| named("pooler_output", pooled)));
        Ok(features)
    }
}

impl Extract for AlbertForPreTraining {
    fn extract(&self, batch: &Batch, _: usize, options: OutputOptions) -> Result<Features> {
        let output = self.forward_with(batch, options)?;
        let mut features = layers(&output.hidden_states, &output.attentions);
        features.push(named("prediction_logits", output.prediction_logits.to_padded()));
        features.push(named("sop_logits", output.sop_logits));
        Ok(features)
    }
}

impl Extract for AlbertForMaskedLM {
    fn extract(&self, batch: &Batch, _: usize, options: OutputOptions) -> Result<Features> {
        let output = self.forward_with(batch, options)?;
        let mut features = layers(&output.hidden_states, &output.attentions);
        // transformers calls them `logits` here and `prediction_logits` in pre-training.
        let logits = output.logits.to_padded();
        features.push(named("prediction_logits", logits.clone()));
        features.push(named("logits", logits));
        Ok(features)
    }
}

impl Extract for AlbertForMultipleChoice {
    fn extract(
        &self,
        batch: &Batch,
        num_choices: usize,
        options: OutputOptions,
    ) -> Result<Features> {
        let output = self.forward_with(batch, num_choices, options)?;
        let mut features = layers(&output.hidden_states, &output.attentions);
        features.push(named("logits", output.logits));
        Ok(features)
    }
}

impl Extract for AlbertForSequenceClassification {
    fn extract(&self, batch: &Batch, _: usize, options: OutputOptions) -> Result<Features> {
        let output = self.forward_with(batch, options)?;
        let mut features = layers(&output.hidden_states, &output.attentions);
        features.push(named("logits", output.logits));
        Ok(features)
    }
}

impl Extract for AlbertForTokenClassification {
    fn extract(&self, batch: &Batch, _: usize, options: OutputOptions) -> Result<Features> {
        let output = self.forward_with(batch, options)?;
        let mut features = layers(&output.hidden_states, &output.attentions);
        features.push(named("logits", output.logits.to_padded()));
        Ok(features)
    }
}

impl Extract for AlbertForQuestionAnswering {
    fn extract(&self, batch: &Batch, _: usize, options: OutputOptions) -> Result<Features> {
        let output = self.forward_with(batch, options)?;
        let mut features = layers(&output.hidden_states, &output.attentions);
        features.push(named("start_logits", output.start_logits()));
        features.push(named("end_logits", output.end_logits()));
        Ok(features)
    }
}

/// What every model gives where it was asked for.
fn layers(hidden_states: &[Packed], attentions: &[AttentionProbabilities]) -> Features {
    let hidden_states = hidden_states.iter().enumerate();
    let attentions = attentions.iter().enumerate();
    hidden_states
        .map(|(i, states)| named(&format!("hidden_states.{i}"), states.to_padded()))
        .chain(attentions.map(|(i, a)| named(&format!("attentions.{i}"), a.to_padded())))
        .collect()
}

fn named<D: Dimension>(name: &str, values: Array<f32, D>) -> (String, ArrayD<f32>) {
    (name.to_owned(), values.into_dyn())
}
