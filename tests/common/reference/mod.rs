//! A naive ALBERT in double precision: forward pass and loss, one sequence after the other, as
//! transformers defines them.
//!
//! It judges gradients: those of the crate must be the slopes of this loss. So it has no packed
//! batches, no fused matrices and no backward pass, and takes nothing from the crate but configs
//! and parameters.

mod activation;
pub mod exits;
pub mod heads;
pub mod loss;

use std::collections::BTreeMap;

use ndalbert::{AlbertConfig, Parameters};
use ndarray::{Array2, ArrayD, ArrayView1, Axis, s};

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

    /// A parameter's values, row by row.
    fn values(&self, name: &str) -> &[f64] {
        self.weights[name].as_slice().unwrap()
    }

    /// x·Wᵀ + b of rows.
    pub fn linear(&self, layer: &str, x: &Array2<f64>) -> Array2<f64> {
        let [weight, bias] = ["weight", "bias"].map(|name| self.values(&format!("{layer}.{name}")));
        products(x, weight, bias)
    }

    fn layer_norm(&self, layer: &str, mut x: Array2<f64>) -> Array2<f64> {
        let [weight, bias] = ["weight", "bias"].map(|name| self.values(&format!("{layer}.{name}")));
        for row in rows_mut(&mut x) {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            row.iter_mut().for_each(|value| *value -= mean);
            let variance = dot(row, row) / row.len() as f64;
            let deviation = (variance + self.config.layer_norm_eps).sqrt();
            for (value, (weight, bias)) in row.iter_mut().zip(weight.iter().zip(bias)) {
                *value = *value / deviation * weight + bias;
            }
        }
        x
    }

    fn activation(&self, mut x: Array2<f64>) -> Array2<f64> {
        x.mapv_inplace(|value| activation::apply(self.config.hidden_act, value));
        x
    }

    /// The states `[S, H]` that enter the first layer.
    fn embed(&self, inputs: &Inputs, sequence: usize) -> Array2<f64> {
        const TABLES: &str = "albert.embeddings";
        let width = self.config.embedding_size;
        let [words, types, positions] = ["word", "token_type", "position"]
            .map(|table| self.values(&format!("{TABLES}.{table}_embeddings.weight")));
        let mut x = Array2::zeros((inputs.length(), width));
        for (column, sum) in rows_mut(&mut x).enumerate() {
            let at = [sequence, column];
            match &inputs.embeds {
                Some(given) => {
                    let given = given.slice(s![sequence, column, ..]);
                    sum.iter_mut().zip(given).for_each(|(sum, x)| *sum = f64::from(*x));
                }
                None => sum.copy_from_slice(row(words, width, inputs.ids[at] as usize)),
            }
            add(sum, 1.0, row(types, width, inputs.types[at] as usize));
            add(sum, 1.0, row(positions, width, inputs.positions[at] as usize));
        }
        let x = self.layer_norm(&format!("{TABLES}.LayerNorm"), x);
        self.linear("albert.encoder.embedding_hidden_mapping_in", &x)
    }

    /// LayerNorm(x + dense(attention(x))). The mask is on keys; a sequence without keys has a
    /// context of zeros.
    fn attention(&self, block: &str, x: &Array2<f64>, mask: ArrayView1<'_, i64>) -> Array2<f64> {
        let [query, key, value] = ["query", "key", "value"]
            .map(|name| self.linear(&format!("{block}.attention.{name}"), x));
        let size = self.config.head_size();
        let scale = (size as f64).sqrt();
        let [keys, values] = [&key, &value].map(|all| -> Vec<&[f64]> {
            let real = rows(all).zip(mask).filter(|(_, real)| **real == 1);
            real.map(|(row, _)| row).collect()
        });
        let mut context = Array2::zeros(x.dim());
        let mut scores = vec![0.0; keys.len()];
        for (query, context) in rows(&query).zip(rows_mut(&mut context)) {
            for head in 0..self.config.num_attention_heads {
                let own = head * size..(head + 1) * size;
                for (score, key) in scores.iter_mut().zip(&keys) {
                    *score = dot(&query[own.clone()], &key[own.clone()]) / scale;
                }
                softmax(&mut scores);
                for (&probability, value) in scores.iter().zip(&values) {
                    add(&mut context[own.clone()], probability, &value[own.clone()]);
                }
            }
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
        self.states_after(self.config.num_hidden_layers, inputs, sequence)
    }

    /// The states after so many layers, as [`states`](Self::states).
    fn states_after(&self, layers: usize, inputs: &Inputs, sequence: usize) -> Array2<f64> {
        let path = |(group, inner): Block| {
            format!("albert.encoder.albert_layer_groups.{group}.albert_layers.{inner}")
        };
        let mut x = self.embed(inputs, sequence);
        let count = layers * self.config.inner_group_num;
        for [attention, ffn] in applications(self.config).into_iter().take(count) {
            x = self.attention(&path(attention), &x, inputs.mask.row(sequence));
            x = self.feed_forward(&path(ffn), &x);
        }
        x
    }

    /// tanh(W·h + b) of each sequence's first state, `[B, H]`.
    pub fn pooled(&self, inputs: &Inputs) -> Array2<f64> {
        self.pooled_after(self.config.num_hidden_layers, inputs)
    }

    /// The pooler's output of the states after so many layers, as [`pooled`](Self::pooled).
    pub fn pooled_after(&self, layers: usize, inputs: &Inputs) -> Array2<f64> {
        let first = |sequence| self.states_after(layers, inputs, sequence).row(0).to_owned();
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
        let has = |name: &str| self.weights.contains_key(name);
        let own_or = |own, tied| self.values(if has(own) { own } else { tied });
        let table =
            own_or("predictions.decoder.weight", "albert.embeddings.word_embeddings.weight");
        products(&transformed, table, own_or("predictions.decoder.bias", "predictions.bias"))
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

fn rows(x: &Array2<f64>) -> impl Iterator<Item = &[f64]> {
    x.as_slice().unwrap().chunks_exact(x.ncols())
}

fn rows_mut(x: &mut Array2<f64>) -> impl Iterator<Item = &mut [f64]> {
    let width = x.ncols();
    x.as_slice_mut().unwrap().chunks_exact_mut(width)
}

/// A row of a table.
fn row(table: &[f64], width: usize, index: usize) -> &[f64] {
    &table[index * width..][..width]
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// `sum` += `factor`·`x`.
fn add(sum: &mut [f64], factor: f64, x: &[f64]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += factor * x);
}

/// x·Wᵀ + b, `weight` being W row by row.
fn products(x: &Array2<f64>, weight: &[f64], bias: &[f64]) -> Array2<f64> {
    let mut out = Array2::zeros((x.nrows(), bias.len()));
    for (x, out) in rows(x).zip(rows_mut(&mut out)) {
        for (out, (weight, bias)) in out.iter_mut().zip(weight.chunks_exact(x.len()).zip(bias)) {
            *out = dot(x, weight) + bias;
        }
    }
    out
}

fn softmax(scores: &mut [f64]) {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |largest, &score| largest.max(score));
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// The rows of an array that were chosen.
pub fn select(rows: &Array2<f64>, chosen: &[usize]) -> Array2<f64> {
    rows.select(Axis(0), chosen)
}
