//! A naive ALBERT in double precision: forward pass and loss, one sequence after the other, as transformers defines them.
//!
//! It judges gradients: those of the crate must be the slopes of this loss. So it has no packed batches, no fused
//! matrices and no backward pass, and takes nothing from the crate but configs and parameters.

mod activation;
pub mod heads;
pub mod loss;

use std::collections::BTreeMap;

use ndalbert::{AlbertConfig, Parameters};
use ndarray::{Array1, Array2, ArrayD, ArrayView1, ArrayView2, Axis, Ix1, Ix2, s};

use super::inputs::Inputs;
use super::weights::{Block, applications};

/// Arrays by transformers' names, in double precision.
pub type Tree = BTreeMap<String, ArrayD<f64>>;

/// A backbone and whatever heads its parameters are of.
#[derive(Clone)]
pub struct Reference<'a> {
    pub config: &'a AlbertConfig,
    pub weights: Tree,
}

/// Copies of all arrays of a tree.
pub fn tree_of(parameters: &impl Parameters) -> Tree {
    let mut tree = Tree::new();
    parameters.visit("", &mut |name, values| {
        assert!(tree.insert(name.to_owned(), values.mapv(f64::from)).is_none(), "two {name}");
    });
    tree
}

impl<'a> Reference<'a> {
    pub fn new(config: &'a AlbertConfig, parameters: &impl Parameters) -> Self {
        Self { config, weights: tree_of(parameters) }
    }

