//! The one loop that all register tiles with vector instructions are.
//!
//! What differs is the type of a register, how many registers of outputs and rows fit, and the one step that multiplies a
//! register of weights with a word of activations and adds it up.

/// The same pointer, but the compiler does not know that. (It would compute places that follow from each other anew for
/// every line, more instructions than the processor can begin while it multiplies.)
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block)] // Nothing is read through it.
pub(in crate::kernels) fn opaque(mut place: *const u32) -> *const u32 {
    // SAFETY: no instruction at all.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) place, options(pure, nomem, nostack, preserves_flags));
    }
    place
}

/// Defines a tile that goes through a panel line by line, and its driver ([`tile_frame`]).
///
/// * `fetch`: brings a register of the panel that many lines ahead into the first cache;
/// * `fetch next`: brings a place of the panel that comes after this one into the second;
/// * `fetch input`: brings what comes later in a row of activations into the first;
/// * `unroll`: how many lines are gone through at a time;
/// * `weights`: what is made of a register of the panel, once for all rows;
/// * `step`: the sum after a word (or two) at `x` was multiplied with that.
macro_rules! tile_body {
    (
        fetch: |$ahead:ident| $lines:literal lines: $fetch:expr;
        fetch input: |$input:ident| $fetch_input:expr;
        fetch next: |$next:ident| $fetch_next:expr;
        unroll: $unroll:literal;
        $(#[$doc:meta])*
        fn $name:ident, $tile:ident, features: $features:literal,
        registers: $register:ty as $zero:ident, lanes: $lanes:literal,
        line: $zero_line:ident and $load:ident,
        sums: $load_sum:ident and $store:ident,
        input: $word:ty, words: $words:literal, at most: $max_rows:tt by $max_registers:tt,
        weights: |$line:ident| $weights:expr,
        step: |$total:ident, $x:ident, $weight:ident| $step:expr $(,)?
    ) => {
        $crate::kernels::product::tiles::body::tile_frame! {
            $(#[$doc])*
            fn $name, $tile, features: $features,
            registers: $register as $zero, lanes: $lanes,
            sums: $load_sum and $store,
            input: $word, at most: $max_rows by $max_registers,
            go through: |M, V, rows, panel, depth, width, totals, next, next_step, _pairs| {
                let mut start = 0;
                // What is ahead of the last lines is where the next tile begins, most likely at the panel's start again.
                let turn = (depth - depth.min($lines), panel);
                for (end, ahead) in [turn, (depth, panel.wrapping_sub(depth * width))] {
                    let unrolled = start + (end - start) / $unroll * $unroll;
                    for p in (start..unrolled).step_by($unroll) {
                        let $next = next;
                        $fetch_next;
                        next = next.wrapping_add($unroll * next_step);
                        for row in rows {
                            // May lie past the row, where fetching does nothing.
                            let $input = row.wrapping_add(p * $words);
                            $fetch_input;
                        }
                        for u in 0..$unroll {
                            $crate::kernels::product::tiles::body::line_body!(
                                p + u, $lanes, $words, $lines, V, (rows, panel, ahead, width, totals);
                                $zero_line $load; |$ahead| $fetch; |$line| $weights;
                                |$total, $x, $weight| $step
                            );
                        }
                    }
                    for p in unrolled..end {
                        $crate::kernels::product::tiles::body::line_body!(
                            p, $lanes, $words, $lines, V, (rows, panel, ahead, width, totals);
                            $zero_line $load; |$ahead| $fetch; |$line| $weights;
                            |$total, $x, $weight| $step
                        );
                    }
                    start = end;
                }
            }
        }
    };
}
pub(in crate::kernels) use tile_body;

/// Defines a tile of bytes that goes through a panel two lines at a time, and its driver. See
/// [`seven_bits`](crate::kernels::product::seven_bits).
///
/// * `fetch`, `fetch input`, `fetch next`: as for [`tile_body`];
/// * `product`: a word of activations, as a register, times a register of the panel: sums of two products in 16 bits;
/// * `both`: the sum of two of these;
/// * `widen`: the sums of two 16-bit numbers each in 32 bits;
/// * `add`: the sum of two of those.
#[cfg(target_arch = "x86_64")]
macro_rules! pair_body {
    (
        fetch: |$ahead:ident| $lines:literal lines: $fetch:expr;
        fetch input: |$input:ident| $fetch_input:expr;
        fetch next: |$next:ident| $fetch_next:expr;
        unroll: $unroll:literal;
        $(#[$doc:meta])*
        fn $name:ident, $tile:ident, features: $features:literal,
        registers: $register:ty as $zero:ident, lanes: $lanes:literal,
        sums: $load:ident and $store:ident, at most: $max_rows:tt by $max_registers:tt,
        input: $input_word:ident, product: $product:ident, both: $both:ident,
        widen: |$sums:ident| $widen:expr, add: $add:ident $(,)?
    ) => {
        $crate::kernels::product::tiles::body::tile_frame! {
            $(#[$doc])*
            fn $name, $tile, features: $features,
            registers: $register as $zero, lanes: $lanes,
            sums: $load and $store,
            input: u32, at most: $max_rows by $max_registers,
            go through: |M, V, rows, panel, depth, width, totals, next, next_step, pairs| {
                for pair in 0..depth.div_ceil(2) {
                    let p = 2 * pair;
                    let is_alone = p + 1 == depth;
                    // Ahead of the last lines is where the next tile begins, most likely at the panel's start again.
                    let further = if p + $lines < depth { p + $lines } else { p + $lines - depth };
                    let mut lines = [[$zero(); V]; 2];
                    for v in 0..V {
                        // SAFETY: within lines p and p + 1 of the panel, by this function's contract.
                        unsafe {
                            lines[0][v] = $load(panel.add(p * width + v * $lanes).cast());
                            if !is_alone {
                                lines[1][v] = $load(panel.add((p + 1) * width + v * $lanes).cast());
                            }
                        }
                        for line in 0..2 {
                            // May lie past the panel, where fetching does nothing.
                            let $ahead = panel.wrapping_add((further + line) * width + v * $lanes);
                            $fetch;
                        }
                    }
                    for _ in 0..2 {
                        let $next = next;
                        $fetch_next;
                        next = next.wrapping_add(next_step);
                    }
                    for row in rows {
                        let $input = row.wrapping_add(p);
                        $fetch_input;
                    }
                    // SAFETY: there is one for each two lines, by this function's contract.
                    let is_small = unsafe { pairs.add(pair).read() } != 0;
                    if is_alone {
                        for (m, totals) in totals.iter_mut().enumerate() {
                            // SAFETY: within row m, by this function's contract.
                            let x = $input_word(unsafe { rows[m].add(p).read() }.cast_signed());
                            for (v, total) in totals.iter_mut().enumerate() {
                                let $sums = $product(x, lines[0][v]);
                                *total = $add(*total, $widen);
                            }
                        }
                    } else if is_small {
                        for (m, totals) in totals.iter_mut().enumerate() {
                            // SAFETY: within row m, by this function's contract.
                            let words = unsafe { [rows[m].add(p).read(), rows[m].add(p + 1).read()] };
                            let [x, y] = [$input_word(words[0].cast_signed()), $input_word(words[1].cast_signed())];
                            for (v, total) in totals.iter_mut().enumerate() {
                                let $sums = $both($product(x, lines[0][v]), $product(y, lines[1][v]));
                                *total = $add(*total, $widen);
                            }
                        }
                    } else {
                        for (m, totals) in totals.iter_mut().enumerate() {
                            // SAFETY: within row m, by this function's contract.
                            let words = unsafe { [rows[m].add(p).read(), rows[m].add(p + 1).read()] };
                            let [x, y] = [$input_word(words[0].cast_signed()), $input_word(words[1].cast_signed())];
                            for (v, total) in totals.iter_mut().enumerate() {
                                let $sums = $product(x, lines[0][v]);
                                let first = $widen;
                                let $sums = $product(y, lines[1][v]);
                                *total = $add(*total, $add(first, $widen));
                            }
                        }
                    }
                }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) use pair_body;

/// Defines a tile of `M` rows by `V` registers of outputs, over all lines of a panel, and its driver, which covers all
/// rows and outputs with tiles of at most that many rows by registers. How the lines are gone through is given.
macro_rules! tile_frame {
    (
        $(#[$doc:meta])*
        fn $name:ident, $tile:ident, features: $features:literal,
        registers: $register:ty as $zero:ident, lanes: $lanes:literal,
        sums: $load_sum:ident and $store:ident,
        input: $word:ty, at most: $max_rows:tt by $max_registers:tt,
        go through: |
            $m:ident, $v:ident, $rows:ident, $panel:ident, $depth:ident, $width:ident, $totals:ident, $next:ident,
            $next_step:ident, $pairs:ident
        | $go_through:block
    ) => {
        /// # Safety
        /// The processor has the features. `inputs` is readable for all lines' words at each of `M` rows that are
        /// `stride` apart, `panel` for `V` registers at each of `depth` lines that are `width` apart, and `sums` is
        /// readable and writable for `V` registers at each of `M` rows that are `width` apart, too. What is asked about two
        /// lines is readable for all of them.
        #[target_feature(enable = $features)]
        unsafe fn $tile<const $m: usize, const $v: usize>(
            inputs: *const u32,
            stride: usize,
            $panel: *const u32,
            ($depth, $width): (usize, usize),
            (sums, accumulate): (*mut u32, bool),
            (mut $next, $next_step): (*const u8, usize),
            $pairs: *const u8,
        ) {
            let mut $totals: [[$register; $v]; $m] = [[$zero(); $v]; $m];
            if accumulate {
                for (m, totals) in $totals.iter_mut().enumerate() {
                    for (v, total) in totals.iter_mut().enumerate() {
                        // SAFETY: within row m, by this function's contract.
                        *total = unsafe { $load_sum(sums.add(m * $width + v * $lanes).cast()) };
                    }
                }
            }
            // Rows are 0, 1 or 2 distances from one of two places, as instructions can say.
            let middle = $crate::kernels::product::tiles::body::opaque(inputs.wrapping_add(3 * stride));
            let $rows: [*const u32; $m] = std::array::from_fn(|m| {
                if m < 3 { inputs.wrapping_add(m * stride) } else { middle.wrapping_add((m - 3) * stride) }
            });
            $go_through
            for (m, totals) in $totals.iter().enumerate() {
                for (v, &total) in totals.iter().enumerate() {
                    // SAFETY: within row m, by this function's contract.
                    unsafe { $store(sums.add(m * $width + v * $lanes).cast(), total) };
                }
            }
        }

        $(#[$doc])*
        ///
        /// # Safety
        /// The processor has the features that the body is compiled for; sizes are as [`Tile`]'s `check` demands.
        #[target_feature(enable = $features)]
        pub(in crate::kernels) unsafe fn $name(tile: Tile<'_, $word>, sums: &mut [u32]) {
            const { assert!($max_rows <= ROWS) };
            let Tile { inputs, stride, rows, panel, depth, width, accumulate, next, pairs } = tile;
            let (sums, pairs) = (sums.as_mut_ptr().cast::<u32>(), pairs.as_ptr());
            // Evenly over the lines; too much to fetch all of it leaves out some. Where there is nothing, what is fetched is
            // in the cache already: a place that no memory is at would be looked for each time.
            let next = if next.is_empty() {
                (panel.as_ptr().cast::<u8>(), 0)
            } else {
                (next.as_ptr().cast::<u8>(), size_of_val(next) / depth)
            };
            let mut row = 0;
            while row < rows {
                let count = (rows - row).min($max_rows);
                let mut column = 0;
                while column < width {
                    let registers = ((width - column) / $lanes).min($max_registers);
                    // SAFETY: rows `row..row + count` and that many registers from `column` on lie within the tile.
                    unsafe {
                        let inputs = inputs.as_ptr().cast::<u32>().add(row * stride);
                        let panel = panel.as_ptr().cast::<u32>().add(column);
                        let sums = sums.add(row * width + column);
                        $crate::kernels::product::tiles::body::by_size!(
                            $max_rows, $max_registers; count, registers;
                            $tile(inputs, stride, panel, (depth, width), (sums, accumulate), next, pairs)
                        );
                    }
                    column += registers * $lanes;
                }
                row += count;
            }
        }
    };
}
pub(in crate::kernels) use tile_frame;

/// One line of a panel times one word (or two) of each row.
macro_rules! line_body {
    (
        $p:expr, $lanes:literal, $words:literal, $lines:literal, $v:ident,
        ($rows:ident, $panel:ident, $further:ident, $width:ident, $totals:ident);
        $zero_line:ident $load:ident; |$ahead:ident| $fetch:expr; |$line:ident| $weights:expr;
        |$total:ident, $x:ident, $weight:ident| $step:expr
    ) => {
        let p = $p;
        let mut lines = [$zero_line(); $v];
        for (v, line) in lines.iter_mut().enumerate() {
            // May lie past the panel, where fetching does nothing.
            let $ahead = $further.wrapping_add((p + $lines) * $width + v * $lanes);
            $fetch;
            // SAFETY: within line p of the panel, by this function's contract.
            *line = unsafe { $load($panel.add(p * $width + v * $lanes).cast()) };
        }
        for (m, totals) in $totals.iter_mut().enumerate() {
            for (v, total) in totals.iter_mut().enumerate() {
                // The same for all rows, so that it is computed once.
                let $line = lines[v];
                let $weight = $weights;
                let $total = *total;
                // SAFETY: within row m, by this function's contract.
                *total = unsafe {
                    let $x = $rows[m].add(p * $words);
                    $step
                };
            }
        }
    };
}
pub(in crate::kernels) use line_body;

/// Calls a tile with a number of rows and of registers as its constants.
macro_rules! by_size {
    (6, $max:tt; $rows:expr, $registers:expr; $tile:ident $arguments:tt) => {
        match $rows {
            1 => by_size!($max; 1, $registers; $tile $arguments),
            2 => by_size!($max; 2, $registers; $tile $arguments),
            3 => by_size!($max; 3, $registers; $tile $arguments),
            4 => by_size!($max; 4, $registers; $tile $arguments),
            5 => by_size!($max; 5, $registers; $tile $arguments),
            _ => by_size!($max; 6, $registers; $tile $arguments),
        }
    };
    (4, $max:tt; $rows:expr, $registers:expr; $tile:ident $arguments:tt) => {
        match $rows {
            1 => by_size!($max; 1, $registers; $tile $arguments),
            2 => by_size!($max; 2, $registers; $tile $arguments),
            3 => by_size!($max; 3, $registers; $tile $arguments),
            _ => by_size!($max; 4, $registers; $tile $arguments),
        }
    };
    (4; $rows:literal, $registers:expr; $tile:ident $arguments:tt) => {
        match $registers {
            1 => $tile::<$rows, 1> $arguments,
            2 => $tile::<$rows, 2> $arguments,
            3 => $tile::<$rows, 3> $arguments,
            _ => $tile::<$rows, 4> $arguments,
        }
    };
    (2; $rows:literal, $registers:expr; $tile:ident $arguments:tt) => {
        match $registers {
            1 => $tile::<$rows, 1> $arguments,
            _ => $tile::<$rows, 2> $arguments,
        }
    };
    (1; $rows:literal, $registers:expr; $tile:ident $arguments:tt) => {
        $tile::<$rows, 1> $arguments
    };
}
pub(in crate::kernels) use by_size;
