//! The encoder: a few layers with parameters of their own, applied L times.

use std::ops::Range;

use ndarray::Array2;

use super::albert::OutputOptions;
use super::groups;
use super::layer::Layer;
use super::parameters::EncoderParameters;
use super::workspace::{LayerBuffers, Sizes, Workspace};
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::config::{AlbertConfig, Int8Outliers};
use crate::kernels::attention::{Sequence, first_row};
use crate::kernels::{Isa, Precision, parallel};
use crate::nn::{
    AttentionParameters, FeedForward, FeedForwardParameters, SelfAttention, contiguous_mut,
};

/// The distinct blocks, and in which order they are applied.
pub(super) struct SharedEncoder {
    attentions: Vec<SelfAttention>,
    feed_forwards: Vec<FeedForward>,
    plan: Vec<Application>,
    inner: usize,
    hidden: usize,
    intermediate: usize,
    heads: usize,
    /// For the part of a group that a thread computes.
    min_tokens_alone: Option<usize>,
}

/// One application of a layer: which blocks it uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Application {
    pub(super) attention: usize,
    pub(super) feed_forward: usize,
}

/// States after the last layer `[T, H]`, and what else was asked for.
pub(super) struct EncoderOutput {
    pub(super) states: Array2<f32>,
    pub(super) hidden_states: Vec<Packed>,
    pub(super) attentions: Vec<AttentionProbabilities>,
}

/// Which blocks each of the L · inner applications uses, by index into the flattened lists.
pub(super) fn plan(config: &AlbertConfig) -> Vec<Application> {
    let inner = config.inner_group_num;
    let sharing = config.parameter_sharing;
    let group =
        |shared: bool, layer: usize| if shared { config.group_of_layer(layer) } else { layer };
    (0..config.num_hidden_layers)
        .flat_map(|layer| (0..inner).map(move |j| (layer, j)))
        .map(|(layer, j)| Application {
            attention: group(sharing.shares_attention(), layer) * inner + j,
            feed_forward: group(sharing.shares_ffn(), layer) * inner + j,
        })
        .collect()
}

impl SharedEncoder {
    pub(super) fn new(
        isa: Isa,
        precision: Precision,
        config: &AlbertConfig,
        attentions: Vec<Vec<AttentionParameters>>,
        feed_forwards: Vec<Vec<FeedForwardParameters>>,
    ) -> Self {
        let (eps, heads) = (config.layer_norm_eps, config.num_attention_heads);
        let none = Int8Outliers::none(config);
        let Int8Outliers { attention, attention_dense, ffn, ffn_output, .. } =
            config.int8_outliers.as_ref().unwrap_or(&none);
        let attentions =
            attentions.into_iter().flatten().zip(attention.iter().zip(attention_dense));
        let attentions = attentions.map(|(block, (input, dense))| {
            SelfAttention::new(isa, precision, block, heads, eps, [input, dense])
        });
        let feed_forwards = feed_forwards.into_iter().flatten().zip(ffn.iter().zip(ffn_output));
        let feed_forwards = feed_forwards.map(|(block, (ffn, ffn_output))| {
            FeedForward::new(isa, precision, block, config.hidden_act, eps, [ffn, ffn_output])
        });
        Self {
            attentions: attentions.collect(),
            feed_forwards: feed_forwards.collect(),
            plan: plan(config),
            inner: config.inner_group_num,
            hidden: config.hidden_size,
            intermediate: config.intermediate_size,
            heads,
            min_tokens_alone: precision.min_tokens_alone(isa),
        }
    }

