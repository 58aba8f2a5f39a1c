//! How fast the instructions are that the register tiles are made of, when nothing else is in their
//! way.
//!
//! A loop multiplies registers and adds to as many sums as a tile has, each of which waits only for
//! itself. Nothing is loaded or stored, so what it reaches is the most that a product could.

use super::InstructionSet;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::kernels::isa::Level;
use crate::kernels::product::precision::Precision;

/// A loop of the instructions that a product spends its time in.
///
/// A value is a proof that the processor has them.
pub struct Peak {
    /// What the instructions are called.
    pub instructions: &'static str,
    /// Whether they stand in for one instruction that this instruction set lacks.
    pub is_emulated: bool,
    multiply_adds: usize,
    /// Does that many rounds and adds up the sums. To be called where the processor has the
    /// instructions.
    run: unsafe fn(u64) -> f64,
}

impl Peak {
    /// The loop for products of that precision; none where the body has no one instruction, or few,
    /// that it consists of.
    pub fn of(isa: InstructionSet, precision: Precision) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return x86_64::peak(isa.0.level(), precision);
        #[cfg(target_arch = "aarch64")]
        return aarch64::peak(isa.0.level(), precision);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            let _ = (isa, precision);
            None
        }
    }

    /// Operations in that many rounds; a multiply-add is two.
    pub fn operations(&self, rounds: u64) -> f64 {
        2.0 * self.multiply_adds as f64 * rounds as f64
    }

    /// Does that many rounds. All factors are 1, so that the result is the number of multiply-adds
    /// (until an `f32` cannot count further).
    pub fn run(&self, rounds: u64) -> f64 {
        // SAFETY: a `Peak` is made only for an `Isa`, which proves that the processor has the
        // instructions.
        unsafe { (self.run)(rounds) }
    }
}

