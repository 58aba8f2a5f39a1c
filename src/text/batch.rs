//! Encodings → a packed batch.

use super::Encoding;
use crate::batch::Batch;
use crate::error::Result;

impl Batch {
    /// A batch of encoded texts, pairs or choices.
    ///
    /// ```
    /// use ndalbert::{AlbertTokenizer, Batch};
    ///
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");
    /// let tokenizer = AlbertTokenizer::from_pretrained(directory)?;
    /// let encodings = tokenizer.encode_choices("你吃饭了吗?", &["吃了.", "我没吃上吉士果."])?;
    /// let batch = Batch::from_encodings(&encodings)?;
    /// assert_eq!(batch.num_sequences(), 2);
    /// # Ok::<(), ndalbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there are no encodings, or one has no tokens.
    pub fn from_encodings<'a>(encodings: impl IntoIterator<Item = &'a Encoding>) -> Result<Self> {
        Self::from_ids_and_types(
            encodings.into_iter().map(|e| (e.ids.as_slice(), e.type_ids.as_slice())),
        )
    }
}
