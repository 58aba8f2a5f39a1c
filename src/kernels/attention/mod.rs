//! Scaled dot-product attention over a packed batch.
//!
//! One task is one head of one sequence, and its queries go over its keys and values in blocks. A
//! block's queries are packed as the columns of a panel, and stay columns to the end:
//!
//! ```text
//! scores [n, 64] = K [n, D] · Qᵀ [D, 64]     context [D, 64] = Vᵀ [D, n] · softmax(scores) [n, 64]
//! ```
//!
//! So tiles are as wide as the panel whatever D is, scores are written where they are the next
//! product's panel, and softmax is done lane by lane. Memory grows with the length of a sequence,
//! never with its square (but for probabilities that were asked for). Tokens that nobody may attend
//! to are left out, so a mask costs nothing and needs no large negative number.
//!
//! Products are of `f32`, or of bfloat16 summed up in `f32` for models of a narrow precision. In
//! int8, those of keys with queries are of bytes. Softmax is `f32` always.

pub(crate) mod backward;
mod columns;
mod head;
mod quantized_scores;

use crate::kernels::attention::head::{HeadInput, HeadOutput};
use crate::kernels::isa::Isa;
use crate::kernels::product::output::Output;
use crate::kernels::product::precision::Precision;
use crate::kernels::rows::dropout::Dropout;
use crate::kernels::threads::parallel;

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

/// Heads, their width D, and what their products are of.
#[derive(Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) count: usize,
    pub(crate) size: usize,
    /// Whether products are of bfloat16 rather than `f32`.
    pub(crate) is_narrow: bool,
    /// Whether those of keys with queries are of bytes.
    pub(crate) has_quantized_scores: bool,
}

impl Heads {
    /// Those of a model of that precision.
    pub(crate) fn new(isa: Isa, precision: Precision, count: usize, size: usize) -> Self {
        Self {
            count,
            size,
            is_narrow: precision.narrows_activations(isa),
            has_quantized_scores: precision == Precision::Int8,
        }
    }

    /// What scores are multiplied by.
    pub(in crate::kernels) fn scale(self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }

    /// The stream of random numbers of the first query of a head, and how far it is to the next
    /// query's.
    pub(in crate::kernels) fn stream(self, sequence: &Sequence, head: usize) -> (u64, u64) {
        ((sequence.start * self.count + head) as u64, self.count as u64)
    }
}

/// Which tokens ask, and what is dropped of what they attend to.
#[derive(Clone, Copy)]
pub(crate) struct Asking {
    pub(crate) queries: Queries,
    /// Dropout of the probabilities.
    pub(crate) dropout: Option<Dropout>,
}

