//! The register tiles for NEON: 32 registers of 128 bits.

use std::arch::aarch64::*;
