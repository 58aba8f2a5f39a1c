//! The backward pass of attention.
//!
//! As in the forward pass, one task is one head of one sequence, and its queries are gone through
//! in blocks; scores are computed once more rather than kept. With P = softmax(Q·Kᵀ/√D) and C =
//! P·V:
//!
//! ```text
//! dV = Pᵀ·dC    dP = dC·Vᵀ    dS = P∘(dP − Σ dC∘C)/√D    dQ = dS·K    dK = dSᵀ·Q
//! ```
//!
//! With dropout, P is what it made of the softmax in dV, and dP goes back through it.

use crate::kernels::attention::{Heads, Sequence, first_row};
use crate::kernels::isa::Isa;
use crate::kernels::product::convert::Strided;
use crate::kernels::product::multiplicand::{Destination, Multiplicand};
use crate::kernels::product::output::Output;
use crate::kernels::product::panels::{
    Panels, inputs_len, multiply_panels, outputs_len, pack_inputs, pack_outputs,
};
use crate::kernels::product::transpose::transpose;
use crate::kernels::rows::backward::{SoftmaxBackward, row_dots, softmax_backward};
use crate::kernels::rows::dropout::Dropout;
use crate::kernels::rows::vector;
use crate::kernels::threads::parallel;
use crate::kernels::threads::split::split;

/// Queries whose scores are held at a time; the products that sum up over them are the better the
/// more there are.
const QUERIES_PER_BLOCK: usize = 128;

/// Replaces queries, keys and values `qkv` [T, 3·A·D] by their gradients, given the context [T,
/// A·D] that attention made of them, and its gradient. Sequences and `dropout` are those of the
/// forward pass.
pub(crate) fn attention_backward(
    isa: Isa,
    qkv: &mut [f32],
    sequences: &[Sequence],
    heads: Heads,
    dropout: Option<Dropout>,
    (context, d_context): (&[f32], &[f32]),
) {
    let hidden = heads.count * heads.size;
    let base = first_row(sequences);
    let rows = qkv.len() / (3 * hidden);
    assert!(qkv.len() == 3 * hidden * rows && context.len() == hidden * rows);
    assert_eq!(context.len(), d_context.len());
    let ends = sequences.iter().map(|s| s.start + s.tokens);
    let starts = sequences.iter().map(|s| s.start).skip(1).chain([base + rows]);
    assert!(ends.zip(starts).all(|(end, next)| end <= next), "sequences follow each other in qkv");
    assert!(sequences.iter().all(|s| s.keys.iter().all(|&key| key < s.tokens)));
    let works = sequences.iter().map(|s| parallel::work([5, s.tokens, s.keys.len(), hidden]));
    let work = works.fold(0, usize::saturating_add);
    let qkv = Output::new(qkv, 3 * hidden);
    parallel::for_each(work, sequences.len() * heads.count, |buffers, task| {
        let (index, head) = (task / heads.count, task % heads.count);
        let sequence = &sequences[index];
        let (first, column) = (sequence.start - base, head * heads.size);
        let of_head = |values| {
            let (stride, width) = (hidden, heads.size);
            let values = Strided { values, stride, width: hidden, count: rows };
            values.part(first, sequence.tokens, column..column + width)
        };
        let head = Head {
            qkv: &qkv,
            first,
            columns: [column, hidden + column, 2 * hidden + column],
            heads,
            sequence,
            context: of_head(context),
            d_context: of_head(d_context),
            dropout: dropout.map(|dropout| (dropout, heads.stream(sequence, head))),
        };
        let parallel::Buffers { floats, more_floats, words, .. } = buffers;
        if heads.is_narrow {
            head.backward::<u32>(isa, floats, words);
        } else {
            head.backward::<f32>(isa, floats, more_floats);
        }
    });
}

/// One head of one sequence.
struct Head<'a> {
    qkv: &'a Output<'a>,
    /// The sequence's first row.
    first: usize,
    /// Where the head's queries, keys and values begin in a row.
    columns: [usize; 3],
    heads: Heads,
    sequence: &'a Sequence,
    context: Strided<'a>,
    d_context: Strided<'a>,
    dropout: Option<(Dropout, (u64, u64))>,
}

