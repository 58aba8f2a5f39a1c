//! Batches of a data set: what an epoch consists of, and that it is resumed in the middle.

mod common;

use common::refused;
use ndalbert::train::TrainingData;
use ndalbert::train::datasets::*;
use ndalbert::{AlbertTokenizer, Batch, Result};

/// An example whose label is its own number.
#[derive(Clone)]
struct Numbered {
    inputs: Vec<InputSequence>,
    number: usize,
}

impl Features for Numbered {
    type Labels = Vec<usize>;

    fn inputs(&self) -> &[InputSequence] {
        &self.inputs
    }

    fn labels(features: &[&Self], batch: &Batch) -> Result<Vec<usize>> {
        assert_eq!(batch.num_sequences(), features.len() * features[0].inputs.len());
        Ok(features.iter().map(|features| features.number).collect())
    }

    fn label_text(&self) -> String {
        self.number.to_string()
    }
}

/// Examples of as many sequences as `sequences` says of each number.
fn numbered(count: usize, sequences: impl Fn(usize) -> usize) -> Vec<Numbered> {
    let input = InputSequence { ids: vec![2, 3], type_ids: vec![0, 0] };
    (0..count)
        .map(|number| Numbered { inputs: vec![input.clone(); sequences(number)], number })
        .collect()
}

fn options(batch_size: usize) -> DatasetOptions {
    DatasetOptions { batch_size, ..Default::default() }
}

/// The numbers of the examples in each batch of an epoch.
fn epoch(dataset: &mut Dataset<Numbered>) -> Vec<Vec<usize>> {
    std::iter::from_fn(|| dataset.next_batch().unwrap().map(|batch| batch.labels)).collect()
}

#[test]
fn an_epoch_has_each_example_once() {
    let mut dataset = Dataset::new(numbered(103, |_| 1), options(10)).unwrap();
    let mut orders = Vec::new();
    for number in 0..3 {
        assert_eq!(dataset.epoch(), number);
        let batches = epoch(&mut dataset);
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [[10; 10].as_slice(), &[3]].concat());
        assert_eq!(sizes.len(), dataset.batches_per_epoch());
        let mut all = batches.concat();
        orders.push(all.clone());
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
    }
    assert!(orders[0] != orders[1] && orders[1] != orders[2] && orders[0] != orders[2]);
    let seeded = |seed| {
        epoch(
            &mut Dataset::new(numbered(103, |_| 1), DatasetOptions { seed, ..options(10) })
                .unwrap(),
        )
    };
    assert_eq!(seeded(42).concat(), orders[0]);
    assert_ne!(seeded(43).concat(), orders[0]);
}

/// The order of a seed is part of what makes a run repeatable: it may not change.
#[test]
fn the_order_of_a_seed_is_fixed() {
    let mut dataset = Dataset::new(numbered(10, |_| 1), options(10)).unwrap();
    assert_eq!(epoch(&mut dataset).concat(), [9, 7, 2, 5, 0, 1, 4, 3, 8, 6]);
}

/// Each place of an example is as likely as any other: 2,000 shuffles of 5.
#[test]
fn orders_are_even() {
    let mut dataset = Dataset::new(numbered(5, |_| 1), options(5)).unwrap();
    let mut counts = [[0; 5]; 5];
    for _ in 0..2000 {
        for (place, number) in epoch(&mut dataset).concat().into_iter().enumerate() {
            counts[number][place] += 1;
        }
    }
    // 400 expected, with a standard deviation of 18.
    assert!(counts.iter().flatten().all(|count| (310..490).contains(count)), "{counts:?}");
}

#[test]
fn without_shuffling_the_order_is_kept() {
    let kept = DatasetOptions { shuffle: false, ..options(4) };
    let mut dataset = Dataset::new(numbered(10, |_| 1), kept).unwrap();
    let expected = [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]];
    assert_eq!(epoch(&mut dataset), expected);
    assert_eq!(epoch(&mut dataset), expected);
    let full = DatasetOptions { drop_last: true, ..kept };
    assert_eq!(epoch(&mut Dataset::new(numbered(10, |_| 1), full).unwrap()), expected[..2]);
}

