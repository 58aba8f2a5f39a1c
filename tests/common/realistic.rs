//! A model whose weights and states look like a trained transformer's, drawn from a seed.
//!
//! Weights of an untrained model are all of one size, and so are its states: hardly anything is
//! lost by rounding them. What makes bytes hard is what training leaves. The sizes here are those
//! of a trained ALBERT of the same width (Kokoro's). One channel is large in every token, with one
//! sign: about −11 in a layer's input and −24 between its blocks, 30 and 80 times the median (25
//! and 70 there). Four are moderately large. Keys have biases of up to 12. The outputs of GELU have
//! one long tail, and one of them, as two of the contexts, is the same in all tokens. Its blocks
//! change their input by much, so what is rounded in them counts.
//!
//! One layer is applied twelve times, so whatever it does to all tokens alike adds up until they
//! are all the same. Three things prevent that: heads whose queries resemble their keys (a token
//! attends to its like), biases that take off what products add to all tokens, and LayerNorms whose
//! weights make up for each other.

use std::f32::consts::PI;

use ndalbert::nn::{LayerNorm, Linear};
use ndalbert::{Albert, AlbertConfig, AlbertParameters, ConfigFields, Model};
use ndarray::{Array1, Array2, s};
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::{Distribution, StandardNormal, StudentT};
use rand_chacha::ChaCha8Rng;

/// Words in the vocabulary: few, so that the model is built fast. It is ALBERT-base in everything
/// else.
pub const VOCAB: u32 = 200;

/// The channel that is large in every token, always negative.
pub const OUTLIER: usize = 303;

/// Its weight and bias in the LayerNorms after attention and after the feed-forward block, and what
/// these two blocks add to it, which is the same for all tokens.
const OUTLIER_NORMS: [(f32, f32); 2] = [(1.08, -0.58), (0.53, 2.97)];
const OUTLIER_ADDED: [f32; 2] = [-23.5, -22.0];

/// What it is about, in the input of a layer and between its blocks; and the size of the other
/// states there.
const OUTLIER_STATES: [f32; 2] = [-10.5, -22.0];
const STATES: f32 = 0.52;

/// How much larger the first head's queries are than its keys.
const SHARPNESS: f32 = 0.45;

/// Channels that are large in the input of a layer, of either sign.
pub const LARGE: [usize; 4] = [17, 205, 420, 700];

/// Their weights in the LayerNorm after the feed-forward block. Those in the other one make up for
/// it.
const LARGE_WEIGHTS: [f32; 4] = [2.8, 3.1, 3.4, 3.7];

/// The median weights of the LayerNorms after attention and after the feed-forward block.
const MEDIANS: [f32; 2] = [0.74, 1.85];

/// Channels of the context that are the same in all tokens, and their values.
pub const CONTEXTS: [(usize, f32); 2] = [(101, 3.0), (594, -3.0)];

/// An output of GELU that is the same in all tokens, and its value.
pub const PRODUCT: (usize, f32) = (1234, 7.0);

/// ALBERT-base but for the vocabulary and the positions.
pub fn config() -> AlbertConfig {
    AlbertConfig::new(ConfigFields {
        vocab_size: VOCAB as usize,
        embedding_size: 128,
        hidden_size: 768,
        num_hidden_layers: 12,
        num_attention_heads: 12,
        intermediate_size: 3072,
        max_position_embeddings: 64,
        ..ConfigFields::default()
    })
    .unwrap()
}

struct Generator(ChaCha8Rng);

impl Generator {
    fn normal(&mut self) -> f32 {
        StandardNormal.sample(&mut self.0)
    }

    /// Log-normal about `median`; two thirds lie within a factor of e^`spread`.
    fn factor(&mut self, median: f32, spread: f32) -> f32 {
        median * (spread * self.normal()).exp()
    }

    /// Student's distribution, of which some of a thousand are ten times `size`.
    fn tailed(&mut self, size: f32) -> f32 {
        size * StudentT::new(4.0).unwrap().sample(&mut self.0)
    }

    fn vector(&mut self, len: usize, mean: f32, deviation: f32) -> Array1<f32> {
        Array1::from_shape_simple_fn(len, || mean + deviation * self.normal())
    }

    /// Normal weights, each row of a size of its own. The median output has `gain` times the
    /// inputs' size.
    fn matrix(&mut self, outputs: usize, inputs: usize, gain: f32) -> Array2<f32> {
        let mut matrix = Array2::zeros((outputs, inputs));
        for mut row in matrix.outer_iter_mut() {
            let size = self.factor(gain / (inputs as f32).sqrt(), 0.15);
            row.iter_mut().for_each(|weight| *weight = size * self.normal());
        }
        matrix
    }

    fn linear(&mut self, outputs: usize, inputs: usize, gain: f32, bias: (f32, f32)) -> Linear {
        let weight = self.matrix(outputs, inputs, gain);
        Linear { weight, bias: self.vector(outputs, bias.0, bias.1) }
    }

    /// The LayerNorms after a layer's two blocks.
    fn norms(&mut self, width: usize) -> [LayerNorm; 2] {
        let product = MEDIANS[0] * MEDIANS[1];
        let mut first = Array1::from_shape_simple_fn(width, || self.factor(MEDIANS[0], 0.12));
        first.mapv_inplace(|x| x.clamp(0.35, 1.6));
        let second = first.mapv(|x| self.factor(product / x, 0.05));
        let mut norms =
            [first, second].map(|weight| LayerNorm { weight, bias: self.vector(width, 0.0, 0.06) });
        for (&channel, size) in LARGE.iter().zip(LARGE_WEIGHTS) {
            norms[0].weight[channel] = product / size;
            norms[1].weight[channel] = size;
            norms[1].bias[channel] = 1.0 * self.normal().signum();
        }
        for (norm, (weight, bias)) in norms.iter_mut().zip(OUTLIER_NORMS) {
            norm.weight[OUTLIER] = weight;
            norm.bias[OUTLIER] = bias;
        }
        norms
    }
}

