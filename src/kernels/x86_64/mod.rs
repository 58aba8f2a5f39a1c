//! The register tiles for processors with AVX2 or AVX-512.

pub(super) mod avx2;
pub(super) mod avx512;

/// A tile that has its panel brought from the second cache into the first eight lines ahead: panels are read strictly
/// forwards, but faster than the processor's own prefetching keeps up with.
macro_rules! avx512_tile {
    ($($body:tt)*) => {
        tile_body! {
            fetch: |ahead| 8 lines: _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            fetch next: |next| 4 times: _mm_prefetch::<_MM_HINT_T1>(next.cast());
            $($body)*
        }
    };
}
use avx512_tile;

/// A tile whose panel stays in the first cache.
macro_rules! avx2_tile {
    ($($body:tt)*) => {
        tile_body! {
            fetch: |_ahead| 0 lines: ();
            fetch next: |next| 1 times: _mm_prefetch::<_MM_HINT_T1>(next.cast());
            $($body)*
        }
    };
}
use avx2_tile;