#[test]
fn a_batch_has_examples_of_one_number_of_choices() {
    let choices = |number: usize| [2, 3, 4, 4][number % 4];
    let mut dataset = Dataset::new(numbered(90, choices), options(8)).unwrap();
    let batches = epoch(&mut dataset);
    for batch in &batches {
        assert!(batch.iter().all(|&number| choices(number) == choices(batch[0])), "{batch:?}");
    }
    let mut all = batches.concat();
    all.sort_unstable();
    assert_eq!(all, (0..90).collect::<Vec<_>>());
    let unfilled = batches.iter().filter(|batch| batch.len() < 8).count();
    assert!(unfilled <= 3 && batches.len() == dataset.batches_per_epoch());
}

#[test]
fn every_position_is_restored() {
    let make = || Dataset::new(numbered(23, |number| 1 + number % 2), options(3)).unwrap();
    let mut whole = make();
    let mut states = Vec::new();
    let mut given = Vec::new();
    for _ in 0..40 {
        states.push(serde_json::to_string(&whole.state()).unwrap());
        given.push(whole.next_batch().unwrap().map(|batch| batch.labels));
    }
    assert!(given.iter().filter(|batch| batch.is_none()).count() >= 3);
    for (position, state) in states.iter().enumerate() {
        let mut resumed = make();
        resumed.restore(&serde_json::from_str(state).unwrap()).unwrap();
        for expected in &given[position..] {
            assert_eq!(resumed.next_batch().unwrap().map(|batch| batch.labels), *expected);
        }
    }
}

#[test]
fn batches_that_are_skipped_leave_the_others_as_they_are() {
    let make = || Dataset::new(numbered(23, |number| 1 + number % 2), options(3)).unwrap();
    let (mut whole, mut others) = (make(), make());
    for number in 0..40 {
        let expected = whole.next_batch().unwrap().map(|batch| batch.labels);
        if number % 3 == 0 {
            assert_eq!(others.next_batch().unwrap().map(|batch| batch.labels), expected);
        } else {
            assert_eq!(others.skip_batch().unwrap(), expected.is_some());
        }
        assert_eq!(others.state(), whole.state());
    }
}

#[test]
fn a_state_of_something_else_is_refused() {
    let state = Dataset::new(numbered(10, |_| 1), options(4)).unwrap().state();
    let restore =
        |count, options| Dataset::new(numbered(count, |_| 1), options).unwrap().restore(&state);
    restore(10, options(4)).unwrap();
    for (count, options) in [
        (11, options(4)),
        (10, options(5)),
        (10, DatasetOptions { seed: 1, ..options(4) }),
        (10, DatasetOptions { shuffle: false, ..options(4) }),
        (10, DatasetOptions { drop_last: true, ..options(4) }),
    ] {
        refused(restore(count, options), &["state of a data set: expected one of", "examples: 10"]);
    }
    let mut json = serde_json::to_value(&state).unwrap();
    json["batch"] = 4.into();
    let mut dataset = Dataset::new(numbered(10, |_| 1), options(4)).unwrap();
    refused(
        dataset.restore(&serde_json::from_value(json).unwrap()),
        &["batch of an epoch: expected at most 3, found 4"],
    );
    assert_eq!(dataset.state(), state);
}

