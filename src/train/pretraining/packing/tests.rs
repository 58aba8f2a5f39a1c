//! Which sentences go where. Each token is named after its document and sentence: 1000 · document + sentence + 10.

use ndarray_rand::rand::SeedableRng;

use super::*;

const CLS: u32 = 2;
const SEP: u32 = 3;

fn document(number: u32, lengths: &[usize]) -> Document {
    let mut document = Document::default();
    for (sentence, &length) in (number * 1000 + 10..).zip(lengths) {
        document.push(&vec![sentence; length]);
    }
    document
}

fn packer(objective: SentenceObjective, max_seq_length: usize, short_seq_prob: f64) -> Packer {
    let options = PreTrainingOptions {
        objective,
        max_seq_length,
        short_seq_prob,
        ..PreTrainingOptions::default()
    };
    Packer::new(&options, CLS, SEP)
}

fn pack(packer: &Packer, document: &Document, other: Option<&Arc<Document>>, seed: u64) -> Packed {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    packer.pack(7, document, |_| Ok(other.cloned()), &mut random).unwrap()
}

/// The sentences of A and B, each once.
fn sentences(example: &Example) -> [Vec<u32>; 2] {
    let (first, second) = example.ids.split_at(example.first);
    assert_eq!((first[0], first[first.len() - 1]), (CLS, SEP));
    assert_eq!(second.last().unwrap_or(&SEP), &SEP);
    let distinct = |ids: &[u32]| {
        let mut ids = ids.to_vec();
        ids.dedup();
        ids
    };
    let second = &second[..second.len().saturating_sub(1)];
    [distinct(&first[1..first.len() - 1]), distinct(second)]
}

#[test]
fn order_is_of_whole_sentences_of_one_document_swapped_half_of_the_time() {
    let packer = packer(SentenceObjective::SentenceOrder, 43, 0.0);
    let document = document(0, &[10; 12]);
    let (mut swapped, mut splits) = (0, [0; 3]);
    for seed in 0..1000 {
        let Packed { examples, statistics } = pack(&packer, &document, None, seed);
        assert_eq!((examples.len(), statistics.truncated_tokens), (3, 0));
        for (number, example) in (0..).zip(&examples) {
            let [mut first, mut second] = sentences(example);
            if example.label == 1 {
                std::mem::swap(&mut first, &mut second);
            }
            splits[first.len() - 1] += 1;
            first.append(&mut second);
            let start = 10 + 4 * number;
            assert_eq!(first, (start..start + 4).collect::<Vec<_>>());
            assert_eq!((example.ids.len(), example.place), (43, 7 << 32 | u64::from(number)));
            swapped += example.label;
        }
    }
    // Three standard deviations of 3,000 draws of a half are 82; of a third, 77.
    assert!((1500_i64 - swapped).abs() < 82, "{swapped} of 3000 were swapped");
    assert!(splits.iter().all(|&count: &i64| (1000 - count).abs() < 77), "{splits:?}");
}

#[test]
fn a_sentence_that_fills_a_chunk_takes_the_next_along() {
    let packer = packer(SentenceObjective::SentenceOrder, 23, 0.0);
    let Packed { examples, statistics } = pack(&packer, &document(0, &[30, 5, 30, 30]), None, 1);
    let all: Vec<_> = examples.iter().map(|example| sentences(example).concat()).collect();
    let in_order: Vec<Vec<u32>> = all
        .into_iter()
        .map(|mut s| {
            s.sort();
            s
        })
        .collect();
    assert_eq!(in_order, [[10, 11], [12, 13]]);
    assert!(examples.iter().all(|example| example.ids.len() == 23));
    assert_eq!((statistics.truncated_tokens, statistics.tokens), (15 + 40, 46));
}

#[test]
fn a_last_sentence_left_over_is_paired_with_the_one_before() {
    let packer = packer(SentenceObjective::SentenceOrder, 23, 0.0);
    let Packed { examples, statistics } = pack(&packer, &document(0, &[10, 10, 4]), None, 1);
    let mut last = sentences(&examples[1]).concat();
    last.sort();
    assert_eq!((examples.len(), last), (2, vec![11, 12]));
    assert_eq!((statistics.skipped_documents, statistics.truncated_tokens), (0, 0));
}

