//! Checks of what the `tokenizers` crate trusts in a `tokenizer.json`.
//!
//! It panics on templates that name a token they do not have, on merges that do not fit together,
//! on pieces of length 0; and steps one after the other, each of which makes a text longer, have no
//! limit. Its readers take objects without a `type` for whatever their keys fit, so it is keys that
//! are looked at here.

use serde_json::{Map, Value};

use super::config_files::{JsonFile, brief};
use crate::error::{Error, Result};

/// How many steps a part of the pipeline may have. Those of published files have up to a dozen.
const MAX_STEPS: usize = 128;

/// How many times longer all steps together may make a text.
const MAX_GROWTH: usize = 1 << 14;

/// What a charsmap is taken to make of a text. (NFKC makes 33 bytes of three.)
const CHARSMAP_GROWTH: usize = 16;

/// The longest word, in characters, that WordPiece looks into: that takes the square of it in time.
/// BERT's have 100.
const MAX_WORD: u64 = 1000;

/// The longest strings that are put before or between pieces.
const MAX_AFFIX: usize = 256;

/// How often, all in all, a pattern may repeat its parts by numbers (`{1,3}`): the compiler writes
/// them out.
const MAX_REPEATS: usize = 10_000;

/// Ids from here on leave no room for those of further tokens.
const MAX_ID: u64 = 1 << 31;

/// Checks the parts that are used of every file: ids and the template.
pub(super) fn check(file: &JsonFile) -> Result<()> {
    if let Some(Value::Object(vocabulary)) = file.get("model").and_then(|model| model.get("vocab"))
    {
        let is_large = |id: &&Value| id.as_u64().is_some_and(|id| id >= MAX_ID);
        if let Some(id) = vocabulary.values().find(is_large) {
            return Err(file.wrong("model.vocab", &format!("ids below {MAX_ID}"), id));
        }
    }
    let objects = objects(file, "post_processor")?;
    objects.into_iter().try_for_each(|object| check_template(file, object))
}

/// Checks a file that is used unchanged.
pub(super) fn check_literal(file: &JsonFile) -> Result<()> {
    let mut growth = 1usize;
    for part in ["normalizer", "pre_tokenizer", "decoder"] {
        for object in objects(file, part)? {
            check_step(file, part, object)?;
            growth = growth.saturating_mul(growth_of(object));
        }
    }
    // The one may leave no tokens at all, and the other asks for the last.
    let decoders = objects(file, "decoder")?;
    let has = |key: &str| decoders.iter().any(|decoder| decoder.contains_key(key));
    if has("word_delimiter_token") && has("suffix") {
        let what = "`decoder`: expected a CTC or a BPE decoder, found both";
        return Err(Error::format(&file.path, what));
    }
    if growth > MAX_GROWTH {
        let what = format!("expected steps that make a text up to {MAX_GROWTH} times longer");
        return Err(Error::format(&file.path, format!("{what}, found {growth} times or more")));
    }
    match file.get("model").and_then(Value::as_object) {
        Some(model) => check_model(file, model),
        None => Ok(()),
    }
}

/// All objects in a part of the file, however deep; there are not many.
fn objects<'a>(file: &'a JsonFile, part: &str) -> Result<Vec<&'a Map<String, Value>>> {
    let mut found = Vec::new();
    let mut pending: Vec<&Value> = file.get(part).into_iter().collect();
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(object) => {
                found.push(object);
                pending.extend(object.values());
            }
            Value::Array(items) => pending.extend(items),
            _ => {}
        }
        if found.len() > MAX_STEPS {
            let what = format!("`{part}`: expected at most {MAX_STEPS} steps, found more");
            return Err(Error::format(&file.path, what));
        }
    }
    Ok(found)
}

/// Every token that a template names is there, and a single text is not asked for a second one.
fn check_template(file: &JsonFile, object: &Map<String, Value>) -> Result<()> {
    let key = "post_processor";
    let tokens = object.get("special_tokens").and_then(Value::as_object);
    for token in tokens.into_iter().flat_map(Map::values) {
        let count = |name: &str| token.get(name).and_then(Value::as_array).map(Vec::len);
        if count("ids") != count("tokens") || count("ids").is_some_and(|count| count > MAX_STEPS) {
            return Err(file.wrong(key, "as many ids as tokens", token));
        }
    }
    for side in ["single", "pair"] {
        let pieces = object.get(side).and_then(Value::as_array).into_iter().flatten();
        for piece in pieces {
            let id = |name: &str| piece.get(name).and_then(|part| part.get("id")?.as_str());
            let is_known = |id: &str| tokens.is_some_and(|tokens| tokens.contains_key(id));
            if id("SpecialToken").is_some_and(|id| !is_known(id)) {
                return Err(file.wrong(key, "a token of its `special_tokens`", piece));
            }
            if side == "single" && id("Sequence").is_some_and(|id| id != "A") {
                return Err(file.wrong(key, "`A` alone in a single text", piece));
            }
        }
    }
    Ok(())
}