    /// The parameters, with the mapping, which the embeddings execute, put back in its place.
    pub(super) fn unpack(
        &self,
        embedding_hidden_mapping_in: crate::nn::Linear,
    ) -> EncoderParameters {
        fn grouped<B, P>(blocks: &[B], inner: usize, unpack: impl Fn(&B) -> P) -> Vec<Vec<P>> {
            blocks.chunks(inner).map(|group| group.iter().map(&unpack).collect()).collect()
        }
        EncoderParameters {
            embedding_hidden_mapping_in,
            attentions: grouped(&self.attentions, self.inner, SelfAttention::unpack),
            feed_forwards: grouped(&self.feed_forwards, self.inner, FeedForward::unpack),
        }
    }

    /// The last layer's states at each sequence's first token, `[B, H]`, from embedded states `[T, H]`. Bit-identical to what
    /// [`forward`](Self::forward) gives there, but the last application computes B tokens instead of T.
    pub(super) fn forward_first(
        &self,
        mut states: Array2<f32>,
        batch: &Batch,
        workspace: &Workspace,
    ) -> Array2<f32> {
        let Some((last, others)) = self.plan.split_last() else { return states };
        let mut first = Array2::zeros((batch.num_sequences(), self.hidden));
        let mut rest = contiguous_mut(&mut first);
        let groups = self.groups(contiguous_mut(&mut states), batch, |group| {
            let (first, others) = std::mem::take(&mut rest).split_at_mut(group.len() * self.hidden);
            rest = others;
            first
        });
        parallel::for_each_alone(groups, |Group { states, sequences, output: first }| {
            workspace.with(self.sizes(states), |mut buffers| {
                for application in others {
                    self.layer(application).forward(states, sequences, &mut buffers, &mut []);
                }
                for (sequence, first) in sequences.iter().zip(first.chunks_exact_mut(self.hidden)) {
                    let row = sequence.start - first_row(sequences);
                    first.copy_from_slice(&states[row * self.hidden..][..self.hidden]);
                }
                self.layer(last).forward_first(states, first, sequences, &mut buffers);
            });
        });
        first
    }

    /// Applies the layers to states `[T, H]`.
    pub(super) fn forward(
        &self,
        mut states: Array2<f32>,
        batch: &Batch,
        options: OutputOptions,
        workspace: &Workspace,
    ) -> EncoderOutput {
        if options != OutputOptions::default() {
            return self.forward_layer_by_layer(states, batch, options, workspace);
        }
        let groups = self.groups(contiguous_mut(&mut states), batch, |_| ());
        parallel::for_each_alone(groups, |Group { states, sequences, output: () }| {
            workspace.with(self.sizes(states), |mut buffers| {
                for application in &self.plan {
                    self.layer(application).forward(states, sequences, &mut buffers, &mut []);
                }
            });
        });
        EncoderOutput { states, hidden_states: Vec::new(), attentions: Vec::new() }
    }

