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
    type Model: PreTrainedModel + Model<Parameters = ModelParameters<ClassifierParameters>>;

    /// An item with its right answer.
    type Item: Clone;

    /// The items of a file that have a right answer.
    fn read(path: &Path) -> Result<Vec<Self::Item>, Failure>;

    fn new(model: Self::Model, tokenizer: AlbertTokenizer) -> ndalbert::Result<Self>;

    fn parts(&self) -> (&Self::Model, &AlbertTokenizer);

    fn exit(self, policy: Arc<dyn ExitPolicy>) -> ndalbert::Result<Self>;

    /// Answers items in a stream.
    fn answer(&self, items: &[Self::Item]) -> Result<Answers, Failure>;

    /// The pipeline of a checkpoint, at its whole depth.
    fn load(model: &Path, options: &LoadOptions) -> Result<Self, Failure> {
        let tokenizer = AlbertTokenizer::from_pretrained(model)?;
        let (model, _) = Self::Model::from_pretrained_with(model, options)?;
        Ok(Self::new(model, tokenizer)?)
    }

    fn config(&self) -> &AlbertConfig {
        self.parts().0.config()
    }

    /// The same with another policy, or with nothing after an exit, counted from 0.
    fn with(
        &self,
        exit: Option<usize>,
        policy: Option<Arc<dyn ExitPolicy>>,
    ) -> Result<Self, Failure> {
        let (model, tokenizer) = self.parts();
        let pipeline = Self::new(rebuilt(model, exit)?, tokenizer.clone())?;
        Ok(match policy {
            Some(policy) => pipeline.exit(policy)?,
            None => pipeline,
        })
    }
}

/// What pipelines have as methods of their own.
macro_rules! inherent {
    ($pipeline:ident, $model:ident) => {
        type Model = $model;

        fn new(model: $model, tokenizer: AlbertTokenizer) -> ndalbert::Result<Self> {
            $pipeline::new(model, tokenizer)
        }

        fn parts(&self) -> (&$model, &AlbertTokenizer) {
            (self.model(), self.tokenizer())
        }

        fn exit(self, policy: Arc<dyn ExitPolicy>) -> ndalbert::Result<Self> {
            $pipeline::exit(self, policy)
        }
    };
}

impl Task for MultipleChoice {
    inherent!(MultipleChoice, AlbertForMultipleChoice);

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
    inherent!(TextClassification, AlbertForSequenceClassification);

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

    fn answer(&self, items: &[Self::Item]) -> Result<Answers, Failure> {
        let inputs = items.iter().map(|(input, _)| input.clone());
        let answers = self.stream(inputs).zip(items).map(|(classes, item)| {
            let best = &classes?[0];
            Ok((best.label == item.1, best.layers))
        });
        answers.collect()
    }
}

/// A copy of the model, or the part of it that ends after an exit.
fn rebuilt<M>(model: &M, exit: Option<usize>) -> Result<M, Failure>
where
    M: Model<Parameters = ModelParameters<ClassifierParameters>>,
{
    let (mut parameters, mut fields) = (model.to_parameters(), model.config().to_fields());
    if let Some(exit) = exit {
        if fields.num_hidden_groups > 1 || fields.parameter_sharing != ParameterSharing::All {
            return Err("only a model that shares all layers can be truncated".into());
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
