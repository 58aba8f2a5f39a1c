//! Which vector instructions the processor has, found once.

use std::env;
use std::fmt;
use std::sync::OnceLock;

use crate::error::{Error, Result};

/// The environment variable that forces an instruction set.
const VARIABLE: &str = "NDALBERT_ISA";

/// An instruction set that this processor was found to have.
///
/// A value is a proof: there is no way to make one for instructions that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Level);

/// The instruction sets that there are bodies for. A processor is given the last in the list that
/// it has and that is worth having.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Whatever the target that was compiled for always has.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-VNNI (256-bit `vpdpbusd`), besides AVX2.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX-512 F, BW, DQ and VL, besides AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// VNNI (`vpdpbusd`), besides AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// BF16 (`vdpbf16ps`), besides AVX-512 and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// NEON, which every 64-bit ARM processor has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// The dot product of bytes (`sdot`), besides NEON.
    #[cfg(target_arch = "aarch64")]
    NeonDot,
    /// Products of small matrices of bytes (`smmla`), besides `sdot`.
    #[cfg(target_arch = "aarch64")]
    NeonI8mm,
    /// WebAssembly's vectors of 128 bits.
    #[cfg(target_feature = "simd128")]
    Simd128,
    /// WebAssembly's relaxed instructions, besides those.
    #[cfg(target_feature = "relaxed-simd")]
    RelaxedSimd,
}

/// How wide the vectors are that a loop is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vectors {
    /// The target's own.
    Portable,
    /// 256 bits, with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    #[cfg(target_arch = "x86_64")]
    const ALL: &[Self] = &[
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Avx512Bf16,
    ];
    #[cfg(target_arch = "aarch64")]
    const ALL: &[Self] = &[Self::Portable, Self::Neon, Self::NeonDot, Self::NeonI8mm];
    // There is no asking at run time: a program without the instructions' features does not contain
    // them, and one with them is refused where they are missing.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    const ALL: &[Self] = &[
        Self::Portable,
        #[cfg(target_feature = "simd128")]
        Self::Simd128,
        #[cfg(target_feature = "relaxed-simd")]
        Self::RelaxedSimd,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => "avxvnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => "avx512vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => "avx512bf16",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => "neondot",
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => "neoni8mm",
            #[cfg(target_feature = "simd128")]
            Self::Simd128 => "simd128",
            #[cfg(target_feature = "relaxed-simd")]
            Self::RelaxedSimd => "relaxed-simd",
        }
    }

    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Self::Avx2.is_available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx512.is_available() && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => {
                Self::Avx512Vnni.is_available() && is_x86_feature_detected!("avx512bf16")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => {
                Self::NeonDot.is_available() && std::arch::is_aarch64_feature_detected!("i8mm")
            }
            #[cfg(target_feature = "simd128")]
            Self::Simd128 => true,
            #[cfg(target_feature = "relaxed-simd")]
            Self::RelaxedSimd => true,
        }
    }

    /// Whether it is any faster than the one before it in the list.
    fn is_worthwhile(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => super::product::tiles::bf16_is_fast(Isa(self)),
            _ => true,
        }
    }

    fn vectors(self) -> Vectors {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni => Vectors::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx512Vnni | Self::Avx512Bf16 => Vectors::Avx512,
            _ => Vectors::Portable,
        }
    }
}

/// The name of the instruction set that models are built for: the best that this processor has, or
/// the one that the environment variable `NDALBERT_ISA` names.
///
/// On x86-64: `portable`, `avx2`, `avxvnni`, `avx512`, `avx512vnni`, `avx512bf16`; on ARM:
/// `portable`, `neon`, `neondot`, `neoni8mm`; on WebAssembly, as it was compiled: `portable`,
/// `simd128`, `relaxed-simd`.
///
/// # Errors
/// [`Error::Input`] if the variable names one that is unknown or that this processor lacks.
pub fn instruction_set() -> Result<&'static str> {
    Isa::current().map(Isa::name)
}

impl Isa {
    /// The instruction set to use: the best there is, or the one that `NDALBERT_ISA` names. Read
    /// once per process.
    ///
    /// # Errors
    /// [`Error::Input`] if the variable names one that is unknown or that this processor lacks.
    pub(crate) fn current() -> Result<Self> {
        static CURRENT: OnceLock<std::result::Result<Isa, String>> = OnceLock::new();
        CURRENT
            .get_or_init(|| match env::var(VARIABLE) {
                Err(env::VarError::NotPresent) => Ok(Self::best()),
                Err(env::VarError::NotUnicode(name)) => Err(name.to_string_lossy().into_owned()),
                Ok(name) => Self::from_name(&name).ok_or(name),
            })
            .clone()
            .map_err(|name| {
                let available: Vec<&str> = Self::available().map(Self::name).collect();
                let expected = format!("one that this processor has ({})", available.join(", "));
                Error::input(
                    format!("environment variable {VARIABLE}"),
                    expected,
                    format!("{name:?}"),
                )
            })
    }

    /// Every instruction set that this processor has, in the order of [`Level::ALL`].
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        Level::ALL.iter().copied().filter(|level| level.is_available()).map(Self)
    }

    fn best() -> Self {
        let worthwhile = Self::available().filter(|isa| isa.0.is_worthwhile());
        worthwhile.last().unwrap_or(Self(Level::Portable))
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::available().find(|isa| isa.name() == name)
    }

    /// Its name, as `NDALBERT_ISA` takes it.
    pub(crate) fn name(self) -> &'static str {
        self.0.name()
    }

    pub(super) fn level(self) -> Level {
        self.0
    }

    pub(super) fn vectors(self) -> Vectors {
        self.0.vectors()
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Defines a function that is compiled once for every instruction set, and that picks by its first
/// argument.
///
/// The body is ordinary Rust; what makes it fast is that the compiler may use wider registers for
/// the same loops. Nothing in a body may depend on the width. It may use the constant `FMA`:
/// whether a fused multiply-add is one instruction (see [`math`](crate::kernels::rows::math)).
macro_rules! multiversion {
    ($(#[$attr:meta])* $vis:vis fn $name:ident $(<$lt:lifetime>)? ($($arg:ident : $ty:ty),* $(,)?) $body:block) => {
        $(#[$attr])*
        $vis fn $name $(<$lt>)? (isa: $crate::kernels::Isa, $($arg: $ty),*) {
            #[inline(always)]
            fn body<$($lt,)? const FMA: bool>($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2 $(<$lt>)? ($($arg: $ty),*) {
                body::<true>($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512 $(<$lt>)? ($($arg: $ty),*) {
                body::<true>($($arg),*)
            }

            match isa.vectors() {
                $crate::kernels::isa::Vectors::Portable => {
                    body::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
                }
                // SAFETY: an `Isa` with these vectors exists only where the processor has these
                // features.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Vectors::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Vectors::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}
pub(super) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_there_and_unknown_names_are_not() {
        assert_eq!(Isa::available().next().map(Isa::name), Some("portable"));
        assert!(Isa::from_name("sse9").is_none());
        for isa in Isa::available() {
            assert_eq!(Isa::from_name(isa.name()), Some(isa));
        }
    }
}
