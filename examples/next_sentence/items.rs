//! Items: a sentence, and what could follow it.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::Failure;
use super::random::Random;

/// Choices of an item.
const CHOICES: usize = 4;

/// How often another draw is tried before there are said to be too few sentences.
const ATTEMPTS: usize = 1000;

/// Sentences that follow each other.
pub struct Document {
    pub sentences: Vec<String>,
}

/// A prompt, its choices, and which of them is right.
pub struct Item {
    pub prompt: String,
    pub choices: Vec<String>,
    pub label: usize,
}

impl Item {
    /// As `read_choices` reads it.
    pub fn to_json(&self) -> Value {
        json!({ "prompt": self.prompt, "choices": self.choices, "label": self.label })
    }
}

/// The documents of a text.
pub fn documents(text: &str) -> Vec<Document> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines
        .split(|line| line.is_empty())
        .filter(|lines| !lines.is_empty())
        .map(|lines| Document { sentences: lines.iter().map(|&line| line.to_owned()).collect() })
        .collect()
}

/// Draws items: a sentence whose successor is long enough and not too long, as it is itself, and
/// other documents' sentences of which that is true.
pub fn draw(
    documents: &[Document],
    count: usize,
    (shortest, longest): (usize, usize),
    random: &mut Random,
) -> Result<Vec<Item>, Failure> {
    let lengths = shortest..=longest;
    let fits = |sentence: &String| is_within(sentence, &lengths);
    // Every sentence, by document and place.
    let places: Vec<(usize, usize)> = documents
        .iter()
        .enumerate()
        .flat_map(|(d, document)| (0..document.sentences.len()).map(move |s| (d, s)))
        .filter(|&(d, s)| fits(&documents[d].sentences[s]))
        .collect();
    let mut prompts: Vec<(usize, usize)> = places
        .iter()
        .copied()
        .filter(|&(d, s)| documents[d].sentences.get(s + 1).is_some_and(fits))
        .collect();
    random.shuffle(&mut prompts);
    if prompts.is_empty() {
        return Err("no two sentences of such lengths follow each other".into());
    }
    let sentence = |(d, s): (usize, usize)| documents[d].sentences[s].clone();
    (0..count)
        .map(|i| {
            let place = prompts[i % prompts.len()];
            let mut choices = vec![sentence((place.0, place.1 + 1))];
            for _ in 0..ATTEMPTS {
                let other = places[random.below(places.len())];
                if other.0 != place.0 && !choices.contains(&sentence(other)) {
                    choices.push(sentence(other));
                }
                if choices.len() == CHOICES {
                    break;
                }
            }
            if choices.len() < CHOICES {
                return Err(Failure::from("too few documents to draw other sentences from"));
            }
            let label = random.below(CHOICES);
            choices.swap(0, label);
            Ok(Item { prompt: sentence(place), choices, label })
        })
        .collect()
}

fn is_within(sentence: &str, lengths: &RangeInclusive<usize>) -> bool {
    lengths.contains(&sentence.chars().count())
}
