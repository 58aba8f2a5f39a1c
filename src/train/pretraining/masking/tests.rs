//! What is masked, counted over many examples with bounds that another rule would not keep.

use ndarray_rand::rand::SeedableRng;

use super::*;

const VOCABULARY: u32 = 1000;
const MASK: u32 = 4;

/// Ids 0 to 4 are special, of the others every third begins a word.
fn masker(change: impl FnOnce(&mut PreTrainingOptions)) -> Masker {
    let roles = (0..VOCABULARY).map(|id| match id {
        0..=4 => Role::Special,
        _ if id % 3 == 0 => Role::BeginsWord,
        _ => Role::ContinuesWord,
    });
    let mut options = PreTrainingOptions::default();
    change(&mut options);
    Masker::new(&options, Ids::from_roles(roles.collect(), MASK))
}

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// `[CLS] A [SEP] B [SEP]` of so many tokens in all, words of `word(…)` tokens.
fn example(
    length: usize,
    random: &mut ChaCha8Rng,
    word: impl Fn(&mut ChaCha8Rng) -> usize,
) -> Vec<u32> {
    let mut ids = vec![2];
    while ids.len() < length - 1 {
        ids.push(random.random_range(2..300) * 3);
        for _ in 1..word(random) {
            ids.push(random.random_range(2..300) * 3 + random.random_range(1..=2));
        }
    }
    ids.truncate(length - 1);
    ids[length / 2] = 3;
    ids.push(3);
    ids
}

fn share(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() < tolerance, "expected {expected}, found {found}");
}

#[test]
fn fifteen_percent_of_which_eighty_ten_ten() {
    let (masker, mut random) = (masker(|_| {}), random(1));
    let (mut tokens, mut chosen, mut masked, mut kept, mut drawn) = (0, 0, 0, 0, [0; 1000]);
    for _ in 0..2000 {
        let before = example(128, &mut random, |random| random.random_range(1..=3));
        let mut after = before.clone();
        let labels = masker.mask(&mut after, &mut random);
        tokens += before.len();
        for ((&before, &after), label) in before.iter().zip(&after).zip(labels) {
            if label == IGNORED {
                assert_eq!(before, after);
                continue;
            }
            assert_eq!(label, i64::from(before));
            assert!(before > 4, "{before} is special");
            chosen += 1;
            masked += usize::from(after == MASK);
            kept += usize::from(after == before);
            drawn[after as usize] += usize::from(after != MASK && after != before);
        }
    }
    // 19 of 128, one less if no word is short enough for the rest.
    near(share(chosen, tokens), 19.0 / 128.0, 0.001);
    // Three standard deviations of 38,000 draws are 0.006 and 0.005.
    near(share(masked, chosen), 0.8, 0.006);
    near(share(kept, chosen), 0.1, 0.005);
    near(share(drawn.iter().sum(), chosen), 0.1, 0.005);
    assert!(drawn[..5].iter().all(|&count| count == 0), "special tokens were drawn");
    // All others are drawn evenly, about 3.8 times each.
    assert!(drawn[5..].iter().filter(|&&count| count == 0).count() < 60);
    assert!(drawn[5..].iter().all(|&count| count < 20));
}

/// The shares of n-grams of 1, 2, … words, in texts so long that the last one, of which as much is taken as there is room
/// for, hardly counts.
fn lengths(change: impl FnOnce(&mut PreTrainingOptions)) -> Vec<f64> {
    const LENGTH: usize = 4096;
    let (masker, mut random) = (masker(change), random(2));
    let mut counts = vec![0; masker.cumulative.len()];
    for _ in 0..100 {
        let words = masker.words(&example(LENGTH, &mut random, |_| 1));
        for place in masker.choose(&words, masker.budget(LENGTH), &mut random) {
            counts[place.len() - 1] += 1;
        }
    }
    counts.iter().map(|&count| share(count, counts.iter().sum())).collect()
}

#[test]
fn ngrams_of_n_words_are_one_nth_as_frequent() {
    #[track_caller]
    fn assert_shares<const N: usize>(found: Vec<f64>, weights: [f64; N]) {
        assert_eq!(found.len(), N);
        let total: f64 = weights.iter().sum();
        for (found, weight) in found.into_iter().zip(weights) {
            near(found, weight / total, 0.01);
        }
    }
    assert_shares(lengths(|_| {}), [6.0, 3.0, 2.0]);
    assert_shares(lengths(|options| options.favor_shorter_ngram = false), [2.0, 3.0, 6.0]);
    assert_shares(lengths(|options| options.ngram = 4), [12.0, 6.0, 4.0, 3.0]);
    assert_shares(lengths(|options| options.ngram = 1), [1.0]);
}