#[test]
fn a_single_sentence_has_no_order() {
    let packer = packer(SentenceObjective::SentenceOrder, 23, 0.0);
    let other = Arc::new(document(1, &[10; 4]));
    let Packed { examples, statistics } = pack(&packer, &document(0, &[10]), Some(&other), 1);
    assert_eq!(examples, []);
    assert_eq!((statistics.skipped_documents, statistics.skipped_tokens), (1, 10));
}

#[test]
fn next_sentences_are_random_half_of_the_time_and_unused_ones_put_back() {
    let packer = packer(SentenceObjective::NextSentence, 63, 0.0);
    let (document, other) = (document(0, &[10; 60]), Arc::new(document(1, &[10; 30])));
    let (mut random, mut all) = (0, 0);
    for seed in 0..300 {
        let mut expected = 10;
        for example in pack(&packer, &document, Some(&other), seed).examples {
            let [first, second] = sentences(&example);
            let mut own = first.clone();
            if example.label == 1 {
                assert!(second.iter().all(|&sentence| sentence >= 1010));
            } else {
                own.extend(&second);
            }
            // Nothing is left out, nothing comes twice.
            assert_eq!(own, (expected..expected + own.len() as u32).collect::<Vec<_>>());
            expected += own.len() as u32;
            assert!(example.ids.len() == 63 || expected == 70 || second.contains(&1039));
            // A chunk at the end has fewer sentences.
            if first[0] + 6 < 70 {
                random += example.label;
                all += 1;
            }
        }
        assert_eq!(expected, 70);
    }
    let share = random as f64 / f64::from(all);
    assert!((share - 0.5).abs() < 0.03, "{share} of {all} were random");
}

#[test]
fn without_another_document_what_follows_is_the_next_sentence() {
    let packer = packer(SentenceObjective::NextSentence, 43, 0.0);
    let Packed { examples, statistics } = pack(&packer, &document(0, &[10; 9]), None, 1);
    assert_eq!(examples.iter().map(|example| example.label).collect::<Vec<_>>(), [0, 0]);
    assert_eq!((statistics.skipped_documents, statistics.skipped_tokens), (1, 10));
}

#[test]
fn without_an_objective_there_is_one_stretch() {
    let packer = packer(SentenceObjective::None, 32, 0.0);
    let Packed { examples, statistics } = pack(&packer, &document(0, &[10, 10, 12, 5]), None, 1);
    let all: Vec<_> = examples.iter().map(sentences).collect();
    assert_eq!(all, [[vec![10, 11, 12], vec![]], [vec![13], vec![]]]);
    let shape = |example: &Example| (example.ids.len(), example.first, example.label);
    assert_eq!(examples.iter().map(shape).collect::<Vec<_>>(), [(32, 32, -100), (7, 7, -100)]);
    assert_eq!(statistics.truncated_tokens, 2);
}

#[test]
fn a_tenth_of_the_examples_are_meant_to_be_shorter() {
    let packer = packer(SentenceObjective::SentenceOrder, 128, 0.1);
    let document = document(0, &[1; 9000]);
    let (mut all, mut short, mut lengths) = (0, 0, 0);
    for seed in 0..100 {
        let examples = pack(&packer, &document, None, seed).examples;
        // The last has the length of the rest.
        for example in &examples[..examples.len() - 1] {
            all += 1;
            if example.ids.len() < 128 {
                short += 1;
                lengths += example.ids.len() - 3;
            }
        }
    }
    let (share, mean) = (f64::from(short) / f64::from(all), lengths as f64 / f64::from(short));
    // Evenly from 2 to 124, of which 63 is the middle: standard deviation 36, of the mean of 700 1.3.
    assert!((share - 0.1).abs() < 0.012, "{share} of {all} were short");
    assert!((mean - 63.0).abs() < 4.0, "short ones had {mean} tokens in the middle");
}

#[test]
fn the_longer_is_cut_at_both_ends_alike() {
    let (first, second) = ((0..60).collect::<Vec<u32>>(), (100..110).collect::<Vec<u32>>());
    let (mut from_front, mut all) = (0, 0);
    for seed in 0..200 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (a, b) = truncate(&first, &second, 40, &mut random);
        assert_eq!((a.len(), b), (30, &second[..]));
        assert!(a.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        from_front += a[0];
        all += 30;
        let (a, b) = truncate(&first, &second, 12, &mut random);
        assert_eq!((a.len(), b.len()), (6, 6));
    }
    let share = f64::from(from_front) / f64::from(all);
    assert!((share - 0.5).abs() < 0.03, "{share} of what was cut was at the front");
}
