//! Products of every instruction set and precision against the oracle.

use super::*;
use crate::kernels::product::bytes;
use crate::kernels::product::convert::InputBuffer;
use crate::kernels::product::packed::PackedMatrix;
use crate::kernels::product::precision::Precision;
use crate::kernels::reference;

const SIZES: [usize; 9] = [1, 2, 3, 7, 16, 17, 64, 65, 129];

/// Rounding grows with the length of the sums.
fn tolerance(k: usize) -> f64 {
    1e-5 * (k as f64 / 129.0).max(1.0)
}

/// Every instruction set against the oracle, on sizes that are multiples of nothing.
#[test]
fn products_match_the_reference() {
    for rows in [0, 1, 2, 5, 6, 7, 13, 50, 101] {
        for n in SIZES {
            for k in SIZES {
                check(rows, n, k);
            }
        }
    }
    // Deeper than a part.
    check(13, 65, 2 * 768 + 65);
}

fn check(rows: usize, n: usize, k: usize) {
    let a = reference::noise(rows * k, 1, 1.0);
    let b = reference::noise(n * k, 2, 1.0);
    let bias = reference::noise(n, 3, 1.0);
    let plain = reference::matmul(&a, &b, k);
    let biased: Vec<f64> = plain
        .iter()
        .zip(bias.iter().cycle())
        .map(|(&x, &bias)| reference::nonlinearity(Nonlinearity::Gelu, x + f64::from(bias)))
        .collect();
    for isa in Isa::available() {
        let packed = PackedMatrix::new(isa, vec![b.clone()], k, Precision::F32, &[]);
        for weights in [Weights::Packed(&packed), Weights::Rows { rows: &b, k }] {
            let mut out = vec![f32::NAN; rows * n];
            let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
            multiply(isa, Inputs::floats(&a, k), weights, epilogue, &mut out);
            let what = format!("{isa} [{rows}, {k}]·[{k}, {n}]");
            reference::assert_close(&out, &plain, tolerance(k), &what);
            let epilogue = Epilogue { bias: &bias, nonlinearity: Nonlinearity::Gelu };
            multiply(isa, Inputs::floats(&a, k), weights, epilogue, &mut out);
            reference::assert_close(&out, &biased, tolerance(k), &what);
        }
    }
}

/// Narrow products against sums over the very same rounded values, and against each other, to the
/// bit.
#[test]
fn narrow_products_match_the_reference_on_every_instruction_set() {
    for precision in [Precision::Bf16, Precision::Int8] {
        for rows in [1, 2, 5, 6, 7, 13, 50, 101] {
            for n in SIZES {
                for k in [1, 2, 3, 4, 5, 7, 16, 17, 64, 65, 130] {
                    check_narrow(precision, rows, n, k);
                }
            }
        }
        check_narrow(precision, 13, 65, 2 * 768 * precision.inputs_per_word() + 65);
    }
}

/// Rounded as weights of that precision are, but for the outliers.
fn rounded_weights(precision: Precision, rows: &[f32], k: usize, outliers: &[usize]) -> Vec<f32> {
    let mut rounded = rows.to_vec();
    match precision {
        Precision::F32 => {}
        Precision::Bf16 => rounded.iter_mut().for_each(|x| *x = half::bf16::from_f32(*x).to_f32()),
        Precision::Int8 => bytes::round_weights(&mut rounded, k, outliers),
    }
    rounded
}

/// Rounded as activations of that precision are, but for the outliers: in int8 to 254 steps from
/// the least to the largest of a row, or zero; to what they are encoded as where that is in seven
/// bits.
fn rounded_inputs(
    isa: Isa,
    precision: Precision,
    rows: &[f32],
    k: usize,
    outliers: &[usize],
) -> Vec<f32> {
    if precision != Precision::Int8 {
        return rounded_weights(precision, rows, k, outliers);
    }
    if Encoding::for_weights(precision, isa) == Encoding::Unsigned7 {
        let row = |row: &[f32]| {
            let (mut values, _) = bytes::tests::decoded(isa, Encoding::Unsigned7, row, outliers);
            outliers.iter().for_each(|&channel| values[channel] = row[channel]);
            values
        };
        return rows.chunks(k).flat_map(row).collect();
    }
    let row = |row: &[f32]| -> Vec<f32> {
        let kept = |i: usize| !outliers.contains(&i);
        let others = || row.iter().enumerate().filter(|(i, _)| kept(*i)).map(|(_, &x)| x);
        let (low, high) = (others().fold(0.0, f32::min), others().fold(0.0, f32::max));
        let scale = (high - low) / 254.0;
        let zero = (-low / scale).round_ties_even();
        // In double precision, so that it is rounded once.
        let steps = |x: f32| (f64::from(x) + f64::from(zero)).round_ties_even() as f32;
        let value = |(i, &x): (usize, &f32)| match kept(i) && scale > 0.0 {
            true => (steps(x * (1.0 / scale)) - zero) * scale,
            false => x,
        };
        row.iter().enumerate().map(value).collect()
    };
    rows.chunks(k).flat_map(row).collect()
}