#[test]
fn every_place_is_as_likely_as_another() {
    let (masker, mut random) = (masker(|options| options.ngram = 1), random(3));
    let mut counts = [0; 64];
    for _ in 0..6400 {
        let mut ids = example(64, &mut random, |_| 1);
        for (count, label) in counts.iter_mut().zip(masker.mask(&mut ids, &mut random)) {
            *count += usize::from(label != IGNORED);
        }
    }
    for (place, count) in counts.into_iter().enumerate() {
        let is_special = [0, 32, 63].contains(&place);
        let expected = if is_special { 0.0 } else { 10.0 / 61.0 };
        near(share(count, 6400), expected, 0.02);
    }
}

#[test]
fn words_are_masked_whole_or_not_at_all() {
    let (masker, mut random) = (masker(|_| {}), random(4));
    let mut long = 0;
    for _ in 0..500 {
        let before = example(100, &mut random, |random| random.random_range(1..=5));
        let labels = masker.mask(&mut before.clone(), &mut random);
        for word in masker.words(&before) {
            let chosen = labels[word.tokens.clone()].iter().filter(|&&label| label != IGNORED);
            let chosen = chosen.count();
            assert!(chosen == 0 || chosen == word.tokens.len(), "{word:?} was split");
            long += usize::from(chosen > 1);
        }
    }
    assert!(long > 500);
}

#[test]
fn tokens_can_be_words_of_their_own() {
    let masker = masker(|options| options.do_whole_word_mask = false);
    let words = masker.words(&[2, 6, 7, 8, 3, 9, 3]);
    let places: Vec<_> = words.iter().map(|word| word.tokens.clone()).collect();
    assert_eq!(places, [1..2, 2..3, 3..4, 5..6]);
}

#[test]
fn words_begin_after_special_tokens_and_ngrams_do_not_cross_them() {
    let masker = masker(|options| (options.masked_lm_prob, options.ngram) = (1.0, 64));
    // The second stretch begins in the middle of a word; 1 is the unknown token.
    let words = masker.words(&[2, 6, 7, 3, 8, 9, 1, 10, 3]);
    let places: Vec<_> = words.iter().map(|word| (word.tokens.clone(), word.stretch)).collect();
    assert_eq!(places, [(1..3, 1), (4..5, 2), (5..6, 2), (7..8, 3)]);
    for seed in 0..100 {
        for place in masker.choose(&words, 9, &mut random(seed)) {
            assert_eq!(words[place.start].stretch, words[place.end - 1].stretch);
        }
        let labels = masker.mask(&mut [2, 6, 7, 3, 8, 9, 1, 10, 3], &mut random(seed));
        assert_eq!(labels, [-100, 6, 7, -100, 8, 9, -100, 10, -100]);
    }
}

#[test]
fn a_limit_of_predictions_is_one() {
    let masker = masker(|options| options.max_predictions_per_seq = Some(7));
    let mut random = random(5);
    let (mut all, examples) = (0, 500);
    for _ in 0..examples {
        let mut ids = example(128, &mut random, |random| random.random_range(1..=3));
        let chosen = masker.mask(&mut ids, &mut random).iter().filter(|&&l| l != IGNORED).count();
        assert!(chosen <= 7);
        all += chosen;
    }
    near(share(all, examples), 7.0, 0.1);
}

/// A short example must not be one from which nothing is learnt.
#[test]
fn one_word_is_masked_even_if_it_is_longer_than_fifteen_percent() {
    let ids = [2, 6, 7, 8, 3, 9, 10, 3];
    for seed in 0..20 {
        let labels = masker(|_| {}).mask(&mut ids.to_vec(), &mut random(seed));
        assert_eq!(labels, [-100, -100, -100, -100, -100, 9, 10, -100]);
        let limited = masker(|options| options.max_predictions_per_seq = Some(1));
        assert_eq!(limited.mask(&mut ids.to_vec(), &mut random(seed)), [-100; 8]);
    }
}

#[test]
fn unknown_tokens_alone_cannot_be_masked() {
    let masker = masker(|_| {});
    assert!(!masker.can_mask(&[2, 1, 3, 1, 3]));
    assert!(masker.can_mask(&[2, 1, 3, 1, 5, 3]));
    let mut ids = [2, 1, 3];
    assert_eq!(masker.mask(&mut ids, &mut random(6)), [-100; 3]);
    assert_eq!(ids, [2, 1, 3]);
}
