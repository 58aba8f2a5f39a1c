//! A vector for a text, near to those of texts that mean the same.

use std::path::Path;

use ndarray::{Array1, ArrayView2, Axis};

use super::base::{Base, impl_construction};
use super::options::PipelineOptions;
use super::pipeline::{Group, Pipeline, Prepared};
use super::ranking::check_finite;
use super::resolve::directory;
use super::sentence_transformer::SentenceTransformer;
use crate::error::Result;
use crate::layout::model_directory;
use crate::model::Albert;

/// A vector for each text: its tokens' last states, pooled.
///
/// ```
/// use ndalbert::pipelines::{Pipeline, SentenceEmbedding};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");
/// let embed = SentenceEmbedding::from_pretrained(directory)?.normalize(true);
/// let one = embed.run("我们先介绍线性回归.")?;
/// let other = embed.run("下面介绍线性回归.")?;
/// println!("cosine similarity {:.3}", one.dot(&other));
/// # assert!(one.dot(&other) > 0.8);
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// A directory of sentence-transformers (one with a `modules.json`) says how tokens are pooled, whether vectors are
/// normalised, at what length texts are cut and what is put before them; the vectors are those of `encode` in
/// sentence-transformers 6. Other checkpoints begin with the mean of all tokens, special ones included, which is what
/// sentence-transformers makes of them; without training for that, similarities say little.
#[derive(Debug)]
pub struct SentenceEmbedding {
    base: Base<Albert>,
    poolings: Vec<Pooling>,
    normalize: bool,
    prompt: String,
}

impl_construction!(SentenceEmbedding, Albert, |base| Ok(Self::of_base(base)), |name, options| {
    Self::load(name, options)
});

/// One vector of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pooling {
    /// The first token's.
    Cls,
    /// The greatest value of all tokens, in each place.
    Max,
    /// The mean of all tokens.
    #[default]
    Mean,
    /// The sum of all tokens, divided by the square root of their number.
    MeanSqrtLength,
    /// The mean of all tokens, the first of which counts once, the second twice, and so on.
    WeightedMean,
    /// The last token's.
    LastToken,
}

impl Pooling {
    /// Of states `[n, H]`, n at least 1.
    fn apply(self, states: ArrayView2<'_, f32>) -> Array1<f32> {
        let tokens = states.nrows();
        let count = tokens as f32;
        match self {
            Self::Cls => states.row(0).to_owned(),
            Self::LastToken => states.row(tokens - 1).to_owned(),
            Self::Max => states.fold_axis(Axis(0), f32::NEG_INFINITY, |max, &x| max.max(x)),
            Self::Mean => states.sum_axis(Axis(0)) / count,
            Self::MeanSqrtLength => states.sum_axis(Axis(0)) / count.sqrt(),
            Self::WeightedMean => {
                let weights = Array1::from_iter((1..=tokens).map(|place| place as f32));
                weights.dot(&states) / weights.sum()
            }
        }
    }
}

impl SentenceEmbedding {
    fn of_base(base: Base<Albert>) -> Self {
        Self {
            base: Base { model: base.model.without_pooler(), ..base },
            poolings: vec![Pooling::default()],
            normalize: false,
            prompt: String::new(),
        }
    }

    fn load(name: &Path, options: &PipelineOptions) -> Result<Self> {
        let path = directory(name, options)?;
        // No answer depends on the pooler, so none is missed.
        let mut options = options.clone().initialize_missing_head(true);
        let Some(found) = SentenceTransformer::open(&model_directory(&path))? else {
            return Ok(Self::of_base(Base::load(&path, &options)?));
        };
        options.max_length = options.max_length.or(found.max_length);
        let checkpoint = if path.is_dir() { &found.checkpoint } else { &path };
        let mut base: Base<Albert> = Base::load(checkpoint, &options)?;
        if found.lower_case {
            base.tokenizer = base.tokenizer.lower_cased()?;
        }
        Ok(Self {
            poolings: found.poolings,
            normalize: found.normalize,
            prompt: found.prompt,
            ..Self::of_base(base)
        })
    }

    /// How one vector is made of many, instead of what the checkpoint says.
    #[must_use]
    pub fn pooling(mut self, pooling: Pooling) -> Self {
        self.poolings = vec![pooling];
        self
    }

    /// Whether vectors are divided by their length, so that the dot product of two is their cosine similarity.
    #[must_use]
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// What is put before every text, such as `query: `, instead of what the checkpoint says.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = prompt.into();
        self
    }

    /// The vector of a text of states `[n, H]`.
    fn pooled(&self, states: ArrayView2<'_, f32>) -> Result<Array1<f32>> {
        check_finite("last hidden state", states)?;
        let parts: Vec<Array1<f32>> = self.poolings.iter().map(|way| way.apply(states)).collect();
        let vector: Array1<f32> = parts.iter().flatten().copied().collect();
        Ok(if self.normalize { normalized(vector) } else { vector })
    }
}

/// A vector divided by its length, unless that is 0.
fn normalized(vector: Array1<f32>) -> Array1<f32> {
    let squares: f64 = vector.iter().map(|&x| f64::from(x).powi(2)).sum();
    let length = squares.sqrt().max(1e-12);
    vector.mapv_into(|x| (f64::from(x) / length) as f32)
}

impl Pipeline for SentenceEmbedding {
    type Input = String;
    /// As many values as the model's `hidden_size` (times the number of poolings that the checkpoint joins).
    type Output = Array1<f32>;
    type Kept = ();

    fn prepare(&self, text: String) -> Result<Prepared<()>> {
        let text = if self.prompt.is_empty() { text } else { self.prompt.clone() + &text };
        Ok(Prepared { encodings: vec![self.base.tokenizer.encode(&text)?], kept: () })
    }

    fn infer(&self, group: Group<'_, ()>) -> Result<Vec<Result<Array1<f32>>>> {
        let states = self.base.model.forward(&group.batch()?)?.last_hidden_state;
        Ok(states.sequences().map(|states| self.pooled(states)).collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