    /// As [`forward`](Self::forward), the whole batch one layer after the other, with what is asked for of each: one group,
    /// whose products the threads share.
    fn forward_layer_by_layer(
        &self,
        mut states: Array2<f32>,
        batch: &Batch,
        options: OutputOptions,
        workspace: &Workspace,
    ) -> EncoderOutput {
        let layout = &batch.layout;
        let mut hidden_states = Vec::new();
        let mut attentions = Vec::new();
        if options.hidden_states {
            hidden_states.push(Packed::new(states.clone(), layout.clone()));
        }
        let sizes = self.sizes(contiguous_mut(&mut states));
        let layers = |mut buffers: LayerBuffers<'_>| {
            for application in &self.plan {
                let mut probabilities = options
                    .attentions
                    .then(|| AttentionProbabilities::zeros(self.heads, layout.clone()));
                let square = probabilities.as_mut().map_or(&mut [][..], |p| p.values_mut());
                let rows = contiguous_mut(&mut states);
                self.layer(application).forward(rows, &layout.sequences, &mut buffers, square);
                attentions.extend(probabilities);
                if options.hidden_states {
                    hidden_states.push(Packed::new(states.clone(), layout.clone()));
                }
            }
        };
        parallel::together(|| workspace.with(sizes, layers));
        EncoderOutput { states, hidden_states, attentions }
    }

    /// Cuts a batch into groups, each with the rows of its tokens, and with an output of its own.
    fn groups<'a, O>(
        &self,
        mut states: &'a mut [f32],
        batch: &'a Batch,
        mut output: impl FnMut(&Range<usize>) -> O,
    ) -> Vec<Group<'a, O>> {
        let sequences = &batch.layout.sequences;
        let cut = |group: Range<usize>| {
            let end = sequences.get(group.end).map_or(batch.num_tokens(), |next| next.start);
            let sequences = &sequences[group.clone()];
            let tokens = end - first_row(sequences);
            let (rows, rest) = std::mem::take(&mut states).split_at_mut(tokens * self.hidden);
            states = rest;
            Group { states: rows, sequences, output: output(&group) }
        };
        groups::split(sequences, parallel::threads()).into_iter().map(cut).collect()
    }

    /// H.
    pub(super) fn hidden(&self) -> usize {
        self.hidden
    }

    /// Whether all layers are the same blocks.
    pub(super) fn is_one_layer(&self) -> bool {
        self.plan.chunks(self.inner).all(|layer| layer == &self.plan[..self.inner])
    }

    /// What a layer consists of, counted from 0.
    pub(super) fn applications(&self, layer: usize) -> &[Application] {
        &self.plan[layer * self.inner..][..self.inner]
    }

    /// The sizes of the buffers that a group's states `[T, H]` need.
    pub(super) fn sizes(&self, states: &[f32]) -> Sizes {
        let tokens = states.len() / self.hidden;
        let parts = groups::parts(tokens, parallel::threads(), self.min_tokens_alone);
        Sizes { tokens, parts, hidden: self.hidden, intermediate: self.intermediate }
    }

    /// The blocks of an application.
    pub(super) fn layer(&self, application: &Application) -> Layer<'_> {
        Layer {
            attention: &self.attentions[application.attention],
            feed_forward: &self.feed_forwards[application.feed_forward],
        }
    }
}

/// Sequences that go through the layers together.
struct Group<'a, O> {
    /// The states of their tokens, `[T, H]`.
    states: &'a mut [f32],
    sequences: &'a [Sequence],
    output: O,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigFields, ParameterSharing};

    fn indices(sharing: ParameterSharing, groups: usize, inner: usize) -> (Vec<usize>, Vec<usize>) {
        let config = AlbertConfig::new(ConfigFields {
            hidden_size: 64,
            num_hidden_layers: 4,
            num_hidden_groups: groups,
            inner_group_num: inner,
            parameter_sharing: sharing,
            ..ConfigFields::default()
        })
        .unwrap();
        plan(&config).iter().map(|a| (a.attention, a.feed_forward)).unzip()
    }

    #[test]
    fn what_is_shared_has_one_block_per_group_and_the_rest_one_per_layer() {
        let own: Vec<usize> = (0..4).collect();
        assert_eq!(indices(ParameterSharing::All, 1, 1), (vec![0; 4], vec![0; 4]));
        assert_eq!(indices(ParameterSharing::Attention, 1, 1), (vec![0; 4], own.clone()));
        assert_eq!(indices(ParameterSharing::Ffn, 1, 1), (own.clone(), vec![0; 4]));
        assert_eq!(indices(ParameterSharing::None, 1, 1), (own.clone(), own));
        let halves = vec![0, 0, 1, 1];
        assert_eq!(indices(ParameterSharing::All, 2, 1), (halves.clone(), halves));
    }

    #[test]
    fn every_layer_applies_all_inner_layers_of_its_group() {
        let shared = vec![0, 1, 0, 1, 2, 3, 2, 3];
        assert_eq!(indices(ParameterSharing::All, 2, 2), (shared.clone(), shared.clone()));
        assert_eq!(indices(ParameterSharing::Attention, 2, 2), (shared, (0..8).collect()));
    }
}