impl Head<'_> {
    fn backward<W: Multiplicand>(&self, isa: Isa, floats: &mut Vec<f32>, words: &mut Vec<W>) {
        let (size, tokens, n) = (self.heads.size, self.sequence.tokens, self.sequence.keys.len());
        let block = QUERIES_PER_BLOCK.min(tokens);
        let [
            queries,
            keys,
            values,
            d_queries,
            d_keys,
            d_values,
            scores,
            d_scores,
            transposed,
            dots,
            factors,
        ] = split(
            floats,
            [
                tokens * size,
                n * size,
                n * size,
                block * size,
                n * size,
                n * size,
                block * n,
                block * n,
                block * n,
                block,
                block,
            ],
        );
        self.read(0, 0..tokens, queries);
        self.read(1, self.sequence.keys.iter().copied(), keys);
        self.read(2, self.sequence.keys.iter().copied(), values);
        self.clear();
        if n == 0 {
            return;
        }
        d_keys.fill(0.0);
        d_values.fill(0.0);
        let longest = n.max(block).max(size);
        let [key_outputs, value_outputs, key_inputs, lines, encoded] = split(
            words,
            [
                outputs_len::<W>(n, size),
                outputs_len::<W>(n, size),
                inputs_len::<W>(n, size),
                inputs_len::<W>(block, size),
                n.max(block) * longest.div_ceil(W::INPUTS) * W::words(isa),
            ],
        );
        let keys = Strided::dense(keys, size);
        pack_outputs(isa, keys, key_outputs, encoded);
        pack_outputs(isa, Strided::dense(values, size), value_outputs, encoded);
        pack_inputs(isa, keys, key_inputs);
        let key_outputs = Panels { panels: key_outputs, n, depth: size.div_ceil(W::INPUTS) };
        let value_outputs = Panels { panels: value_outputs, ..key_outputs };
        let key_inputs = Panels { panels: key_inputs, n: size, depth: n.div_ceil(W::INPUTS) };
        let queries = Strided::dense(queries, size);
        for first in (0..tokens).step_by(block) {
            let count = block.min(tokens - first);
            let queries = queries.part(first, count, 0..size);
            let context = self.context.part(first, count, 0..size);
            let d_context = self.d_context.part(first, count, 0..size);
            let (scores, d_scores) = (&mut scores[..count * n], &mut d_scores[..count * n]);
            let d_queries = &mut d_queries[..count * size];
            multiply(
                isa,
                queries,
                key_outputs,
                encoded,
                Destination { out: &mut *scores, accumulate: false },
            );
            vector::softmax(isa, scores, n, self.heads.scale(), factors);
            multiply(
                isa,
                d_context,
                value_outputs,
                encoded,
                Destination { out: &mut *d_scores, accumulate: false },
            );
            row_dots(isa, context, d_context, dots);
            let softmax = SoftmaxBackward {
                scale: self.heads.scale(),
                factors,
                dots,
                dropout: self
                    .dropout
                    .map(|(dropout, (start, step))| (dropout, start + first as u64 * step, step)),
            };
            softmax_backward(isa, softmax, n, scores, d_scores);

            let depth = count.div_ceil(W::INPUTS);
            let transposed = &mut transposed[..count * n];
            transpose(isa, Strided::dense(scores, n), transposed, count);
            pack_inputs(isa, d_context, lines);
            let panels = Panels { panels: &*lines, n: size, depth };
            multiply(
                isa,
                Strided::dense(transposed, count),
                panels,
                encoded,
                Destination { out: &mut *d_values, accumulate: true },
            );
            transpose(isa, Strided::dense(d_scores, n), transposed, count);
            pack_inputs(isa, queries, lines);
            let panels = Panels { panels: &*lines, n: size, depth };
            multiply(
                isa,
                Strided::dense(transposed, count),
                panels,
                encoded,
                Destination { out: &mut *d_keys, accumulate: true },
            );
            multiply(
                isa,
                Strided::dense(d_scores, n),
                key_inputs,
                encoded,
                Destination { out: &mut *d_queries, accumulate: false },
            );
            self.write(0, first..first + count, d_queries);
        }
        self.write(1, self.sequence.keys.iter().copied(), d_keys);
        self.write(2, self.sequence.keys.iter().copied(), d_values);
    }

    /// Reads or writes the head's values of a token: its query (`part` 0), key (1) or value (2).
    fn row(&self, part: usize, token: usize, access: impl FnOnce(&mut [f32])) {
        // SAFETY: this task alone reads and writes this head's columns of this sequence's rows, one
        // row at a time.
        access(unsafe { self.qkv.row(self.first + token, self.columns[part], self.heads.size) });
    }

    fn read(&self, part: usize, tokens: impl IntoIterator<Item = usize>, to: &mut [f32]) {
        for (to, token) in to.chunks_exact_mut(self.heads.size).zip(tokens) {
            self.row(part, token, |row| to.copy_from_slice(row));
        }
    }

    fn write(&self, part: usize, tokens: impl IntoIterator<Item = usize>, from: &[f32]) {
        for (from, token) in from.chunks_exact(self.heads.size).zip(tokens) {
            self.row(part, token, |row| row.copy_from_slice(from));
        }
    }

    /// Gradients of tokens that nobody attends to are 0.
    fn clear(&self) {
        for token in 0..self.sequence.tokens {
            (0..3).for_each(|part| self.row(part, token, |row| row.fill(0.0)));
        }
    }
}

