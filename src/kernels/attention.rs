//! Scaled dot-product attention over a packed batch.
//!
//! One task is one head of one sequence: its keys and values are packed into panels once, then its queries go over
//! them in blocks, so that scores, softmax and context of a block stay in cache. Memory grows with the length of a
//! sequence, never with its square (but for probabilities that were asked for). Tokens that nobody may attend to are
//! left out when the keys are packed, so a mask costs nothing and needs no large negative number.

use super::gemm::{Output, Rows, multiply_panels};
use super::isa::Isa;
use super::packed::{LANES, PANEL, pack_panel, panel_width};
use super::{parallel, vector};

/// Queries whose scores are held at a time.
const QUERIES_PER_BLOCK: usize = 48;

/// One sequence of a packed batch.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    /// Its first token's row.
    pub(crate) start: usize,
    /// How many tokens it has; each is a query.
    pub(crate) tokens: usize,
    /// Which of them may be attended to, counted from the sequence's first, ascending.
    pub(crate) keys: Vec<usize>,
}

/// The row at which the first of some sequences begins.
pub(crate) fn first_row(sequences: &[Sequence]) -> usize {
    sequences.first().map_or(0, |sequence| sequence.start)
}

/// Which tokens of a sequence are queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queries {
    /// All: the context has a row for each token.
    All,
    /// The first alone: the context has a row for each sequence.
    First,
}

/// Heads and their width D.
#[derive(Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) count: usize,
    pub(crate) size: usize,
}

/// `context = softmax(Q·Kᵀ / √D)·V`, head by head, where `qkv` [T, 3·A·D] holds queries, keys and values side by side, from
/// the first sequence's first token on. `context` is [T, A·D], or [B, A·D] where only first tokens are queries.
///
/// Where `probabilities` is not empty, it receives for each sequence, one after the other, its softmax [A, n, n] (of
/// rows that are queries); it must be 0 before. A query without any key gets a context of zeros, as transformers' default (`sdpa`) has it.
pub(crate) fn attention(
    isa: Isa,
    qkv: &[f32],
    sequences: &[Sequence],
    heads: Heads,
    queries: Queries,
    context: &mut [f32],
    probabilities: &mut [f32],
) {
    let hidden = heads.count * heads.size;
    let base = first_row(sequences);
    let ends = sequences.iter().map(|s| s.start.saturating_add(s.tokens));
    let starts = sequences.iter().map(|s| s.start).skip(1).chain([base + qkv.len() / (3 * hidden)]);
    assert!(ends.zip(starts).all(|(end, next)| end <= next), "sequences follow each other in qkv");
    assert!(sequences.iter().all(|s| s.keys.iter().all(|&key| key < s.tokens)));
    match queries {
        Queries::All => assert_eq!(3 * context.len(), qkv.len()),
        Queries::First => assert_eq!(context.len(), sequences.len() * hidden),
    }
    let squares: Vec<usize> = sequences.iter().map(|s| heads.count * s.tokens * s.tokens).collect();
    assert!(probabilities.is_empty() || probabilities.len() == squares.iter().sum::<usize>());
    let wanted = !probabilities.is_empty();
    let offsets: Vec<usize> = squares
        .iter()
        .scan(0, |end, square| {
            *end += square;
            Some(*end - square)
        })
        .collect();
    let count = |s: &Sequence| if queries == Queries::All { s.tokens } else { s.tokens.min(1) };
    let work: usize = sequences.iter().map(|s| 2 * count(s) * s.keys.len() * hidden).sum();
    let context = Output::new(context, hidden);
    let probabilities = Output::new(probabilities, 1);
    parallel::for_each(work, sequences.len() * heads.count, |buffers, task| {
        let (index, head) = (task / heads.count, task % heads.count);
        let sequence = &sequences[index];
        let column = head * heads.size;
        let input = HeadInput {
            qkv: &qkv[(sequence.start - base) * 3 * hidden + column..],
            hidden,
            size: heads.size,
            sequence,
            queries: count(sequence),
        };
        let output_row = if queries == Queries::All { sequence.start - base } else { index };
        let emit = |query: usize, row: &[f32], softmax: &[f32]| {
            // SAFETY: this task alone writes this head's columns of this sequence's rows, within `context`.
            unsafe { context.row(output_row + query, column, heads.size) }.copy_from_slice(row);
            if wanted {
                let n = sequence.tokens;
                let start = offsets[index] + (head * n + query) * n;
                // SAFETY: this task alone writes this head's square, which lies within `probabilities`.
                let row = unsafe { probabilities.row(start, 0, n) };
                sequence.keys.iter().zip(softmax).for_each(|(&key, &p)| row[key] = p);
            }
        };
        input.attend(isa, &mut buffers.floats, emit);
    });
}

