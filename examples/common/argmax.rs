//! Which of a model's outputs is the largest.

/// The index of the largest value, the first of equals.
pub fn argmax<'a>(values: impl IntoIterator<Item = &'a f32>) -> i64 {
    let values = (0..).zip(values);
    values.fold((0, f32::NEG_INFINITY), |best, (i, &x)| if x > best.1 { (i, x) } else { best }).0
}
