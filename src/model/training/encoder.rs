//! The encoder, forward and backward: L applications of a few layers.

use ndarray::Array2;

use super::ActivationPolicy;
use super::layer::{
    AttentionBlock, FeedForwardBlock, LayerDropout, LayerSettings, Scratch, TrainingLayer,
};
use super::memory::{EncoderMemory, Group};
use super::norm::{TrainingNorm, add_parts};
use super::saved::{SavedLayer, Widths, take};
use super::wanted::Wanted;
use crate::batch::Batch;
use crate::config::AlbertConfig;
use crate::kernels::attention::{Sequence, first_row};
use crate::kernels::convert::{InputBuffer, Strided};
use crate::kernels::dropout::Dropout;
use crate::kernels::weight_gradient::{Stretch, WeightGradient, weight_gradients};
use crate::kernels::{Isa, Precision, parallel};
use crate::model::encoder::{Application, plan};
use crate::model::parameters::EncoderParameters;
use crate::nn::{Linear, contiguous_mut};

/// The packed blocks, and in which order they are applied.
pub(super) struct TrainingEncoder {
    settings: LayerSettings,
    precision: Precision,
    policy: ActivationPolicy,
    widths: Widths,
    plan: Vec<Application>,
    attentions: Vec<AttentionBlock>,
    feed_forwards: Vec<FeedForwardBlock>,
}

/// Dropout of a whole pass: a seed, and the configuration's rates.
#[derive(Clone, Copy)]
pub(super) struct DropoutRates {
    pub(super) seed: u64,
    pub(super) hidden: f64,
    pub(super) probabilities: f64,
}

impl DropoutRates {
    /// The dropout of the embeddings.
    pub(super) fn embeddings(self) -> Option<Dropout> {
        Dropout::new(self.hidden, self.seed, 0)
    }

    /// The dropout of an application, counted from 0.
    fn layer(self, application: usize) -> LayerDropout {
        let place = 2 * application as u64 + 1;
        LayerDropout {
            probabilities: Dropout::new(self.probabilities, self.seed, place),
            hidden: Dropout::new(self.hidden, self.seed, place + 1),
        }
    }
}

/// Gradients of states before the last layer's, at each sequence's first token.
pub(super) struct ExitGradient {
    /// How many applications have made these states.
    pub(super) applications: usize,
    /// `[B, H]`.
    pub(super) d: Array2<f32>,
}

/// One pass over one batch.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) batch: &'a Batch,
    pub(super) parameters: &'a EncoderParameters,
    pub(super) dropout: Option<DropoutRates>,
    /// The tokens whose states are returned.
    pub(super) wanted: &'a Wanted,
}

impl TrainingEncoder {
    pub(super) fn new(
        isa: Isa,
        precision: Precision,
        policy: ActivationPolicy,
        config: &AlbertConfig,
        parameters: &EncoderParameters,
    ) -> Self {
        let EncoderParameters { attentions, feed_forwards, .. } = parameters;
        let attention = |block| AttentionBlock::new(isa, precision, block);
        let feed_forward = |block| FeedForwardBlock::new(isa, precision, block);
        Self {
            settings: LayerSettings::new(isa, precision, config),
            precision,
            policy,
            widths: Widths { hidden: config.hidden_size, intermediate: config.intermediate_size },
            plan: plan(config),
            attentions: attentions.iter().flatten().map(attention).collect(),
            feed_forwards: feed_forwards.iter().flatten().map(feed_forward).collect(),
        }
    }

    /// Makes room for a batch; `memory.states[0]` is then to be filled with the embedded states.
    pub(super) fn prepare(
        &self,
        batch: &Batch,
        wanted: &Wanted,
        policy: ActivationPolicy,
        memory: &mut EncoderMemory,
    ) {
        memory.prepare(self.widths, self.plan.len(), (batch, wanted), policy);
    }

    fn is_last(&self, index: usize) -> bool {
        index + 1 == self.plan.len()
    }

    /// Applies the layers to the embedded states; the last of the states are the output's.
    pub(super) fn forward(&self, eps: f64, pass: Pass<'_>, memory: &mut EncoderMemory) {
        // What is saved for several applications has the size of most of them.
        let groups = memory.groups(self.widths, 0, (pass.batch, pass.wanted));
        parallel::for_each_alone(groups, |mut group| {
            let mut inputs = InputBuffer::default();
            for index in 0..self.plan.len() {
                let saved = if group.saved.len() == 1 { 0 } else { index };
                if self.is_last(index) {
                    group.saved[saved].shorten(self.widths, group.wanted_size);
                }
                self.layer_forward(index, eps, pass, &mut group, saved, &mut inputs);
            }
        });
    }

