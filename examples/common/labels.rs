//! How much room a text needs, before anybody knows in which letters it will be seen.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How wide a letter is on average, for a size of 1: fonts differ, so this is on the safe side.
/// Chinese characters take two.
const COLUMN: f64 = 0.56;

/// How wide a text is, about.
pub fn text_width(text: &str, size: f64) -> f64 {
    COLUMN * size * text.width() as f64
}

/// As much of a text as is no wider than `width`, with an ellipsis if that is not all.
pub fn shortened(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut room = width - text_width("…", size);
    let fits = text.chars().take_while(|c| {
        room -= COLUMN * size * c.width().unwrap_or(1) as f64;
        room >= 0.0
    });
    fits.chain(['…']).collect()
}
