//! Generators that belong to a place in the data, not to a moment: what is drawn does not depend on
//! what was drawn before, on threads, or on whether training was interrupted.

use ndarray_rand::rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What numbers are drawn for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The order of documents.
    Order,
    /// Lengths, splits and swaps of a document's examples.
    Packing,
    /// The order of a block's examples.
    Shuffling,
    /// One example's masks.
    Masking,
}

/// The generator of a place: its four numbers are the key of the cipher, so no two places share
/// one.
pub(super) fn generator(seed: u64, purpose: Purpose, copy: u64, place: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    let (words, _) = key.as_chunks_mut::<8>();
    for (word, number) in words.iter_mut().zip([seed, purpose as u64, copy, place]) {
        *word = number.to_le_bytes();
    }
    ChaCha8Rng::from_seed(key)
}
