//! The matrix products of an ALBERT-base layer, and seeded values to fill them with.

use std::fmt;

/// Tokens that go through a layer at once.
pub const TOKENS: [usize; 4] = [1, 16, 128, 1024];

/// Inputs and outputs of a layer's matrices: query, key and value as one; attention output;
/// feed-forward up and down.
const MATRICES: [(usize, usize); 4] = [(768, 2304), (768, 768), (768, 3072), (3072, 768)];

/// A product [T, k]x[k, n].
#[derive(Clone, Copy)]
pub struct Product {
    pub tokens: usize,
    pub k: usize,
    pub n: usize,
}

impl Product {
    /// All of a layer's, for every number of tokens.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |(k, n)| TOKENS.map(|tokens| Self { tokens, k, n });
        MATRICES.into_iter().flat_map(of)
    }

    /// Floating-point operations; a multiply-add is two.
    pub fn operations(self) -> usize {
        2 * self.tokens * self.k * self.n
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tokens, k, n } = self;
        write!(f, "[{tokens},{k}]x[{k},{n}]")
    }
}

/// Seeded values, uniform in ±1 (SplitMix64).
pub fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = state;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
