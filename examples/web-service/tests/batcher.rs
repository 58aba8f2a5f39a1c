//! The queue and its thread, with a model that does what the test says.

use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use web_service::batcher::{Answer, Batcher, Limits, Refused};

/// A model that shows each batch, and computes it when it is allowed to. An answer is ten times the
/// input.
struct Gated {
    batcher: Batcher<usize, usize>,
    thread: JoinHandle<()>,
    batches: mpsc::Receiver<Vec<usize>>,
    go_on: mpsc::Sender<()>,
}

impl Gated {
    /// An input costs as many tokens as it says.
    fn new(queue: usize, tokens: usize) -> Self {
        let (show, batches) = mpsc::channel();
        let (go_on, wait) = mpsc::channel();
        let run = move |inputs: Vec<usize>| {
            show.send(inputs.clone()).unwrap();
            wait.recv().unwrap();
            assert!(!inputs.contains(&13), "an input that the model cannot stand");
            inputs.into_iter().map(|input| Ok(10 * input)).collect()
        };
        let limits = Limits { queue, tokens };
        let (batcher, thread) = Batcher::start("gated", limits, |&input| input, run).unwrap();
        Self { batcher, thread, batches, go_on }
    }

    fn submit(&self, input: usize) -> oneshot::Receiver<Answer<usize>> {
        self.batcher.submit(input).unwrap()
    }

    /// Submits an input and waits until it is being computed.
    fn busy_with(&self, input: usize) -> oneshot::Receiver<Answer<usize>> {
        let answer = self.submit(input);
        assert_eq!(self.batches.recv().unwrap(), [input]);
        answer
    }

    /// Lets the batch at hand be computed, and gives the next one.
    fn next(&self) -> Vec<usize> {
        self.go_on.send(()).unwrap();
        self.batches.recv().unwrap()
    }
}

fn value(answer: oneshot::Receiver<Answer<usize>>) -> usize {
    answer.blocking_recv().unwrap().unwrap()
}

#[test]
fn what_waits_becomes_one_batch() {
    let gated = Gated::new(10, 100);
    let first = gated.busy_with(1);
    let others = [2, 3, 4].map(|input| gated.submit(input));
    assert_eq!(gated.next(), [2, 3, 4]);
    gated.go_on.send(()).unwrap();
    assert_eq!(value(first), 10);
    assert_eq!(others.map(value), [20, 30, 40]);
}

#[test]
fn a_batch_keeps_to_the_budget_and_the_order() {
    let gated = Gated::new(10, 10);
    gated.busy_with(1);
    let answers = [4, 6, 1, 50, 2].map(|input| gated.submit(input));
    assert_eq!(gated.next(), [4, 6]);
    assert_eq!(gated.next(), [1]);
    // More than the budget, and therefore alone.
    assert_eq!(gated.next(), [50]);
    assert_eq!(gated.next(), [2]);
    gated.go_on.send(()).unwrap();
    assert_eq!(answers.map(value), [40, 60, 10, 500, 20]);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let gated = Gated::new(2, 100);
    let _first = gated.busy_with(1);
    let _waiting = [2, 3].map(|input| gated.submit(input));
    assert_eq!(gated.batcher.waiting(), 2);
    assert_eq!(gated.batcher.submit(4).unwrap_err(), Refused::Full);
    assert_eq!(gated.next(), [2, 3]);
    assert_eq!(value(gated.submit_and_compute(4)), 40);
}

impl Gated {
    /// Lets the batch at hand be computed, and then one with this input alone.
    fn submit_and_compute(&self, input: usize) -> oneshot::Receiver<Answer<usize>> {
        let answer = self.submit(input);
        assert_eq!(self.next(), [input]);
        self.go_on.send(()).unwrap();
        answer
    }
}

#[test]
fn who_has_gone_costs_nothing() {
    let gated = Gated::new(10, 100);
    gated.busy_with(1);
    let gone = gated.submit(2);
    let answer = gated.submit(3);
    drop(gone);
    assert_eq!(gated.next(), [3]);
    gated.go_on.send(()).unwrap();
    assert_eq!(value(answer), 30);
}

#[test]
fn a_panic_costs_its_batch_alone() {
    let gated = Gated::new(10, 100);
    let unlucky = gated.busy_with(13);
    let answer = gated.submit_and_compute(2);
    assert!(unlucky.blocking_recv().is_err());
    assert_eq!(value(answer), 20);
    assert!(gated.batcher.is_running());
}

#[test]
fn what_was_accepted_is_answered_before_the_end() {
    let Gated { batcher, thread, batches, go_on } = Gated::new(10, 1);
    let answers = [1, 2, 3].map(|input| batcher.submit(input).unwrap());
    drop(batcher);
    for input in [1, 2, 3] {
        assert_eq!(batches.recv().unwrap(), [input]);
        go_on.send(()).unwrap();
    }
    thread.join().unwrap();
    assert_eq!(answers.map(value), [10, 20, 30]);
}
