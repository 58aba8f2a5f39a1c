//! FNV-1a: distinguishes texts and names that are not chosen by an adversary.

/// The hash of nothing.
const START: u64 = 0xcbf2_9ce4_8422_2325;

/// A hash that more bytes can be added to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) fn new() -> Self {
        Self(START)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }

    pub(crate) fn finish(self) -> u64 {
        self.0
    }

    /// The hash of these bytes alone.
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::new();
        hash.add(bytes);
        hash.finish()
    }
}
