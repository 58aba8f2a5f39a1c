//! A bounded queue in front of a model, and the thread that empties it.
//!
//! Requests that arrive while the model computes wait in the queue; when it is done, whatever waits is its next batch, up to a budget of
//! tokens. So a single request on an idle machine starts at once, and under load batches grow automatically: there is no timer to tune.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

/// What a model makes of an input.
pub type Answer<O> = ndalbert::Result<O>;

/// An input that waits, and where its answer goes.
struct Job<I, O> {
    input: I,
    reply: oneshot::Sender<Answer<O>>,
}

/// The end of the queue where inputs go in. Its clones feed the same queue; when the last of them is gone, the thread answers what still waits and ends.
pub struct Batcher<I, O> {
    queue: mpsc::Sender<Job<I, O>>,
}

/// Why an input was not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full: later there will be room.
    Full,
    /// The thread has ended.
    Ended,
}

/// How much is waited for, and how much is computed at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Inputs that may wait.
    pub queue: usize,
    /// The number of tokens per batch. A larger input is a batch on its own.
    pub tokens: usize,
}

impl<I: Send + 'static, O: Send + 'static> Batcher<I, O> {
    /// Starts the thread.
    ///
    /// `cost` estimates an input's tokens. `run` gives an answer for each input, in order; it is the only place where anything is computed,
    /// and it runs on the new thread alone.
    pub fn start(
        name: &str,
        limits: Limits,
        cost: impl Fn(&I) -> usize + Send + 'static,
        run: impl Fn(Vec<I>) -> Vec<Answer<O>> + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, waiting) = mpsc::channel(limits.queue.max(1));
        let mut waiting = Waiting { queue: waiting, held: None, cost, tokens: limits.tokens };
        let work = move || {
            while let Some(jobs) = waiting.next_batch() {
                answer(jobs, &run);
            }
        };
        Ok((Self { queue }, thread::Builder::new().name(name.to_owned()).spawn(work)?))
    }

    /// Puts an input into the queue, at once or not at all.
    ///
    /// The answer comes through what is returned. Dropping that takes the input back, if it is not being computed yet.
    pub fn submit(&self, input: I) -> Result<oneshot::Receiver<Answer<O>>, Refused> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Job { input, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::Full,
            mpsc::error::TrySendError::Closed(_) => Refused::Ended,
        })?;
        Ok(answer)
    }

    /// How many inputs wait.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Whether the thread is there.
    pub fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

/// The end of the queue where the model takes from.
struct Waiting<I, O, C> {
    queue: mpsc::Receiver<Job<I, O>>,
    /// The job that did not fit into the last batch.
    held: Option<Job<I, O>>,
    cost: C,
    tokens: usize,
}

impl<I, O, C: Fn(&I) -> usize> Waiting<I, O, C> {
    /// Waits for a job, and takes those that wait with it. None if there will never be one.
    fn next_batch(&mut self) -> Option<Vec<Job<I, O>>> {
        let first = match self.held.take() {
            Some(job) => job,
            None => self.queue.blocking_recv()?,
        };
        let mut tokens = (self.cost)(&first.input);
        let mut jobs = vec![first];
        while let Ok(job) = self.queue.try_recv() {
            // The client has gone, by a timeout or by closing the connection.
            if job.reply.is_closed() {
                continue;
            }
            tokens = tokens.saturating_add((self.cost)(&job.input));
            if tokens > self.tokens {
                self.held = Some(job);
                break;
            }
            jobs.push(job);
        }
        Some(jobs)
    }
}

/// Computes a batch and sends each answer to its request.
fn answer<I, O>(jobs: Vec<Job<I, O>>, run: &impl Fn(Vec<I>) -> Vec<Answer<O>>) {
    let waiting = jobs.into_iter().filter(|job| !job.reply.is_closed());
    let (inputs, replies): (Vec<I>, Vec<_>) = waiting.map(|job| (job.input, job.reply)).unzip();
    if inputs.is_empty() {
        return;
    }
    // A panic is a bug, and costs the batch (its replies are dropped, which their receivers see), but not the service.
    let Ok(answers) = catch_unwind(AssertUnwindSafe(|| run(inputs))) else { return };
    for (reply, answer) in replies.into_iter().zip(answers) {
        // It may have been given up meanwhile.
        let _ = reply.send(answer);
    }
}
