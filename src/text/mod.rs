//! From text to ids.

mod batch;
mod encoding;
mod tokenizer;
mod truncation;

pub use encoding::Encoding;
pub use tokenizer::AlbertTokenizer;
pub use truncation::{Truncation, TruncationSide, TruncationStrategy};
