//! Adam with decoupled weight decay, as in PyTorch and in google-research/albert.

use rayon::prelude::*;

use super::adam::{Adam, AdamOptions, Chunk, Descendant, Rule};

/// AdamW as in `torch.optim.AdamW`, with bias correction (Loshchilov & Hutter, *Decoupled Weight
/// Decay Regularization*, algorithm 2).
///
/// It corrects by the number of all steps, also for parameters that were frozen in some of them;
/// PyTorch counts steps per parameter.
pub type AdamW<P> = Adam<P, Torch>;

/// Adam as in google-research/albert's `AdamWeightDecayOptimizer`: [`AdamW`] without bias
/// correction.
///
/// Without it the first steps are some three times as long as the learning rate says, which a
/// warm-up makes up for.
pub type AdamWeightDecay<P> = Adam<P, Google>;

/// PyTorch's.
pub enum Torch {}

impl Descendant for Torch {
    const NAME: &'static str = "AdamW";
    const MOMENTS: [&'static str; 2] = ["exp_avg", "exp_avg_sq"];

    fn rule(options: &AdamOptions, step: u64) -> Rule {
        Rule::corrected(options, step)
    }

    fn apply(rule: &Rule, chunks: Vec<Chunk<'_>>) {
        apply(rule, chunks);
    }
}

/// google-research/albert's.
pub enum Google {}

impl Descendant for Google {
    const NAME: &'static str = "AdamWeightDecay";
    const MOMENTS: [&'static str; 2] = ["adam_m", "adam_v"];

    fn rule(options: &AdamOptions, _step: u64) -> Rule {
        Rule::uncorrected(options)
    }

    fn apply(rule: &Rule, chunks: Vec<Chunk<'_>>) {
        apply(rule, chunks);
    }
}

fn apply(rule: &Rule, chunks: Vec<Chunk<'_>>) {
    chunks.into_par_iter().for_each(|mut chunk| chunk.update(rule));
}
