//! The states that forward passes save for backward passes.
//!
//! Backward passes overwrite what they have read with what is needed next: queries, keys and values with their gradients, what
//! was normalised with the gradient of what went into the norm. After all layers, the gradient of every product's output is therefore available next to its inputs, and takes no memory of its own.

use std::ops::Range;

use super::norm::{SavedNorm, parts};
use crate::kernels::attention::{Sequence, first_row};

/// Sizes of a layer.
#[derive(Clone, Copy)]
pub(super) struct Widths {
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
}

/// One application of a layer, of all tokens of a batch.
#[derive(Default)]
pub(super) struct SavedLayer {
    /// `[T, 3H]`.
    pub(super) qkv: Vec<f32>,
    /// `[T, H]`.
    pub(super) context: Vec<f32>,
    pub(super) attention_norm: NormBuffers,
    /// The states between the two halves of the layer, `[T, H]`.
    pub(super) middle: Vec<f32>,
    /// What the activation is applied to, `[T, I]`.
    pub(super) pre_activation: Vec<f32>,
    /// `[T, I]`.
    pub(super) activation: Vec<f32>,
    pub(super) output_norm: NormBuffers,
}

/// What [`SavedNorm`] has parts of.
#[derive(Default)]
pub(super) struct NormBuffers {
    pub(super) rows: Vec<f32>,
    pub(super) factors: Vec<f32>,
    pub(super) parts: Vec<f32>,
}

/// A group's rows of a [`SavedLayer`].
pub(super) struct SavedRows<'a> {
    pub(super) qkv: &'a mut [f32],
    pub(super) context: &'a mut [f32],
    pub(super) attention_norm: SavedNorm<'a>,
    pub(super) middle: &'a mut [f32],
    pub(super) pre_activation: &'a mut [f32],
    pub(super) activation: &'a mut [f32],
    pub(super) output_norm: SavedNorm<'a>,
}

/// A group of sequences: how many of their tokens, and of the parts of these, there are.
#[derive(Clone)]
pub(super) struct GroupSize {
    pub(super) sequences: Range<usize>,
    pub(super) tokens: usize,
    parts: usize,
}

impl GroupSize {
    /// Of certain sequences of a batch of that many tokens.
    pub(super) fn new(all: &[Sequence], sequences: Range<usize>, tokens: usize) -> Self {
        let end = all.get(sequences.end).map_or(tokens, |next| next.start);
        let group = &all[sequences.clone()];
        Self { tokens: end - first_row(group), parts: parts(group).len(), sequences }
    }
}

impl SavedLayer {
    /// Makes room for the tokens of some groups, and for those of them that are computed after attention. What is in
    /// it is whatever was left there.
    pub(super) fn resize(&mut self, widths: Widths, groups: &[GroupSize], after: &[GroupSize]) {
        let Widths { hidden, intermediate } = widths;
        let tokens: usize = groups.iter().map(|group| group.tokens).sum();
        resize(&mut self.qkv, tokens * 3 * hidden);
        resize(&mut self.context, tokens * hidden);
        let tokens: usize = after.iter().map(|group| group.tokens).sum();
        let parts: usize = after.iter().map(|group| group.parts).sum();
        resize(&mut self.middle, tokens * hidden);
        resize(&mut self.pre_activation, tokens * intermediate);
        resize(&mut self.activation, tokens * intermediate);
        for norm in [&mut self.attention_norm, &mut self.output_norm] {
            norm.resize(hidden, tokens, parts);
        }
    }

    /// Cuts it into the groups' rows.
    pub(super) fn split(
        &mut self,
        widths: Widths,
        groups: &[GroupSize],
        after: &[GroupSize],
    ) -> Vec<SavedRows<'_>> {
        let Widths { hidden, intermediate } = widths;
        let Self { qkv, context, attention_norm, middle, pre_activation, activation, output_norm } =
            self;
        let mut qkv = &mut qkv[..];
        let (mut context, mut middle) = (&mut context[..], &mut middle[..]);
        let (mut pre_activation, mut activation) = (&mut pre_activation[..], &mut activation[..]);
        let (mut attention_norm, mut output_norm) = (attention_norm.all(), output_norm.all());
        groups
            .iter()
            .zip(after)
            .map(|(group, after)| SavedRows {
                qkv: take(&mut qkv, group.tokens * 3 * hidden),
                context: take(&mut context, group.tokens * hidden),
                attention_norm: take_norm(&mut attention_norm, hidden, after),
                middle: take(&mut middle, after.tokens * hidden),
                pre_activation: take(&mut pre_activation, after.tokens * intermediate),
                activation: take(&mut activation, after.tokens * intermediate),
                output_norm: take_norm(&mut output_norm, hidden, after),
            })
            .collect()
    }
}

