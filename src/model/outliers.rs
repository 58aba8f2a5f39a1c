//! Which channels a model in int8 computes in single precision, and which other weights it rounds to int8.
//!
//! Trained models have a few channels that are large in every token, seventy times the median in one that was measured. They
//! are looked for in a few tokens of the model's own vocabulary, which go through its layers in single precision, each as
//! a sequence of its own. A token that only sees itself attends to itself alone, so its context is its value, and neither
//! queries nor keys are needed. No other data is.

use ndarray::Array2;

use super::encoder::plan;
use super::parameters::{AlbertParameters, EmbeddingParameters, EncoderParameters};
use crate::config::{AlbertConfig, Int8Outliers};
use crate::error::Result;
use crate::kernels::Isa;
use crate::kernels::activation::Nonlinearity;
use crate::kernels::bytes::round_weights;
use crate::kernels::convert::Inputs;
use crate::kernels::gemm::{Epilogue, Weights, multiply};
use crate::nn::{AttentionParameters, FeedForwardParameters, Linear, Norm, contiguous_mut};

/// How many tokens are looked at. Fetching weights takes as long as multiplying them with so many.
const TOKENS: usize = 16;

/// How many times a block is applied to them, if it is applied as often. The outliers of the model that was measured are
/// there the second time.
const APPLICATIONS: usize = 3;

/// The most outliers of one matrix.
const MOST: usize = 8;

/// How much finer the steps of the others must become, at least, for a matrix to have outliers: their product has a price
/// of its own, however few they are.
const LEAST_GAIN: f32 = 2.0;

/// What each outlier adds to that price: 1 where a matrix has so many inputs, and less where it has
/// more.
const INPUTS_PER_OUTLIER: f32 = 64.0;

/// The largest magnitude of each channel, over tokens and applications.
struct Largest(Vec<f32>);

impl Largest {
    fn new(width: usize) -> Self {
        Self(vec![0.0; width])
    }

    fn take(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.0.len()) {
            // NaN is ignored: outliers do not help such a model.
            self.0.iter_mut().zip(row).for_each(|(largest, x)| *largest = largest.max(x.abs()));
        }
    }

    /// The largest channels, as many as are worth their time: each makes the product take longer, but leaves the others finer
    /// steps.
    fn outliers(&self) -> Vec<usize> {
        let mut channels: Vec<usize> = (0..self.0.len()).collect();
        channels.sort_by(|&a, &b| self.0[b].total_cmp(&self.0[a]).then(a.cmp(&b)));
        let cost = |count: usize| {
            let rest = channels.get(count).map_or(0.0, |&channel| self.0[channel]);
            let price = LEAST_GAIN + count as f32 * INPUTS_PER_OUTLIER / self.0.len() as f32;
            if count == 0 { rest } else { rest * price }
        };
        let most = MOST.min(channels.len() / INPUTS_PER_OUTLIER as usize);
        let best = (0..=most).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
        channels.truncate(best);
        channels.sort_unstable();
        channels
    }
}

/// Rounds the matrices outside of the layers to what they are as bytes, which they are stored as but not multiplied as, and
/// finds the outliers, unless the configuration has them.
pub(super) fn round(
    isa: Isa,
    config: AlbertConfig,
    parameters: &mut AlbertParameters,
) -> Result<AlbertConfig> {
    let AlbertParameters { embeddings, encoder, pooler } = parameters;
    round_matrix(&mut embeddings.word_embeddings, &[]);
    round_matrix(&mut encoder.embedding_hidden_mapping_in.weight, &[]);
    let config = match config.int8_outliers {
        Some(_) => config,
        None => {
            let outliers = find(isa, &config, embeddings, encoder)?;
            config.with_int8_outliers(Some(outliers))
        }
    };
    if let (Some(pooler), Some(outliers)) = (pooler, &config.int8_outliers) {
        round_matrix(&mut pooler.weight, &outliers.pooler);
    }
    Ok(config)
}

fn round_matrix(matrix: &mut Array2<f32>, outliers: &[usize]) {
    if !matrix.is_standard_layout() {
        *matrix = matrix.as_standard_layout().into_owned();
    }
    let k = matrix.ncols();
    round_weights(contiguous_mut(matrix), k, outliers);
}

