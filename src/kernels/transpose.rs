//! Rows that become columns.

use super::convert::Strided;
use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::isa::Vectors;
use super::packed::{LANES, Word};
#[cfg(target_arch = "x86_64")]
use super::x86_64::avx512;

/// Writes `rows` as the columns of lines that are `width` apart.
pub(super) fn transpose(isa: Isa, rows: Strided<'_>, to: &mut [f32], width: usize) {
    let Strided { values, stride, width: lines, count } = rows;
    assert!(count <= width && to.len() >= (lines - 1) * width + count);
    let row = |i: usize| &values[i * stride..][..lines];
    for block in (0..count).step_by(LANES) {
        let rows: [&[f32]; LANES] =
            std::array::from_fn(|i| if block + i < count { row(block + i) } else { &[] });
        let is_whole = block + LANES <= count;
        let done = if is_whole { transpose_blocks(isa, rows, &mut to[block..], width) } else { 0 };
        for (p, line) in to.chunks_mut(width).enumerate().take(lines).skip(done) {
            line[block..].iter_mut().zip(rows).for_each(|(to, row)| {
                if let Some(&value) = row.get(p) {
                    *to = value;
                }
            });
        }
    }
}

/// Writes sixteen rows of the same length as columns of lines that are `width` apart, sixteen lines at a time, where the
/// processor has a good way to. Returns how many lines it wrote: all, or none.
#[cfg(target_arch = "x86_64")]
pub(super) fn transpose_blocks<W: Word>(
    isa: Isa,
    rows: [&[W]; LANES],
    to: &mut [W],
    width: usize,
) -> usize {
    let lines = rows[0].len();
    if isa.vectors() != Vectors::Avx512 || lines < LANES {
        return 0;
    }
    assert!(rows.iter().all(|row| row.len() >= lines));
    assert!(to.len() >= (lines - 1) * width + LANES);
    let rows = rows.map(|row| row.as_ptr().cast::<u32>());
    for p in (0..lines).step_by(LANES) {
        // The last sixteen lines overlap those before, rather than that fewer are left.
        let p = p.min(lines - LANES);
        // SAFETY: the `Isa` proves the instructions, the assertions the sizes; a `Word` has 32 bits.
        unsafe {
            let rows = rows.map(|row| row.add(p));
            avx512::transpose(rows, to.as_mut_ptr().cast::<u32>().add(p * width), width);
        }
    }
    lines
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn transpose_blocks<W: Word>(_: Isa, _: [&[W]; LANES], _: &mut [W], _: usize) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn every_value_is_where_it_belongs_and_nothing_else_is_touched() {
        for isa in Isa::available() {
            for (count, lines) in [(1, 1), (3, 40), (16, 16), (17, 33), (48, 5), (64, 64)] {
                let (stride, width) = (lines + 3, count + 2);
                let values = reference::noise(count * stride, 1, 1.0);
                let mut to = vec![f32::NAN; lines * width];
                let rows = Strided { values: &values, stride, width: lines, count };
                transpose(isa, rows, &mut to, width);
                for (p, line) in to.chunks(width).enumerate() {
                    for (i, value) in line.iter().enumerate().take(count) {
                        assert_eq!(*value, values[i * stride + p], "{isa} {count}×{lines}");
                    }
                    assert!(line[count..].iter().all(|x| x.is_nan()));
                }
            }
        }
    }
}
