//! LAMB: updates scaled to the norm of the weights.

use rayon::prelude::*;

use super::adam::{Adam, AdamOptions, Chunk, Descendant, Rule};
use crate::train::values::sum_of_squares;

/// Values of an update that are computed before their squares are summed up: few enough for the
/// first-level cache.
const BLOCK: usize = 1 << 10;

/// LAMB as in google-research/albert's `LAMBOptimizer` (You et al., *Large Batch Optimization for
/// Deep Learning: Training BERT in 76 minutes*, without bias correction):
/// [`AdamWeightDecay`](super::AdamWeightDecay), with each parameter's update multiplied by
/// ‖weights‖ / ‖update‖.
///
/// That trust ratio is 1 where either norm is 0, and for groups without
/// [`trust_ratio`](super::ParameterGroup::trust_ratio): LayerNorms and biases, by default.
pub type Lamb<P> = Adam<P, Layerwise>;

/// Scaled by the norms of each parameter.
pub enum Layerwise {}

impl Descendant for Layerwise {
    const NAME: &'static str = "Lamb";
    const MOMENTS: [&'static str; 2] = ["adam_m", "adam_v"];

    fn rule(options: &AdamOptions, _step: u64) -> Rule {
        Rule::uncorrected(options)
    }

    /// In two passes, since a parameter's ratio is known only when all of its update is. The second
    /// computes the update once more: that costs less than to remember it.
    fn apply(rule: &Rule, mut chunks: Vec<Chunk<'_>>) {
        let squares = chunks.par_iter_mut().map(|chunk| {
            chunk.update_moments(rule);
            norms(chunk, rule)
        });
        let squares: Vec<Norms> = squares.collect();
        let mut sums = vec![Norms::default(); chunks.last().map_or(0, |chunk| chunk.tensor + 1)];
        for (chunk, squares) in chunks.iter().zip(squares) {
            let sum = &mut sums[chunk.tensor];
            sum.weights += squares.weights;
            sum.update += squares.update;
        }
        chunks.into_par_iter().for_each(|mut chunk| {
            let ratio = if chunk.trust_ratio { sums[chunk.tensor].ratio() } else { 1.0 };
            chunk.update_weights(rule, ratio);
        });
    }
}

/// Squares of the norms of weights and update.
#[derive(Clone, Copy, Default)]
struct Norms {
    weights: f64,
    update: f64,
}

impl Norms {
    fn ratio(self) -> f64 {
        if self.weights > 0.0 && self.update > 0.0 {
            (self.weights / self.update).sqrt()
        } else {
            1.0
        }
    }
}

fn norms(chunk: &Chunk<'_>, rule: &Rule) -> Norms {
    let mut buffer = [0.0; BLOCK];
    let mut norms = Norms { weights: sum_of_squares(chunk.weights), update: 0.0 };
    for start in (0..chunk.weights.len()).step_by(BLOCK) {
        let directions = &mut buffer[..BLOCK.min(chunk.weights.len() - start)];
        chunk.directions(rule, start, directions);
        norms.update += sum_of_squares(directions);
    }
    norms
}
