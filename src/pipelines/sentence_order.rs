//! Sentence order: are two segments in their original order?

use std::fmt;
use std::sync::Arc;

use ndarray::ArrayView1;
use serde::Serialize;

use super::base::{Base, impl_construction, impl_exit};
use super::pipeline::{Group, Pipeline, Prepared};
use super::ranking::check_finite;
use crate::config::ProblemType;
use crate::error::Result;
use crate::model::Model;
use crate::model::exits::ExitPolicy;
use crate::model::heads::AlbertForSentenceOrder;
use crate::nn::softmax;

/// Predicts whether two segments of text are in their original order: ALBERT's second pre-training task. transformers has no such pipeline; logits are those of its `AlbertForPreTraining`.
///
/// ```
/// use ndalbert::pipelines::{Pipeline, SentenceOrder};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");
/// let order = SentenceOrder::from_pretrained(directory)?;
/// let prediction = order.run(("我们先介绍线性回归.", "然后我们从零开始实现它."))?;
/// println!("in order with probability {:.3}", prediction.in_order);
/// # assert!((0.0..=1.0).contains(&prediction.in_order));
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// The published v1 and v2 models lack the head for this; those of albert_zh have it.
#[derive(Debug)]
pub struct SentenceOrder {
    base: Base<AlbertForSentenceOrder>,
    exit: Option<Arc<dyn ExitPolicy>>,
}

impl_construction!(SentenceOrder, AlbertForSentenceOrder, |base| Ok(Self { base, exit: None }));
impl_exit!(SentenceOrder, |config| ProblemType::SingleLabelClassification);

/// Two segments of text. Also created from a pair.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SentencePair {
    /// The first segment.
    pub first: String,
    /// The second segment.
    pub second: String,
}

impl<A: Into<String>, B: Into<String>> From<(A, B)> for SentencePair {
    fn from((first, second): (A, B)) -> Self {
        Self { first: first.into(), second: second.into() }
    }
}

/// Whether two sentences are in order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SentenceOrderPrediction {
    /// The probability that they are.
    pub in_order: f32,
    /// The logits of "in order" and "swapped".
    pub logits: [f32; 2],
    /// The number of layers computed: all, or fewer if the pair left [early](SentenceOrder::exit).
    pub layers: usize,
}

/// `in order 0.912`, or `swapped` with the probability of that.
impl fmt::Display for SentenceOrderPrediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_order = self.in_order;
        match in_order >= 0.5 {
            true => write!(f, "in order {in_order:.3}"),
            false => write!(f, "swapped {:.3}", 1.0 - in_order),
        }
    }
}

fn prediction(logits: ArrayView1<'_, f32>, layers: usize) -> Result<SentenceOrderPrediction> {
    check_finite("logits", logits)?;
    let logits = [logits[0], logits[1]];
    Ok(SentenceOrderPrediction { in_order: softmax(ndarray::aview1(&logits))[0], logits, layers })
}

impl Pipeline for SentenceOrder {
    type Input = SentencePair;
    type Output = SentenceOrderPrediction;
    type Kept = ();

    fn prepare(&self, SentencePair { first, second }: SentencePair) -> Result<Prepared<()>> {
        let encoding = self.base.tokenizer.encode_pair(&first, &second)?;
        Ok(Prepared { encodings: vec![encoding], kept: () })
    }

    fn infer(&self, group: Group<'_, ()>) -> Result<Vec<Result<SentenceOrderPrediction>>> {
        let (batch, model) = (group.batch()?, &self.base.model);
        let Some(policy) = &self.exit else {
            let (logits, depth) = (model.forward(&batch)?.logits, model.config().num_hidden_layers);
            return Ok(logits.outer_iter().map(|logits| prediction(logits, depth)).collect());
        };
        let early = model.forward_until(&batch, policy)?;
        let logits = early.output.logits.outer_iter().zip(early.layers);
        Ok(logits.map(|(logits, layers)| prediction(logits, layers)).collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
