//! The models, each behind a queue of its own.

use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;

use ndalbert::ndarray::Array1;
use ndalbert::pipelines::{
    FillMask, MaskPrediction, MultipleChoice, MultipleChoiceInput, Pipeline, PipelineOptions,
    RankedChoice, SentenceEmbedding,
};
use ndalbert::{Precision, exits, shipped_checkpoint};
use serde::{Deserialize, Serialize};

use crate::batcher::{Answer, Batcher, Limits};

/// Of `/choose`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub prompt: String,
    pub choices: Vec<String>,
}

/// Of `/fill-mask` and `/embed`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub text: String,
}

/// A choice, in the answer to `/choose`: the best comes first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    pub index: usize,
    pub choice: String,
    pub score: f32,
    pub logit: f32,
    /// How many layers were computed.
    pub layers: usize,
}

/// A word that could stand for a mask, in the answer to `/fill-mask`: a list for each mask, the
/// best first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Word {
    pub score: f32,
    pub token: u32,
    pub token_str: String,
    pub sequence: String,
}

/// The answer to `/embed`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Embedding {
    pub embedding: Vec<f32>,
}

/// The queues.
#[derive(Clone)]
pub struct Models {
    pub choose: Batcher<Question, Vec<Choice>>,
    pub fill_mask: Batcher<Text, Vec<Vec<Word>>>,
    pub embed: Batcher<Text, Embedding>,
}

/// Which checkpoints, and how they are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For `/choose`; without one, `albert-chinese-next-sentence`, which comes with the crate.
    pub choose: Option<PathBuf>,
    /// For `/fill-mask` and `/embed`; without one, `albert-chinese-demo`.
    pub model: Option<PathBuf>,
    /// Where questions to `/choose` leave their model early, if that has exits: `patience=2`, say.
    pub exit: Option<String>,
    pub precision: Precision,
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            choose: None,
            model: None,
            exit: None,
            precision: Precision::F32,
            limits: Limits { queue: 256, tokens: 2048 },
        }
    }
}

impl Models {
    /// Loads the checkpoints and starts a thread for each queue. The threads end when all clones of
    /// the models are gone.
    ///
    /// Products of all three share rayon's threads, so three model threads are not three times as
    /// many that compute.
    pub fn load(settings: &Settings) -> Result<(Self, Vec<JoinHandle<()>>), Failure> {
        let options = PipelineOptions::new().precision(settings.precision);
        let choose = given_or(&settings.choose, "albert-chinese-next-sentence")?;
        let model = given_or(&settings.model, "albert-chinese-demo")?;
        let mut choose = MultipleChoice::from_pretrained_with(choose, &options)?;
        if let Some(policy) = &settings.exit {
            choose = choose.exit(exits::parse(policy)?)?;
        }
        let fill_mask = FillMask::from_pretrained_with(&model, &options)?;
        let embed = SentenceEmbedding::from_pretrained_with(&model, &options)?;

        let limits = settings.limits;
        let choices = |ranked: Vec<_>| ranked.into_iter().map(Choice::from).collect();
        let (choose, first) = start("choose", limits, cost_of_question, choose, choices)?;
        let words = |masks: Vec<Vec<_>>| {
            masks.into_iter().map(|words| words.into_iter().map(Word::from).collect()).collect()
        };
        let (fill_mask, second) = start("fill-mask", limits, cost_of_text, fill_mask, words)?;
        let values = |values: Array1<f32>| Embedding { embedding: values.to_vec() };
        let (embed, third) = start("embed", limits, cost_of_text, embed, values)?;
        Ok((Self { choose, fill_mask, embed }, vec![first, second, third]))
    }
}

fn given_or(given: &Option<PathBuf>, shipped: &str) -> ndalbert::Result<PathBuf> {
    given.clone().map_or_else(|| shipped_checkpoint(shipped), Ok)
}

/// What can go wrong at the start: a checkpoint that cannot be used, or no more threads.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A pipeline behind a queue. Its inputs and outputs are converted on its thread, too.
fn start<P, I, O>(
    name: &str,
    limits: Limits,
    cost: fn(&I) -> usize,
    pipeline: P,
    convert: fn(P::Output) -> O,
) -> io::Result<(Batcher<I, O>, JoinHandle<()>)>
where
    P: Pipeline + 'static,
    I: Into<P::Input> + Send + 'static,
    O: Send + 'static,
{
    let run = move |inputs: Vec<I>| -> Vec<Answer<O>> {
        let outputs = pipeline.run_many(inputs);
        outputs.into_iter().map(|output| output.map(convert)).collect()
    };
    Batcher::start(name, limits, cost, run)
}

impl From<Question> for MultipleChoiceInput {
    fn from(Question { prompt, choices }: Question) -> Self {
        Self { prompt, choices }
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.text
    }
}

impl From<RankedChoice> for Choice {
    fn from(ranked: RankedChoice) -> Self {
        let RankedChoice { index, choice, score, logit, layers, .. } = ranked;
        Self { index, choice, score, logit, layers }
    }
}

impl From<MaskPrediction> for Word {
    fn from(prediction: MaskPrediction) -> Self {
        let MaskPrediction { score, token, token_str, sequence, .. } = prediction;
        Self { score, token, token_str, sequence }
    }
}

/// An estimate of a text's tokens, without the tokenizer: a Chinese character is three bytes and a
/// token, and an English token has some four.
fn cost_of_text(text: &Text) -> usize {
    text.text.len() / 3 + 2
}

/// The prompt stands before every choice.
fn cost_of_question(question: &Question) -> usize {
    let choices = question.choices.iter();
    choices.map(|choice| (question.prompt.len() + choice.len()) / 3 + 3).sum()
}
