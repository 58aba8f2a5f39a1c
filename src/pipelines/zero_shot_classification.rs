//! Zero-shot classification: any labels, by a natural language inference model.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, s};

use super::base::{Base, impl_construction, impl_exit};
use super::pipeline::{Group, Pipeline, Prepared};
use super::ranking::check_finite;
use super::text_classification::Classification;
use crate::config::ProblemType;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::exits::ExitPolicy;
use crate::model::heads::AlbertForSequenceClassification;
use crate::nn::softmax;

/// Where a template has its label.
const PLACE: &str = "{}";

/// Ranks labels for a text without training for them (`zero-shot-classification` in transformers).
///
/// The model performs natural language inference: it predicts whether a premise, here the text, entails or contradicts a hypothesis, here "This example is *label*." One of the checkpoint's labels, in `label2id` or `id2label`, must begin with `entail`.
///
/// ```
/// use ndalbert::pipelines::{Pipeline, ZeroShotClassification};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pipelines/classifier");
/// let classify = ZeroShotClassification::from_pretrained(directory)?
///     .labels(["compiler", "library", "cooking"])
///     .hypothesis_template("It is about {}.")?;
/// for class in classify.run("the compiler shows an error")? {
///     println!("{} {:.3}", class.label, class.score);
/// }
/// // Other labels for one text.
/// classify.run(("the compiler shows an error", ["good", "bad"]))?;
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// If a text and a hypothesis are too long for the model, the text is truncated.
#[derive(Debug)]
pub struct ZeroShotClassification {
    base: Base<AlbertForSequenceClassification>,
    labels: Vec<String>,
    template: String,
    multi_label: bool,
    entailment: Option<usize>,
    exit: Option<Arc<dyn ExitPolicy>>,
}

impl_construction!(ZeroShotClassification, AlbertForSequenceClassification, |base| {
    let is_entailment = |label: &str| label.to_lowercase().starts_with("entail");
    Ok(Self {
        entailment: base.model.config().class_of(is_entailment),
        base: base.cut_only_first()?,
        labels: Vec::new(),
        template: "This example is {}.".to_owned(),
        multi_label: false,
        exit: None,
    })
});
impl_exit!(ZeroShotClassification, |config| ProblemType::SingleLabelClassification);

/// A text and its candidate labels. Also created from a text, or a pair of text and labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ZeroShotInput {
    /// The text.
    pub text: String,
    /// The labels; if empty, those [set](ZeroShotClassification::labels) in the pipeline.
    pub labels: Vec<String>,
}

macro_rules! from_text {
    ($($text:ty),*) => {$(
        impl From<$text> for ZeroShotInput {
            fn from(text: $text) -> Self {
                Self { text: text.into(), labels: Vec::new() }
            }
        }
    )*};
}
from_text!(&str, &String, String, Box<str>);

impl<T, L> From<(T, L)> for ZeroShotInput
where
    T: Into<String>,
    L: IntoIterator<Item: AsRef<str>>,
{
    fn from((text, labels): (T, L)) -> Self {
        Self { text: text.into(), labels: owned(labels) }
    }
}

fn owned(labels: impl IntoIterator<Item: AsRef<str>>) -> Vec<String> {
    labels.into_iter().map(|label| label.as_ref().to_owned()).collect()
}

impl ZeroShotClassification {
    /// Labels in one string, separated by commas. Surrounding spaces and empty labels are dropped, as in transformers. (Labels in a list are not changed.)
    ///
    /// ```
    /// # use ndalbert::pipelines::ZeroShotClassification;
    /// assert_eq!(ZeroShotClassification::split_labels("a, b ,,c"), ["a", "b", "c"]);
    /// ```
    pub fn split_labels(labels: &str) -> Vec<String> {
        let labels = labels.split(',').map(str::trim).filter(|label| !label.is_empty());
        labels.map(str::to_owned).collect()
    }

    /// The labels for texts without labels of their own.
    #[must_use]
    pub fn labels(mut self, labels: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.labels = owned(labels);
        self
    }

    /// The template of the hypothesis, in which the label replaces each `{}`; by default `This example is {}.`
    ///
    /// # Errors
    /// [`Error::Input`] if there is no `{}` in it.
    pub fn hypothesis_template(mut self, template: impl Into<String>) -> Result<Self> {
        self.template = template.into();
        if !self.template.contains(PLACE) {
            let expected = "a {} in place of the label";
            return Err(Error::input("hypothesis template", expected, self.template));
        }
        Ok(self)
    }

    /// Whether labels are independent of each other. Scores are then probabilities of entailment against contradiction, and do not add up to 1.
    #[must_use]
    pub fn multi_label(mut self, multi_label: bool) -> Self {
        self.multi_label = multi_label;
        self
    }

