//! New parameters as transformers initialises them, from a seed.

use ndarray::ArrayViewMutD;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand_distr::{Distribution, Normal};
use rand_chacha::ChaCha8Rng;

use super::Parameters;
use crate::error::{Error, Result};
use crate::hash::Hash;

/// Draws weights from N(0, `initializer_range`²); biases are 0, LayerNorms 1 and 0, the padding token's embedding 0.
///
/// Each array has a generator of its own, seeded by the seed and the array's name, so what is drawn does not depend on
/// which other arrays are.
pub(crate) struct Initializer {
    normal: Normal<f32>,
    seed: u64,
    pad: Option<usize>,
}

impl Initializer {
    /// Draws with this standard deviation; `pad` is the padding token's id.
    pub(crate) fn new(initializer_range: f64, pad: Option<usize>, seed: u64) -> Result<Self> {
        let normal = Normal::new(0.0, initializer_range as f32).map_err(|error| {
            Error::config("initializer_range", "a standard deviation", error.to_string())
        })?;
        Ok(Self { normal, seed, pad })
    }

    /// Initialises every array of a tree.
    pub(crate) fn fill_all(&self, parameters: &mut impl Parameters) {
        parameters.visit_mut("", &mut |name, values| self.fill(name, values));
    }

    /// Initialises the array of that name.
    pub(crate) fn fill(&self, name: &str, mut values: ArrayViewMutD<'_, f32>) {
        let is_norm = name.contains("LayerNorm") || name.contains("layer_norm");
        if name.ends_with("bias") {
            values.fill(0.0);
        } else if is_norm {
            values.fill(1.0);
        } else {
            let mut generator = ChaCha8Rng::seed_from_u64(self.seed ^ hash(name));
            values.iter_mut().for_each(|value| *value = self.normal.sample(&mut generator));
            if let (true, Some(pad)) = (name.ends_with("word_embeddings.weight"), self.pad) {
                values.index_axis_mut(ndarray::Axis(0), pad).fill(0.0);
            }
        }
    }
}

/// Of a name without the backbone's prefix: a bare backbone and one under a head are initialised alike.
fn hash(name: &str) -> u64 {
    Hash::of(name.strip_prefix("albert.").unwrap_or(name).as_bytes())
}
