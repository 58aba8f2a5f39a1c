//! Which tokens' states are read of the last layer.
//!
//! A masked-LM head reads those of the masked tokens, a classifier those of first tokens. In the last application, what
//! follows attention is done for them alone, forward and backward: nothing else depends on the others.

use crate::batch::Layout;
use crate::kernels::attention::Sequence;

/// The tokens of a batch whose last states are read.
pub(super) struct Wanted {
    /// Their rows in the batch, ascending.
    pub(super) rows: Vec<usize>,
    /// The batch's sequences with these tokens only. There is no attention among them.
    pub(super) sequences: Vec<Sequence>,
}

impl Wanted {
    /// All tokens.
    pub(super) fn all(layout: &Layout) -> Self {
        Self::new(layout, (0..layout.columns.len()).collect())
    }

    /// Certain rows, in any order, or those of all tokens if there is none.
    pub(super) fn new(layout: &Layout, mut rows: Vec<usize>) -> Self {
        if rows.is_empty() {
            return Self::all(layout);
        }
        rows.sort_unstable();
        rows.dedup();
        let below = |end: usize| rows.partition_point(|&row| row < end);
        let sequences = layout.sequences.iter().map(|sequence| {
            let start = below(sequence.start);
            let tokens = below(sequence.start + sequence.tokens) - start;
            Sequence { start, tokens, keys: Vec::new() }
        });
        let sequences = sequences.collect();
        Self { rows, sequences }
    }

    /// Where rows of the batch, which are wanted, are among those that are.
    pub(super) fn positions(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|&row| self.rows.partition_point(|&wanted| wanted < row)).collect()
    }
}

/// The wanted tokens of a group of sequences.
pub(super) struct WantedRows<'a> {
    /// Their rows in the batch.
    pub(super) rows: &'a [usize],
    /// The group's first row in the batch.
    pub(super) first: usize,
    /// The group's sequences, as in [`Wanted`].
    pub(super) sequences: &'a [Sequence],
    /// The context of attention at these tokens, `[w, H]`.
    pub(super) context: &'a mut [f32],
}

impl WantedRows<'_> {
    /// The wanted ones of a group's rows `[t, width]`, into `to` `[w, width]`.
    pub(super) fn gather(&self, width: usize, from: &[f32], to: &mut [f32]) {
        gather(self.rows, self.first, width, from, to);
    }

    /// Keeps what is wanted of the group's context.
    pub(super) fn keep_context(&mut self, width: usize, context: &[f32]) {
        gather(self.rows, self.first, width, context, self.context);
    }

    /// [`gather`](Self::gather) backwards: adds `from` `[w, width]` to the group's rows.
    pub(super) fn scatter(&self, width: usize, from: &[f32], to: &mut [f32]) {
        for (from, &row) in from.chunks_exact(width).zip(self.rows) {
            let to = &mut to[(row - self.first) * width..][..width];
            to.iter_mut().zip(from).for_each(|(to, x)| *to += x);
        }
    }
}

fn gather(rows: &[usize], first: usize, width: usize, from: &[f32], to: &mut [f32]) {
    for (to, &row) in to.chunks_exact_mut(width).zip(rows) {
        to.copy_from_slice(&from[(row - first) * width..][..width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;

    fn batch() -> Batch {
        Batch::from_sequences(&[vec![2, 4, 3], vec![2, 3], vec![2, 5, 6, 3]]).unwrap()
    }

    fn places(wanted: &Wanted) -> Vec<(usize, usize)> {
        wanted.sequences.iter().map(|sequence| (sequence.start, sequence.tokens)).collect()
    }

    #[test]
    fn sequences_have_their_wanted_tokens() {
        let wanted = Wanted::new(&batch().layout, vec![8, 0, 2, 6, 0]);
        assert_eq!(wanted.rows, [0, 2, 6, 8]);
        assert_eq!(places(&wanted), [(0, 2), (2, 0), (2, 2)]);
        assert_eq!(wanted.positions(&[6, 0, 8]), [2, 0, 3]);
    }

    #[test]
    fn where_nothing_is_wanted_all_is() {
        let wanted = Wanted::new(&batch().layout, Vec::new());
        assert!(wanted.rows.iter().copied().eq(0..9));
        assert_eq!(places(&wanted), [(0, 3), (3, 2), (5, 4)]);
    }

    #[test]
    fn rows_are_gathered_and_scattered_from_the_groups_first() {
        let rows = WantedRows { rows: &[5, 7], first: 5, sequences: &[], context: &mut [] };
        let mut gathered = [0.0; 4];
        rows.gather(2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut gathered);
        assert_eq!(gathered, [1.0, 2.0, 5.0, 6.0]);
        let mut scattered = [0.5; 6];
        rows.scatter(2, &gathered, &mut scattered);
        assert_eq!(scattered, [1.5, 2.5, 0.5, 0.5, 5.5, 6.5]);
    }
}
