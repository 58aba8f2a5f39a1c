//! What can be had without a model: TF-IDF over characters and pairs of characters.

use std::collections::{HashMap, HashSet};

use super::items::Item;

/// Weights of characters and pairs of them: the rarer, the heavier.
pub struct TfIdf {
    sentences: f64,
    /// In how many sentences each occurs.
    frequencies: HashMap<String, u32>,
}

impl TfIdf {
    /// Counts in which sentences what occurs.
    pub fn new<'a>(sentences: impl Iterator<Item = &'a String>) -> Self {
        let mut frequencies = HashMap::new();
        let mut count = 0u32;
        for sentence in sentences {
            count += 1;
            for gram in grams(sentence).into_iter().collect::<HashSet<_>>() {
                *frequencies.entry(gram).or_insert(0) += 1;
            }
        }
        Self { sentences: f64::from(count), frequencies }
    }

    /// The choice that is most like the prompt.
    pub fn choose(&self, item: &Item) -> usize {
        let prompt = self.vector(&item.prompt);
        let scores = item.choices.iter().map(|choice| cosine(&prompt, &self.vector(choice)));
        scores
            .enumerate()
            .fold((0, f64::MIN), |best, (i, s)| if s > best.1 { (i, s) } else { best })
            .0
    }

    /// As scikit-learn has it: counts times ln((1 + n) / (1 + frequency)) + 1.
    fn vector(&self, text: &str) -> HashMap<String, f64> {
        let mut vector = HashMap::new();
        for gram in grams(text) {
            *vector.entry(gram).or_insert(0.0) += 1.0;
        }
        for (gram, value) in &mut vector {
            let frequency = self.frequencies.get(gram).copied().unwrap_or(0);
            *value *= ((1.0 + self.sentences) / (1.0 + f64::from(frequency))).ln() + 1.0;
        }
        vector
    }
}

/// Characters and pairs of neighbouring ones.
fn grams(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let single = characters.iter().map(char::to_string);
    single.chain(characters.windows(2).map(|pair| pair.iter().collect())).collect()
}

fn cosine(a: &HashMap<String, f64>, b: &HashMap<String, f64>) -> f64 {
    let norm = |v: &HashMap<String, f64>| v.values().map(|x| x * x).sum::<f64>().sqrt();
    let product: f64 = a.iter().filter_map(|(gram, x)| b.get(gram).map(|y| x * y)).sum();
    product / (norm(a) * norm(b)).max(f64::MIN_POSITIVE)
}