fn check_step(file: &JsonFile, part: &str, step: &Map<String, Value>) -> Result<()> {
    let number = |key: &str| step.get(key).and_then(Value::as_u64);
    if part == "pre_tokenizer" && number("length") == Some(0) {
        return Err(file.wrong(part, "pieces of a length above 0", &Value::from(0)));
    }
    // It reads this number of characters from the end without checking how many there are.
    if part == "decoder" && number("stop").is_some_and(|stop| stop > 0) {
        return Err(file.wrong(part, "nothing stripped at the end", &Value::from(number("stop"))));
    }
    for key in ["content", "prepend", "prefix", "suffix", "word_delimiter_token"] {
        if let Some(text) = step.get(key).filter(|text| length(text) > MAX_AFFIX) {
            return Err(file.wrong(part, &format!("at most {MAX_AFFIX} bytes of {key}"), text));
        }
    }
    let regex = step.get("Regex").and_then(Value::as_str).unwrap_or("");
    if repeats(regex) > MAX_REPEATS {
        let expected = format!("a pattern with up to {MAX_REPEATS} repetitions");
        return Err(file.wrong(part, &expected, &Value::from(regex)));
    }
    Ok(())
}

fn length(text: &Value) -> usize {
    text.as_str().map_or(0, str::len)
}

/// How many times longer a step may make a text.
fn growth_of(step: &Map<String, Value>) -> usize {
    if step.contains_key("precompiled_charsmap") {
        CHARSMAP_GROWTH
    } else if step.contains_key("pattern") {
        step.get("content").map_or(1, length).max(1)
    } else if step.contains_key("trim_offsets") || step.contains_key("word_delimiter_token") {
        // Bytes become characters of two; characters are set apart.
        2
    } else {
        1
    }
}

/// The product of all numbers in braces.
fn repeats(pattern: &str) -> usize {
    let braces = pattern.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let numbers = braces.map(|(inside, _)| {
        let numbers = inside.split(',').map(|number| match number.trim().parse::<usize>() {
            Ok(number) => number.max(1),
            // Too large for a number, or none: `\p{L}`, `{2,}`.
            Err(_) if number.len() > 4 && number.bytes().all(|b| b.is_ascii_digit()) => usize::MAX,
            Err(_) => 1,
        });
        numbers.max().unwrap_or(1)
    });
    numbers.fold(1, usize::saturating_mul)
}

fn check_model(file: &JsonFile, model: &Map<String, Value>) -> Result<()> {
    let key = "model.continuing_subword_prefix";
    let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or("");
    if prefix.len() > MAX_AFFIX {
        let expected = format!("at most {MAX_AFFIX} bytes");
        return Err(file.wrong(key, &expected, &Value::from(prefix)));
    }
    if let Some(most) = model.get("max_input_chars_per_word")
        && most.as_u64().is_some_and(|most| most > MAX_WORD)
    {
        let expected = format!("at most {MAX_WORD}");
        return Err(file.wrong("model.max_input_chars_per_word", &expected, most));
    }
    match model.get("vocab") {
        Some(Value::Array(pieces)) => {
            let is_empty = |piece: &&Value| piece.get(0).is_some_and(|text| text == "");
            let wrong = |piece| Err(file.wrong("model.vocab", "pieces with a text", piece));
            pieces.iter().find(is_empty).map_or(Ok(()), wrong)
        }
        Some(Value::Object(vocabulary)) => check_merges(file, model, vocabulary, prefix),
        _ => Ok(()),
    }
}

/// Each merge joins two tokens, the second less its prefix, to a third.
fn check_merges(
    file: &JsonFile,
    model: &Map<String, Value>,
    vocabulary: &Map<String, Value>,
    prefix: &str,
) -> Result<()> {
    let merges = model.get("merges").and_then(Value::as_array);
    for merge in merges.into_iter().flatten() {
        let parts: Vec<&str> = match merge {
            Value::String(line) => line.split(' ').collect(),
            Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let [first, second] = parts[..] else { continue };
        let joined = second.strip_prefix(prefix).map(|rest| format!("{first}{rest}"));
        if !joined.is_some_and(|joined| vocabulary.contains_key(&joined)) {
            let found = brief(merge);
            let what = format!("`model.merges`: expected tokens that join to one, found {found}");
            return Err(Error::format(&file.path, what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_multiplied() {
        for (pattern, product) in [
            ("", 1),
            (r"\p{L}+|\p{N}{1,3}", 3),
            ("(a{10}){20}", 200),
            ("a{2,}b{,7}", 14),
            ("a{99999999999999999999999}", usize::MAX),
            ("{", 1),
        ] {
            assert_eq!(repeats(pattern), product, "{pattern}");
        }
    }
}
