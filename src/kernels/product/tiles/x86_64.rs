//! The register tiles for processors with AVX2 or AVX-512.

/// A tile that has its panel brought from the second cache into the first eight lines ahead: panels are read strictly
/// forwards, but faster than the processor's own prefetching keeps up with. A line is so much work that counting lines
/// costs nothing.
macro_rules! avx512_tile {
    ($macro:ident! $($body:tt)*) => {
        $macro! {
            fetch: |ahead| 8 lines: _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            fetch input: |_input| ();
            fetch next: |next| _mm_prefetch::<_MM_HINT_T1>(next.cast());
            unroll: 1;
            $($body)*
        }
    };
}
pub(super) use avx512_tile;

/// A tile whose panel stays in the first cache; what has to be brought there is the activations.
macro_rules! avx2_tile {
    ($macro:ident! $($body:tt)*) => {
        $macro! {
            fetch: |_ahead| 0 lines: ();
            fetch input: |input| _mm_prefetch::<_MM_HINT_T0>(input.wrapping_add(48).cast());
            fetch next: |next| _mm_prefetch::<_MM_HINT_T1>(next.cast());
            unroll: 4;
            $($body)*
        }
    };
}
pub(super) use avx2_tile;
