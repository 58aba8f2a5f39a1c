//! Inputs of several windows, of which a single one can have more than a batch should.

use super::pipeline::Group;
use crate::batch::Batch;
use crate::error::Result;
use crate::text::Encoding;

/// Calls `each` with all sequences of a group in order, about `budget` tokens at a time: a long
/// text alone can have more.
pub(super) fn in_batches<K>(
    group: Group<'_, K>,
    budget: usize,
    mut each: impl FnMut(Batch) -> Result<()>,
) -> Result<()> {
    let sequences: Vec<&Encoding> =
        group.items().flat_map(|(_, prepared)| &prepared.encodings).collect();
    let mut rest = &sequences[..];
    while !rest.is_empty() {
        let mut tokens = 0;
        let fits = |encoding: &&&Encoding| {
            tokens += encoding.len();
            tokens <= budget
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, after) = rest.split_at(count);
        each(Batch::from_encodings(batch.iter().copied())?)?;
        rest = after;
    }
    Ok(())
}
