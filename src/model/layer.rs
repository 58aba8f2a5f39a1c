//! One layer: attention, then feed-forward, each followed by residual and LayerNorm.

use super::workspace::LayerBuffers;
use crate::kernels::attention::Sequence;
use crate::nn::{AttentionBuffers, FeedForward, SelfAttention};

/// A layer as it is applied: one of the encoder's attention blocks and one of its feed-forward blocks.
pub(super) struct Layer<'a> {
    pub(super) attention: &'a SelfAttention,
    pub(super) feed_forward: &'a FeedForward,
}

impl Layer<'_> {
    /// Replaces the states `[T, H]` by the layer's output. `probabilities` receives the softmax if it is not empty.
    pub(super) fn forward(
        &self,
        states: &mut [f32],
        sequences: &[Sequence],
        buffers: &mut LayerBuffers<'_>,
        probabilities: &mut [f32],
    ) {
        let LayerBuffers { scratch, middle, inputs } = buffers;
        let (qkv, rest) = scratch.split_at_mut(3 * states.len());
        let context = &mut rest[..states.len()];
        let attention = AttentionBuffers { qkv, context, inputs };
        self.attention.forward(states, sequences, attention, probabilities, middle);
        let intermediate = &mut scratch[..self.feed_forward.intermediate_len(middle.len())];
        self.feed_forward.forward(middle, intermediate, inputs, states);
    }

    /// The layer's output at each sequence's first token alone, `[B, H]`, of states `[T, H]`: what the pooler reads of
    /// the last layer. `first` holds those tokens' states and is replaced by their outputs.
    pub(super) fn forward_first(
        &self,
        states: &[f32],
        first: &mut [f32],
        sequences: &[Sequence],
        buffers: &mut LayerBuffers<'_>,
    ) {
        let LayerBuffers { scratch, middle, inputs } = buffers;
        let (qkv, rest) = scratch.split_at_mut(3 * states.len());
        let (context, middle) = (&mut rest[..first.len()], &mut middle[..first.len()]);
        let attention = AttentionBuffers { qkv, context, inputs };
        self.attention.forward_first((states, first), sequences, attention, middle);
        let intermediate = &mut scratch[..self.feed_forward.intermediate_len(first.len())];
        self.feed_forward.forward(middle, intermediate, inputs, first);
    }
}
