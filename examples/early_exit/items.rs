//! What a model is tried on: items with one right answer each, and pipelines that answer them.

use std::path::Path;
use std::sync::Arc;

use ndalbert::exits::ExitPolicy;
use ndalbert::heads::ClassifierParameters;
use ndalbert::pipelines::{MultipleChoice, Pipeline, TextClassification, TextInput};
use ndalbert::train::datasets::{ChoiceLabel, RawLabel, read_choices, read_classification};
use ndalbert::{
    AlbertConfig, AlbertForMultipleChoice, AlbertForSequenceClassification, AlbertTokenizer,
    ConfigFields, LoadOptions, Model, ModelParameters, ParameterSharing, PreTrainedModel,
};

use super::cli::Failure;

/// For each item, whether the answer was right, and how many layers it took.
pub type Answers = Vec<(bool, usize)>;

/// A pipeline whose model may have exits, and items for it.
pub trait Task: Sized + Send + Sync {
    /// An item with its right answer.
    type Item: Clone;

    /// The items of a file that have a right answer.
    fn read(path: &Path) -> Result<Vec<Self::Item>, Failure>;

    /// The pipeline of a checkpoint, at its whole depth.
    fn load(model: &Path, options: &LoadOptions) -> Result<Self, Failure>;

    fn config(&self) -> &AlbertConfig;

    /// The same with another policy, or with nothing after an exit, counted from 0.
    fn with(
        &self,
        exit: Option<usize>,
        policy: Option<Arc<dyn ExitPolicy>>,
    ) -> Result<Self, Failure>;

    /// Answers items in a stream.
    fn answer(&self, items: &[Self::Item]) -> Result<Answers, Failure>;
}

impl Task for MultipleChoice {
    type Item = (String, Vec<String>, usize);

    fn read(path: &Path) -> Result<Vec<Self::Item>, Failure> {
        let mut items = Vec::new();
        for example in read_choices(path)? {
            let example = example?;
            if let Some(ChoiceLabel::Index(label)) = example.label {
                items.push((example.prompt, example.choices, label));
            }
        }
        Ok(items)
    }

    fn load(model: &Path, options: &LoadOptions) -> Result<Self, Failure> {
        let tokenizer = AlbertTokenizer::from_pretrained(model)?;
        let (model, _) = AlbertForMultipleChoice::from_pretrained_with(model, options)?;
        Ok(Self::new(model, tokenizer)?)
    }

    fn config(&self) -> &AlbertConfig {
        self.model().config()
    }

    fn with(
        &self,
        exit: Option<usize>,
        policy: Option<Arc<dyn ExitPolicy>>,
    ) -> Result<Self, Failure> {
        let pipeline = Self::new(rebuilt(self.model(), exit)?, self.tokenizer().clone())?;
        Ok(match policy {
            Some(policy) => pipeline.exit(policy)?,
            None => pipeline,
        })
    }

    fn answer(&self, items: &[Self::Item]) -> Result<Answers, Failure> {
        let inputs = items.iter().map(|(prompt, choices, _)| (prompt.as_str(), choices));
        let answers = self.stream(inputs).zip(items).map(|(ranked, item)| {
            let best = &ranked?[0];
            Ok((best.index == item.2, best.layers))
        });
        answers.collect()
    }
}

impl Task for TextClassification {
    type Item = (TextInput, String);

    fn read(path: &Path) -> Result<Vec<Self::Item>, Failure> {
        let mut items = Vec::new();
        for example in read_classification(path)? {
            let example = example?;
            if let Some(RawLabel::Text(label)) = example.label {
                items.push((TextInput { text: example.text, pair: example.text_pair }, label));
            }
        }
        Ok(items)
    }

    fn load(model: &Path, options: &LoadOptions) -> Result<Self, Failure> {
        let tokenizer = AlbertTokenizer::from_pretrained(model)?;
        let (model, _) = AlbertForSequenceClassification::from_pretrained_with(model, options)?;
        Ok(Self::new(model, tokenizer)?)
    }

    fn config(&self) -> &AlbertConfig {
        self.model().config()
    }

    fn with(
        &self,
        exit: Option<usize>,
        policy: Option<Arc<dyn ExitPolicy>>,
    ) -> Result<Self, Failure> {
        let pipeline = Self::new(rebuilt(self.model(), exit)?, self.tokenizer().clone())?;
        Ok(match policy {
            Some(policy) => pipeline.exit(policy)?,
            None => pipeline,
        })
    }

    fn answer(&self, items: &[Self::Item]) -> Result<Answers, Failure> {
        let inputs = items.iter().map(|(input, _)| input.clone());
        let answers = self.stream(inputs).zip(items).map(|(classes, item)| {
            let best = &classes?[0];
            Ok((best.label == item.1, best.layers))
        });
        answers.collect()
    }
}

/// The model once more, or what is left of it where it ends after an exit.
fn rebuilt<M>(model: &M, exit: Option<usize>) -> Result<M, Failure>
where
    M: Model<Parameters = ModelParameters<ClassifierParameters>>,
{
    let (mut parameters, mut fields) = (model.to_parameters(), model.config().to_fields());
    if let Some(exit) = exit {
        if fields.num_hidden_groups > 1 || fields.parameter_sharing != ParameterSharing::All {
            return Err("only a model whose layers are all the same can be cut off".into());
        }
        let ConfigFields { num_hidden_layers, exit_layers, .. } = &mut fields;
        *num_hidden_layers = exit_layers[exit];
        exit_layers.clear();
        let mut exits = std::mem::take(&mut parameters.head.exits);
        if exit < exits.len() {
            parameters.head.classifier = exits.swap_remove(exit);
        }
    }
    Ok(M::from_parameters_in(AlbertConfig::new(fields)?, parameters, model.precision())?)
}
