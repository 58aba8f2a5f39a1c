//! Do two segments stand in their original order?

use ndarray::ArrayView1;

use super::base::{Base, impl_construction};
use super::pipeline::{Group, Pipeline, Prepared};
use super::ranking::check_finite;
use crate::error::Result;
use crate::model::heads::AlbertForSentenceOrder;
use crate::nn::softmax;

/// Whether two sentences, or longer stretches of text, are in the order in which they were written: what ALBERT is
/// pre-trained for besides guessing words. transformers has no such pipeline; logits are those of its
/// `AlbertForPreTraining`.
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
/// The published v1 and v2 models come without the head that this needs; those of albert_zh have it.
#[derive(Debug)]
pub struct SentenceOrder {
    base: Base<AlbertForSentenceOrder>,
}

impl_construction!(SentenceOrder, AlbertForSentenceOrder, |base| Ok(Self { base }));

/// Two stretches of text. Made of a pair, too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SentencePair {
    /// The one that is read first.
    pub first: String,
    /// The one that is read after it.
    pub second: String,
}

impl<A: Into<String>, B: Into<String>> From<(A, B)> for SentencePair {
    fn from((first, second): (A, B)) -> Self {
        Self { first: first.into(), second: second.into() }
    }
}

/// Whether two sentences are in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SentenceOrderPrediction {
    /// The probability that they are.
    pub in_order: f32,
    /// The model's numbers for "in order" and for "swapped".
    pub logits: [f32; 2],
}

fn prediction(logits: ArrayView1<'_, f32>) -> Result<SentenceOrderPrediction> {
    check_finite("logits", logits)?;
    let logits = [logits[0], logits[1]];
    Ok(SentenceOrderPrediction { in_order: softmax(ndarray::aview1(&logits))[0], logits })
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
        let logits = self.base.model.forward(&group.batch()?)?.logits;
        Ok(logits.outer_iter().map(prediction).collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
