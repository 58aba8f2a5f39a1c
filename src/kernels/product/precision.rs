//! What an executable model holds its layers' weights in, and multiplies them in.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::kernels::isa::Isa;
#[cfg(any(target_arch = "x86_64", target_feature = "relaxed-simd"))]
use crate::kernels::isa::Level;

/// The precision that a model's layers are executed in. Inputs, outputs and parameters are `f32` in
/// any case.
///
/// It applies to the matrices of the encoder's layers, which hold nearly all of the arithmetic, and
/// to attention's products. Those of queries with keys are of bytes in `Int8`; these in `Bf16`, and
/// those of weights with values in both, are in bfloat16 on processors with fast instructions for
/// that (and in `f32` on others). Embeddings, their mapping to H, LayerNorm, softmax, residual
/// sums, biases, pooler and heads stay `f32`. `docs/numerics.md` has what each precision costs in
/// accuracy, `docs/performance.md` what it brings in speed.
///
/// Results are the same to the bit for any batch composition and number of threads in every
/// precision. The products of `Bf16` and `Int8` are also the same on every instruction set, because
/// what a processor lacks is emulated exactly (but on x86 without VNNI, activations of `Int8` have
/// seven bits where eight would take longer); whole models are not, because of attention, and
/// because softmax and GELU, which are `f32`, use a fused multiply-add where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Weights and activations rounded to bfloat16 (8 bits of significand), summed up in `f32`.
    /// Half the memory.
    Bf16,
    /// Weights as bytes with a scale per output, activations as bytes with a scale and a zero point
    /// per token (in attention, a scale per token and head), found on the fly, summed up in 32-bit
    /// integers. A quarter of the memory. A few input channels that are much larger than the others
    /// are multiplied in `f32` ([`int8_outliers`](crate::ConfigFields::int8_outliers)).
    Int8,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// Its name: `f32`, `bf16` or `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Inputs whose weights share one 32-bit word.
    pub(in crate::kernels) fn inputs_per_word(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 4,
        }
    }

    /// Whether models of this precision multiply activations with each other (attention's, and
    /// gradients of weights) in bfloat16: where one instruction does so. Elsewhere, `f32` is as
    /// fast and loses nothing.
    pub(crate) fn narrows_activations(self, isa: Isa) -> bool {
        self != Self::F32 && Encoding::of(Self::Bf16, isa) == Encoding::Bf16
    }

    /// The fewest tokens with which a thread had better go through all weights by itself than share
    /// products with others, as measured. `None` where a panel is turned into something else first,
    /// which all would do.
    pub(crate) fn min_tokens_alone(self, isa: Isa) -> Option<usize> {
        match (self, Encoding::of(self, isa)) {
            (_, Encoding::Bf16Split) => None,
            (Self::Int8, _) => Some(16),
            (Self::F32 | Self::Bf16, _) => Some(32),
        }
    }

    /// The most inputs that a matrix may have: beyond, a sum of products of bytes could overflow
    /// its 32 bits.
    pub(crate) fn max_inputs(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 => usize::MAX,
            Self::Int8 => i32::MAX as usize / (127 * 255),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    /// Reads a [`name`](Self::name).
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| Error::input("precision", "f32, bf16 or int8", format!("{name:?}")))
    }
}

/// How a tile's body wants a row of activations: as one or two 32-bit words for each line of a
/// panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernels) enum Encoding {
    /// A value per word.
    F32,
    /// Two bfloat16 per word, the first in the low half.
    Bf16,
    /// Two words for two values: the second as `f32` after rounding to bfloat16, then the first.
    /// For bodies that multiply in `f32`, in the order in which `vdpbf16ps` adds.
    Bf16Split,
    /// Four bytes from 0 to 255 per word: `vpdpbusd` takes one side without sign.
    Unsigned8,
    /// The same less 128.
    Signed8,
    /// Four bytes of seven bits, or a little more, per word, beside which there may be an excess
    /// ([`seven_bits`](crate::kernels::product::seven_bits)).
    Unsigned7,
    /// Bytes as 16-bit integers with zero for zero, two words for four of them: the first and
    /// third, then the second and fourth.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "only processors of x86-64 want it")
    )]
    Signed16,
}

impl Encoding {
    /// What the body takes that multiplies activations with packed weights of `precision` on `isa`.
    pub(in crate::kernels) fn for_weights(precision: Precision, isa: Isa) -> Self {
        match (Self::of(precision, isa), isa.level()) {
            (Self::Signed16, _) => Self::Unsigned7,
            #[cfg(target_feature = "relaxed-simd")]
            (Self::Signed8, Level::RelaxedSimd) => Self::Unsigned7,
            (encoding, _) => encoding,
        }
    }

    /// What the body takes that multiplies activations with each other as `precision` on `isa`.
    pub(in crate::kernels) fn of(precision: Precision, isa: Isa) -> Self {
        match (precision, isa.level()) {
            (Precision::F32, _) => Self::F32,
            #[cfg(target_arch = "x86_64")]
            (Precision::Bf16, Level::Avx512Bf16) => Self::Bf16,
            (Precision::Bf16, _) => Self::Bf16Split,
            #[cfg(target_arch = "x86_64")]
            (Precision::Int8, Level::AvxVnni | Level::Avx512Vnni | Level::Avx512Bf16) => {
                Self::Unsigned8
            }
            #[cfg(target_arch = "x86_64")]
            (Precision::Int8, Level::Avx2 | Level::Avx512) => Self::Signed16,
            // Portable, NEON and WebAssembly.
            (Precision::Int8, _) => Self::Signed8,
        }
    }

    /// Words per line of a panel.
    pub(in crate::kernels) fn words(self) -> usize {
        match self {
            Self::Bf16Split | Self::Signed16 => 2,
            Self::F32 | Self::Bf16 | Self::Unsigned8 | Self::Signed8 | Self::Unsigned7 => 1,
        }
    }

    /// What is taken off each byte from 0 to 255.
    pub(in crate::kernels) fn middle(self) -> i32 {
        if self == Self::Signed8 { 128 } else { 0 }
    }

    /// What stands for zero in rows that are symmetric about it.
    pub(in crate::kernels) fn symmetric_zero(self) -> i32 {
        if self == Self::Unsigned8 { 128 } else { 0 }
    }
}
