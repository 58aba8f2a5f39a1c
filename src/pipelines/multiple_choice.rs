//! Multiple choice: which of several choices fits a prompt?

use std::fmt;
use std::sync::Arc;

use ndarray::ArrayView1;
use serde::Serialize;

use super::base::{Base, impl_construction, impl_exit};
use super::pipeline::{Group, Pipeline, Prepared};
use super::ranking::{best, check_finite};
use crate::config::ProblemType;
use crate::error::Result;
use crate::model::Model;
use crate::model::exits::ExitPolicy;
use crate::model::heads::AlbertForMultipleChoice;
use crate::nn::softmax;

/// Ranks the choices for a prompt. transformers has no such pipeline; scores are those of its `AlbertForMultipleChoice`.
///
/// The question at the end of *自然语言处理 — ALBERT*, the article from which this crate started:
///
/// ```
/// # std::env::set_current_dir(env!("CARGO_MANIFEST_DIR")).expect("the crate's directory");
/// use ndalbert::pipelines::{MultipleChoice, Pipeline};
///
/// let choose = MultipleChoice::from_pretrained("examples/data/albert-chinese-next-sentence")?;
/// let prompt = "算法组的成员们精通各种AI算法.";
/// let choices = ["成都动物园里的大熊猫人人都想摸一下.", "他们主要负责AI算法的研究和落地.", "我没吃上吉士果.", "你吃饭了吗?"];
/// for ranked in choose.run((prompt, choices))? {
///     println!("{:.4} {}", ranked.score, ranked.choice);
/// }
/// # assert_eq!(choose.run((prompt, choices))?[0].index, 1);
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Debug)]
pub struct MultipleChoice {
    base: Base<AlbertForMultipleChoice>,
    exit: Option<Arc<dyn ExitPolicy>>,
}

impl_construction!(MultipleChoice, AlbertForMultipleChoice, |base| Ok(Self { base, exit: None }));
impl_exit!(MultipleChoice, |config| ProblemType::SingleLabelClassification);

/// A prompt and its choices. Also created from a pair.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MultipleChoiceInput {
    /// What comes first.
    pub prompt: String,
    /// The choices; at least one.
    pub choices: Vec<String>,
}

impl<P, C> From<(P, C)> for MultipleChoiceInput
where
    P: Into<String>,
    C: IntoIterator<Item: AsRef<str>>,
{
    fn from((prompt, choices): (P, C)) -> Self {
        let choices = choices.into_iter().map(|choice| choice.as_ref().to_owned()).collect();
        Self { prompt: prompt.into(), choices }
    }
}

/// A choice, and how much speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RankedChoice {
    /// Its index among the choices of the input.
    pub index: usize,
    /// The choice itself.
    pub choice: String,
    /// Its probability among the choices.
    pub score: f32,
    /// The model's number for it.
    pub logit: f32,
    /// The number of layers computed for the prompt and its choices: all, or fewer if they left
    /// [early](MultipleChoice::exit).
    pub layers: usize,
}

/// The choice and its probability.
impl fmt::Display for RankedChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.3}", self.choice, self.score)
    }
}

/// All choices of a prompt, best first.
pub type RankedChoices = Vec<RankedChoice>;

/// Choices with their logits, best first.
fn ranked(choices: &[String], logits: ArrayView1<'_, f32>, layers: usize) -> Result<RankedChoices> {
    check_finite("logits", logits)?;
    let scores = softmax(logits);
    let ranked = |index: usize| RankedChoice {
        index,
        choice: choices[index].clone(),
        score: scores[index],
        logit: logits[index],
        layers,
    };
    // Scores of logits that differ may be the same 0.
    Ok(best(&logits.to_vec(), usize::MAX).into_iter().map(ranked).collect())
}

impl Pipeline for MultipleChoice {
    type Input = MultipleChoiceInput;
    type Output = RankedChoices;
    /// The choices.
    type Kept = Vec<String>;

    fn prepare(&self, input: MultipleChoiceInput) -> Result<Prepared<Vec<String>>> {
        let MultipleChoiceInput { prompt, choices: kept } = input;
        let encodings = self.base.tokenizer.encode_choices(&prompt, &kept)?;
        Ok(Prepared { encodings, kept })
    }

    fn infer(&self, group: Group<'_, Vec<String>>) -> Result<Vec<Result<RankedChoices>>> {
        let (batch, model) = (group.batch()?, &self.base.model);
        let Some(policy) = &self.exit else {
            let (logits, depth) =
                (model.forward(&batch, 1)?.logits, model.config().num_hidden_layers);
            let logits = logits.column(0);
            let ranked = group.items().map(|(sequences, prepared)| {
                ranked(&prepared.kept, logits.slice(ndarray::s![sequences]), depth)
            });
            return Ok(ranked.collect());
        };
        let prompts: Vec<_> = group.items().map(|(sequences, _)| sequences).collect();
        let early = model.forward_prompts_until(&batch, &prompts, policy)?;
        let ranked = group
            .items()
            .zip(early)
            .map(|((_, prepared), (logits, layers))| ranked(&prepared.kept, logits.view(), layers));
        Ok(ranked.collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