fn find(
    isa: Isa,
    config: &AlbertConfig,
    embeddings: &EmbeddingParameters,
    encoder: &EncoderParameters,
) -> Result<Int8Outliers> {
    let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
    let lists =
        |count, width| -> Vec<Largest> { (0..count).map(|_| Largest::new(width)).collect() };
    let (attention, feed_forward) = (config.attention_blocks(), config.feed_forward_blocks());
    let (mut inputs, mut contexts) = (lists(attention, hidden), lists(attention, hidden));
    let (mut middles, mut products) =
        (lists(feed_forward, hidden), lists(feed_forward, intermediate));

    let attentions: Vec<_> = encoder.attentions.iter().flatten().collect();
    let feed_forwards: Vec<_> = encoder.feed_forwards.iter().flatten().collect();
    let (mut attention_uses, mut feed_forward_uses) = (vec![0; attention], vec![0; feed_forward]);
    let mut states = embed(isa, config, embeddings, &encoder.embedding_hidden_mapping_in);
    for application in plan(config) {
        let (a, f) = (application.attention, application.feed_forward);
        attention_uses[a] += 1;
        feed_forward_uses[f] += 1;
        if attention_uses[a].min(feed_forward_uses[f]) > APPLICATIONS {
            continue;
        }
        let layer = Layer { isa, config, attention: attentions[a], feed_forward: feed_forwards[f] };
        let passed = layer.forward(&mut states);
        inputs[a].take(&passed.input);
        contexts[a].take(&passed.context);
        middles[f].take(&passed.middle);
        products[f].take(&passed.intermediate);
    }
    let mut pooled = Largest::new(hidden);
    pooled.take(&states);
    let of = |all: &[Largest]| all.iter().map(Largest::outliers).collect();
    Ok(Int8Outliers {
        attention: of(&inputs),
        attention_dense: of(&contexts),
        ffn: of(&middles),
        ffn_output: of(&products),
        pooler: pooled.outliers(),
    })
}

/// The states `[T, H]` of tokens from all over the vocabulary, and of those that begin and end sequences, each at the first
/// position.
fn embed(
    isa: Isa,
    config: &AlbertConfig,
    embeddings: &EmbeddingParameters,
    mapping: &Linear,
) -> Vec<f32> {
    let special = [config.bos_token_id, config.eos_token_id, config.pad_token_id];
    let special = special.into_iter().flatten().map(|id| id as usize);
    let spread = (0..TOKENS).map(|i| i * config.vocab_size / TOKENS);
    let ids = special.filter(|&id| id < config.vocab_size).chain(spread).take(TOKENS);
    let position = embeddings.position_embeddings.row(0);
    let token_type = embeddings.token_type_embeddings.row(0);
    let mut sums: Vec<f32> =
        ids.flat_map(|id| &embeddings.word_embeddings.row(id) + &token_type + position).collect();
    Norm::new(isa, embeddings.layer_norm.clone(), config.layer_norm_eps).forward(&mut sums);
    product(isa, mapping, &sums, Nonlinearity::Identity)
}

/// One application of a layer to tokens that only see themselves.
struct Layer<'a> {
    isa: Isa,
    config: &'a AlbertConfig,
    attention: &'a AttentionParameters,
    feed_forward: &'a FeedForwardParameters,
}

/// What was multiplied with a layer's matrices.
struct Passed {
    input: Vec<f32>,
    context: Vec<f32>,
    middle: Vec<f32>,
    intermediate: Vec<f32>,
}

impl Layer<'_> {
    fn forward(&self, states: &mut [f32]) -> Passed {
        let Self { isa, config, attention, feed_forward } = *self;
        let norm = |norm| Norm::new(isa, Clone::clone(norm), config.layer_norm_eps);
        let linear = |linear, x: &[f32]| product(isa, linear, x, Nonlinearity::Identity);
        let input = states.to_vec();
        let context = linear(&attention.value, &input);
        let mut middle = linear(&attention.dense, &context);
        norm(&attention.layer_norm).forward_residual(&input, &mut middle);
        let activation = config.hidden_act.nonlinearity();
        let intermediate = product(isa, &feed_forward.ffn, &middle, activation);
        states.copy_from_slice(&linear(&feed_forward.ffn_output, &intermediate));
        norm(&feed_forward.layer_norm).forward_residual(&middle, states);
        Passed { input, context, middle, intermediate }
    }
}

/// nonlinearity(x·Wᵀ + b), with weights as they are.
fn product(isa: Isa, linear: &Linear, x: &[f32], nonlinearity: Nonlinearity) -> Vec<f32> {
    let (outputs, k) = linear.weight.dim();
    let (weight, bias) = (linear.weight.as_standard_layout(), linear.bias.as_standard_layout());
    let mut out = vec![0.0; x.len() / k * outputs];
    let rows = weight.as_slice().unwrap_or_default();
    let epilogue = Epilogue { bias: bias.as_slice().unwrap_or_default(), nonlinearity };
    multiply(isa, Inputs::floats(x, k), Weights::Rows { rows, k }, epilogue, &mut out);
    out
}