fn check_narrow(precision: Precision, rows: usize, n: usize, k: usize) {
    let a = reference::noise(rows * k, 1, 1.0);
    check_rounded(precision, &a, n, k, &[]);
    if precision == Precision::Int8 {
        // Nearly all on one side of zero, as the outputs of GELU are, and with channels that are
        // far out.
        let outliers: Vec<usize> = [0, k / 2, k - 1].into_iter().take(k.div_ceil(3)).collect();
        let outliers = if k < 3 { &[][..] } else { &outliers };
        let mut a: Vec<f32> = a.iter().map(|x| (x + 0.8).max(-0.17)).collect();
        for row in a.chunks_mut(k) {
            outliers.iter().for_each(|&channel| row[channel] = 70.0 * row[channel] - 100.0);
        }
        check_rounded(precision, &a, n, k, outliers);
    }
}

fn check_rounded(precision: Precision, a: &[f32], n: usize, k: usize, outliers: &[usize]) {
    let rows = a.len() / k;
    let b = reference::noise(n * k, 2, 1.0);
    let bias = reference::noise(n, 3, 1.0);
    let weights = rounded_weights(precision, &b, k, outliers);
    // Of those with eight bits, and of those with seven.
    let mut before: [Option<Vec<f32>>; 2] = [None, None];
    let mut buffer = InputBuffer::default();
    for isa in Isa::available() {
        let inputs = rounded_inputs(isa, precision, a, k, outliers);
        let product = reference::matmul(&inputs, &weights, k);
        let sums = product.iter().zip(bias.iter().cycle());
        let expected: Vec<f64> = sums
            .map(|(&x, &bias)| reference::nonlinearity(Nonlinearity::Relu, x + f64::from(bias)))
            .collect();
        let packed = PackedMatrix::new(isa, vec![b.clone()], k, precision, outliers);
        let mut out = vec![f32::NAN; rows * n];
        let epilogue = Epilogue { bias: &bias, nonlinearity: Nonlinearity::Relu };
        let inputs = buffer.encode(isa, &packed, a);
        multiply(isa, inputs, Weights::Packed(&packed), epilogue, &mut out);
        let what = format!("{isa} {precision} [{rows}, {k}]·[{k}, {n}], outliers {outliers:?}");
        // The outliers are larger, and so is the rounding of their products.
        let tolerance = tolerance(k) * if outliers.is_empty() { 1.0 } else { 100.0 };
        reference::assert_close(&out, &expected, tolerance, &what);
        // Intel's definition of `vdpbf16ps` is what is emulated; that every maker follows it to the
        // bit was not seen. Outliers are of `f32`, which the portable body has no fused
        // multiply-add for.
        let is_defined = match precision {
            Precision::Int8 => outliers.is_empty() || isa.name() != "portable",
            Precision::F32 | Precision::Bf16 => isa.name() != "avx512bf16",
        };
        let of_seven = Encoding::for_weights(precision, isa) == Encoding::Unsigned7;
        let before = &mut before[usize::from(of_seven)];
        if is_defined && let Some(before) = before.replace(out.clone()) {
            assert_eq!(before, out, "{what}: to the bit");
        }
    }
}

