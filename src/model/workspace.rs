//! Working memory of forward passes.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::groups;
use crate::kernels::convert::InputBuffer;
use crate::kernels::pages::Aligned;

/// The maximum number of bytes per thread that are kept between calls, so that one huge batch does not occupy memory forever.
const MAX_KEPT: usize = 64 << 20;

/// Working memory of forward passes, allocated as needed and reused.
///
/// Every model keeps one, so this is optional; with your own
/// ([`Albert::forward_with_workspace`](crate::Albert::forward_with_workspace)) you control when it is freed. It is independent of models and may serve several. It holds no results, and keeps at most 64 MiB per thread of the pool between calls.
#[derive(Default)]
pub struct Workspace(Mutex<Vec<Buffers>>);

/// What one thread needs to bring a group of sequences through the layers.
#[derive(Default)]
struct Buffers {
    scratch: Aligned<f32>,
    middle: Aligned<f32>,
    inputs: InputBuffer,
    of_parts: Vec<InputBuffer>,
    intermediate_of_parts: Aligned<f32>,
}

/// Buffers as large as one group needs. What is in them is whatever was left there.
pub(super) struct LayerBuffers<'a> {
    /// Queries, keys, values and context `[T, 4H]` in the first half of a layer, `[T, I]` in the second.
    pub(super) scratch: &'a mut [f32],
    /// The state between the halves, `[T, H]`.
    pub(super) middle: &'a mut [f32],
    pub(super) inputs: &'a mut InputBuffer,
    /// Where each thread computes some of the tokens, rather than share each product.
    pub(super) parts: Option<Parts<'a>>,
}

/// How the tokens of a group are shared out.
pub(super) struct Parts<'a> {
    /// How many values of states `[T, H]` each part has, but for the last.
    pub(super) len: usize,
    /// How many of these go through feed-forward at a time.
    pub(super) block: usize,
    /// One for each part.
    pub(super) inputs: &'a mut [InputBuffer],
    /// A block's intermediate states for each part.
    pub(super) intermediate: &'a mut [f32],
}

/// How many values the buffers are to hold.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) tokens: usize,
    /// Into how many parts these are shared out; 1 if threads share each product instead.
    pub(super) parts: usize,
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
}

impl Workspace {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that it holds.
    pub fn capacity(&self) -> usize {
        self.lock().iter().map(Buffers::capacity).sum()
    }

    /// Runs `call` with exclusive buffers.
    pub(super) fn with<R>(&self, sizes: Sizes, call: impl FnOnce(LayerBuffers<'_>) -> R) -> R {
        // Not in one expression with what follows, which would hold the lock.
        let kept = self.lock().pop();
        let mut buffers = kept.unwrap_or_default();
        let result = call(buffers.layer(sizes));
        let mut kept = self.lock();
        let held: usize = kept.iter().map(Buffers::capacity).sum();
        if held + buffers.capacity() <= MAX_KEPT * rayon::current_num_threads() {
            kept.push(buffers);
        }
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Buffers>> {
        // A call that panicked left nothing here: what it took is gone, the others are whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffers {
    fn capacity(&self) -> usize {
        let Self { scratch, middle, inputs, of_parts, intermediate_of_parts } = self;
        let floats = scratch.capacity() + middle.capacity() + intermediate_of_parts.capacity();
        let of_parts: usize = of_parts.iter().map(InputBuffer::capacity).sum();
        size_of::<f32>() * floats + inputs.capacity() + of_parts
    }

    fn layer(&mut self, sizes: Sizes) -> LayerBuffers<'_> {
        let Sizes { tokens, parts, hidden, intermediate } = sizes;
        let Self { scratch, middle, inputs, of_parts, intermediate_of_parts } = self;
        let parts = (parts > 1).then(|| {
            let part = tokens.div_ceil(parts);
            let block = part.div_ceil(part.div_ceil(groups::TOKENS));
            of_parts.resize_with(of_parts.len().max(parts), InputBuffer::default);
            Parts {
                len: part * hidden,
                block: block * hidden,
                inputs: of_parts,
                intermediate: at_least(intermediate_of_parts, parts * block * intermediate),
            }
        });
        LayerBuffers {
            scratch: at_least(scratch, tokens * intermediate.max(4 * hidden)),
            middle: at_least(middle, tokens * hidden),
            inputs,
            parts,
        }
    }
}

/// The first `len` values, after making room for them.
fn at_least(values: &mut Aligned<f32>, len: usize) -> &mut [f32] {
    if values.len() < len {
        // What it held is not needed: a new one, rather than copying that.
        *values = Aligned::on_lines(len);
    }
    &mut values[..len]
}

/// Its size, no contents.
impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").field("capacity", &self.capacity()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_buffers_are_kept_and_large_ones_dropped() {
        let workspace = Workspace::new();
        let run = |tokens| {
            let sizes = Sizes { tokens, parts: 1, hidden: 8, intermediate: 32 };
            workspace.with(sizes, |buffers| assert_eq!(buffers.middle.len(), tokens * 8));
            workspace.capacity()
        };
        assert_eq!(workspace.capacity(), 0);
        let kept = run(10);
        assert!(kept >= 10 * 40 * size_of::<f32>(), "{kept}");
        assert_eq!(run(5), kept, "large enough for fewer tokens");
        let too_many = rayon::current_num_threads() * (MAX_KEPT / 100);
        assert_eq!(run(too_many), 0, "what would hold too much is gone");
    }
}
