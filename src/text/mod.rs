//! From text to ids.

mod batch;
mod encoding;
pub(crate) mod lines;
mod tokenizer;
mod truncation;
mod vocabulary;

pub use encoding::Encoding;
pub use tokenizer::AlbertTokenizer;
pub use truncation::{Truncation, TruncationSide, TruncationStrategy};
pub use vocabulary::{Vocabulary, VocabularyKind, VocabularyOptions, train_vocabulary};
