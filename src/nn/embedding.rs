//! Rows of a table by index.

use ndarray::Array2;

/// Adds row `ids[t]` of `table` `[V, E]` to row t of `out` `[T, E]`. Ids must have been checked.
pub(crate) fn gather_rows(table: &Array2<f32>, ids: &[u32], out: &mut Array2<f32>) {
    for (mut row, &id) in out.outer_iter_mut().zip(ids) {
        row += &table.row(id as usize);
    }
}
