//! What a register tile is made of: the operations of an instruction set, and the steps of a
//! precision.
//!
//! The loops ([`lines`](super::lines), [`pairs`](super::pairs)) are written once over these traits.
//! Everything is `#[inline(always)]` down to the intrinsics, and ends up in one function per tile
//! that is compiled for the instruction set ([`Machine::enter`]): that is where the features are,
//! because a function without them cannot be inlined away from one that has them, and closures and
//! trait methods do not inherit any.

use std::marker::PhantomData;

use super::lines;

/// The operations of an instruction set.
///
/// # Safety
/// None of its functions may be called where the processor lacks the instructions. Those that take
/// places read or write a register there, but for those that fetch, which may be given any place.
pub(super) trait Machine: Sized {
    /// A register of `f32`.
    type Floats: Copy;
    /// A register of 32-bit words.
    type Words: Copy;

    /// Words in a register.
    const LANES: usize;
    /// How many lines ahead a panel is fetched, a register at a time.
    const LINES_AHEAD: usize;
    /// How many lines a loop goes through at a time.
    const UNROLL: usize;
    /// The most rows by registers of outputs for which [`Float`] has room.
    const FLOAT: Size;
    /// The same for [`SplitBf16`].
    const SPLIT_BF16: Size;

    /// [`tile`](super::cover::tile), compiled for the instruction set.
    unsafe fn enter<K: Kernel, const M: usize, const V: usize>(place: Place);

    /// Brings a register of the panel into the first cache.
    unsafe fn fetch(ahead: *const u32);
    /// Brings what comes later in a row of activations into the first cache.
    unsafe fn fetch_input(input: *const u32);
    /// Brings a place of the panel that comes after this one into the second.
    unsafe fn fetch_next(next: *const u8);

    unsafe fn zero_floats() -> Self::Floats;
    unsafe fn load_floats(from: *const u32) -> Self::Floats;
    unsafe fn store_floats(to: *mut u32, floats: Self::Floats);
    /// One value in all lanes.
    unsafe fn splat_float(x: f32) -> Self::Floats;
    /// `x · y + sum`, rounded once where the instruction set can.
    unsafe fn multiply_add(x: Self::Floats, y: Self::Floats, sum: Self::Floats) -> Self::Floats;

    unsafe fn zero_words() -> Self::Words;
    unsafe fn load_words(from: *const u32) -> Self::Words;
    unsafe fn store_words(to: *mut u32, words: Self::Words);
    /// One word in all lanes.
    unsafe fn splat_word(word: u32) -> Self::Words;
    /// Words as the `f32` whose bits they are.
    unsafe fn as_floats(words: Self::Words) -> Self::Floats;
    /// The upper halves of words as bfloat16.
    unsafe fn high_halves(words: Self::Words) -> Self::Floats;
    /// The lower halves.
    unsafe fn low_halves(words: Self::Words) -> Self::Floats;
}

/// Rows by registers of outputs.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) registers: usize,
}

/// Where a tile of `M` rows by `V` registers of outputs works.
///
/// `inputs` is readable for all lines' words at each of `M` rows that are `stride` apart, `panel`
/// for `V` registers at each of `depth` lines that are `width` apart, and `sums` is readable and
/// writable for `V` registers at each of `M` rows that are `width` apart, too. `pairs` is readable
/// for every two lines where a kernel asks for it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) inputs: *const u32,
    pub(super) stride: usize,
    pub(super) panel: *const u32,
    pub(super) depth: usize,
    pub(super) width: usize,
    pub(super) sums: *mut u32,
    /// Whether the products are added to what is in the sums, rather than to 0.
    pub(super) accumulate: bool,
    /// What is fetched for the first line, and how far on for each that follows.
    pub(super) next: *const u8,
    pub(super) next_step: usize,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "for x86 alone"))]
    pub(super) pairs: *const u8,
}

/// A product of one precision on one instruction set.
///
/// # Safety
/// As for [`Machine`].
pub(super) trait Kernel: Sized {
    type Machine: Machine;
    /// What the tile multiplies.
    type Input: Copy;
    /// What is added up.
    type Sums: Sums;

    /// The most rows by registers of outputs: as many sums as leave registers for weights and
    /// activations.
    const AT_MOST: Size;

    /// The totals after all lines of a panel. `rows` are the places where rows of activations
    /// begin.
    unsafe fn through<const M: usize, const V: usize>(
        place: Place,
        rows: [*const u32; M],
        totals: [[SumOf<Self>; V]; M],
    ) -> [[SumOf<Self>; V]; M];

    /// [`Machine::enter`], but for kernels whose instructions not every processor with the others
    /// has.
    #[inline(always)]
    unsafe fn enter<const M: usize, const V: usize>(place: Place) {
        // SAFETY: by this function's contract.
        unsafe { Self::Machine::enter::<Self, M, V>(place) }
    }
}

