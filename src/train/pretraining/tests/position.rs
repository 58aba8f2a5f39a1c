//! Same seed, same batches: whatever the threads, the cache, and where one begins.

use super::*;
use crate::train::TrainingData;

fn epochs(count: u64) -> PreTrainingOptions {
    PreTrainingOptions { epochs: Some(count), ..small() }
}

fn all(sample: &Sample, options: PreTrainingOptions) -> Vec<Seen> {
    sample.batches(options).map(seen).collect()
}

#[test]
fn batches_depend_on_the_seed_alone() {
    let sample = Sample::new(30);
    let expected = all(&sample, epochs(2));
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| all(&sample, epochs(2))) == expected, "{threads} threads");
    }
    let uncached = PreTrainingOptions { cache_bytes: 0, ..epochs(2) };
    assert!(all(&sample, uncached) == expected);
    let other = PreTrainingOptions { random_seed: 2, ..epochs(2) };
    assert_ne!(all(&sample, other)[0], expected[0]);
}

#[test]
fn from_every_position_the_same_follows() {
    let sample = Sample::new(24);
    for objective in [SentenceObjective::SentenceOrder, SentenceObjective::NextSentence] {
        let options = PreTrainingOptions { objective, ..epochs(2) };
        let mut batches = sample.batches(options.clone());
        let mut states = vec![(batches.state(), batches.statistics())];
        let mut expected = Vec::new();
        while let Some(batch) = batches.next() {
            expected.push(seen(batch));
            states.push((batches.state(), batches.statistics()));
        }
        assert!(expected.len() > 10);
        let mut restored = sample.batches(options.clone());
        for (position, (state, statistics)) in states.iter().enumerate().rev() {
            let text = serde_json::to_string(state).unwrap();
            restored.restore(&serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(restored.state(), *state);
            let follows: Vec<Seen> = restored.by_ref().take(5).map(seen).collect();
            let end = expected.len().min(position + 5);
            assert!(follows == expected[position..end], "after batch {position}");
            restored.restore(state).unwrap();
            assert_eq!(restored.statistics(), *statistics);
        }
    }
}

#[test]
fn training_may_go_on_for_longer() {
    let sample = Sample::new(12);
    let expected = all(&sample, epochs(3));
    let mut short = sample.batches(epochs(1));
    let mut batches: Vec<Seen> = short.by_ref().take(3).map(seen).collect();
    let mut long = sample.batches(epochs(3));
    long.restore(&short.state()).unwrap();
    batches.extend(long.map(seen));
    assert!(batches == expected);
}

#[test]
fn static_masking_repeats_and_dynamic_masking_does_not() {
    let sample = Sample::new(12);
    let by_epoch = |dupe_factor| {
        let options = PreTrainingOptions { dupe_factor, batch_size: 1, ..small() };
        let mut batches = sample.batches(options);
        let mut epochs: Vec<Vec<Seen>> = vec![Vec::new(); 6];
        loop {
            let batch = seen(batches.next().unwrap());
            match epochs.get_mut(batches.epoch() as usize) {
                Some(epoch) => epoch.push(batch),
                None => return epochs,
            }
        }
    };
    let duplicated = by_epoch(Some(2));
    assert!(duplicated[0] != duplicated[1]);
    for epoch in 2..6 {
        assert!(duplicated[epoch] == duplicated[epoch % 2], "epoch {epoch}");
    }
    let dynamic = by_epoch(None);
    for (epoch, batches) in dynamic.iter().enumerate() {
        assert!(dynamic[..epoch].iter().all(|earlier| earlier != batches));
    }
    assert!(dynamic[..2] == duplicated[..2]);
}

#[test]
fn examples_can_be_counted_before() {
    let sample = Sample::new(30);
    let batches = sample.batches(epochs(1));
    let counted = batches.count_examples().unwrap();
    let made: usize = batches.map(|batch| seen(batch).rows.len()).sum();
    assert_eq!(counted, made as u64);
}

/// The batches of some of a trainer's epochs, each with where the data was before it; none at an
/// epoch's end.
fn of_trainer(
    data: &mut impl TrainingData<PreTrainingLabels>,
    epochs: usize,
) -> Vec<(serde_json::Value, Option<Seen>)> {
    let (mut steps, mut ended) = (Vec::new(), 0);
    while ended < epochs {
        let state = data.state().unwrap();
        let batch = data.next_batch().unwrap().map(|batch| seen(Ok(batch)));
        ended += usize::from(batch.is_none());
        steps.push((state, batch));
    }
    steps
}

#[test]
fn every_epoch_of_a_trainer_is_another() {
    let sample = Sample::new(12);
    for passes in [1, 2] {
        let steps = of_trainer(&mut sample.batches(epochs(passes)), 3);
        let of_epochs: Vec<_> = steps.split(|(_, batch)| batch.is_none()).collect();
        let batches = |epoch: usize| of_epochs[epoch].iter().map(|(_, batch)| batch);
        for epoch in 0..3 {
            assert!(batches(epoch).len() > 3);
            assert!((0..epoch).all(|other| !batches(epoch).eq(batches(other))), "epoch {epoch}");
        }
        // The first one is that of the iterator.
        let first = batches(0).flatten().cloned().collect::<Vec<_>>();
        assert!(first == all(&sample, epochs(passes)));
        for (position, (state, _)) in steps.iter().enumerate() {
            let mut restored = sample.batches(epochs(passes));
            TrainingData::restore(&mut restored, state).unwrap();
            let ends = steps[position..].iter().filter(|(_, batch)| batch.is_none()).count();
            assert!(of_trainer(&mut restored, ends) == steps[position..], "from {position} on");
        }
    }
}

#[test]
fn batches_that_are_skipped_leave_the_others_as_they_are() {
    let sample = Sample::new(12);
    let steps = of_trainer(&mut sample.batches(epochs(1)), 3);
    let mut others = sample.batches(epochs(1));
    let others: &mut dyn TrainingData<PreTrainingLabels> = &mut others;
    for (number, (state, batch)) in steps.into_iter().enumerate() {
        assert_eq!(others.state().unwrap(), state, "before batch {number}");
        if number % 3 == 0 {
            let found = others.next_batch().unwrap().map(|batch| seen(Ok(batch)));
            assert!(found == batch, "batch {number}");
        } else {
            assert_eq!(others.skip_batch().unwrap(), batch.is_some());
        }
    }
}

/// The state of a version that did not count on.
#[test]
fn a_state_without_a_first_epoch_is_of_the_first() {
    let sample = Sample::new(12);
    let mut batches = sample.batches(epochs(1));
    let expected: Vec<Seen> = batches.by_ref().map(seen).collect();
    batches.rewind();
    seen(batches.next().unwrap());
    let mut state = serde_json::to_value(batches.state()).unwrap();
    assert_eq!(state.as_object_mut().unwrap().remove("first_epoch"), Some(0.into()));
    let mut restored = sample.batches(epochs(1));
    TrainingData::restore(&mut restored, &state).unwrap();
    assert!(restored.map(seen).collect::<Vec<_>>() == expected[1..]);
}
