//! How much useful arithmetic a forward pass is.

use ndalbert::AlbertConfig;

/// Floating-point operations (a multiply-add is two) of the matrix products that the output of sequences of these lengths
/// needs. Element-wise work, padding and unused outputs do not count.
pub fn operations(config: &AlbertConfig, lengths: &[usize], pooled_only: bool) -> f64 {
    let size = |value: usize| value as f64;
    let (hidden, intermediate) = (size(config.hidden_size), size(config.intermediate_size));
    let applications = config.num_applications();
    // Of a token: keys and values; queries, attention output and feed-forward; per key, scores and context.
    let keys_and_values = 2.0 * hidden * hidden;
    let rest = 2.0 * hidden * hidden + 2.0 * hidden * intermediate;
    let layer = |queries: f64, keys: f64| {
        keys * keys_and_values + queries * rest + 2.0 * queries * keys * hidden
    };
    let multiply_adds: f64 = lengths
        .iter()
        .map(|&length| {
            let tokens = size(length);
            let last = if pooled_only { 1.0 } else { tokens };
            tokens * size(config.embedding_size) * hidden
                + size(applications.saturating_sub(1)) * layer(tokens, tokens)
                + layer(last, tokens)
                + hidden * hidden
        })
        .sum();
    2.0 * multiply_adds
}