/// A [`Kernel`] that goes through a panel line by line.
///
/// # Safety
/// As for [`Machine`].
pub(super) trait Lines: Kernel {
    /// What is made of a register of the panel, once for all rows.
    type Weights: Copy;

    /// Words of activations per line.
    const WORDS: usize;

    unsafe fn weights(line: WordsOf<Self>) -> Self::Weights;

    /// The sum after the word (or two) at `x` was multiplied with weights.
    unsafe fn step(sum: SumOf<Self>, x: *const u32, weights: Self::Weights) -> SumOf<Self>;
}

/// A register of sums of a kernel.
pub(super) type SumOf<K> = <<K as Kernel>::Sums as Sums>::Register;

/// A register of words of a kernel's machine.
pub(super) type WordsOf<K> = <<K as Kernel>::Machine as Machine>::Words;

/// Registers in which products are added up.
///
/// # Safety
/// As for [`Machine`].
pub(super) trait Sums {
    type Register: Copy;

    unsafe fn zero() -> Self::Register;
    unsafe fn load(from: *const u32) -> Self::Register;
    unsafe fn store(to: *mut u32, sum: Self::Register);
}

/// Sums of `f32`.
pub(super) struct FloatSums<M>(PhantomData<M>);

impl<M: Machine> Sums for FloatSums<M> {
    type Register = M::Floats;

    #[inline(always)]
    unsafe fn zero() -> M::Floats {
        // SAFETY: by this function's contract.
        unsafe { M::zero_floats() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> M::Floats {
        // SAFETY: by this function's contract.
        unsafe { M::load_floats(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u32, sum: M::Floats) {
        // SAFETY: by this function's contract.
        unsafe { M::store_floats(to, sum) }
    }
}

/// Sums of 32-bit integers.
pub(super) struct WordSums<M>(PhantomData<M>);

impl<M: Machine> Sums for WordSums<M> {
    type Register = M::Words;

    #[inline(always)]
    unsafe fn zero() -> M::Words {
        // SAFETY: by this function's contract.
        unsafe { M::zero_words() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> M::Words {
        // SAFETY: by this function's contract.
        unsafe { M::load_words(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u32, sum: M::Words) {
        // SAFETY: by this function's contract.
        unsafe { M::store_words(to, sum) }
    }
}

/// Multiply-adds of `f32`.
pub(super) struct Float<M>(PhantomData<M>);

impl<M: Machine> Kernel for Float<M> {
    type Machine = M;
    type Input = f32;
    type Sums = FloatSums<M>;

    const AT_MOST: Size = M::FLOAT;

    #[inline(always)]
    unsafe fn through<const R: usize, const V: usize>(
        place: Place,
        rows: [*const u32; R],
        totals: [[M::Floats; V]; R],
    ) -> [[M::Floats; V]; R] {
        // SAFETY: by this function's contract.
        unsafe { lines::through::<Self, R, V>(place, rows, totals) }
    }
}

impl<M: Machine> Lines for Float<M> {
    type Weights = M::Words;

    const WORDS: usize = 1;

    #[inline(always)]
    unsafe fn weights(line: M::Words) -> M::Words {
        line
    }

    #[inline(always)]
    unsafe fn step(sum: M::Floats, x: *const u32, weights: M::Words) -> M::Floats {
        // SAFETY: by this function's contract.
        unsafe {
            M::multiply_add(M::splat_float(x.cast::<f32>().read()), M::as_floats(weights), sum)
        }
    }
}

/// Pairs of bfloat16 as `vdpbf16ps` multiplies them, the second before the first. The products are
/// exact in `f32`, so that a multiply-add rounds where that instruction does, fused or not.
pub(super) struct SplitBf16<M>(PhantomData<M>);

impl<M: Machine> Kernel for SplitBf16<M> {
    type Machine = M;
    type Input = u32;
    type Sums = FloatSums<M>;

    const AT_MOST: Size = M::SPLIT_BF16;

    #[inline(always)]
    unsafe fn through<const R: usize, const V: usize>(
        place: Place,
        rows: [*const u32; R],
        totals: [[M::Floats; V]; R],
    ) -> [[M::Floats; V]; R] {
        // SAFETY: by this function's contract.
        unsafe { lines::through::<Self, R, V>(place, rows, totals) }
    }
}

impl<M: Machine> Lines for SplitBf16<M> {
    type Weights = [M::Floats; 2];

    const WORDS: usize = 2;

    #[inline(always)]
    unsafe fn weights(line: M::Words) -> [M::Floats; 2] {
        // SAFETY: by this function's contract.
        unsafe { [M::high_halves(line), M::low_halves(line)] }
    }

    #[inline(always)]
    unsafe fn step(sum: M::Floats, x: *const u32, weights: [M::Floats; 2]) -> M::Floats {
        let x = x.cast::<f32>();
        // SAFETY: by this function's contract.
        unsafe {
            let sum = M::multiply_add(M::splat_float(x.read()), weights[0], sum);
            M::multiply_add(M::splat_float(x.add(1).read()), weights[1], sum)
        }
    }
}