/// Defines a loop: in each round, `step` is done once for each of `sums`, with factors that are
/// unknown to the compiler.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! peak_loop {
    (
        fn $name:ident, features: $features:literal, registers of: $class:ident,
        sums: [$zero:expr; $chains:literal] as [$lane:ty; $lanes:literal], ones: $ones:expr,
        step: |$sum:ident, $x:ident, $y:ident| $step:expr $(,)?
    ) => {
        // The names of registers are only in a comment.
        #[allow(asm_sub_register)]
        #[target_feature(enable = $features)]
        fn $name(rounds: u64) -> f64 {
            let (mut $x, mut $y) = ($ones, $ones);
            let mut sums = [$zero; $chains];
            for _ in 0..rounds {
                for $sum in &mut sums {
                    // What is said to come out may be anything, so no product is known before or
                    // used twice.
                    // SAFETY: no instruction at all.
                    unsafe {
                        asm!(
                            "/* {0} {1} */", inout($class) $x, inout($class) $y,
                            options(nomem, nostack, preserves_flags),
                        );
                    }
                    *$sum = $step;
                }
            }
            // SAFETY: registers are as many lanes, and any bits are valid.
            let lanes = sums.map(|sum| unsafe { transmute::<_, [$lane; $lanes]>(sum) });
            lanes.as_flattened().iter().map(|&lane| f64::from(lane)).sum()
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::asm;
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use super::{Level, Peak, Precision};

    pub(super) fn peak(level: Level, precision: Precision) -> Option<Peak> {
        use Precision::{Bf16, F32, Int8};
        let peak = |instructions, is_emulated, multiply_adds, run| {
            Some(Peak { instructions, is_emulated, multiply_adds, run })
        };
        match (level, precision) {
            (Level::Portable, _) => None,
            // The bodies of bfloat16 that emulate `vdpbf16ps` multiply in `f32`.
            (Level::Avx2 | Level::AvxVnni, F32 | Bf16) => {
                peak("vfmadd231ps, 256 bits", precision == Bf16, 12 * 8, fma_256)
            }
            (Level::Avx512Bf16, Bf16) => peak("vdpbf16ps, 512 bits", false, 24 * 32, bf16_512),
            (_, F32 | Bf16) => peak("vfmadd231ps, 512 bits", precision == Bf16, 24 * 16, fma_512),
            (Level::Avx2, Int8) => {
                peak("vpmaddubsw, two lines at a time, 256 bits", true, 10 * 64, byte_pairs_256)
            }
            (Level::AvxVnni, Int8) => peak("vpdpbusd, 256 bits", false, 12 * 32, bytes_256),
            (Level::Avx512, Int8) => {
                peak("vpmaddubsw, two lines at a time, 512 bits", true, 12 * 128, byte_pairs_512)
            }
            (Level::Avx512Vnni | Level::Avx512Bf16, Int8) => {
                peak("vpdpbusd, 512 bits", false, 24 * 64, bytes_512)
            }
        }
    }

    peak_loop! {
        fn fma_256, features: "avx2,fma", registers of: ymm_reg,
        sums: [_mm256_setzero_ps(); 12] as [f32; 8], ones: _mm256_set1_ps(1.0),
        step: |sum, x, y| _mm256_fmadd_ps(x, y, *sum),
    }

    peak_loop! {
        fn fma_512, features: "avx512f", registers of: zmm_reg,
        sums: [_mm512_setzero_ps(); 24] as [f32; 16], ones: _mm512_set1_ps(1.0),
        step: |sum, x, y| _mm512_fmadd_ps(x, y, *sum),
    }

    peak_loop! {
        fn bf16_512, features: "avx512f,avx512bf16", registers of: zmm_reg,
        sums: [_mm512_setzero_ps(); 24] as [f32; 16], ones: _mm512_set1_epi32(0x3f80_3f80),
        // SAFETY: the transmutes only rename a register of 512 bits.
        step: |sum, x, y| unsafe {
            let [x, y] = [x, y].map(|register| transmute::<__m512i, __m512bh>(register));
            _mm512_dpbf16_ps(*sum, x, y)
        },
    }

    peak_loop! {
        fn bytes_256, features: "avx2,avxvnni", registers of: ymm_reg,
        sums: [_mm256_setzero_si256(); 12] as [i32; 8], ones: _mm256_set1_epi8(1),
        step: |sum, x, y| _mm256_dpbusd_avx_epi32(*sum, x, y),
    }

    peak_loop! {
        fn bytes_512, features: "avx512f,avx512vnni", registers of: zmm_reg,
        sums: [_mm512_setzero_si512(); 24] as [i32; 16], ones: _mm512_set1_epi8(1),
        step: |sum, x, y| _mm512_dpbusd_epi32(*sum, x, y),
    }

    peak_loop! {
        fn byte_pairs_256, features: "avx2", registers of: ymm_reg,
        sums: [_mm256_setzero_si256(); 10] as [i32; 8], ones: _mm256_set1_epi8(1),
        step: |sum, x, y| {
            let both = _mm256_add_epi16(_mm256_maddubs_epi16(x, y), _mm256_maddubs_epi16(y, y));
            _mm256_add_epi32(*sum, _mm256_madd_epi16(both, _mm256_set1_epi16(1)))
        },
    }

    peak_loop! {
        fn byte_pairs_512, features: "avx512f,avx512bw", registers of: zmm_reg,
        sums: [_mm512_setzero_si512(); 12] as [i32; 16], ones: _mm512_set1_epi8(1),
        step: |sum, x, y| {
            let both = _mm512_add_epi16(_mm512_maddubs_epi16(x, y), _mm512_maddubs_epi16(y, y));
            _mm512_add_epi32(*sum, _mm512_madd_epi16(both, _mm512_set1_epi16(1)))
        },
    }
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use std::arch::aarch64::*;
    use std::arch::asm;
    use std::mem::transmute;

    use super::{Level, Peak, Precision};

    pub(super) fn peak(level: Level, precision: Precision) -> Option<Peak> {
        use Precision::{Bf16, F32, Int8};
        let peak = |instructions, is_emulated, multiply_adds, run| {
            Some(Peak { instructions, is_emulated, multiply_adds, run })
        };
        match (level, precision) {
            (Level::Neon | Level::NeonDot | Level::NeonI8mm, F32 | Bf16) => {
                peak("fmla, 128 bits", precision == Bf16, 24 * 4, fma)
            }
            (Level::NeonDot, Int8) => peak("sdot, 128 bits", false, 24 * 16, bytes),
            // Too many instructions for one product to have a peak worth its name.
            (Level::Portable, _) | (Level::Neon, Int8) => None,
        }
    }

    peak_loop! {
        fn fma, features: "neon", registers of: vreg,
        sums: [vdupq_n_f32(0.0); 24] as [f32; 4], ones: vdupq_n_f32(1.0),
        step: |sum, x, y| vfmaq_f32(*sum, x, y),
    }

    peak_loop! {
        fn bytes, features: "neon,dotprod", registers of: vreg,
        sums: [vdupq_n_s32(0); 24] as [i32; 4], ones: vdupq_n_s8(1),
        step: |sum, x, y| {
            let mut total = *sum;
            // SAFETY: the instruction changes nothing but its first register. (Its intrinsic is not
            // stable.)
            unsafe {
                asm!(
                    "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
                    inout(vreg) total, in(vreg) x, in(vreg) y,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            total
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loops do as many multiply-adds as they say.
    #[test]
    fn multiply_adds_are_counted() {
        for isa in InstructionSet::available() {
            for precision in Precision::ALL {
                let Some(peak) = Peak::of(isa, precision) else { continue };
                let name = (isa.name(), peak.instructions);
                assert_eq!(2.0 * peak.run(1000), peak.operations(1000), "{name:?}");
            }
        }
    }
}