impl SavedRows<'_> {
    /// Keeps room for fewer tokens after attention.
    pub(super) fn shorten(&mut self, widths: Widths, after: &GroupSize) {
        let Widths { hidden, intermediate } = widths;
        let shorten = |rows: &mut &mut [f32], len: usize| *rows = take(rows, len);
        for norm in [&mut self.attention_norm, &mut self.output_norm] {
            *norm = take_norm(norm, hidden, after);
        }
        shorten(&mut self.middle, after.tokens * hidden);
        shorten(&mut self.pre_activation, after.tokens * intermediate);
        shorten(&mut self.activation, after.tokens * intermediate);
    }
}

impl NormBuffers {
    pub(super) fn resize(&mut self, width: usize, tokens: usize, parts: usize) {
        resize(&mut self.rows, tokens * width);
        resize(&mut self.factors, tokens);
        resize(&mut self.parts, parts * 2 * width);
    }

    pub(super) fn all(&mut self) -> SavedNorm<'_> {
        let Self { rows, factors, parts } = self;
        SavedNorm { rows, factors, parts }
    }
}

/// Gives a buffer a length, whatever is in it.
pub(super) fn resize(values: &mut Vec<f32>, len: usize) {
    if values.capacity() < len {
        // What it held is not needed: a new one, rather than copying that.
        *values = vec![0.0; len];
    }
    values.resize(len, 0.0);
}

/// Takes the first `len` of the remaining values.
pub(super) fn take<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (first, others) = std::mem::take(rest).split_at_mut(len);
    *rest = others;
    first
}

fn take_norm<'a>(rest: &mut SavedNorm<'a>, width: usize, group: &GroupSize) -> SavedNorm<'a> {
    SavedNorm {
        rows: take(&mut rest.rows, group.tokens * width),
        factors: take(&mut rest.factors, group.tokens),
        parts: take(&mut rest.parts, group.parts * 2 * width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first sequence, and the others.
    fn groups(tokens: [usize; 3]) -> Vec<GroupSize> {
        let mut start = 0;
        let sequences = tokens.map(|tokens| {
            start += tokens;
            Sequence { start: start - tokens, tokens, keys: Vec::new() }
        });
        [0..1, 1..3].map(|range| GroupSize::new(&sequences, range, start)).into()
    }

    #[test]
    fn groups_have_the_tokens_and_parts_of_their_sequences() {
        let sizes: Vec<_> = groups([65, 3, 128]).iter().map(|g| (g.tokens, g.parts)).collect();
        assert_eq!(sizes, [(65, 2), (131, 3)]);
    }

    fn check(rows: &SavedRows<'_>, group: &GroupSize, after: &GroupSize) {
        assert_eq!((rows.qkv.len(), rows.context.len()), (group.tokens * 18, group.tokens * 6));
        assert_eq!(rows.middle.len(), after.tokens * 6);
        assert_eq!(rows.pre_activation.len(), after.tokens * 10);
        assert_eq!(rows.activation.len(), after.tokens * 10);
        for norm in [&rows.attention_norm, &rows.output_norm] {
            assert_eq!((norm.rows.len(), norm.factors.len()), (after.tokens * 6, after.tokens));
            assert_eq!(norm.parts.len(), after.parts * 12);
        }
    }

    /// A layer is cut up without rest, also after a longer batch.
    #[test]
    fn layers_are_cut_into_groups_without_rest() {
        let widths = Widths { hidden: 6, intermediate: 10 };
        let mut layer = SavedLayer::default();
        for tokens in [[65, 3, 128], [1, 2, 3], [7, 200, 1]] {
            let (groups, after) = (groups(tokens), groups([tokens[0], 0, 1]));
            layer.resize(widths, &groups, &after);
            assert_eq!(layer.middle.len(), (tokens[0] + 1) * 6);
            let cut = layer.split(widths, &groups, &after);
            for (rows, (group, after)) in cut.iter().zip(groups.iter().zip(&after)) {
                check(rows, group, after);
            }
            layer.resize(widths, &groups, &groups);
            let mut cut = layer.split(widths, &groups, &groups);
            for (rows, (group, after)) in cut.iter_mut().zip(groups.iter().zip(&after)) {
                check(rows, group, group);
                rows.shorten(widths, after);
                check(rows, group, after);
            }
            let cut = layer.split(widths, &groups, &groups);
            let total: usize = cut.iter().map(|rows| rows.qkv.len()).sum();
            assert_eq!(total, layer.qkv.len());
        }
    }
}
