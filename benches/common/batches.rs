//! Batches to run a model on.

use ndalbert::Batch;

/// A batch of sequences of these lengths, with ids that differ and that every vocabulary has.
pub fn batch(lengths: &[usize]) -> Batch {
    let ids = |(sequence, &length): (usize, &usize)| -> Vec<u32> {
        let id = |position| 100 + (7919 * position + 104_729 * sequence) % 10_000;
        (0..length).map(|position| id(position) as u32).collect()
    };
    let sequences: Vec<Vec<u32>> = lengths.iter().enumerate().map(ids).collect();
    Batch::from_sequences(&sequences).expect("no sequence is empty")
}
