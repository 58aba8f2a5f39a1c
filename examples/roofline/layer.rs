//! What one application of a layer of ALBERT-base takes, part by part, as the parts follow each
//! other in a model.

use std::time::{Duration, Instant};

use ndalbert::Precision;
use ndalbert::internals::{Attention, Encoder, InstructionSet, Matrix};

use super::products::noise;

/// As many as go through a layer together.
pub const TOKENS: usize = 128;

/// Heads of ALBERT-base and their size.
pub const HEADS: (usize, usize) = (12, 64);
const HIDDEN: usize = HEADS.0 * HEADS.1;
const INTERMEDIATE: usize = 4 * HIDDEN;

/// How long it is repeated; the best of each part counts.
const REPEATED: Duration = Duration::from_secs(1);

/// The parts, in the order of a table.
pub const PARTS: [&str; 7] = [
    "query, key, value",
    "attention",
    "attention's output",
    "feed-forward, GELU",
    "feed-forward, back",
    "rounding, quantizing",
    "LayerNorm",
];

/// Operations of each part that are products: of weights, and of activations with each other.
pub fn operations() -> [(usize, usize); PARTS.len()] {
    let weights = |k, n| (2 * TOKENS * k * n, 0);
    let attention = (0, 4 * TOKENS * TOKENS * HIDDEN);
    let [qkv, output] = [weights(HIDDEN, 3 * HIDDEN), weights(HIDDEN, HIDDEN)];
    let [up, down] = [weights(HIDDEN, INTERMEDIATE), weights(INTERMEDIATE, HIDDEN)];
    [qkv, attention, output, up, down, (0, 0), (0, 0)]
}

/// The least seconds of each part, on one thread.
pub fn measure(isa: InstructionSet, precision: Precision) -> [f64; PARTS.len()] {
    let mut layer = Layer::new(isa, precision);
    let mut least = [f64::INFINITY; PARTS.len()];
    let start = Instant::now();
    while start.elapsed() < REPEATED {
        let seconds = layer.apply();
        least.iter_mut().zip(seconds).for_each(|(least, seconds)| *least = least.min(seconds));
    }
    least
}

struct Layer {
    isa: InstructionSet,
    query_key_value: Matrix,
    attention: Attention,
    output: Matrix,
    up: Matrix,
    down: Matrix,
    encoder: Encoder,
    states: Vec<f32>,
    /// Queries, keys, values and context; then intermediate states.
    scratch: Vec<f32>,
    middle: Vec<f32>,
}

impl Layer {
    fn new(isa: InstructionSet, precision: Precision) -> Self {
        let matrix = |k: usize, n: usize, seed| {
            let small: Vec<f32> = noise(n * k, seed).iter().map(|x| x / 10.0).collect();
            Matrix::new(isa, precision, &small, k)
        };
        Self {
            isa,
            query_key_value: matrix(HIDDEN, 3 * HIDDEN, 1),
            attention: Attention::new(isa, precision, &[TOKENS], HEADS),
            output: matrix(HIDDEN, HIDDEN, 2),
            up: matrix(HIDDEN, INTERMEDIATE, 3),
            down: matrix(INTERMEDIATE, HIDDEN, 4),
            encoder: Encoder::default(),
            states: noise(TOKENS * HIDDEN, 5),
            scratch: vec![0.0; TOKENS * INTERMEDIATE],
            middle: vec![0.0; TOKENS * HIDDEN],
        }
    }

    /// Applies it once, and returns the seconds of each part.
    fn apply(&mut self) -> [f64; PARTS.len()] {
        let isa = self.isa;
        let (weight, bias) = (vec![1.0; HIDDEN], vec![0.0; HIDDEN]);
        let Self {
            query_key_value,
            attention: heads,
            output: dense,
            up: ffn,
            down: ffn_output,
            encoder,
            states,
            middle,
            scratch,
            ..
        } = self;
        let mut clock = Clock { last: Instant::now() };
        let (qkv, context) = scratch.split_at_mut(3 * states.len());
        let mut encoding = 0.0;

        let inputs = encoder.encode(query_key_value, states);
        encoding += clock.lap();
        query_key_value.multiply(inputs, qkv);
        let projection = clock.lap();
        heads.run(qkv, context);
        let attention = clock.lap();
        let inputs = encoder.encode(dense, context);
        encoding += clock.lap();
        dense.multiply(inputs, middle);
        let output = clock.lap();
        isa.layer_norm((&weight, &bias), states, middle);
        let mut norms = clock.lap();
        let inputs = encoder.encode(ffn, middle);
        encoding += clock.lap();
        ffn.multiply_with_gelu(inputs, scratch);
        let up = clock.lap();
        let inputs = encoder.encode(ffn_output, scratch);
        encoding += clock.lap();
        ffn_output.multiply(inputs, states);
        let down = clock.lap();
        isa.layer_norm((&weight, &bias), middle, states);
        norms += clock.lap();
        [projection, attention, output, up, down, encoding, norms]
    }
}

struct Clock {
    last: Instant,
}

impl Clock {
    /// The seconds since the last call.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let before = std::mem::replace(&mut self.last, now);
        (now - before).as_secs_f64()
    }
}
