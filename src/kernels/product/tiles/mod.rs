//! Register tiles: [`tile`] chooses the kernel for an instruction set, [`cover`] cuts a tile into
//! as many rows and registers as the kernel has room for, and [`lines`] and [`pairs`] are the loops
//! that all of them run, over the traits of [`kernel`].
//!
//! A new instruction set is one file here, which implements them, and a line in `isa.rs`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod bf16_rate;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"))]
mod cover;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"))]
mod kernel;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_feature = "simd128"))]
mod lines;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod portable;
pub(in crate::kernels) mod tile;
#[cfg(target_arch = "x86_64")]
pub(super) mod transpose;
#[cfg(target_feature = "simd128")]
mod wasm32;

#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) use bf16_rate::bf16_is_fast;
