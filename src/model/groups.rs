//! Which sequences of a batch go through the layers together.
//!
//! A batch of many tokens is cut into groups of sequences, and each group goes through all layers on one thread: threads
//! never wait for each other, what a group computes stays near its core, and the working memory is that of a few hundred
//! tokens per thread, however large the batch. Sequences do not see each other, so nothing else changes, not even a bit.
//! Where groups cannot be shared out evenly, there is one, whose tokens threads share out for all but attention, or its matrix
//! products, where there are few.

use std::ops::Range;

use crate::kernels::attention::{Sequence, first_row};

/// Tokens of a group: fewer make too little use of each panel of weights, and what more compute does not stay in the second cache.
pub(super) const TOKENS: usize = 128;

/// Parts of a group for each thread: one that is slower than others, or is interrupted, leaves some of its own to them.
const PARTS_PER_THREAD: usize = 2;

/// How much longer than the average one thread may have to work.
const MAX_IMBALANCE: f64 = 1.1;

/// Ranges of sequences, one after the other; a single one if threads should work inside of it.
pub(super) fn split(sequences: &[Sequence], threads: usize) -> Vec<Range<usize>> {
    let tokens: usize = sequences.iter().map(|sequence| sequence.tokens).sum();
    let whole = || vec![Range { start: 0, end: sequences.len() }];
    if tokens <= TOKENS {
        return whole();
    }
    let count = tokens / TOKENS;
    // A sequence belongs to the part of the batch that its middle is in.
    let part = |sequence: &Sequence| {
        (sequence.start - first_row(sequences) + sequence.tokens / 2) * count / tokens
    };
    let groups: Vec<Range<usize>> = sequences
        .chunk_by(|one, next| part(one) == part(next))
        .scan(0, |end, group| {
            *end += group.len();
            Some(*end - group.len()..*end)
        })
        .collect();
    let size = |group: &Range<usize>| sequences[group.clone()].iter().map(|s| s.tokens).sum();
    let longest = makespan(groups.iter().map(size), threads) * threads;
    if longest as f64 <= tokens as f64 * MAX_IMBALANCE { groups } else { whole() }
}

/// The number of parts into which the tokens of a group are divided, if `threads` work on it and each part should have
/// so many: 1 if they are too few, and threads are to share each product.
pub(super) fn parts(tokens: usize, threads: usize, min_tokens: Option<usize>) -> usize {
    let parts = PARTS_PER_THREAD * threads;
    if threads > 1 && min_tokens.is_some_and(|min| tokens >= min * parts) { parts } else { 1 }
}

/// The tokens of the thread that has most, where each group goes to the thread that has least.
fn makespan(sizes: impl Iterator<Item = usize>, threads: usize) -> usize {
    let mut loads = vec![0; threads];
    for size in sizes {
        if let Some(least) = loads.iter_mut().min() {
            *least += size;
        }
    }
    loads.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(lengths: &[usize], threads: usize) -> Vec<usize> {
        let sequences: Vec<Sequence> = lengths
            .iter()
            .scan(0, |start, &tokens| {
                *start += tokens;
                Some(Sequence { start: *start - tokens, tokens, keys: (0..tokens).collect() })
            })
            .collect();
        let groups = split(&sequences, threads);
        assert_eq!(groups.first().map(|group| group.start), Some(0));
        assert_eq!(groups.last().map(|group| group.end), Some(lengths.len()));
        assert!(groups.windows(2).all(|pair| pair[0].end == pair[1].start));
        groups.into_iter().map(|group| lengths[group].iter().sum()).collect()
    }

    #[test]
    fn even_batches_are_shared_out() {
        assert_eq!(sizes(&[128; 8], 2), [128; 8]);
        assert_eq!(sizes(&[128; 8], 4), [128; 8]);
        assert_eq!(sizes(&[128; 2], 2), [128; 2]);
        assert_eq!(sizes(&[512; 4], 2), [512; 4]);
        assert_eq!(sizes(&[128; 8], 1), [128; 8]);
        assert!(sizes(&[16; 128], 2).iter().all(|&size| size == 128));
    }

    #[test]
    fn what_is_small_or_uneven_stays_whole() {
        assert_eq!(sizes(&[16], 2), [16]);
        assert_eq!(sizes(&[512], 2), [512]);
        assert_eq!(sizes(&[100; 3], 2), [300]);
        assert_eq!(sizes(&[512, 16], 2), [528]);
        assert_eq!(sizes(&[128; 8], 16), [1024]);
    }

    #[test]
    fn a_mixed_batch_keeps_all_threads_busy() {
        let lengths: Vec<usize> = (0..32).map(|i| 8 + i * 120 / 31).collect();
        let sizes = sizes(&lengths, 2);
        assert!(sizes.len() > 2, "{sizes:?}");
    }

    #[test]
    fn tokens_are_shared_out_if_all_parts_have_enough() {
        assert_eq!([127, 128, 129].map(|tokens| parts(tokens, 2, Some(32))), [1, 4, 4]);
        assert_eq!(parts(1000, 1, Some(32)), 1);
        assert_eq!(parts(1000, 2, None), 1);
    }

    #[test]
    fn no_sequence_is_no_group_of_sequences() {
        assert_eq!(split(&[], 2), [Range { start: 0, end: 0 }]);
    }
}
