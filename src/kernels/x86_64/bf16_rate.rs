//! Is `vdpbf16ps` fast?
//!
//! On AMD's processors it does twice the arithmetic of a multiply-add of `f32`. On some of Intel's (Sapphire and Emerald
//! Rapids, which have matrix units to be fast with) it takes more than the time of the four instructions that give the
//! same bits. No flag says so, and no list of models stays complete: so it is timed, for some microseconds, once.

use std::time::{Duration, Instant};

use super::super::isa::{Isa, Level};
use super::super::packed::MAX_PANEL;
use super::super::tile::{ROWS, Tile};
use super::avx512;

/// Lines of a panel of pairs: 16 KB, a microsecond of work.
const DEPTH: usize = 64;

/// The fastest of so many runs counts: all others were interrupted, or warmed the processor up.
const RUNS: usize = 16;

/// Whether the instruction takes less time than what else gives its bits.
pub(in crate::kernels) fn bf16_is_fast(isa: Isa) -> bool {
    assert_eq!(isa.level(), Level::Avx512Bf16, "has both");
    let [inputs, panel] =
        [ROWS * 2 * DEPTH, DEPTH * MAX_PANEL].map(|words| vec![0x3f80_3f80; words]);
    let mut sums = [0; ROWS * MAX_PANEL];
    let tile = |words: usize| Tile {
        inputs: inputs.as_slice(),
        stride: words * DEPTH,
        rows: ROWS,
        panel: panel.as_slice(),
        depth: DEPTH,
        width: MAX_PANEL,
        accumulate: false,
        next: &[],
    };
    let (mut native, mut emulated) = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        // SAFETY: the `Isa` proves the instructions; there are as many inputs and sums as rows.
        native = native.min(time(|| unsafe { avx512::bf16(tile(1), &mut sums) }));
        // SAFETY: as above, with two words of input for a line.
        emulated = emulated.min(time(|| unsafe { avx512::bf16_emulated(tile(2), &mut sums) }));
    }
    native < emulated
}

fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}
