//! The values of a tree of arrays as slices, in chunks that threads share.

use std::borrow::Cow;

use ndarray::{ArrayViewD, ArrayViewMutD};
use rayon::prelude::*;

use crate::nn::Parameters;

/// Values per chunk, of which one thread does all: 64 KiB. Sums run within chunks, then over chunks, so that they do not
/// depend on the number of threads; they do depend on this.
pub(super) const CHUNK: usize = 1 << 14;

/// Independent sums, so that the processor need not wait for one addition before the next.
const LANES: usize = 8;

/// The arrays of a tree, in the visitor's order.
pub(super) fn views(tree: &impl Parameters) -> Vec<ArrayViewD<'_, f32>> {
    let mut views = Vec::new();
    tree.visit("", &mut |_, view| views.push(view));
    views
}

/// As [`views`], to be changed.
pub(super) fn views_mut(tree: &mut impl Parameters) -> Vec<ArrayViewMutD<'_, f32>> {
    let mut views = Vec::new();
    tree.visit_mut("", &mut |_, view| views.push(view));
    views
}

/// An array's values in row-major order: themselves where they lie so, and otherwise a copy.
pub(super) fn values(view: ArrayViewD<'_, f32>) -> Cow<'_, [f32]> {
    match view.to_slice() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(view.iter().copied().collect()),
    }
}

/// As [`values`], to be changed. Changes are sure to have reached the array only after [`store`](Self::store).
pub(super) enum ValuesMut<'a> {
    InPlace(&'a mut [f32]),
    Copied { values: Vec<f32>, array: ArrayViewMutD<'a, f32> },
}

impl<'a> ValuesMut<'a> {
    pub(super) fn new(array: ArrayViewMutD<'a, f32>) -> Self {
        if !array.is_standard_layout() {
            return Self::Copied { values: array.iter().copied().collect(), array };
        }
        Self::InPlace(array.into_slice().expect("an array in standard layout is one slice"))
    }

    pub(super) fn slice(&mut self) -> &mut [f32] {
        match self {
            Self::InPlace(values) => values,
            Self::Copied { values, .. } => values,
        }
    }

    pub(super) fn store(self) {
        if let Self::Copied { values, mut array } = self {
            array.iter_mut().zip(values).for_each(|(place, value)| *place = value);
        }
    }
}

/// Adds the values of a tree of the same shapes.
pub(super) fn add<P: Parameters>(sums: &mut P, values: &P) {
    let mut sums: Vec<_> = views_mut(sums).into_iter().map(ValuesMut::new).collect();
    let others: Vec<_> = views(values).into_iter().map(self::values).collect();
    let chunks: Vec<_> = sums
        .iter_mut()
        .zip(&others)
        .flat_map(|(sums, others)| sums.slice().chunks_mut(CHUNK).zip(others.chunks(CHUNK)))
        .collect();
    chunks.into_par_iter().for_each(|(sums, others)| {
        sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
    });
    sums.into_iter().for_each(ValuesMut::store);
}

/// Σ x², in double precision, where the square of no `f32` overflows.
pub(super) fn sum_of_squares(values: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value) * f64::from(value);
    let mut lanes = [0.0; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(lane, &value)| *lane += square(value));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, &value)| *lane += square(value));
    lanes.iter().sum()
}
