//! One layer: attention, then feed-forward, each followed by residual and LayerNorm.

use super::workspace::{LayerBuffers, Parts};
use crate::kernels::attention::Sequence;
use crate::kernels::convert::InputBuffer;
use crate::kernels::parallel;
use crate::nn::{AttentionBuffers, FeedForward, SelfAttention};

/// A layer as it is applied: one of the encoder's attention blocks and one of its feed-forward blocks.
pub(super) struct Layer<'a> {
    pub(super) attention: &'a SelfAttention,
    pub(super) feed_forward: &'a FeedForward,
}

/// Working memory of [`Layer::finish_rows`].
#[derive(Default)]
pub(super) struct RowBuffers {
    middle: Vec<f32>,
    intermediate: Vec<f32>,
    inputs: InputBuffer,
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
        let context = self.attend(states, sequences, buffers, probabilities);
        self.finish(states, context, buffers);
    }

    /// The first part of the layer, in which tokens see each other: leaves the attention's context `[T, H]` in the scratch
    /// memory, and returns where it begins there.
    pub(super) fn attend(
        &self,
        states: &[f32],
        sequences: &[Sequence],
        buffers: &mut LayerBuffers<'_>,
        probabilities: &mut [f32],
    ) -> usize {
        let LayerBuffers { scratch, inputs, parts, .. } = buffers;
        let begin = 3 * states.len();
        let (qkv, context) = scratch.split_at_mut(begin);
        match parts {
            Some(parts) => self.project_parts(states, qkv, parts),
            None => self.attention.project(states, inputs, qkv),
        }
        self.attention.attend(qkv, sequences, &mut context[..states.len()], probabilities);
        begin
    }

    /// The rest of the layer, independently for each token: replaces the states `[T, H]` by the layer's output. Their rows of the
    /// context begin in the scratch memory at `context`, and are overwritten.
    pub(super) fn finish(
        &self,
        states: &mut [f32],
        context: usize,
        buffers: &mut LayerBuffers<'_>,
    ) {
        let LayerBuffers { scratch, middle, inputs, parts } = buffers;
        let middle = &mut middle[..states.len()];
        let rows = context..context + states.len();
        if let Some(parts) = parts {
            return self.finish_parts(states, &scratch[rows], middle, parts);
        }
        self.attention.output(states, &scratch[rows], inputs, middle);
        self.feed_forward(middle, scratch, inputs, states);
    }

    /// As [`finish`](Self::finish), of a few rows that lie elsewhere, in memory that is no one else's.
    pub(super) fn finish_rows(
        &self,
        states: &mut [f32],
        context: &[f32],
        buffers: &mut RowBuffers,
    ) {
        let RowBuffers { middle, intermediate, inputs } = buffers;
        middle.resize(states.len(), 0.0);
        intermediate.resize(self.feed_forward.intermediate_len(states.len()), 0.0);
        self.attention.output(states, context, inputs, middle);
        self.feed_forward(middle, intermediate, inputs, states);
    }

    /// The feed-forward block of rows `middle`, into `states`.
    fn feed_forward(
        &self,
        middle: &[f32],
        intermediate: &mut [f32],
        inputs: &mut InputBuffer,
        states: &mut [f32],
    ) {
        let intermediate = &mut intermediate[..self.feed_forward.intermediate_len(middle.len())];
        self.feed_forward.forward(middle, intermediate, inputs, states);
    }

    /// Queries, keys and values, by threads that do not share products: each does all of them for some of the tokens.
    fn project_parts(&self, states: &[f32], qkv: &mut [f32], parts: &mut Parts<'_>) {
        let Parts { len, ref mut inputs, .. } = *parts;
        let parts = states.chunks(len).zip(qkv.chunks_mut(3 * len)).zip(&mut **inputs);
        parallel::for_each_part_alone(parts, |((states, qkv), inputs)| {
            self.attention.project(states, inputs, qkv);
        });
    }

    /// The part after attention, a few tokens at a time, so that intermediate states stay in the caches.
    fn finish_parts(
        &self,
        states: &mut [f32],
        context: &[f32],
        middle: &mut [f32],
        parts: &mut Parts<'_>,
    ) {
        let Parts { len, block, ref mut inputs, ref mut intermediate } = *parts;
        let rows = states.chunks_mut(len).zip(context.chunks(len)).zip(middle.chunks_mut(len));
        let intermediates = intermediate.chunks_mut(self.feed_forward.intermediate_len(block));
        let parts = rows.zip(intermediates.zip(&mut **inputs));
        parallel::for_each_part_alone(parts, |(rows, (intermediate, inputs))| {
            let ((states, context), middle) = rows;
            let (states, context) = (states.chunks_mut(block), context.chunks(block));
            for ((states, context), middle) in states.zip(context).zip(middle.chunks_mut(block)) {
                self.attention.output(states, context, inputs, middle);
                self.feed_forward(middle, intermediate, inputs, states);
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
        self.feed_forward(middle, scratch, inputs, first);
    }
}
