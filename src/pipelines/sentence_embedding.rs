//! Sentence embeddings: vectors that are close for texts of similar meaning.

use std::path::Path;

use ndarray::{Array1, ArrayView2, Axis, s};

use super::base::{Base, impl_construction};
use super::options::PipelineOptions;
use super::pipeline::{Group, Pipeline, Prepared};
use super::ranking::check_finite;
use super::resolve::directory;
use super::sentence_transformer::{Modules, SentenceTransformer, named_prompt};
use crate::error::{Error, Result};
use crate::layout::model_directory;
use crate::memory::{MemoryFiles, Origin};
use crate::model::{Albert, Model};
use crate::text::Encoding;

/// Computes a vector for each text by pooling its last hidden states.
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
/// A directory of sentence-transformers (with a `modules.json`) defines the pooling, normalisation,
/// number of dimensions, truncation length and prompt; the vectors are those of `encode` in
/// sentence-transformers 6. Other checkpoints use the mean of all tokens, including special ones,
/// as sentence-transformers does; without training for this, similarities mean little.
#[derive(Debug)]
pub struct SentenceEmbedding {
    pub(super) base: Base<Albert>,
    pub(super) modules: Modules,
    /// What was said about normalising, instead of by the modules.
    pub(super) normalize: Option<bool>,
}

impl_construction!(
    SentenceEmbedding,
    Albert,
    |base| Ok(Self::of_base(base)),
    |name, options| Self::load(name, options),
    |files, options| Self::read(files, options)
);

/// One vector of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pooling {
    /// The state of the first token.
    Cls,
    /// The maximum over all tokens, in each dimension.
    Max,
    /// The mean of all tokens.
    #[default]
    Mean,
    /// The sum of all tokens, divided by the square root of their number.
    MeanSqrtLength,
    /// The mean of all tokens, the first of the text counting once, the second twice, and so on.
    WeightedMean,
    /// The state of the last token.
    LastToken,
}

impl Pooling {
    /// Of states `[n, H]`, n at least 1, which `before` others precede.
    fn apply(self, states: ArrayView2<'_, f32>, before: usize) -> Array1<f32> {
        let tokens = states.nrows();
        let count = tokens as f32;
        match self {
            Self::Cls => states.row(0).to_owned(),
            Self::LastToken => states.row(tokens - 1).to_owned(),
            Self::Max => states.fold_axis(Axis(0), f32::NEG_INFINITY, |max, &x| max.max(x)),
            Self::Mean => states.sum_axis(Axis(0)) / count,
            Self::MeanSqrtLength => states.sum_axis(Axis(0)) / count.sqrt(),
            Self::WeightedMean => {
                let places = before + 1..=before + tokens;
                let weights = Array1::from_iter(places.map(|place| place as f32));
                weights.dot(&states) / weights.sum()
            }
        }
    }
}

impl SentenceEmbedding {
    fn of_base(base: Base<Albert>) -> Self {
        Self {
            base: Base { model: base.model.without_pooler(), ..base },
            modules: Modules::default(),
            normalize: None,
        }
    }

    fn load(name: &Path, options: &PipelineOptions) -> Result<Self> {
        let path = directory(name, options)?;
        let found = SentenceTransformer::open(Origin::Disk, &model_directory(&path))?;
        Self::assemble(found, options, |checkpoint, options| {
            let checkpoint = checkpoint.filter(|_| path.is_dir()).unwrap_or(&path);
            Base::load(checkpoint, options)
        })
    }

    fn read(files: &MemoryFiles, options: &PipelineOptions) -> Result<Self> {
        let found = SentenceTransformer::open(Origin::Memory(files), Path::new(""))?;
        Self::assemble(found, options, |checkpoint, options| match checkpoint {
            Some(directory) => Base::read(&files.under(directory), options),
            None => Base::read(files, options),
        })
    }

    /// Of what `modules.json` says, if there is one, and the directory that it says the checkpoint
    /// is in.
    fn assemble(
        found: Option<SentenceTransformer>,
        options: &PipelineOptions,
        load: impl FnOnce(Option<&Path>, &PipelineOptions) -> Result<Base<Albert>>,
    ) -> Result<Self> {
        // No answer depends on the pooler, so none is missed.
        let mut options = options.clone().initialize_missing_head(true);
        let Some(found) = found else { return Ok(Self::of_base(load(None, &options)?)) };
        options.max_length = options.max_length.or(found.max_length);
        let mut base = load(Some(&found.checkpoint), &options)?;
        if found.modules.lower_case {
            base.tokenizer = base.tokenizer.lower_cased()?;
        }
        Ok(Self { modules: found.modules, ..Self::of_base(base) })
    }

