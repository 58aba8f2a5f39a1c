//! How much useful arithmetic a pre-training step is.

#[path = "../measure/forward/arithmetic.rs"]
mod forward;

use ndalbert::AlbertConfig;

/// Floating-point operations (a multiply-add is two) of the matrix products that a step needs: of
/// the forward pass, and in the backward pass as many for the gradients of inputs and as many for
/// those of weights. `masked` are the words to be guessed, of which alone the masked-LM head
/// counts, and of which and of first tokens alone what follows attention in the last layer. What is
/// computed once more to save memory does not count.
pub fn step_operations(config: &AlbertConfig, lengths: &[usize], masked: usize) -> f64 {
    let size = |value: usize| value as f64;
    let (hidden, embedding) = (size(config.hidden_size), size(config.embedding_size));
    let masked_lm = size(masked) * embedding * (hidden + size(config.vocab_size));
    let sentence_order = size(lengths.len()) * 2.0 * hidden;
    let (tokens, read) = (lengths.iter().sum::<usize>(), masked + lengths.len());
    let intermediate = size(config.intermediate_size);
    let left_out = size(tokens.saturating_sub(read)) * hidden * (hidden + 2.0 * intermediate);
    let layers = forward::operations(config, lengths, false) - 2.0 * left_out;
    3.0 * (layers + 2.0 * (masked_lm + sentence_order))
}
