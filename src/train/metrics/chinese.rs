//! Chinese answers, as the scorer of CMRC 2018 (Cui et al. 2019) compares them.

use super::answers::f1_of;

/// What counts as punctuation there. (Its list has `……` as one entry, which no single character is;
/// so `…` counts as a letter.)
const PUNCTUATION: &str = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』";

/// 1 if both are the same without punctuation and case.
pub(super) fn exact_match(prediction: &str, answer: &str) -> f64 {
    f64::from(without_punctuation(prediction) == without_punctuation(answer))
}

/// F1 of the longest stretch that both have, in Chinese characters and words of other scripts.
pub(super) fn f1(prediction: &str, answer: &str) -> f64 {
    let (predicted, right) = (segments(prediction), segments(answer));
    if predicted.is_empty() && right.is_empty() {
        return 1.0;
    }
    f1_of(longest_common_stretch(&predicted, &right), predicted.len(), right.len())
}

fn without_punctuation(text: &str) -> String {
    text.to_lowercase().trim().chars().filter(|&char| !PUNCTUATION.contains(char)).collect()
}

/// Each Chinese character, and what stands between such and white space.
fn segments(text: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    for char in without_punctuation(text).chars() {
        if ('\u{4e00}'..='\u{9fa5}').contains(&char) {
            segments.extend([char.to_string(), String::new()]);
        } else if char.is_whitespace() {
            segments.push(String::new());
        } else if let Some(last) = segments.last_mut() {
            last.push(char);
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

fn longest_common_stretch(a: &[String], b: &[String]) -> usize {
    let mut longest = 0;
    // Of the stretches that end at the last segment of `a` and at each of `b`.
    let mut lengths = vec![0; b.len() + 1];
    for first in a {
        for (i, second) in b.iter().enumerate().rev() {
            lengths[i + 1] = if first == second { lengths[i] + 1 } else { 0 };
            longest = longest.max(lengths[i + 1]);
        }
    }
    longest
}
