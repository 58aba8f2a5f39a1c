//! One layer: attention, then feed-forward, each followed by residual and LayerNorm.

use crate::kernels::attention::Sequence;
use crate::nn::{FeedForward, SelfAttention};

/// Working memory of the layers of one call, allocated once and used by every application.
pub(super) struct Workspace {
    tokens: usize,
    hidden: usize,
    /// Queries, keys, values and context `[T, 4H]` in the first half of a layer, `[T, I]` in the second.
    scratch: Vec<f32>,
    /// The state between the halves, `[T, H]`.
    middle: Vec<f32>,
    intermediate: usize,
}

impl Workspace {
    pub(super) fn new(tokens: usize, hidden: usize, intermediate: usize) -> Self {
        let scratch = vec![0.0; tokens * intermediate.max(4 * hidden)];
        Self { tokens, hidden, scratch, middle: vec![0.0; tokens * hidden], intermediate }
    }
}

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
        workspace: &mut Workspace,
        probabilities: &mut [f32],
    ) {
        let Workspace { tokens, hidden, scratch, middle, intermediate } = workspace;
        let (qkv, rest) = scratch.split_at_mut(*tokens * 3 * *hidden);
        let context = &mut rest[..*tokens * *hidden];
        self.attention.forward(states, sequences, (qkv, context), probabilities, middle);
        self.feed_forward.forward(middle, &mut scratch[..*tokens * *intermediate], states);
    }

    /// The layer's output at each sequence's first token alone, `[B, H]`, of states `[T, H]`: what the pooler reads of
    /// the last layer. `first` holds those tokens' states and is replaced by their outputs.
    pub(super) fn forward_first(
        &self,
        states: &[f32],
        first: &mut [f32],
        sequences: &[Sequence],
        workspace: &mut Workspace,
    ) {
        let Workspace { tokens, hidden, scratch, middle, intermediate } = workspace;
        let (qkv, rest) = scratch.split_at_mut(*tokens * 3 * *hidden);
        let (context, middle) = (&mut rest[..first.len()], &mut middle[..first.len()]);
        self.attention.forward_first((states, first), sequences, (qkv, context), middle);
        self.feed_forward.forward(middle, &mut scratch[..sequences.len() * *intermediate], first);
    }
}