/// Sums of the largest products there are, which would saturate if they were added up in 16 bits:
/// all weights ±127, all inputs at the end of their range, in rows with a zero point at either end,
/// in the middle, and with an excess.
#[test]
fn products_of_the_largest_bytes_are_exact() {
    let (n, k) = (80, 520);
    let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
    // Outputs with one sign, and with all patterns of signs within two lines.
    let weight = |i: usize, j: usize| if i < 2 { sign(i) } else { sign(i >> (j % 8)) };
    let b: Vec<f32> = (0..n * k).map(|i| weight(i / k, i % k)).collect();
    let row = |value: &dyn Fn(usize) -> f32| (0..k).map(value).collect::<Vec<f32>>();
    let rows = [
        row(&|_| 1.0),
        row(&|_| -1.0),
        row(&sign),
        row(&|i| if i < 3 { -1e-3 } else { 1.0 }),
        // Few are large, so that the others have finer steps.
        row(&|i| if i.is_multiple_of(100) { 1.0 } else { 0.5 }),
        row(&|i| if i.is_multiple_of(100) { -1.0 } else { 0.45 * sign(i) }),
    ];
    let a = rows.concat();
    let mut buffer = InputBuffer::default();
    for isa in Isa::available() {
        let packed = PackedMatrix::new(isa, vec![b.clone()], k, Precision::Int8, &[]);
        let expected = rounded_inputs(isa, Precision::Int8, &a, k, &[]);
        let expected = reference::matmul(&expected, &b, k);
        let mut out = vec![f32::NAN; rows.len() * n];
        let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
        let inputs = buffer.encode(isa, &packed, &a);
        multiply(isa, inputs, Weights::Packed(&packed), epilogue, &mut out);
        // Of sums that have more digits than `f32`; what saturates is missing at least a
        // thousandth.
        reference::assert_close(&out, &expected, 5e-4, isa.name());
    }
}

/// Only the panels that were asked for are written.
#[test]
fn columns_are_those_of_the_whole_product() {
    let (rows, n, k) = (7, 300, 5);
    let (a, b) = (reference::noise(rows * k, 1, 1.0), reference::noise(n * k, 2, 1.0));
    let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
    for isa in Isa::available() {
        let packed = PackedMatrix::new(isa, vec![b.clone()], k, Precision::F32, &[]);
        let inputs = Inputs::floats(&a, k);
        let mut whole = vec![0.0; rows * n];
        multiply(isa, inputs, Weights::Packed(&packed), epilogue, &mut whole);
        let panel = Blocking::of(isa).panel;
        for columns in [0..1, 100..150, 128..300] {
            // Whole panels.
            let written = columns.start / panel * panel..columns.end.next_multiple_of(panel).min(n);
            let mut part = vec![f32::NAN; rows * n];
            multiply_columns(isa, inputs, Weights::Packed(&packed), columns, epilogue, &mut part);
            for (i, (&found, &expected)) in part.iter().zip(&whole).enumerate() {
                let is_right =
                    if written.contains(&(i % n)) { found == expected } else { found.is_nan() };
                assert!(is_right, "{isa}: element {i} is {found}");
            }
        }
    }
}

/// A row's product is the same to the bit alone, among others, packed or not, on one thread or two.
#[test]
#[cfg_attr(target_family = "wasm", ignore = "needs threads")]
fn a_row_does_not_depend_on_its_company() {
    let (rows, n, k) = (200, 200, 300);
    let outliers = &[7, 150];
    let a = reference::noise(rows * k, 1, 1.0);
    let b = reference::noise(n * k, 2, 1.0);
    let epilogue = Epilogue { bias: &[], nonlinearity: Nonlinearity::Identity };
    for (isa, precision) in
        Isa::available().flat_map(|isa| Precision::ALL.map(|precision| (isa, precision)))
    {
        let packed = PackedMatrix::new(isa, vec![b.clone()], k, precision, outliers);
        let run = |threads, a: &[f32], weights| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut out = vec![0.0; a.len() / k * n];
            let mut buffer = InputBuffer::default();
            pool.install(|| {
                let inputs = buffer.encode(isa, &packed, a);
                multiply(isa, inputs, weights, epilogue, &mut out);
            });
            out
        };
        let whole = run(1, &a, Weights::Packed(&packed));
        assert_eq!(whole, run(2, &a, Weights::Packed(&packed)));
        if precision == Precision::F32 {
            assert_eq!(whole, run(3, &a, Weights::Rows { rows: &b, k }));
        }
        for i in [0, 5, 99] {
            let alone = run(2, &a[i * k..(i + 1) * k], Weights::Packed(&packed));
            assert_eq!(alone, whole[i * n..(i + 1) * n]);
        }
    }
}
