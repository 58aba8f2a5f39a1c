//! From text to ids.

mod batch;
mod encoding;
mod files;
pub(crate) mod lines;
mod tokenizer;
mod truncation;
mod vocabulary;

pub use encoding::Encoding;
pub(crate) use files::TokenizerFiles;
pub use tokenizer::AlbertTokenizer;
pub use truncation::{Truncation, TruncationSide, TruncationStrategy};
pub use vocabulary::{Vocabulary, VocabularyKind, VocabularyOptions, train_vocabulary};
