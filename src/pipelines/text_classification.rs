//! Text classification: the class of a text or a pair of texts.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ndarray::ArrayView1;
use serde::Serialize;

use super::base::{Base, impl_construction, impl_exit};
use super::pipeline::{Group, Pipeline, Prepared};
use super::ranking::{best, check_finite, sigmoid};
use crate::config::ProblemType;
use crate::error::Result;
use crate::model::Model;
use crate::model::exits::ExitPolicy;
use crate::model::heads::{AlbertForSequenceClassification, problem};
use crate::nn::softmax;

/// Classifies texts or pairs of texts (`text-classification` in transformers).
///
/// ```
/// use ndalbert::pipelines::{Pipeline, TextClassification};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pipelines/classifier");
/// let classify = TextClassification::from_pretrained(directory)?.top_k(None);
/// for class in classify.run("the compiler shows an error")? {
///     println!("{} {:.3}", class.label, class.score);
/// }
/// // A pair, as in natural language inference.
/// classify.run(("the compiler shows an error", "the code is right"))?;
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Debug)]
pub struct TextClassification {
    pub(super) base: Base<AlbertForSequenceClassification>,
    top_k: Option<usize>,
    function: Function,
    exit: Option<Arc<dyn ExitPolicy>>,
}

impl_construction!(TextClassification, AlbertForSequenceClassification, |base| {
    let function = Function::of(base.model.config());
    Ok(Self { base, top_k: Some(1), function, exit: None })
});
impl_exit!(TextClassification, |config| problem(config));

/// A text to classify, or a pair of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextInput {
    /// The text, or the first of the pair.
    pub text: String,
    /// The second of the pair. If it is empty, the text is classified alone.
    pub pair: Option<String>,
}

macro_rules! from_text {
    ($($text:ty),*) => {$(
        impl From<$text> for TextInput {
            fn from(text: $text) -> Self {
                Self { text: text.into(), pair: None }
            }
        }
    )*};
}
from_text!(&str, &String, String, Box<str>, Cow<'_, str>);

impl<A: Into<String>, B: Into<String>> From<(A, B)> for TextInput {
    fn from((text, pair): (A, B)) -> Self {
        Self { text: text.into(), pair: Some(pair.into()) }
    }
}

/// A class, and how much speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Classification {
    /// The class's name in the checkpoint's `id2label`.
    pub label: String,
    /// The result of the [`Function`] for its logit; in a regression, the prediction.
    pub score: f32,
    /// The number of layers computed: all, or fewer if the input left
    /// [early](TextClassification::exit).
    pub layers: usize,
}

/// The label and its score: `positive 0.998`.
impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.3}", self.label, self.score)
    }
}

/// What logits become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Function {
    /// Softmax: probabilities of mutually exclusive classes.
    Softmax,
    /// Sigmoid: an independent probability for each class.
    Sigmoid,
    /// The logits themselves.
    None,
}

impl Function {
    /// The function for a model, as in transformers: none for regression, a sigmoid for multi-label models or a single class, otherwise a softmax.
    fn of(config: &crate::AlbertConfig) -> Self {
        match config.problem_type {
            Some(ProblemType::Regression) => Self::None,
            Some(ProblemType::MultiLabelClassification) => Self::Sigmoid,
            _ if config.num_labels() == 1 => Self::Sigmoid,
            _ => Self::Softmax,
        }
    }

    fn apply(self, logits: ArrayView1<'_, f32>) -> Vec<f32> {
        match self {
            Self::Softmax => softmax(logits).to_vec(),
            Self::Sigmoid => logits.iter().copied().map(sigmoid).collect(),
            Self::None => logits.to_vec(),
        }
    }
}

impl TextClassification {
    /// The number of classes returned, best first; by default 1; `None` returns all.
    #[must_use]
    pub fn top_k(mut self, count: impl Into<Option<usize>>) -> Self {
        self.top_k = count.into();
        self
    }

    /// Sets the function that turns logits into scores. By default it follows from the checkpoint's `problem_type` or number of labels: none for regression, a sigmoid for multi-label models or a single label, a softmax otherwise.
    #[must_use]
    pub fn function(mut self, function: Function) -> Self {
        self.function = function;
        self
    }

    fn ranked(&self, logits: ArrayView1<'_, f32>, layers: usize) -> Result<Vec<Classification>> {
        check_finite("logits", logits)?;
        let scores = self.function.apply(logits);
        let labels = &self.base.model.config().labels;
        let class = |place: usize| Classification {
            label: labels[place].clone(),
            score: scores[place],
            layers,
        };
        Ok(best(&scores, self.top_k.unwrap_or(usize::MAX)).into_iter().map(class).collect())
    }
}

impl Pipeline for TextClassification {
    type Input = TextInput;
    type Output = Vec<Classification>;
    type Kept = ();

    fn prepare(&self, input: TextInput) -> Result<Prepared<()>> {
        let tokenizer = &self.base.tokenizer;
        let encoding = match input.pair {
            // transformers, too, takes an empty second text for none.
            Some(pair) if !pair.is_empty() => tokenizer.encode_pair(&input.text, &pair)?,
            _ => tokenizer.encode(&input.text)?,
        };
        Ok(Prepared { encodings: vec![encoding], kept: () })
    }

    fn infer(&self, group: Group<'_, ()>) -> Result<Vec<Result<Self::Output>>> {
        let (batch, model) = (group.batch()?, &self.base.model);
        let Some(policy) = &self.exit else {
            let (logits, depth) = (model.forward(&batch)?.logits, model.config().num_hidden_layers);
            return Ok(logits.outer_iter().map(|logits| self.ranked(logits, depth)).collect());
        };
        let early = model.forward_until(&batch, policy)?;
        let logits = early.output.logits.outer_iter().zip(early.layers);
        Ok(logits.map(|(logits, layers)| self.ranked(logits, layers)).collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
