//! Is `vdpbf16ps` fast?
//!
//! On AMD's processors it does twice the arithmetic of a multiply-add of `f32`. On some of Intel's
//! (Sapphire and Emerald Rapids, which have matrix units to be fast with) it takes nearly twice as
//! long as the two multiply-adds that give the same bits once a panel has been widened. No flag
//! says so, and no list of models stays complete: so it is timed, for some microseconds, once.

use std::time::{Duration, Instant};

use super::avx512::{Avx512, Bf16};
use super::cover::cover;
use super::kernel::Float;
use crate::kernels::isa::{Isa, Level};
use crate::kernels::product::blocking::MAX_PANEL;
use crate::kernels::product::tiles::tile::{ROWS, Tile};

/// Lines of a panel of pairs: 16 KB, half a microsecond of work; of a panel that was widened, twice
/// as many.
const DEPTH: usize = 64;

/// The fastest of so many runs counts: all others were interrupted, or warmed the processor up.
const RUNS: usize = 32;

/// Tiles of a run: a few microseconds, so that reading the clock is nothing beside it.
const TILES: usize = 6;

/// Whether the instruction takes less time than what else gives its bits to products of many rows.
pub(in crate::kernels) fn bf16_is_fast(isa: Isa) -> bool {
    assert_eq!(isa.level(), Level::Avx512Bf16, "has both");
    let (inputs, panel) = ([0x3f80_3f80; ROWS * DEPTH], [0x3f80_3f80; DEPTH * MAX_PANEL]);
    let (widened, panel_widened) = ([1.0; ROWS * 2 * DEPTH], [1.0; 2 * DEPTH * MAX_PANEL]);
    let mut sums = [0; ROWS * MAX_PANEL];
    let (mut native, mut emulated) = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        // SAFETY: the `Isa` proves the instructions; there are as many inputs and sums as rows.
        native = native.min(time(|| unsafe { cover::<Bf16>(tile(&inputs, &panel), &mut sums) }));
        let widened = tile(&widened, &panel_widened);
        // SAFETY: as above.
        emulated = emulated.min(time(|| unsafe { cover::<Float<Avx512>>(widened, &mut sums) }));
    }
    native < emulated
}

/// [`ROWS`] rows of inputs, and a full panel.
fn tile<'a, W>(inputs: &'a [W], panel: &'a [W]) -> Tile<'a, W> {
    let (width, depth) = (MAX_PANEL, panel.len() / MAX_PANEL);
    Tile {
        inputs,
        stride: depth,
        rows: ROWS,
        panel,
        depth,
        width,
        accumulate: false,
        next: &[],
        pairs: &[],
    }
}

fn time(mut tile: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..TILES).for_each(|_| tile());
    start.elapsed()
}
