//! One layer: attention, then feed-forward, each followed by residual and LayerNorm.

use super::workspace::{LayerBuffers, Parts};
use crate::kernels::attention::Sequence;
use crate::kernels::parallel;
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
        let Self { attention, feed_forward } = self;
        let LayerBuffers { scratch, middle, inputs, parts } = buffers;
        let (qkv, rest) = scratch.split_at_mut(3 * states.len());
        let context = &mut rest[..states.len()];
        if let Some(parts) = parts {
            self.project_parts(states, qkv, parts);
            attention.attend(qkv, sequences, context, probabilities);
            return self.finish_parts(states, context, middle, parts);
        }
        attention.project(states, inputs, qkv);
        attention.attend(qkv, sequences, context, probabilities);
        attention.output(states, context, inputs, middle);
        let intermediate = &mut scratch[..feed_forward.intermediate_len(middle.len())];
        feed_forward.forward(middle, intermediate, inputs, states);
    }

    /// Queries, keys and values, by threads that do not share products: each does all of them for some of the tokens.
    fn project_parts(&self, states: &[f32], qkv: &mut [f32], parts: &mut Parts<'_>) {
        let Parts { len, ref mut inputs, .. } = *parts;
        let parts = states.chunks(len).zip(qkv.chunks_mut(3 * len)).zip(&mut **inputs);
        parallel::for_each_part_alone(parts, |((states, qkv), inputs)| {
            self.attention.project(states, inputs, qkv);
        });
    }

    /// What follows attention, likewise, and for a few tokens at a time, whose intermediate states stay near.
    fn finish_parts(
        &self,
        states: &mut [f32],
        context: &[f32],
        middle: &mut [f32],
        parts: &mut Parts<'_>,
    ) {
        let Self { attention, feed_forward } = self;
        let Parts { len, block, ref mut inputs, ref mut intermediate } = *parts;
        let rows = states.chunks_mut(len).zip(context.chunks(len)).zip(middle.chunks_mut(len));
        let intermediates = intermediate.chunks_mut(feed_forward.intermediate_len(block));
        let parts = rows.zip(intermediates.zip(&mut **inputs));
        parallel::for_each_part_alone(parts, |(rows, (intermediate, inputs))| {
            let ((states, context), middle) = rows;
            let (states, context) = (states.chunks_mut(block), context.chunks(block));
            for ((states, context), middle) in states.zip(context).zip(middle.chunks_mut(block)) {
                attention.output(states, context, inputs, middle);
                let intermediate = &mut intermediate[..feed_forward.intermediate_len(middle.len())];
                feed_forward.forward(middle, intermediate, inputs, states);
            }
        });
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
        let LayerBuffers { scratch, middle, inputs, .. } = buffers;
        let (qkv, rest) = scratch.split_at_mut(3 * states.len());
        let (context, middle) = (&mut rest[..first.len()], &mut middle[..first.len()]);
        let attention = AttentionBuffers { qkv, context, inputs };
        self.attention.forward_first((states, first), sequences, attention, middle);
        let intermediate = &mut scratch[..self.feed_forward.intermediate_len(first.len())];
        self.feed_forward.forward(middle, intermediate, inputs, first);
    }
}