/// Makes an output the same for all inputs, but for a little.
fn make_constant(linear: &mut Linear, output: usize, value: f32) {
    linear.weight.row_mut(output).mapv_inplace(|x| 0.05 * x);
    linear.bias[output] = value;
}

/// Sizes the column of the channel that is large in all tokens, and takes what it adds to all of
/// them off the bias.
fn make_up(linear: &mut Linear, factor: f32, value: f32) {
    let mut column = linear.weight.column_mut(OUTLIER);
    column *= factor;
    linear.bias.scaled_add(-value, &column);
}

/// What GELU's outputs are on average, where its inputs are normal.
fn expected_gelu(mean: f32, deviation: f32) -> f32 {
    let size = deviation.hypot(1.0);
    let z = mean / size;
    let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
    size * gelu(z) + deviation * deviation / size * density
}

/// GELU, as transformers' `gelu_new` approximates it.
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x.powi(3))).tanh())
}

/// Parameters for [`config`].
pub fn parameters(seed: u64) -> AlbertParameters {
    let config = config();
    let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
    let mut generator = Generator(ChaCha8Rng::seed_from_u64(seed));
    let mut parameters = Albert::zero_parameters(&config);

    let embeddings = &mut parameters.embeddings;
    for (table, size) in [
        (&mut embeddings.word_embeddings, 1.0),
        (&mut embeddings.position_embeddings, 0.3),
        (&mut embeddings.token_type_embeddings, 0.1),
    ] {
        let (rows, width) = table.dim();
        *table = generator.matrix(rows, width, size * (width as f32).sqrt());
    }
    let width = config.embedding_size;
    embeddings.layer_norm = LayerNorm {
        weight: Array1::from_shape_simple_fn(width, || generator.factor(1.0, 0.3)),
        bias: generator.vector(width, 0.0, 0.15),
    };

    const BIAS: (f32, f32) = (0.0, 0.05);
    const SMALL: (f32, f32) = (0.0, 0.02);
    let encoder = &mut parameters.encoder;
    encoder.embedding_hidden_mapping_in = generator.linear(hidden, width, 0.6, BIAS);
    make_constant(&mut encoder.embedding_hidden_mapping_in, OUTLIER, -10.5);

    let attention = &mut encoder.attentions[0][0];
    attention.query = generator.linear(hidden, hidden, 1.76, (0.0, 0.2));
    attention.key = generator.linear(hidden, hidden, 1.76, (0.0, 0.0));
    // What all keys have in common takes no part in attention, but makes their bytes coarser.
    attention.key.bias.mapv_inplace(|_| generator.tailed(2.3).clamp(-13.0, 13.0));
    attention.value = generator.linear(hidden, hidden, 1.6, BIAS);
    // From flat heads to heads that look at one token. All but some look for tokens like their own.
    let size = hidden / config.num_attention_heads;
    for head in 0..config.num_attention_heads {
        let rows = s![head * size..(head + 1) * size, ..];
        let mut queries = attention.query.weight.slice_mut(rows);
        if head % 4 != 3 {
            queries.assign(&attention.key.weight.slice(rows));
        }
        queries *= SHARPNESS * 1.3_f32.powi(head as i32);
    }
    make_up(&mut attention.query, 0.6, OUTLIER_STATES[0]);
    make_up(&mut attention.value, 0.24, OUTLIER_STATES[0]);
    attention.dense = generator.linear(hidden, hidden, 0.6, SMALL);
    for (channel, value) in CONTEXTS {
        make_constant(&mut attention.value, channel, value);
        attention.dense.bias.scaled_add(-value, &attention.dense.weight.column(channel));
    }
    make_constant(&mut attention.dense, OUTLIER, OUTLIER_ADDED[0]);

    let feed_forward = &mut encoder.feed_forwards[0][0];
    let [after_attention, after_feed_forward] = generator.norms(hidden);
    attention.layer_norm = after_attention;
    feed_forward.layer_norm = after_feed_forward;
    // Most inputs of GELU are negative, as in trained models.
    let ffn = &mut feed_forward.ffn;
    *ffn = generator.linear(intermediate, hidden, 1.6, (-1.4, 0.7));
    let mut means = ffn.bias.clone();
    make_up(ffn, 0.6, OUTLIER_STATES[1]);
    make_constant(ffn, PRODUCT.0, PRODUCT.1);
    means[PRODUCT.0] = PRODUCT.1;
    for (i, (mean, row)) in means.iter_mut().zip(ffn.weight.outer_iter()).enumerate() {
        let length = row.dot(&row) - row[OUTLIER].powi(2);
        let deviation = if i == PRODUCT.0 { 0.0 } else { STATES * length.sqrt() };
        *mean = expected_gelu(*mean, deviation);
    }
    feed_forward.ffn_output = generator.linear(hidden, intermediate, 1.0, SMALL);
    feed_forward.ffn_output.bias -= &feed_forward.ffn_output.weight.dot(&means);
    make_constant(&mut feed_forward.ffn_output, OUTLIER, OUTLIER_ADDED[1]);
    parameters.pooler = Some(generator.linear(hidden, hidden, 0.5, BIAS));
    parameters
}
