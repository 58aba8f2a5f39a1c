//! Element types in checkpoint files.

use std::fmt;

use safetensors::Dtype as SafetensorsType;

/// The type of a tensor's elements in a file.
///
/// [`Checkpoint::read`](super::Checkpoint::read) converts the four floating-point types to `f32` and rejects the rest: ALBERT's parameters are not integers, except with scales (int8 checkpoints), and the `position_ids` buffer is not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 double precision.
    F64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a single-precision number.
    BF16,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 64 bits.
    U64,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 8 bits.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// Two single-precision numbers.
    C64,
    /// Two double-precision numbers.
    C128,
    /// Another type of at most eight bits that the format defines, in which no ALBERT is stored.
    Other(&'static str),
}

impl DType {
    /// The bytes of one element, or `None` for [`DType::Other`], some of which have less than a byte.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::C128 => Some(16),
            Self::F64 | Self::I64 | Self::U64 | Self::C64 => Some(8),
            Self::F32 | Self::I32 | Self::U32 => Some(4),
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => Some(2),
            Self::I8 | Self::U8 | Self::Bool => Some(1),
            Self::Other(_) => None,
        }
    }

    /// Whether [`Checkpoint::read`](super::Checkpoint::read) converts it to `f32`.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }

    /// The type of a safetensors header.
    pub(super) fn from_safetensors(dtype: SafetensorsType) -> Self {
        use SafetensorsType as S;
        match dtype {
            S::F64 => Self::F64,
            S::F32 => Self::F32,
            S::F16 => Self::F16,
            S::BF16 => Self::BF16,
            S::I64 => Self::I64,
            S::I32 => Self::I32,
            S::I16 => Self::I16,
            S::I8 => Self::I8,
            S::U64 => Self::U64,
            S::U32 => Self::U32,
            S::U16 => Self::U16,
            S::U8 => Self::U8,
            S::BOOL => Self::Bool,
            S::C64 => Self::C64,
            S::F4 => Self::Other("f4"),
            S::F6_E2M3 => Self::Other("f6_e2m3"),
            S::F6_E3M2 => Self::Other("f6_e3m2"),
            S::F8_E5M2 => Self::Other("f8_e5m2"),
            S::F8_E4M3 => Self::Other("f8_e4m3"),
            S::F8_E8M0 => Self::Other("f8_e8m0"),
            S::F8_E4M3FNUZ => Self::Other("f8_e4m3fnuz"),
            S::F8_E5M2FNUZ => Self::Other("f8_e5m2fnuz"),
            _ => Self::Other("of a kind newer than this crate"),
        }
    }

    /// The type of the elements of `torch.<name>`, a storage class.
    pub(super) fn from_torch_storage(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            "ComplexFloatStorage" => Self::C64,
            "ComplexDoubleStorage" => Self::C128,
            // Of quantized tensors, which are not read: only the size of an element matters.
            "QInt8Storage" => Self::I8,
            "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage" => Self::U8,
            "QInt32Storage" => Self::I32,
            _ => return None,
        })
    }

    /// The type `torch.<name>`.
    pub(super) fn from_torch_dtype(name: &str) -> Option<Self> {
        Some(match name {
            "float64" => Self::F64,
            "float32" => Self::F32,
            "float16" => Self::F16,
            "bfloat16" => Self::BF16,
            "int64" => Self::I64,
            "int32" => Self::I32,
            "int16" => Self::I16,
            "int8" => Self::I8,
            "uint64" => Self::U64,
            "uint32" => Self::U32,
            "uint16" => Self::U16,
            "uint8" => Self::U8,
            "bool" => Self::Bool,
            "complex64" => Self::C64,
            "complex128" => Self::C128,
            name => Self::Other(TORCH_OTHER.iter().find(|other| **other == name)?),
        })
    }
}

/// PyTorch's other types, which do not occur in ALBERT.
const TORCH_OTHER: [&str; 32] = [
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "complex32",
    "qint8",
    "quint8",
    "qint32",
    "quint4x2",
    "quint2x4",
    "bits8",
    "bits16",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "bcomplex32",
    "uint1",
    "uint2",
    "uint3",
    "uint4",
    "uint5",
    "uint6",
    "uint7",
    "int1",
    "int2",
    "int3",
    "int4",
    "int5",
    "int6",
    "int7",
];

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U64 => "u64",
            Self::U32 => "u32",
            Self::U16 => "u16",
            Self::U8 => "u8",
            Self::Bool => "bool",
            Self::C64 => "complex64",
            Self::C128 => "complex128",
            Self::Other(name) => name,
        })
    }
}
