//! The register tiles for processors with AVX2 or AVX-512.

pub(super) mod avx2;
pub(super) mod avx512;

/// A tile that has panels fetched from the second cache into the first eight lines ahead: they are read strictly forwards,
/// but faster than the processor's own prefetching keeps up with.
macro_rules! x86_64_tile {
    ($($body:tt)*) => {
        tile_body! {
            fetch: |ahead| 8 lines: _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            fetch next: |next| _mm_prefetch::<_MM_HINT_T1>(next.cast());
            $($body)*
        }
    };
}
use x86_64_tile;
