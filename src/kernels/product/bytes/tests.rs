//! Rows as bytes, and back.

use super::*;
use crate::kernels::{Isa, reference};

/// Those of rows with zero points.
const ENCODINGS: [Encoding; 3] = [Encoding::Unsigned8, Encoding::Signed8, Encoding::Unsigned7];

#[test]
fn bytes_are_within_half_a_step() {
    for row in [reference::noise(301, 5, 7.0), vec![0.0; 5], vec![-3.0], vec![1e-42, -1e-42]] {
        let scale = scale(&row);
        for &x in &row {
            let step = f32::from(quantize(x, inverse(scale)));
            assert!((step * scale - x).abs() <= 0.500_1 * scale + f32::MIN_POSITIVE, "{x}");
        }
    }
    assert!(scale(&[1.0, f32::NAN, -8.0]).is_nan());
    assert_eq!(quantize(2.5, 1.0), 2);
    assert_eq!(quantize(-3.5, 1.0), -4);
}

#[test]
fn what_was_rounded_to_bytes_is_rounded_to_the_same_bits_again() {
    let mut rows = reference::noise(40 * 97, 6, 3.0);
    rows[..97].fill(0.0);
    rows[97..194].iter_mut().for_each(|x| *x *= 1e-37);
    let given = rows.clone();
    round_weights(&mut rows, 97, &[3, 40]);
    let once = rows.clone();
    round_weights(&mut rows, 97, &[3, 40]);
    assert_eq!(once, rows);
    for (once, given) in once.chunks(97).zip(given.chunks(97)) {
        assert_eq!((once[3], once[40]), (given[3], given[40]), "outliers stay");
        let step = weight_scale(once);
        assert_eq!(step * 127.0 / 127.0, step, "a byte times it is exact");
        for (x, y) in once.iter().zip(given) {
            let least = STEPS * f32::MIN_POSITIVE;
            assert!((x - y).abs() <= 0.501 * step + least, "{y} became {x}");
        }
    }
}

/// Bytes stay between 0 and 255 whatever the row, and are what they are said to be, on every
/// instruction set.
#[test]
fn rows_with_zero_points_are_within_half_a_step() {
    let mut rows: Vec<Vec<f32>> = vec![
        vec![0.0; 9],
        vec![127.5, -127.5, 0.5, 1.5],
        vec![-1.0; 6],
        vec![3.0, 2.0, 1.0],
        vec![1e-42, -1e-42],
        vec![1e30, 2e30, -1e20],
    ];
    for seed in 0..200 {
        let offset = (seed % 7) as f32 - 3.0;
        rows.push(reference::noise(67, seed, 2.0).iter().map(|x| x + offset).collect());
    }
    for row in rows {
        for isa in Isa::available() {
            for encoding in ENCODINGS {
                let (values, scale) = decoded(isa, encoding, &row, &[]);
                for (x, y) in values.iter().zip(&row) {
                    let bound = 0.500_1 * scale + f32::MIN_POSITIVE;
                    assert!((x - y).abs() <= bound, "{isa} {encoding:?}: {y} became {x}");
                }
            }
        }
    }
}

#[test]
fn outliers_are_kept_apart() {
    let mut row = reference::noise(70, 9, 1.0);
    (row[1], row[66]) = (-900.0, 500.0);
    for isa in Isa::available() {
        for encoding in ENCODINGS {
            let (values, scale) = decoded(isa, encoding, &row, &[1, 66]);
            assert!(scale < 2.1 / 126.0);
            for (i, (x, y)) in values.iter().zip(&row).enumerate() {
                let expected = if [1, 66].contains(&i) { 0.0 } else { *y };
                assert!((x - expected).abs() <= 0.500_1 * scale, "{encoding:?} {i}: {x} {y}");
            }
        }
    }
}

#[test]
fn nan_and_infinity_make_a_rows_scale_useless() {
    for x in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (isa, encoding) in
            Isa::available().flat_map(|isa| ENCODINGS.map(|encoding| (isa, encoding)))
        {
            let mut row = vec![1.0, x, -2.0];
            row.resize(200, 0.5);
            let (_, scale) = decoded(isa, encoding, &row, &[]);
            assert!(!scale.is_finite(), "{x}: {scale}");
        }
    }
}

/// Rows that are nearly all on one side have as many steps in seven bits as in eight, and the same
/// values; others have as many as the window has room for.
#[test]
fn seven_bits_have_the_steps_of_eight_where_few_values_are_beyond() {
    let noise = reference::noise(768, 11, 1.0);
    let gelu: Vec<f32> = noise.iter().map(|x| (x.powi(33) * 8.0).max(-0.17)).collect();
    let steps_of = |row: &[f32], scale: f32| {
        let (low, high) = extremes(row, &[]);
        ((high - low) / scale).round()
    };
    for isa in Isa::available() {
        let (values, scale) = decoded(isa, Encoding::Unsigned7, &gelu, &[]);
        assert_eq!(steps_of(&gelu, scale), 254.0);
        assert!((values, scale) == decoded(isa, Encoding::Unsigned8, &gelu, &[]), "{isa}");
        let (_, scale) = decoded(isa, Encoding::Unsigned7, &noise, &[]);
        let steps = f32::from(seven_bits::WINDOW) - 1.0;
        assert_eq!(steps_of(&noise, scale), steps, "evenly spread");
    }
}

/// What a row is after it was encoded, and what a step is worth.
pub(in crate::kernels) fn decoded(
    isa: Isa,
    encoding: Encoding,
    row: &[f32],
    outliers: &[usize],
) -> (Vec<f32>, f32) {
    let k = row.len();
    let outliers = Outliers::new(outliers, k);
    let mut words = vec![u32::MAX; k.div_ceil(4)];
    let (mut scales, mut zeros) = ([0.0], [0]);
    let mut values = vec![0.0; outliers.channels().len()];
    let mut excess = vec![Excess { channel: 0, steps: 1000 }; most_excess(k)];
    let to = Rows {
        words: &mut words,
        scales: &mut scales,
        zeros: &mut zeros,
        outliers: &mut values,
        excess: &mut excess,
    };
    encode_with_zeros(isa, encoding, row, k, &outliers, to);
    for (value, &channel) in values.iter().zip(outliers.channels()) {
        assert_eq!(*value, row[channel]);
    }
    let byte = |i: usize| (words[i / 4] >> (8 * (i % 4))) as u8;
    let mut steps: Vec<i32> = match encoding {
        Encoding::Signed8 => (0..k).map(|i| i32::from(byte(i) as i8)).collect(),
        _ => (0..k).map(|i| i32::from(byte(i))).collect(),
    };
    if encoding == Encoding::Unsigned7 {
        assert!(steps.iter().all(|&x| x <= i32::from(seven_bits::WINDOW)), "{steps:?}");
        for excess in excess.iter().take_while(|excess| excess.steps != 0) {
            steps[excess.channel as usize] += excess.steps;
        }
    }
    let ([scale], [zero]) = (scales, zeros);
    (steps.iter().map(|step| (step - zero) as f32 * scale).collect(), scale)
}