/// `context = softmax(Q·Kᵀ / √D)·V`, head by head, where `qkv` [T, 3·A·D] holds queries, keys and
/// values side by side, from the first sequence's first token on. `context` is [T, A·D], or [B,
/// A·D] where only first tokens are queries.
///
/// Where `probabilities` is not empty, it receives for each sequence, one after the other, its
/// softmax [A, n, n] (of rows that are queries); it must be 0 before, and there must be no dropout.
/// A query without any key gets a context of zeros, as transformers' default (`sdpa`) has it.
pub(crate) fn attention(
    isa: Isa,
    qkv: &[f32],
    sequences: &[Sequence],
    heads: Heads,
    Asking { queries, dropout }: Asking,
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
    assert!(!wanted || dropout.is_none());
    let offsets: Vec<usize> = squares
        .iter()
        .scan(0, |end, square| {
            *end += square;
            Some(*end - square)
        })
        .collect();
    let count = |s: &Sequence| if queries == Queries::All { s.tokens } else { s.tokens.min(1) };
    let works = sequences.iter().map(|s| parallel::work([2, count(s), s.keys.len(), hidden]));
    let work = works.fold(0, usize::saturating_add);
    let context = Output::new(context, hidden);
    let probabilities = Output::new(probabilities, 1);
    let tasks = sequences.len() * heads.count;
    let input = |task: usize| {
        let (sequence, head) = (&sequences[task / heads.count], task % heads.count);
        HeadInput {
            qkv: &qkv[(sequence.start - base) * 3 * hidden + head * heads.size..],
            hidden,
            heads,
            sequence,
            queries: count(sequence),
            dropout: dropout.map(|dropout| (dropout, heads.stream(sequence, head))),
        }
    };
    parallel::for_each(work, tasks, |buffers, task| {
        let (index, head) = (task / heads.count, task % heads.count);
        let Sequence { start, tokens, ref keys } = sequences[index];
        let output = HeadOutput {
            context: &context,
            row: if queries == Queries::All { start - base } else { index },
            columns: head * heads.size..(head + 1) * heads.size,
            probabilities: wanted.then_some(&probabilities),
            square: offsets[index] + head * tokens * tokens,
            tokens,
            keys,
        };
        // Most likely done by this thread, too.
        let next = (task + 1 < tasks).then(|| input(task + 1));
        let parallel::Buffers { floats, more_floats, words, sums } = buffers;
        if heads.is_narrow {
            input(task).attend::<u32>(isa, (floats, words, sums), output, next);
        } else {
            input(task).attend::<f32>(isa, (floats, more_floats, sums), output, next);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::product::bytes;
    use crate::kernels::product::convert;
    use crate::kernels::reference;

    /// Contexts and probabilities of one sequence and head, naively.
    fn expected(qkv: &[f32], s: &Sequence, heads: Heads, head: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
        let (d, hidden) = (heads.size, heads.count * heads.size);
        let at = |token: usize, part: usize| {
            let start = ((s.start + token) * 3 + part) * hidden + head * d;
            let mut row = qkv[start..start + d].to_vec();
            if heads.has_quantized_scores && part == 1 {
                for (i, x) in row.iter_mut().enumerate() {
                    let key = |key: &usize| qkv[((s.start + key) * 3 + 1) * hidden + head * d + i];
                    *x -= s.keys.iter().fold(0.0, |sum, at| sum + key(at)) / s.keys.len() as f32;
                }
            }
            let scale = bytes::scale(&row);
            let round = |&x: &f32| {
                if heads.has_quantized_scores && part < 2 {
                    let steps = bytes::quantize(x, bytes::inverse(scale));
                    return f64::from(steps) * f64::from(scale);
                }
                f64::from(if heads.is_narrow { convert::from_bf16(convert::bf16(x)) } else { x })
            };
            row.iter().map(round).collect::<Vec<f64>>()
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
        let sizes = [(1, 1), (3, 5), (2, 26), (1, 64), (2, 65), (1, 130)];
        // Against products of the same rounded values. Weights of the values are rounded besides,
        // to 8 bits.
        for (is_narrow, tolerance) in [(false, 1e-5), (true, 2.0 / 256.0)] {
            for has_quantized_scores in [false, true] {
                for (count, size) in sizes {
                    check(Heads { count, size, is_narrow, has_quantized_scores }, tolerance);
                }
            }
        }
    }

    fn check(heads: Heads, tolerance: f64) {
        {
            let Heads { count, size, .. } = heads;
            let hidden = count * size;
            // Masked tokens at the start, in the middle, none, all, and lengths around the blocks'
            // edges.
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
                let all = Asking { queries: Queries::All, dropout: None };
                attention(isa, &qkv, &sequences, heads, all, &mut context, &mut probabilities);
                let mut firsts = vec![f32::NAN; sequences.len() * hidden];
                let first = Asking { queries: Queries::First, dropout: None };
                attention(isa, &qkv, &sequences, heads, first, &mut firsts, &mut []);
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
                            reference::assert_close(found, row, tolerance, &what);
                        }
                        let (found, rest) = squares.split_at(s.tokens * s.tokens);
                        squares = rest;
                        reference::assert_close(found, &square, 1e-5, &what);
                    }
                }
            }
        }
    }
}