/// One head of one sequence.
struct HeadInput<'a> {
    /// From the head's first query value of the sequence's first token on; rows are 3·`hidden` apart.
    qkv: &'a [f32],
    hidden: usize,
    size: usize,
    sequence: &'a Sequence,
    /// How many of its tokens are queries, from the first on.
    queries: usize,
}

impl HeadInput<'_> {
    /// Calls `emit` for every query with its context [D] and its probabilities over the keys.
    fn attend(&self, isa: Isa, buffer: &mut Vec<f32>, emit: impl Fn(usize, &[f32], &[f32])) {
        let (size, n) = (self.size, self.sequence.keys.len());
        let block = QUERIES_PER_BLOCK.min(self.queries);
        let key_panels = n.next_multiple_of(LANES) * size;
        let value_panels = size.next_multiple_of(LANES) * n;
        let len = key_panels + value_panels + block * (n + size);
        buffer.resize(buffer.len().max(len), 0.0);
        let (key_panels, rest) = buffer.split_at_mut(key_panels);
        let (value_panels, rest) = rest.split_at_mut(value_panels);
        let (scores, rest) = rest.split_at_mut(block * n);
        let context = &mut rest[..block * size];
        self.pack_keys(key_panels);
        self.pack_values(value_panels);
        let scale = 1.0 / (size as f32).sqrt();
        for first in (0..self.queries).step_by(block.max(1)) {
            let count = block.min(self.queries - first);
            if n > 0 {
                let stride = 3 * self.hidden;
                let queries = Rows { values: &self.qkv[first * stride..], stride, count };
                multiply_panels(isa, queries, key_panels, (n, size), scores);
                vector::softmax(isa, &mut scores[..count * n], n, scale);
                let weights = Rows { values: scores, stride: n, count };
                multiply_panels(isa, weights, value_panels, (size, n), context);
            } else {
                context.fill(0.0);
            }
            for (i, row) in context.chunks_exact(size).take(count).enumerate() {
                emit(first + i, row, &scores[i * n..][..n]);
            }
        }
    }

    /// D values of token `key`, of its keys (`part` 1) or values (`part` 2).
    fn row(&self, part: usize, key: usize) -> &[f32] {
        &self.qkv[(3 * key + part) * self.hidden..][..self.size]
    }

    /// Packs the keys [n, D] as a matrix of n outputs and D inputs.
    fn pack_keys(&self, mut panels: &mut [f32]) {
        let keys = &self.sequence.keys;
        let mut gathered = Vec::with_capacity(PANEL * self.size);
        for (index, block) in keys.chunks(PANEL).enumerate() {
            let (panel, rest) = panels.split_at_mut(panel_width(keys.len(), index) * self.size);
            panels = rest;
            gathered.clear();
            block.iter().for_each(|&key| gathered.extend_from_slice(self.row(1, key)));
            pack_panel(&gathered, block.len(), self.size, panel);
        }
    }

    /// Packs the values [n, D] as a matrix of D outputs and n inputs: a line of a panel is part of a row of values.
    fn pack_values(&self, mut panels: &mut [f32]) {
        let keys = &self.sequence.keys;
        for (index, column) in (0..self.size).step_by(PANEL).enumerate() {
            let width = panel_width(self.size, index);
            let (panel, rest) = panels.split_at_mut(width * keys.len());
            panels = rest;
            let filled = PANEL.min(self.size - column);
            for (line, &key) in panel.chunks_exact_mut(width).zip(keys) {
                line[..filled].copy_from_slice(&self.row(2, key)[column..][..filled]);
                line[filled..].fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    /// Contexts and probabilities of one sequence and head, naively.
    fn expected(qkv: &[f32], s: &Sequence, heads: Heads, head: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
        let (d, hidden) = (heads.size, heads.count * heads.size);
        let at = |token: usize, part: usize| {
            let start = ((s.start + token) * 3 + part) * hidden + head * d;
            qkv[start..start + d].iter().map(|&x| f64::from(x)).collect::<Vec<f64>>()
        };
        let mut contexts = Vec::new();
        let mut probabilities = vec![0.0; s.tokens * s.tokens];
        for query in 0..s.tokens {
            let q = at(query, 0);
            let dot = |key: &usize| q.iter().zip(at(*key, 1)).map(|(x, y)| x * y).sum::<f64>();
            let scores: Vec<f64> = s.keys.iter().map(|key| dot(key) / (d as f64).sqrt()).collect();
            let mut context = vec![0.0; d];
            for (&key, p) in s.keys.iter().zip(reference::softmax(&scores)) {
                context.iter_mut().zip(at(key, 2)).for_each(|(sum, v)| *sum += p * v);
                probabilities[query * s.tokens + key] = p;
            }
            contexts.push(context);
        }
        (contexts, probabilities)
    }

    #[test]
    fn attention_matches_the_reference() {
        for (count, size) in [(1, 1), (3, 5), (2, 26), (1, 64), (2, 65), (1, 130)] {
            let heads = Heads { count, size };
            let hidden = count * size;
            // Masked tokens at the start, in the middle, none, all, and lengths around the blocks' edges.
            let sequences: Vec<Sequence> = [
                (1, vec![0]),
                (7, vec![1, 2, 4, 6]),
                (3, vec![]),
                (65, (0..65).collect()),
                (130, (0..130).filter(|i| i % 3 != 1).collect()),
            ]
            .into_iter()
            .scan(0, |start, (tokens, keys)| {
                *start += tokens;
                Some(Sequence { start: *start - tokens, tokens, keys })
            })
            .collect();
            let total = 206;
            let qkv = reference::noise(total * 3 * hidden, 9, 2.0);
            let squares: usize = sequences.iter().map(|s| count * s.tokens * s.tokens).sum();
            for isa in Isa::available() {
                let mut context = vec![f32::NAN; total * hidden];
                let mut probabilities = vec![0.0; squares];
                let all = Queries::All;
                attention(isa, &qkv, &sequences, heads, all, &mut context, &mut probabilities);
                let mut firsts = vec![f32::NAN; sequences.len() * hidden];
                attention(isa, &qkv, &sequences, heads, Queries::First, &mut firsts, &mut []);
                for (s, first) in sequences.iter().zip(firsts.chunks(hidden)) {
                    assert_eq!(first, &context[s.start * hidden..][..hidden], "to the bit");
                }
                let mut squares = probabilities.as_slice();
                for s in &sequences {
                    for head in 0..count {
                        let (contexts, square) = expected(&qkv, s, heads, head);
                        let what = format!("{isa} {count}×{size} sequence at {}", s.start);
                        for (i, row) in contexts.iter().enumerate() {
                            let found = &context[(s.start + i) * hidden + head * size..][..size];
                            reference::assert_close(found, row, 1e-5, &what);
                        }
                        let (found, rest) = squares.split_at(s.tokens * s.tokens);
                        squares = rest;
                        reference::assert_close(found, &square, 1e-6, &what);
                    }
                }
            }
        }
    }
}