    /// Sets the pooling, instead of the checkpoint's.
    #[must_use]
    pub fn pooling(mut self, pooling: Pooling) -> Self {
        self.modules.poolings = vec![pooling];
        self
    }

    /// Whether vectors are normalised to length 1, so that the dot product of two is their cosine
    /// similarity.
    ///
    /// With [`truncate_dim`](Self::truncate_dim), the truncated vectors are normalised
    /// (`normalize_embeddings` of `encode`). A checkpoint's own `Normalize` module is applied
    /// before truncation, as in sentence-transformers, so its vectors become shorter than 1.
    #[must_use]
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = Some(normalize);
        self
    }

    /// Truncates each vector to its first values, instead of the checkpoint's setting; `None` keeps
    /// all. For models trained for this (Matryoshka).
    ///
    /// # Errors
    /// [`Error::Input`] for 0.
    pub fn truncate_dim(mut self, count: impl Into<Option<usize>>) -> Result<Self> {
        self.modules.truncate_dim = count.into();
        if self.modules.truncate_dim == Some(0) {
            return Err(Error::input("truncate_dim", "a number of values, at least 1", "0"));
        }
        Ok(self)
    }

    /// Sets the prompt before every text, such as `query: `, instead of the checkpoint's.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.modules.prompt = prompt.into();
        self
    }

    /// Selects a prompt from the checkpoint's `prompts` by name.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such name.
    pub fn prompt_name(mut self, name: &str) -> Result<Self> {
        let found = named_prompt(&self.modules.config, name);
        self.modules.prompt =
            found.map_err(|expected| Error::input("prompt_name", expected, format!("{name:?}")))?;
        Ok(self)
    }

    /// How many values a vector has.
    pub fn dimension(&self) -> usize {
        let all = self.modules.poolings.len() * self.base.model.config().hidden_size;
        self.modules.truncate_dim.unwrap_or(usize::MAX).min(all)
    }

    /// How many of an encoding's first tokens are of the prompt and not to be pooled: fewer than it
    /// has.
    fn passed_over(&self, encoding: &Encoding) -> Result<usize> {
        let Modules { include_prompt, prompt, .. } = &self.modules;
        if *include_prompt || prompt.is_empty() {
            return Ok(0);
        }
        // As sentence-transformers counts: without what closes a text.
        let alone = self.base.tokenizer.encode(prompt)?;
        let special = self.base.tokenizer.special_token_ids();
        let closes = alone.ids.last().is_some_and(|last| special.contains(last));
        let count = alone.len() - usize::from(closes);
        Ok(count.min(encoding.len().saturating_sub(1)))
    }

    /// The vector of a text with states `[n, H]`, ignoring the first ones.
    fn pooled(&self, states: ArrayView2<'_, f32>, passed_over: usize) -> Result<Array1<f32>> {
        check_finite("last hidden state", states)?;
        let states = states.slice(s![passed_over.., ..]);
        let parts = self.modules.poolings.iter().map(|way| way.apply(states, passed_over));
        let mut vector: Array1<f32> = parts.flatten().collect();
        if self.normalize.is_none() && self.modules.normalize {
            vector = normalized(vector);
        }
        let count = self.modules.truncate_dim.unwrap_or(usize::MAX).min(vector.len());
        vector = vector.slice_move(s![..count]);
        Ok(if self.normalize == Some(true) { normalized(vector) } else { vector })
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
    /// `hidden_size` values (times the number of poolings that the checkpoint concatenates), unless
    /// truncated.
    type Output = Array1<f32>;
    /// How many tokens are not pooled.
    type Kept = usize;

    fn prepare(&self, text: String) -> Result<Prepared<usize>> {
        let prompt = &self.modules.prompt;
        let text = if prompt.is_empty() { text } else { prompt.clone() + &text };
        let encoding = self.base.tokenizer.encode(&text)?;
        let kept = self.passed_over(&encoding)?;
        Ok(Prepared { encodings: vec![encoding], kept })
    }

    fn infer(&self, group: Group<'_, usize>) -> Result<Vec<Result<Array1<f32>>>> {
        let states = self.base.model.forward(&group.batch()?)?.last_hidden_state;
        let sequences = states.sequences().zip(group.items());
        Ok(sequences.map(|(states, (_, item))| self.pooled(states, item.kept)).collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
