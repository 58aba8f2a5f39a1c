//! Register tiles: [`tile`] chooses the body for an instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "x86_64")]
mod bf16_rate;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod body;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
pub(in crate::kernels) mod tile;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) use bf16_rate::bf16_is_fast;