/// `out = rows · panels`, or with that added to it.
fn multiply<W: Multiplicand>(
    isa: Isa,
    rows: Strided<'_>,
    panels: Panels<'_, W>,
    encoded: &mut [W],
    out: Destination<'_>,
) {
    let inputs = W::encode(isa, rows, encoded);
    multiply_panels(isa, inputs, rows.count, panels, W::tile, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::attention::{Asking, Queries, attention};
    use crate::kernels::product::convert;
    use crate::kernels::reference;

    /// Masked tokens at the start and in the middle, no keys, and lengths around the blocks' edges.
    fn sequences() -> Vec<Sequence> {
        [
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
        .collect()
    }

    const TOKENS: usize = 206;

    /// Gradients of one head's queries, keys and values, naively in double precision, `masks` being
    /// what dropout multiplies probabilities by.
    fn expected(
        qkv: &[f32],
        d_context: &[f32],
        s: &Sequence,
        (heads, head): (Heads, usize),
        masks: &[f32],
    ) -> [Vec<f64>; 3] {
        let (d, hidden) = (heads.size, heads.count * heads.size);
        let round = |x: &f32| {
            let x = if heads.is_narrow { convert::from_bf16(convert::bf16(*x)) } else { *x };
            f64::from(x)
        };
        let at = |token: usize, part: usize| -> Vec<f64> {
            let start = ((s.start + token) * 3 + part) * hidden + head * d;
            qkv[start..start + d].iter().map(round).collect()
        };
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let add = |to: &mut Vec<f64>, token: usize, factor: f64, from: &[f64]| {
            let to = &mut to[token * d..][..d];
            to.iter_mut().zip(from).for_each(|(to, x)| *to += factor * x);
        };
        let mut gradients: [Vec<f64>; 3] = std::array::from_fn(|_| vec![0.0; s.tokens * d]);
        let scale = 1.0 / (d as f64).sqrt();
        for query in 0..s.tokens {
            let q = at(query, 0);
            let start = (s.start + query) * hidden + head * d;
            let d_c: Vec<f64> = d_context[start..start + d].iter().map(round).collect();
            let scores: Vec<f64> = s.keys.iter().map(|&k| dot(&q, &at(k, 1)) * scale).collect();
            let p = reference::softmax(&scores);
            let mask = |key: usize| f64::from(masks[query * s.keys.len() + key]);
            let d_p: Vec<f64> =
                s.keys.iter().enumerate().map(|(i, &k)| dot(&d_c, &at(k, 2)) * mask(i)).collect();
            let mean = dot(&p, &d_p);
            for (i, &key) in s.keys.iter().enumerate() {
                let d_score = p[i] * (d_p[i] - mean) * scale;
                add(&mut gradients[0], query, d_score, &at(key, 1));
                add(&mut gradients[1], key, d_score, &q);
                add(&mut gradients[2], key, p[i] * mask(i), &d_c);
            }
        }
        gradients
    }

    #[test]
    fn gradients_match_the_reference() {
        for (count, size) in [(1, 1), (3, 5), (2, 26), (1, 64), (2, 65)] {
            for (is_narrow, tolerance) in [(false, 3e-5), (true, 4.0 / 256.0)] {
                for rate in [0.0, 0.3] {
                    let heads = Heads { count, size, is_narrow, has_quantized_scores: false };
                    check(heads, rate, tolerance);
                }
            }
        }
    }

    fn check(heads: Heads, rate: f64, tolerance: f64) {
        let Heads { count, size, is_narrow, .. } = heads;
        let hidden = count * size;
        let sequences = sequences();
        let qkv = reference::noise(TOKENS * 3 * hidden, 9, 1.5);
        let d_context = reference::noise(TOKENS * hidden, 10, 1.0);
        let dropout = Dropout::new(rate, 7, 1);
        for isa in Isa::available() {
            let mut context = vec![f32::NAN; TOKENS * hidden];
            let queries = Asking { queries: Queries::All, dropout };
            attention(isa, &qkv, &sequences, heads, queries, &mut context, &mut []);
            let mut found = qkv.clone();
            let contexts = (&context[..], &d_context[..]);
            attention_backward(isa, &mut found, &sequences, heads, dropout, contexts);
            for s in &sequences {
                for head in 0..count {
                    let n = s.keys.len();
                    let mut masks = vec![1.0; s.tokens * n];
                    if let (Some(dropout), true) = (dropout, n > 0) {
                        dropout.apply(isa, heads.stream(s, head), n, &mut masks);
                    }
                    let gradients = expected(&qkv, &d_context, s, (heads, head), &masks);
                    for (part, expected) in gradients.iter().enumerate() {
                        let found: Vec<f32> = (0..s.tokens)
                            .flat_map(|token| {
                                let start = ((s.start + token) * 3 + part) * hidden + head * size;
                                found[start..start + size].to_vec()
                            })
                            .collect();
                        let what = format!(
                            "{isa} {count}×{size} narrow {is_narrow} rate {rate} at {} part {part}",
                            s.start
                        );
                        reference::assert_close(&found, expected, tolerance, &what);
                    }
                }
            }
        }
    }
}