    /// Sets the class of entailment, if no label of the checkpoint begins with `entail`.
    ///
    /// # Errors
    /// [`Error::Input`] if it has no such class.
    pub fn entailment_id(mut self, id: usize) -> Result<Self> {
        let classes = self.base.model.config().num_labels();
        if id >= classes {
            let expected = format!("a class below num_labels = {classes}");
            return Err(Error::input("entailment_id", expected, id.to_string()));
        }
        self.entailment = Some(id);
        Ok(self)
    }

    /// The class of entailment. (transformers takes the last class where no label says which it is.)
    fn entailment(&self) -> Result<usize> {
        self.entailment.ok_or_else(|| {
            let expected = "a label that begins with `entail`, or the class's number (`entailment_id`, `--entailment`)";
            let labels = &self.base.model.config().labels;
            Error::input("label2id and id2label", expected, format!("{labels:?}"))
        })
    }

    /// Contradiction's and entailment's class, of so many.
    fn pair(&self, classes: usize) -> Result<[usize; 2]> {
        let entailment = self.entailment()?;
        Ok([if entailment == 0 { classes - 1 } else { 0 }, entailment])
    }

    /// Whether each of this number of labels is independent, rather than all of them ranked.
    fn judges_alone(&self, labels: usize) -> bool {
        self.multi_label || labels == 1
    }

    /// The probabilities of labels, of the logits `[N, C]` of their hypotheses.
    fn scores(&self, logits: ArrayView2<'_, f32>) -> Result<Vec<f32>> {
        check_finite("logits", logits)?;
        let pair = self.pair(logits.ncols())?;
        if !self.judges_alone(logits.nrows()) {
            return Ok(softmax(logits.column(pair[1])).to_vec());
        }
        let score = |logits: ndarray::ArrayView1<'_, f32>| {
            softmax(ndarray::aview1(&pair.map(|class| logits[class])))[1]
        };
        Ok(logits.outer_iter().map(score).collect())
    }

    /// The logits `[B, C]` of a group's sequences, and how many layers each took. Where labels are ranked, all sequences of a
    /// text leave together.
    fn logits(&self, group: Group<'_, Vec<String>>) -> Result<(Array2<f32>, Vec<usize>)> {
        let (batch, model) = (group.batch()?, &self.base.model);
        let config = model.config();
        let Some(policy) = &self.exit else {
            let depth = vec![config.num_hidden_layers; batch.num_sequences()];
            return Ok((model.forward(&batch)?.logits, depth));
        };
        let mut inputs = Vec::new();
        for (sequences, prepared) in group.items() {
            match self.judges_alone(prepared.kept.len()) {
                true => inputs.extend(sequences.map(|sequence| sequence..sequence + 1)),
                false => inputs.push(sequences),
            }
        }
        let pair = self.pair(config.num_labels())?;
        let predict = |logits: ArrayView2<'_, f32>, prediction: &mut Vec<f32>| match logits.nrows()
        {
            1 => prediction.extend(pair.map(|class| logits[[0, class]])),
            _ => prediction.extend(logits.column(pair[1])),
        };
        let early = model.forward_together_until(&batch, &inputs, policy, &predict)?;
        Ok((early.output.logits, early.layers))
    }

    /// Labels with their scores, best first; of equals, the last first, as in transformers.
    fn ranked(
        &self,
        labels: &[String],
        logits: ArrayView2<'_, f32>,
        layers: &[usize],
    ) -> Result<Vec<Classification>> {
        let scores = self.scores(logits)?.into_iter().zip(layers);
        let mut classes: Vec<Classification> = labels
            .iter()
            .zip(scores)
            .map(|(label, (score, &layers))| Classification { label: label.clone(), score, layers })
            .collect();
        classes.reverse();
        classes.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(classes)
    }
}

impl Pipeline for ZeroShotClassification {
    type Input = ZeroShotInput;
    type Output = Vec<Classification>;
    /// The labels.
    type Kept = Vec<String>;

    fn prepare(&self, input: ZeroShotInput) -> Result<Prepared<Vec<String>>> {
        self.entailment()?;
        let ZeroShotInput { text, labels } = input;
        let kept = if labels.is_empty() { self.labels.clone() } else { labels };
        if kept.is_empty() {
            return Err(Error::input("labels", "at least one", "none"));
        }
        let encode = |label: &String| {
            self.base.tokenizer.encode_pair(&text, &self.template.replace(PLACE, label))
        };
        Ok(Prepared { encodings: kept.iter().map(encode).collect::<Result<_>>()?, kept })
    }

    fn infer(&self, group: Group<'_, Vec<String>>) -> Result<Vec<Result<Self::Output>>> {
        let (logits, layers) = self.logits(group)?;
        let ranked = group.items().map(|(sequences, prepared)| {
            let layers = &layers[sequences.clone()];
            self.ranked(&prepared.kept, logits.slice(s![sequences, ..]), layers)
        });
        Ok(ranked.collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