/// Whichever id or label is another one, and also if only their order is.
#[test]
fn a_state_of_other_texts_or_labels_is_refused() {
    let plain = || numbered(10, |number| 1 + number % 2);
    let state = Dataset::new(plain(), options(4)).unwrap().state();
    let restore = |change: fn(&mut Vec<Numbered>)| {
        let mut features = plain();
        change(&mut features);
        Dataset::new(features, options(4)).unwrap().restore(&state)
    };
    restore(|_| ()).unwrap();
    let changes: [fn(&mut Vec<Numbered>); 5] = [
        |features| features[9].number = 10,
        |features| features[5].inputs[1].ids[0] = 4,
        |features| features[0].inputs[0].type_ids[1] = 1,
        |features| features.swap(0, 2),
        |features| {
            let inputs = &mut features[1].inputs;
            let sequences = [(vec![2], vec![3]), (vec![0, 0, 2], vec![3, 0, 0])];
            *inputs = sequences.map(|(ids, type_ids)| InputSequence { ids, type_ids }).into();
        },
    ];
    for change in changes {
        let words = ["state of a data set: expected one of these texts and labels (", "others ("];
        refused(restore(change), &words);
    }
}

/// Features of a data set with a changed label are distinguished, for every kind of task.
#[test]
fn every_kind_of_label_is_looked_at() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let tokenizer =
        AlbertTokenizer::from_pretrained(fixtures.join("tokenizers/wordpiece")).unwrap();
    let names = || LabelNames::new(["no", "yes"]).unwrap();
    let classify = |task: ClassificationTask, label| {
        let example =
            ClassificationExample { text: "a".to_owned(), text_pair: None, label: Some(label) };
        ClassificationFeatures::new(&tokenizer, &task, &example).unwrap()
    };
    let class = |id| classify(ClassificationTask::SingleLabel(names()), RawLabel::Number(id));
    told_apart(class(0.0), class(1.0));
    let number = |value| classify(ClassificationTask::Regression(1), RawLabel::Number(value));
    told_apart(number(0.5), number(0.25));
    told_apart(class(1.0), number(1.0));
    let choose = |label| {
        let choices = ["a".to_owned(), "b".to_owned()].to_vec();
        let example = MultipleChoiceExample { prompt: "c".to_owned(), choices, label: Some(label) };
        MultipleChoiceFeatures::new(&tokenizer, &example).unwrap()
    };
    told_apart(choose(ChoiceLabel::Index(0)), choose(ChoiceLabel::Index(1)));
    let distribution = |first| choose(ChoiceLabel::Distribution(vec![first, 1.0 - first]));
    told_apart(distribution(0.5), distribution(0.25));
    let tag = |tag: &str| {
        let example =
            TokenClassificationExample { words: vec!["a".to_owned()], tags: vec![tag.to_owned()] };
        let labelling = TokenLabelling::default();
        TokenClassificationFeatures::new(&tokenizer, &names(), labelling, &example).unwrap()
    };
    told_apart(tag("no"), tag("yes"));
    let answer = |text: &str, start| {
        let example = QuestionAnsweringExample {
            id: String::new(),
            question: "c".to_owned(),
            context: "a b".to_owned(),
            answers: Some(vec![Answer { text: text.to_owned(), start }]),
        };
        let windows = training_windows(&tokenizer, &[example], WindowOptions::default()).unwrap();
        windows.into_iter().next().unwrap()
    };
    told_apart(answer("a", 0), answer("b", 2));
}

#[track_caller]
fn told_apart<F: Features>(one: F, other: F) {
    assert_eq!(one.inputs(), other.inputs());
    let [mut one, mut other] = [one, other].map(|f| Dataset::new(vec![f], options(1)).unwrap());
    one.restore(&one.state()).unwrap();
    refused(other.restore(&one.state()), &["these texts and labels"]);
}

#[test]
fn data_sets_without_a_batch_are_refused() {
    refused(Dataset::new(numbered(0, |_| 1), options(4)), &["examples of a data set"]);
    refused(Dataset::new(numbered(3, |_| 1), options(0)), &["batch_size: expected at least 1"]);
    let full = DatasetOptions { drop_last: true, ..options(4) };
    refused(
        Dataset::new(numbered(3, |_| 1), full),
        &["batch_size: expected at most the number of examples, 3, found 4"],
    );
}
