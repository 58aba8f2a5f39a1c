//! Activations packed into panels, to be multiplied with others.

use crate::kernels::isa::Isa;
use crate::kernels::product::blocking::{Blocking, LANES, MAX_PANEL};
use crate::kernels::product::convert::Strided;
use crate::kernels::product::multiplicand::{Destination, EncodedRows, Multiplicand};
use crate::kernels::product::packed::pack_panel;
use crate::kernels::product::tiles::tile::{ROWS, Tile};

/// How many words rows take as a matrix of outputs.
pub(in crate::kernels) fn outputs_len<W: Multiplicand>(rows: usize, width: usize) -> usize {
    rows.next_multiple_of(LANES) * width.div_ceil(W::INPUTS)
}

/// How many words rows take as a matrix of inputs.
pub(in crate::kernels) fn inputs_len<W: Multiplicand>(rows: usize, width: usize) -> usize {
    width.next_multiple_of(LANES) * rows.div_ceil(W::INPUTS)
}

/// Packs rows `[n, k]` as a matrix of n outputs and k inputs. `buffer` has room for them as words.
pub(in crate::kernels) fn pack_outputs<W: Multiplicand>(
    isa: Isa,
    rows: Strided<'_>,
    mut panels: &mut [W],
    buffer: &mut [W],
) {
    let depth = rows.width.div_ceil(W::INPUTS);
    let blocking = Blocking::of(isa);
    for index in 0..rows.count.div_ceil(blocking.panel) {
        let (panel, rest) = panels.split_at_mut(blocking.width(rows.count, index) * depth);
        panels = rest;
        let outputs = blocking.outputs(rows.count, index);
        let rows = rows.part(outputs.start, outputs.len(), 0..rows.width);
        pack_output_panel(isa, rows, panel, buffer);
    }
}

/// Packs up to [`MAX_PANEL`] rows as one panel, which is filled up with zeros.
pub(in crate::kernels) fn pack_output_panel<W: Multiplicand>(
    isa: Isa,
    rows: Strided<'_>,
    panel: &mut [W],
    buffer: &mut [W],
) {
    let depth = rows.width.div_ceil(W::INPUTS);
    let EncodedRows { words, stride } = W::keys(isa, rows, buffer);
    let mut sources: [&[W]; MAX_PANEL] = [&[]; MAX_PANEL];
    for (i, source) in sources.iter_mut().enumerate().take(rows.count) {
        *source = &words[i * stride..][..depth];
    }
    pack_panel(isa, &sources[..rows.count], depth, panel);
}

/// Packs rows `[k, n]` as a matrix of n outputs and k inputs: a line of a panel is part of a row,
/// or of as many as a word has inputs.
pub(in crate::kernels) fn pack_inputs<W: Multiplicand>(
    isa: Isa,
    rows: Strided<'_>,
    panels: &mut [W],
) {
    let depth = rows.count.div_ceil(W::INPUTS);
    let blocking = Blocking::of(isa);
    // Row by row: these are read from afar, and strictly forwards; the panels are near.
    for line in 0..depth {
        let first = rows.row(line * W::INPUTS);
        let second = if W::INPUTS == 1 { &[] } else { rows.row(line * W::INPUTS + 1) };
        for index in 0..rows.width.div_ceil(blocking.panel) {
            let width = blocking.width(rows.width, index);
            let columns = blocking.outputs(rows.width, index);
            let start = index * blocking.panel * depth + line * width;
            let (to, padding) = panels[start..start + width].split_at_mut(columns.len());
            let second = if second.is_empty() { second } else { &second[columns.clone()] };
            W::line(isa, [&first[columns], second], to);
            padding.fill(W::default());
        }
    }
}

/// A packed matrix of n outputs, its panels one after the other.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Panels<'a, W> {
    pub(in crate::kernels) panels: &'a [W],
    pub(in crate::kernels) n: usize,
    /// Lines of each panel.
    pub(in crate::kernels) depth: usize,
}

/// `out[count, n] = inputs · panels`, or with that added to it, on this thread.
pub(in crate::kernels) fn multiply_panels<W: Copy>(
    isa: Isa,
    inputs: EncodedRows<'_, W>,
    count: usize,
    Panels { panels, n, depth }: Panels<'_, W>,
    multiply: impl Fn(Isa, Tile<'_, W>, &mut [u32]),
    Destination { out, accumulate }: Destination<'_>,
) {
    let EncodedRows { words: inputs, stride } = inputs;
    let blocking = Blocking::of(isa);
    let mut sums = [0; ROWS * MAX_PANEL];
    for first in (0..count).step_by(ROWS) {
        let rows = ROWS.min(count - first);
        let mut rest = panels;
        for index in 0..n.div_ceil(blocking.panel) {
            let (columns, width) = (blocking.outputs(n, index), blocking.width(n, index));
            let (panel, after) = rest.split_at(width * depth);
            rest = after;
            let inputs = &inputs[first * stride..];
            let tile = Tile {
                inputs,
                stride,
                rows,
                panel,
                depth,
                width,
                accumulate,
                next: &[],
                pairs: &[],
            };
            if accumulate {
                for (i, sums) in sums.chunks_exact_mut(width).enumerate().take(rows) {
                    let out = &out[(first + i) * n..][columns.clone()];
                    sums.iter_mut().zip(out).for_each(|(sum, x)| *sum = x.to_bits());
                }
            }
            multiply(isa, tile, &mut sums);
            for (i, sums) in sums.chunks_exact(width).take(rows).enumerate() {
                let out = &mut out[(first + i) * n..][columns.clone()];
                out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = f32::from_bits(sum));
            }
        }
    }
}