    fn layer_forward(
        &self,
        index: usize,
        eps: f64,
        pass: Pass<'_>,
        group: &mut Group<'_>,
        saved: usize,
        inputs: &mut InputBuffer,
    ) {
        let (x, out) = group.states.split_at_mut(index + 1);
        let (x, out, saved) = (&*x[index], &mut *out[0], &mut group.saved[saved]);
        let wanted = self.is_last(index).then_some(&mut group.wanted);
        self.layer(index, eps, pass).forward(x, group.sequences, wanted, saved, inputs, out);
    }

    /// Goes back from the gradient `d_wanted` `[W, H]` of the output, which is used up, and those
    /// of exits, to that of the embedded states, `d` `[T, H]`, and adds the layers' gradients. What
    /// was saved is used up.
    pub(super) fn backward(
        &self,
        eps: f64,
        pass: Pass<'_>,
        memory: &mut EncoderMemory,
        (d_wanted, exits, d): (&mut [f32], &[ExitGradient], &mut [f32]),
        gradients: &mut EncoderParameters,
    ) {
        let all: Vec<usize> = (0..self.plan.len()).rev().collect();
        match self.policy {
            ActivationPolicy::Keep => {
                self.backward_through(&all, eps, pass, memory, (d_wanted, exits, d));
                self.add_gradients(&all, memory, gradients);
            }
            ActivationPolicy::Recompute => {
                for index in all {
                    memory.make_room(self.widths, index);
                    self.backward_through(&[index], eps, pass, memory, (d_wanted, exits, d));
                    self.add_gradients(&[index], memory, gradients);
                }
            }
        }
    }

    /// Goes back through some applications, group by group.
    fn backward_through(
        &self,
        applications: &[usize],
        eps: f64,
        pass: Pass<'_>,
        memory: &mut EncoderMemory,
        (mut d_wanted, exits, mut d): (&mut [f32], &[ExitGradient], &mut [f32]),
    ) {
        let hidden = self.widths.hidden;
        let tasks: Vec<_> = memory
            .groups(self.widths, applications[0], (pass.batch, pass.wanted))
            .into_iter()
            .map(|group| {
                let d_wanted = take(&mut d_wanted, group.wanted_size.tokens * hidden);
                let d = take(&mut d, group.size.tokens * hidden);
                (group, d_wanted, d)
            })
            .collect();
        parallel::for_each_alone(tasks, |(mut group, d_wanted, d)| {
            let mut scratch = Scratch::default();
            for &index in applications {
                let saved = match self.policy {
                    ActivationPolicy::Keep => index,
                    ActivationPolicy::Recompute => {
                        self.layer_forward(index, eps, pass, &mut group, 0, &mut scratch.inputs);
                        0
                    }
                };
                let (layer, saved) = (self.layer(index, eps, pass), &mut group.saved[saved]);
                if self.is_last(index) {
                    let of_wanted = (&mut *d_wanted, &group.wanted);
                    layer.backward_wanted(of_wanted, d, group.sequences, saved, &mut scratch);
                } else {
                    for exit in exits.iter().filter(|exit| exit.applications == index + 1) {
                        exit.add_to(group.sequences, group.size.sequences.start, d);
                    }
                    layer.backward(d, group.sequences, saved, &mut scratch);
                }
            }
        });
    }

    /// Adds what some applications contribute to the gradients, in this order.
    fn add_gradients(
        &self,
        applications: &[usize],
        memory: &EncoderMemory,
        gradients: &mut EncoderParameters,
    ) {
        let mut products = Vec::new();
        let used = |index: usize| &memory.layers[memory.place(index)];
        let of_block = |is_it: &dyn Fn(&Application) -> bool| -> Vec<(usize, &SavedLayer)> {
            let those = applications.iter().filter(|&&index| is_it(&self.plan[index]));
            those.map(|&index| (index, used(index))).collect()
        };
        let Widths { hidden, intermediate } = self.widths;
        for (block, gradient) in gradients.attentions.iter_mut().flatten().enumerate() {
            let applications = of_block(&|application| application.attention == block);
            for (_, saved) in &applications {
                add_parts(&saved.attention_norm.parts, &mut gradient.layer_norm);
            }
            for (part, linear) in [&mut gradient.query, &mut gradient.key, &mut gradient.value]
                .into_iter()
                .enumerate()
            {
                let stretches = applications.iter().map(|&(index, saved)| {
                    stretch(part_of(&saved.qkv, hidden, part), &memory.states[index], hidden)
                });
                products.push(product(stretches.collect(), linear));
            }
            let stretches = applications.iter().map(|&(index, saved)| {
                let d = Strided::dense(&saved.attention_norm.rows, hidden);
                let is_last = self.is_last(index);
                stretch(d, if is_last { &memory.wanted_context } else { &saved.context }, hidden)
            });
            products.push(product(stretches.collect(), &mut gradient.dense));
        }
        for (block, gradient) in gradients.feed_forwards.iter_mut().flatten().enumerate() {
            let applications = of_block(&|application| application.feed_forward == block);
            for (_, saved) in &applications {
                add_parts(&saved.output_norm.parts, &mut gradient.layer_norm);
            }
            let stretches = applications.iter().map(|(_, saved)| {
                let d = Strided::dense(&saved.pre_activation, intermediate);
                stretch(d, &saved.middle, hidden)
            });
            products.push(product(stretches.collect(), &mut gradient.ffn));
            let stretches = applications.iter().map(|(_, saved)| {
                let d = Strided::dense(&saved.output_norm.rows, hidden);
                stretch(d, &saved.activation, intermediate)
            });
            products.push(product(stretches.collect(), &mut gradient.ffn_output));
        }
        let isa = self.settings.isa;
        weight_gradients(isa, self.precision.narrows_activations(isa), products);
    }

