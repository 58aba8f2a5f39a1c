//! ALBERT (A Lite BERT) in pure Rust on [`ndarray`].
#![deny(unsafe_code, unsafe_op_in_unsafe_fn, missing_docs, clippy::undocumented_unsafe_blocks)]

mod error;

pub mod checkpoint;
pub mod text;

pub use error::{Error, Result};
pub use ndarray;
pub use text::{AlbertTokenizer, Encoding, Truncation, TruncationSide, TruncationStrategy};
