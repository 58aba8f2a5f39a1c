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

/// The instruction sets that there are bodies for, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Whatever the target that was compiled for always has.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL, besides the former.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    #[cfg(target_arch = "x86_64")]
    const ALL: &[Self] = &[Self::Portable, Self::Avx2, Self::Avx512];
    #[cfg(not(target_arch = "x86_64"))]
    const ALL: &[Self] = &[Self::Portable];

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }

    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }
}

impl Isa {
    /// The instruction set to use: the best there is, or the one that `NDALBERT_ISA` names. Read once per process.
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

    /// Every instruction set that this processor has, weakest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        Level::ALL.iter().copied().filter(|level| level.is_available()).map(Self)
    }

    fn best() -> Self {
        Self::available().last().unwrap_or(Self(Level::Portable))
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
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Defines a function that is compiled once for every instruction set, and that picks by its first argument.
///
/// The body is ordinary Rust; what makes it fast is that the compiler may use wider registers for the same loops.
/// Nothing in a body may depend on the width, so that every instruction set gives the same bits.
macro_rules! multiversion {
    ($(#[$attr:meta])* $vis:vis fn $name:ident $(<$lt:lifetime>)? ($($arg:ident : $ty:ty),* $(,)?) $body:block) => {
        $(#[$attr])*
        $vis fn $name $(<$lt>)? (isa: $crate::kernels::Isa, $($arg: $ty),*) {
            #[inline(always)]
            fn body $(<$lt>)? ($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2 $(<$lt>)? ($($arg: $ty),*) {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512 $(<$lt>)? ($($arg: $ty),*) {
                body($($arg),*)
            }

            match isa.level() {
                $crate::kernels::isa::Level::Portable => body($($arg),*),
                // SAFETY: an `Isa` of this level exists only where the processor has these features.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Level::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Level::Avx512 => unsafe { avx512($($arg),*) },
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
