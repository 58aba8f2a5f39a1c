//! SentencePiece's precompiled charsmap, checked before it is used.
//!
//! Layout: the length of the trie in bytes (u32), the trie (a double array of u32 units, little-endian), then the
//! replacements, one after the other, each ended by a NUL. The crate that walks it trusts every offset in it.

use std::path::Path;

use tokenizers::normalizers::Precompiled;

use crate::error::{Error, Result};

/// The longest replacement of a character. The longest one of NFKC has 33 bytes.
const MAX_REPLACEMENT: usize = 256;

/// The normalizer of a charsmap, whatever text it will meet.
pub(super) fn precompiled(path: &Path, bytes: &[u8]) -> Result<Precompiled> {
    let broken = |what: &str| Error::format(path, format!("precompiled charsmap: {what}"));
    let (trie, replacements) = split(bytes).ok_or_else(|| {
        broken(&format!(
            "expected a trie and its replacements, found {} bytes that are not",
            bytes.len()
        ))
    })?;
    let replacements = std::str::from_utf8(replacements)
        .map_err(|error| broken(&format!("expected replacements in UTF-8, found {error}")))?;
    check(&trie, replacements).map_err(|what| broken(&what))?;
    Precompiled::from(bytes).map_err(|error| broken(&error.to_string()))
}

fn split(bytes: &[u8]) -> Option<(Vec<u32>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (trie, replacements) = rest.split_at_checked(length)?;
    let (units, []) = trie.as_chunks::<4>() else { return None };
    (!units.is_empty())
        .then(|| (units.iter().copied().map(u32::from_le_bytes).collect(), replacements))
}

/// Follows every edge of the trie once: each must stay inside, each replacement begin at a character.
fn check(trie: &[u32], replacements: &str) -> Result<(), String> {
    let mut seen = vec![false; trie.len()];
    let mut pending = vec![offset(trie[0])];
    while let Some(base) = pending.pop() {
        // Any byte may follow, and bytes are xor-ed in: the whole block of 256 must be there.
        if base | 0xFF >= trie.len() {
            return Err(format!("expected edges within {} units, found one to {base}", trie.len()));
        }
        if std::mem::replace(&mut seen[base], true) {
            continue;
        }
        for byte in 1..=0xFF {
            let place = base ^ byte;
            let unit = trie[place];
            if label(unit) != byte {
                continue;
            }
            let next = place ^ offset(unit);
            if has_leaf(unit) {
                check_leaf(trie, next, replacements)?;
            }
            pending.push(next);
        }
    }
    Ok(())
}

fn check_leaf(trie: &[u32], place: usize, replacements: &str) -> Result<(), String> {
    let leaf = trie.get(place).map(|&unit| (unit & 0x7FFF_FFFF) as usize);
    match leaf {
        Some(start) if replacements.is_char_boundary(start) => {
            let rest = &replacements.as_bytes()[start..];
            match rest.iter().take(MAX_REPLACEMENT + 1).position(|&byte| byte == 0) {
                None if rest.len() > MAX_REPLACEMENT => Err(format!(
                    "expected replacements of at most {MAX_REPLACEMENT} bytes, found a longer one"
                )),
                _ => Ok(()),
            }
        }
        found => {
            let limit = replacements.len();
            Err(format!("expected a replacement within {limit} bytes, found one at {found:?}"))
        }
    }
}

// The bit fields of a double-array unit, as darts-clone lays them out.

fn has_leaf(unit: u32) -> bool {
    (unit >> 8) & 1 == 1
}

fn label(unit: u32) -> usize {
    (unit & 0x8000_00FF) as usize
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) as usize) << ((unit & (1 << 9)) >> 6)
}

/// Standard base 64 with padding, in which `tokenizer.json` holds the charsmap.
pub(super) fn from_base64(path: &Path, text: &str) -> Result<Vec<u8>> {
    let decoded = decode_base64(text.as_bytes());
    decoded.ok_or_else(|| {
        Error::format(path, "`precompiled_charsmap`: expected base 64, found other text")
    })
}

fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let (groups, []) = text.as_chunks::<4>() else { return None };
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    for (place, group) in groups.iter().enumerate() {
        let padding = group.iter().rev().take_while(|&&digit| digit == b'=').count();
        if padding > 2 || (padding > 0 && place + 1 < groups.len()) {
            return None;
        }
        let mut bits = 0;
        for &digit in &group[..4 - padding] {
            bits = bits << 6 | sextet(digit)?;
        }
        let all = (bits << (6 * padding)).to_be_bytes();
        bytes.extend_from_slice(&all[1..4 - padding]);
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}
