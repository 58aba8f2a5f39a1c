//! How much useful arithmetic a pre-training step is.

#[path = "../measure/forward/arithmetic.rs"]
mod forward;

use ndalbert::AlbertConfig;

/// Floating-point operations (a multiply-add is two) of the matrix products that a step needs: of the forward pass, and in
/// the backward pass as many for the gradients of inputs and as many for those of weights. `masked` are the words to be
/// guessed, of which alone the masked-LM head counts. What is computed once more to save memory does not count.
pub fn step_operations(config: &AlbertConfig, lengths: &[usize], masked: usize) -> f64 {
    let size = |value: usize| value as f64;
    let (hidden, embedding) = (size(config.hidden_size), size(config.embedding_size));
    let masked_lm = size(masked) * embedding * (hidden + size(config.vocab_size));
    let sentence_order = size(lengths.len()) * 2.0 * hidden;
    3.0 * (forward::operations(config, lengths, false) + 2.0 * (masked_lm + sentence_order))
}
