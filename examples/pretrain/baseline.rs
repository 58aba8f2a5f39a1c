//! What can be had without looking at the text: the most frequent word for every mask, one order for all pairs.

use std::collections::BTreeMap;

use ndalbert::AlbertTokenizer;
use ndalbert::train::pretraining::PreTrainingBatches;

use super::Failure;

/// The accuracy of these guesses, on masked words and on pairs. Leaves the batches at their beginning.
pub fn baselines(
    held_out: &mut PreTrainingBatches,
    tokenizer: &AlbertTokenizer,
) -> Result<Vec<String>, Failure> {
    let (mut words, mut orders) = (Counts::default(), Counts::default());
    for batch in held_out.by_ref() {
        let labels = batch?.labels;
        labels.masked_lm.iter().for_each(|&word| words.add(word));
        labels.sentence_order.iter().for_each(|&order| orders.add(order));
    }
    held_out.rewind();
    let (word, share) = words.most_frequent().ok_or("the held-out text has no masked words")?;
    let word = u32::try_from(word).ok().and_then(|word| tokenizer.id_to_token(word));
    let word = word.unwrap_or_default();
    let mut baselines = vec![format!("all words {word}: masked_lm_accuracy {share:.4}")];
    if let Some((order, share)) = orders.most_frequent() {
        let order = if order == 0 { "in order" } else { "swapped" };
        baselines.push(format!("all pairs {order}: sentence_order_accuracy {share:.4}"));
    }
    Ok(baselines)
}

/// How often there is which label.
#[derive(Default)]
struct Counts(BTreeMap<i64, u64>);

impl Counts {
    fn add(&mut self, label: i64) {
        // What does not count is negative.
        if label >= 0 {
            *self.0.entry(label).or_default() += 1;
        }
    }

    /// And its share.
    fn most_frequent(&self) -> Option<(i64, f64)> {
        let (&label, &count) = self.0.iter().max_by_key(|(_, count)| **count)?;
        Some((label, count as f64 / self.0.values().sum::<u64>() as f64))
    }
}
