//! Rows that become columns.

#[cfg(target_arch = "x86_64")]
use super::tiles::transpose;
use crate::kernels::isa::Isa;
#[cfg(target_arch = "x86_64")]
use crate::kernels::isa::Vectors;
use crate::kernels::product::blocking::LANES;
use crate::kernels::product::convert::Strided;
use crate::kernels::product::packed::Word;

/// Writes `rows` as the columns of lines that are `width` apart. Columns that fill the last sixteen
/// up become 0, if lines have room for them.
pub(in crate::kernels) fn transpose(isa: Isa, rows: Strided<'_>, to: &mut [f32], width: usize) {
    let Strided { values, stride, width: lines, count } = rows;
    assert!(count <= width && to.len() >= (lines - 1) * width + count);
    let row = |i: usize| &values[i * stride..][..lines];
    for block in (0..count).step_by(LANES) {
        let rows: [&[f32]; LANES] =
            std::array::from_fn(|i| if block + i < count { row(block + i) } else { &[] });
        let is_whole = block + LANES <= width && to.len() >= (lines - 1) * width + block + LANES;
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

/// Writes sixteen rows as columns of lines that are `width` apart, sixteen lines at a time. All
/// have the length of the first, or are empty, which stands for zeros. Returns how many lines it
/// wrote: all, or none where there are fewer.
pub(in crate::kernels) fn transpose_blocks<W: Word>(
    isa: Isa,
    rows: [&[W]; LANES],
    to: &mut [W],
    width: usize,
) -> usize {
    let lines = rows[0].len();
    if lines < LANES {
        return 0;
    }
    assert!(rows.iter().all(|row| row.is_empty() || row.len() == lines));
    assert!(to.len() >= (lines - 1) * width + LANES);
    let zeros = [W::default(); LANES];
    for p in (0..lines).step_by(LANES) {
        // The last sixteen lines overlap those before, rather than that fewer are left.
        let p = p.min(lines - LANES);
        #[cfg(target_arch = "x86_64")]
        if isa.vectors() == Vectors::Avx512 {
            let place = |row: &[W]| if row.is_empty() { zeros.as_ptr() } else { row[p..].as_ptr() };
            let places = std::array::from_fn(|i| place(rows[i]).cast::<u32>());
            // SAFETY: the `Isa` proves the instructions, the assertions the sizes; a `Word` has 32
            // bits.
            unsafe {
                transpose::transpose(places, to.as_mut_ptr().cast::<u32>().add(p * width), width);
            }
            continue;
        }
        let block: [&[W]; LANES] =
            rows.map(|row| if row.is_empty() { &zeros } else { &row[p..p + LANES] });
        for (j, line) in to[p * width..].chunks_mut(width).take(LANES).enumerate() {
            line[..LANES].copy_from_slice(&block.map(|row| row[j]));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = isa;
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    #[test]
    fn every_value_is_where_it_belongs_and_nothing_else_is_touched() {
        for isa in Isa::available() {
            // The last two have room for a whole last sixteen.
            let sizes =
                [(1, 1, 3), (3, 40, 5), (16, 16, 18), (17, 33, 19), (48, 5, 50), (64, 64, 66)];
            for (count, lines, width) in sizes.into_iter().chain([(3, 40, 16), (21, 17, 48)]) {
                let stride = lines + 3;
                let values = reference::noise(count * stride, 1, 1.0);
                let mut to = vec![f32::NAN; lines * width];
                let rows = Strided { values: &values, stride, width: lines, count };
                transpose(isa, rows, &mut to, width);
                for (p, line) in to.chunks(width).enumerate() {
                    for (i, value) in line.iter().enumerate().take(count) {
                        assert_eq!(*value, values[i * stride + p], "{isa} {count}×{lines}");
                    }
                    // A last sixteen that there is room for is filled up.
                    let filled = count.next_multiple_of(LANES);
                    let filled = if filled <= width { filled } else { count };
                    let (filled, rest) = line[count..].split_at(filled - count);
                    assert!(filled.iter().all(|x| *x == 0.0), "{isa} {count}×{lines} in {width}");
                    assert!(rest.iter().all(|x| x.is_nan()));
                }
            }
        }
    }
}
