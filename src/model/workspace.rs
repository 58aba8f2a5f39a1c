//! Working memory of a forward pass.

use std::fmt;
use std::sync::Mutex;

use crate::kernels::convert::InputBuffer;

/// The most bytes that a model holds on to between calls, so that one huge batch does not cost memory forever.
const MAX_KEPT: usize = 64 << 20;

/// Working memory of forward passes, allocated as need be and used again by the next.
///
/// Models keep some of their own, so nobody has to care; with one of one's own
/// ([`Albert::forward_with_workspace`](crate::Albert::forward_with_workspace)) one decides where it lives and when it is
/// freed. It belongs to no model: one may serve several, one after the other. It holds no results.
#[derive(Default)]
pub struct Workspace {
    /// Queries, keys, values and context `[T, 4H]` in the first half of a layer, `[T, I]` in the second.
    scratch: Vec<f32>,
    /// The state between the halves, `[T, H]`.
    middle: Vec<f32>,
    inputs: InputBuffer,
}

/// The parts of a workspace, as large as one call needs.
pub(super) struct Buffers<'a> {
    pub(super) scratch: &'a mut [f32],
    pub(super) middle: &'a mut [f32],
    pub(super) inputs: &'a mut InputBuffer,
}

impl Workspace {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that it holds.
    pub fn capacity(&self) -> usize {
        size_of::<f32>() * (self.scratch.capacity() + self.middle.capacity())
            + self.inputs.capacity()
    }

    /// Room for that many tokens. What is in it is whatever was left there.
    pub(super) fn buffers(
        &mut self,
        tokens: usize,
        hidden: usize,
        intermediate: usize,
    ) -> Buffers<'_> {
        let Self { scratch, middle, inputs } = self;
        Buffers {
            scratch: at_least(scratch, tokens * intermediate.max(4 * hidden)),
            middle: at_least(middle, tokens * hidden),
            inputs,
        }
    }
}

/// The first `len` values, after making room for them.
fn at_least(values: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if values.len() < len {
        // What it held is not needed: a new one, rather than copying that.
        *values = vec![0.0; len];
    }
    &mut values[..len]
}

/// Its size, no contents.
impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").field("capacity", &self.capacity()).finish()
    }
}

/// The workspaces that a model keeps between calls: as many as there were calls at once.
#[derive(Default)]
pub(super) struct Workspaces(Mutex<Vec<Workspace>>);

impl Workspaces {
    /// Runs `call` with a workspace.
    pub(super) fn with<R>(&self, call: impl FnOnce(&mut Workspace) -> R) -> R {
        // A call that panicked left nothing here: what it took is gone, the others are whole.
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut workspace = lock().pop().unwrap_or_default();
        let result = call(&mut workspace);
        let mut kept = lock();
        let held: usize = kept.iter().map(Workspace::capacity).sum();
        if held + workspace.capacity() <= MAX_KEPT {
            kept.push(workspace);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_workspaces_are_kept_and_large_ones_dropped() {
        let workspaces = Workspaces::default();
        let run = |tokens| {
            workspaces.with(|workspace| {
                let before = workspace.capacity();
                assert_eq!(workspace.buffers(tokens, 8, 32).middle.len(), tokens * 8);
                before
            })
        };
        assert_eq!(run(10), 0);
        let kept = run(5);
        assert!(kept >= 10 * 40 * 4, "kept and large enough for fewer tokens: {kept}");
        run(MAX_KEPT);
        assert_eq!(run(1), 0, "what held too much is gone");
    }
}
