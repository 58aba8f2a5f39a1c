//! Which tokens begin a word.

use tokenizers::models::ModelWrapper;

use super::AlbertTokenizer;
use super::pipeline::Family;

/// Scripts without spaces between words: of their pieces, each counts as a word.
const UNSPACED: [std::ops::RangeInclusive<char>; 8] = [
    // Thai, Lao, Tibetan, Burmese
    '\u{0E00}'..='\u{109F}',
    // Khmer
    '\u{1780}'..='\u{17FF}',
    // Radicals, kana, bopomofo, ideographs and their extension A
    '\u{2E80}'..='\u{9FFF}',
    // Yi
    '\u{A000}'..='\u{A4CF}',
    // Compatibility ideographs
    '\u{F900}'..='\u{FAFF}',
    // Narrow katakana
    '\u{FF66}'..='\u{FF9F}',
    // Kana supplements
    '\u{1AFF0}'..='\u{1B16F}',
    // Further ideographs
    '\u{20000}'..='\u{3FFFF}',
];

/// Whether a token of a vocabulary begins a word.
///
/// In WordPiece all do that have no `##` before them. In SentencePiece those do that have a `▁` before them, begin with
/// what is neither letter nor digit, or with a letter of a script without spaces. (google-research/albert also lets
/// every piece with a digit or a foreign letter begin a word, and so splits numbers and words of other alphabets.)
pub(super) fn begins_word(family: Family, token: &str) -> bool {
    match family {
        Family::WordPiece => token.strip_prefix("##").is_none_or(str::is_empty),
        Family::SentencePiece => token.chars().next().is_none_or(|first| {
            !first.is_alphanumeric() || UNSPACED.iter().any(|range| range.contains(&first))
        }),
        Family::Phonemes => true,
    }
}

impl AlbertTokenizer {
    /// Whether tokens that continue a word are marked (`##`), so that this can be seen in the token itself.
    pub(crate) fn marks_continuations(&self) -> bool {
        match self.tokenizer.get_model() {
            ModelWrapper::WordPiece(model) => !model.continuing_subword_prefix.is_empty(),
            ModelWrapper::BPE(model) => {
                model.continuing_subword_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_beginnings() {
        for (token, in_wordpiece, in_sentencepiece) in [
            ("##ing", false, true),
            ("ing", true, false),
            ("▁ing", true, true),
            ("▁", true, true),
            ("##", true, true),
            ("19", true, false),
            ("слово", true, false),
            (",", true, true),
            ("'s", true, true),
            ("深度", true, true),
            ("##度", false, true),
            ("ใน", true, true),
        ] {
            assert_eq!(begins_word(Family::WordPiece, token), in_wordpiece, "{token}");
            assert_eq!(begins_word(Family::SentencePiece, token), in_sentencepiece, "{token}");
        }
    }
}