    fn layer<'a>(&'a self, index: usize, eps: f64, pass: Pass<'a>) -> TrainingLayer<'a> {
        let Application { attention, feed_forward } = self.plan[index];
        let EncoderParameters { attentions, feed_forwards, .. } = pass.parameters;
        let norm = |parameters| TrainingNorm { isa: self.settings.isa, parameters, eps };
        let of = |index: usize, inner: usize| (index / inner, index % inner);
        let (group, j) = of(attention, attentions[0].len());
        let attention_norm = norm(&attentions[group][j].layer_norm);
        let (group, j) = of(feed_forward, feed_forwards[0].len());
        TrainingLayer {
            settings: self.settings,
            attention: &self.attentions[attention],
            attention_norm,
            feed_forward: &self.feed_forwards[feed_forward],
            output_norm: norm(&feed_forwards[group][j].layer_norm),
            dropout: pass.dropout.map(|rates| rates.layer(index)).unwrap_or_default(),
        }
    }
}

impl ExitGradient {
    /// Adds the gradients of some sequences, beginning with number `first` of the batch, to the gradient of their tokens' states `[t, H]`.
    fn add_to(&self, sequences: &[Sequence], first: usize, d: &mut [f32]) {
        let (start, hidden) = (first_row(sequences), self.d.ncols());
        for (sequence, from) in sequences.iter().zip(self.d.outer_iter().skip(first)) {
            let to = &mut d[(sequence.start - start) * hidden..][..hidden];
            to.iter_mut().zip(from).for_each(|(to, x)| *to += x);
        }
    }
}

/// Queries' (0), keys' (1) or values' (2) columns of `[T, 3H]`.
fn part_of(qkv: &[f32], hidden: usize, part: usize) -> Strided<'_> {
    let rows = Strided::dense(qkv, 3 * hidden);
    rows.part(0, rows.count, part * hidden..(part + 1) * hidden)
}

fn stretch<'a>(d_out: Strided<'a>, inputs: &'a [f32], width: usize) -> Stretch<'a> {
    Stretch { d_out, inputs: Strided::dense(inputs, width) }
}

/// The gradients of a linear layer, to be computed of stretches of tokens.
pub(super) fn product<'a>(
    stretches: Vec<Stretch<'a>>,
    gradient: &'a mut Linear,
) -> WeightGradient<'a> {
    let Linear { weight, bias } = gradient;
    WeightGradient { stretches, weight: contiguous_mut(weight), bias: contiguous_mut(bias) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of some values a dropout drops.
    fn pattern(dropout: Option<Dropout>) -> Vec<f32> {
        let mut rows = vec![1.0; 256];
        dropout.unwrap().apply(Isa::current().unwrap(), (0, 1), 256, &mut rows);
        rows
    }

    #[test]
    fn every_place_has_a_dropout_of_its_own() {
        let rates = DropoutRates { seed: 1, hidden: 0.5, probabilities: 0.5 };
        let layers = (0..3).map(|index| rates.layer(index));
        let places = layers.flat_map(|layer| [layer.probabilities, layer.hidden]);
        let patterns: Vec<_> =
            [rates.embeddings()].into_iter().chain(places).map(pattern).collect();
        for (i, one) in patterns.iter().enumerate() {
            assert!(!patterns[..i].contains(one), "place {i}");
        }
        assert_eq!(pattern(rates.layer(1).hidden), patterns[4]);
    }

    #[test]
    fn rates_are_those_of_hidden_states_and_probabilities() {
        let rates = DropoutRates { seed: 1, hidden: 0.0, probabilities: 0.5 };
        assert!(rates.embeddings().is_none() && rates.layer(0).hidden.is_none());
        assert!(rates.layer(0).probabilities.is_some());
    }
}
