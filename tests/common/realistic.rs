//! A model whose weights and states look like a trained transformer's, drawn from a seed.
//!
//! Weights of an untrained model are all of one size, and so are its states: hardly anything is lost by rounding them.
//! Training leaves rows of unlike sizes, a few large weights, biases, attention that is sharp in some heads and flat in
//! others, and a few channels of the states far larger than all others, which are what makes bytes hard.
//!
//! One layer is applied twelve times, so whatever it does to all tokens alike adds up until they are all the same. Four
//! things prevent that: blocks that change their input by a few degrees, heads whose queries resemble their keys (a token
//! attends to its like), rows of `ffn_output` with a mean of zero, and LayerNorms whose weights make up for each other.

use ndalbert::nn::{LayerNorm, Linear};
use ndalbert::{Albert, AlbertConfig, AlbertParameters, ConfigFields, Model};
use ndarray::{Array1, Array2, s};
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::{Distribution, StandardNormal, StudentT};
use rand_chacha::ChaCha8Rng;

/// Words in the vocabulary: few, so that the model is built fast. It is ALBERT-base in everything else.
pub const VOCAB: u32 = 200;

/// Channels with large weights in the LayerNorm after attention, and those in the one after the feed-forward block. A
/// channel that was in both would grow from layer to layer.
const OUTLIERS: [[usize; 4]; 2] = [[17, 303, 420, 642], [88, 205, 511, 700]];

/// These weights, and the weight of such a channel in the other LayerNorm.
const OUTLIER_WEIGHTS: [f32; 4] = [7.0, 8.0, 10.0, 12.0];
const OTHER_WEIGHT: f32 = 0.2;

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

    fn vector(&mut self, len: usize, mean: f32, deviation: f32) -> Array1<f32> {
        Array1::from_shape_simple_fn(len, || mean + deviation * self.normal())
    }

    /// Heavy-tailed weights, each row of a size of its own: a row of thousands has some of ten times its deviation, and
    /// the largest row is ten times the smallest. The median output has `gain` times the inputs' size.
    fn matrix(&mut self, outputs: usize, inputs: usize, gain: f32) -> Array2<f32> {
        const FREEDOM: f32 = 5.0;
        let tail = StudentT::new(FREEDOM).unwrap();
        // The variance of Student's distribution is n / (n − 2).
        let deviation = gain / (inputs as f32 * FREEDOM / (FREEDOM - 2.0)).sqrt();
        let mut matrix = Array2::zeros((outputs, inputs));
        for mut row in matrix.outer_iter_mut() {
            let size = self.factor(deviation, 0.45);
            row.iter_mut().for_each(|weight| *weight = size * tail.sample(&mut self.0));
        }
        matrix
    }

    fn linear(&mut self, outputs: usize, inputs: usize, gain: f32, bias: (f32, f32)) -> Linear {
        let weight = self.matrix(outputs, inputs, gain);
        Linear { weight, bias: self.vector(outputs, bias.0, bias.1) }
    }

    /// The LayerNorms after a layer's two blocks.
    fn norms(&mut self, width: usize) -> [LayerNorm; 2] {
        const MEDIAN: f32 = 1.5;
        let first = Array1::from_shape_simple_fn(width, || self.factor(MEDIAN, 0.35));
        let second = first.mapv(|x| self.factor(MEDIAN * MEDIAN / x, 0.1));
        let mut norms = [first, second].map(|weight| LayerNorm {
            weight: weight.mapv(|x: f32| x.clamp(0.2, 3.0)),
            bias: self.vector(width, 0.0, 0.1),
        });
        for (block, channels) in OUTLIERS.iter().enumerate() {
            for (&channel, size) in channels.iter().zip(OUTLIER_WEIGHTS) {
                norms[block].weight[channel] = size;
                norms[block].bias[channel] = 0.3 * size * self.normal().signum();
                norms[1 - block].weight[channel] = OTHER_WEIGHT;
            }
        }
        norms
    }
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
    let encoder = &mut parameters.encoder;
    encoder.embedding_hidden_mapping_in = generator.linear(hidden, width, 1.0, BIAS);

    let attention = &mut encoder.attentions[0][0];
    attention.query = generator.linear(hidden, hidden, 0.6, (0.0, 0.2));
    attention.key = generator.linear(hidden, hidden, 0.6, (0.0, 0.2));
    attention.value = generator.linear(hidden, hidden, 0.25, BIAS);
    attention.dense = generator.linear(hidden, hidden, 0.7, BIAS);
    // Every other head looks for tokens like its own; from flat heads to heads that look at one token.
    let size = hidden / config.num_attention_heads;
    for head in 0..config.num_attention_heads {
        let rows = s![head * size..(head + 1) * size, ..];
        let mut queries = attention.query.weight.slice_mut(rows);
        if head.is_multiple_of(2) {
            queries *= 0.3;
            queries.scaled_add(0.7, &attention.key.weight.slice(rows));
        }
        queries *= 0.5 * 1.25_f32.powi(head as i32);
    }

    let feed_forward = &mut encoder.feed_forwards[0][0];
    let [after_attention, after_feed_forward] = generator.norms(hidden);
    attention.layer_norm = after_attention;
    feed_forward.layer_norm = after_feed_forward;
    // Most inputs of GELU are negative, as in trained models.
    feed_forward.ffn = generator.linear(intermediate, hidden, 0.5, (-0.8, 0.5));
    feed_forward.ffn_output = generator.linear(hidden, intermediate, 0.5, BIAS);
    for mut row in feed_forward.ffn_output.weight.outer_iter_mut() {
        let mean = row.sum() / row.len() as f32;
        row -= mean;
    }
    parameters.pooler = Some(generator.linear(hidden, hidden, 0.5, BIAS));
    parameters
}
