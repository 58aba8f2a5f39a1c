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
        if buffers.parts.is_some() {
            return self.forward_in_parts(states, sequences, buffers, probabilities);
        }
        let LayerBuffers { scratch, middle, inputs, .. } = buffers;
        let [inputs, ..] = &mut **inputs else { unreachable!("there is one at least") };
        let (qkv, rest) = scratch.split_at_mut(3 * states.len());
        let context = &mut rest[..states.len()];
        attention.project(states, inputs, qkv);
        attention.attend(qkv, sequences, context, probabilities);
        attention.output(states, context, inputs, middle);
        let intermediate = &mut scratch[..feed_forward.intermediate_len(middle.len())];
        feed_forward.forward(middle, intermediate, inputs, states);
    }

    /// As [`forward`](Self::forward), but threads do not share products: each does all of them for some of the tokens. What
    /// it reads is what it wrote itself, but for attention, and they wait for each other only before and after that.
    fn forward_in_parts(
        &self,
        states: &mut [f32],
        sequences: &[Sequence],
        buffers: &mut LayerBuffers<'_>,
        probabilities: &mut [f32],
    ) {
        let Self { attention, feed_forward } = self;
        let LayerBuffers { scratch, middle, inputs, parts: Some(parts) } = buffers else {
            unreachable!("there are parts")
        };
        let Parts { len, block, ref mut intermediate } = *parts;
        let (qkv, rest) = scratch.split_at_mut(3 * states.len());
        let context = &mut rest[..states.len()];
        let projections = states.chunks(len).zip(qkv.chunks_mut(3 * len)).zip(&mut **inputs);
        parallel::for_each_part_alone(projections, |((states, qkv), inputs)| {
            attention.project(states, inputs, qkv);
        });
        attention.attend(qkv, sequences, context, probabilities);
        let rows = states.chunks_mut(len).zip(context.chunks(len)).zip(middle.chunks_mut(len));
        let buffers =
            intermediate.chunks_mut(feed_forward.intermediate_len(block)).zip(&mut **inputs);
        parallel::for_each_part_alone(rows.zip(buffers), |(rows, (intermediate, inputs))| {
            let ((states, context), middle) = rows;
            let blocks =
                states.chunks_mut(block).zip(context.chunks(block)).zip(middle.chunks_mut(block));
            for ((states, context), middle) in blocks {
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
        let [inputs, ..] = &mut **inputs else { unreachable!("there is one at least") };
        let (qkv, rest) = scratch.split_at_mut(3 * states.len());
        let (context, middle) = (&mut rest[..first.len()], &mut middle[..first.len()]);
        let attention = AttentionBuffers { qkv, context, inputs };
        self.attention.forward_first((states, first), sequences, attention, middle);
        let intermediate = &mut scratch[..self.feed_forward.intermediate_len(first.len())];
        self.feed_forward.forward(middle, intermediate, inputs, first);
    }
}