    fn matrix(&self, name: &str) -> ArrayView2<'_, f64> {
        self.weights[name].view().into_dimensionality::<Ix2>().unwrap()
    }

    fn vector(&self, name: &str) -> ArrayView1<'_, f64> {
        self.weights[name].view().into_dimensionality::<Ix1>().unwrap()
    }

    /// x·Wᵀ + b of rows.
    fn linear(&self, layer: &str, x: &Array2<f64>) -> Array2<f64> {
        let weight = self.matrix(&format!("{layer}.weight"));
        x.dot(&weight.t()) + &self.vector(&format!("{layer}.bias"))
    }

    fn layer_norm(&self, layer: &str, mut x: Array2<f64>) -> Array2<f64> {
        let weight = self.vector(&format!("{layer}.weight"));
        let bias = self.vector(&format!("{layer}.bias"));
        for mut row in x.outer_iter_mut() {
            let mean = row.sum() / row.len() as f64;
            row -= mean;
            let variance = row.mapv(|value| value * value).sum() / row.len() as f64;
            row /= (variance + self.config.layer_norm_eps).sqrt();
            row *= &weight;
            row += &bias;
        }
        x
    }

    fn activation(&self, x: Array2<f64>) -> Array2<f64> {
        x.mapv(|value| activation::apply(self.config.hidden_act, value))
    }

    /// The states `[S, H]` that enter the first layer.
    fn embed(&self, inputs: &Inputs, sequence: usize) -> Array2<f64> {
        const TABLES: &str = "albert.embeddings";
        let row = |table: &str, id: i64| -> Array1<f64> {
            self.matrix(&format!("{TABLES}.{table}_embeddings.weight")).row(id as usize).to_owned()
        };
        let mut x = Array2::zeros((inputs.length(), self.config.embedding_size));
        for (column, mut sum) in x.outer_iter_mut().enumerate() {
            let at = [sequence, column];
            sum += &match &inputs.embeds {
                Some(words) => words.slice(s![sequence, column, ..]).mapv(f64::from),
                None => row("word", inputs.ids[at]),
            };
            sum += &row("token_type", inputs.types[at]);
            sum += &row("position", inputs.positions[at]);
        }
        let x = self.layer_norm(&format!("{TABLES}.LayerNorm"), x);
        self.linear("albert.encoder.embedding_hidden_mapping_in", &x)
    }

    /// LayerNorm(x + dense(attention(x))). The mask is on keys; a sequence without keys has a context of zeros.
    fn attention(&self, block: &str, x: &Array2<f64>, mask: ArrayView1<'_, i64>) -> Array2<f64> {
        let [query, key, value] = ["query", "key", "value"]
            .map(|name| self.linear(&format!("{block}.attention.{name}"), x));
        let size = self.config.head_size();
        let mut context = Array2::zeros(x.dim());
        for head in 0..self.config.num_attention_heads {
            let own = s![.., head * size..(head + 1) * size];
            let scores = query.slice(own).dot(&key.slice(own).t()) / (size as f64).sqrt();
            let probabilities = softmax_over(scores, mask);
            context.slice_mut(own).assign(&probabilities.dot(&value.slice(own)));
        }
        let projected = self.linear(&format!("{block}.attention.dense"), &context);
        self.layer_norm(&format!("{block}.attention.LayerNorm"), projected + x)
    }

    /// LayerNorm(x + ffn_output(activation(ffn(x)))).
    fn feed_forward(&self, block: &str, x: &Array2<f64>) -> Array2<f64> {
        let intermediate = self.activation(self.linear(&format!("{block}.ffn"), x));
        let output = self.linear(&format!("{block}.ffn_output"), &intermediate);
        self.layer_norm(&format!("{block}.full_layer_layer_norm"), output + x)
    }

    /// The last layer's states of every position, masked ones too, `[S, H]`.
    pub fn states(&self, inputs: &Inputs, sequence: usize) -> Array2<f64> {
        let path = |(group, inner): Block| {
            format!("albert.encoder.albert_layer_groups.{group}.albert_layers.{inner}")
        };
        let mut x = self.embed(inputs, sequence);
        for [attention, ffn] in applications(self.config) {
            x = self.attention(&path(attention), &x, inputs.mask.row(sequence));
            x = self.feed_forward(&path(ffn), &x);
        }
        x
    }

    /// tanh(W·h + b) of each sequence's first state, `[B, H]`.
    pub fn pooled(&self, inputs: &Inputs) -> Array2<f64> {
        let first = |sequence| self.states(inputs, sequence).row(0).to_owned();
        let mut states = Array2::zeros((inputs.sequences(), self.config.hidden_size));
        for (sequence, mut row) in states.outer_iter_mut().enumerate() {
            row.assign(&first(sequence));
        }
        self.linear("albert.pooler", &states).mapv(f64::tanh)
    }

    /// Scores of the vocabulary, `[N, V]`, of states `[N, H]`.
    pub fn words(&self, states: &Array2<f64>) -> Array2<f64> {
        let transformed = self.activation(self.linear("predictions.dense", states));
        let transformed = self.layer_norm("predictions.LayerNorm", transformed);
        let table = self.matrix("albert.embeddings.word_embeddings.weight");
        transformed.dot(&table.t()) + &self.vector("predictions.bias")
    }

    /// The slope of `loss` along a direction, by central differences of `step` times the direction.
    pub fn slope(&self, direction: &Tree, step: f64, loss: impl Fn(&Self) -> f64) -> f64 {
        let moved = |distance: f64| {
            let mut moved = self.clone();
            for (name, values) in direction {
                moved.weights.get_mut(name).unwrap().scaled_add(distance, values);
            }
            loss(&moved)
        };
        (moved(step) - moved(-step)) / (2.0 * step)
    }
}

/// Softmax of each row over the columns whose mask is 1; zeros elsewhere.
fn softmax_over(mut scores: Array2<f64>, mask: ArrayView1<'_, i64>) -> Array2<f64> {
    for mut row in scores.outer_iter_mut() {
        let keys = row.iter().zip(mask).filter(|(_, key)| **key == 1);
        let largest = keys.fold(f64::NEG_INFINITY, |largest, (&score, _)| largest.max(score));
        for (score, &key) in row.iter_mut().zip(mask) {
            *score = if key == 1 { (*score - largest).exp() } else { 0.0 };
        }
        let sum = row.sum();
        if sum > 0.0 {
            row /= sum;
        }
    }
    scores
}

/// The rows of an array that were chosen.
pub fn select(rows: &Array2<f64>, chosen: &[usize]) -> Array2<f64> {
    rows.select(Axis(0), chosen)
}
