//! Streams: many inputs, one group at a time.

use std::collections::VecDeque;
use std::fmt;
use std::iter::Fuse;

use rayon::prelude::*;

use super::pipeline::{Pipeline, Prepared, infer_all};
use crate::error::Result;

/// The most inputs that are tokenized at a time.
const MAX_AHEAD: usize = 256;

/// How many tokens an input is taken to have before any was seen.
const FIRST_GUESS: usize = 32;

/// The outputs of many inputs, in order. Created by [`Pipeline::stream`].
pub struct Stream<'p, P: Pipeline, I> {
    pipeline: &'p P,
    inputs: Fuse<I>,
    ahead: Ahead<P::Kept>,
    /// Outputs that were not yielded yet.
    ready: VecDeque<Result<P::Output>>,
    /// The number of outputs yielded.
    given: usize,
    progress: Progress,
    hook: Option<Hook<'p>>,
}

type Hook<'p> = Box<dyn FnMut(Progress) + Send + 'p>;

/// The progress of a [`Stream`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of inputs processed, whether or not their outputs were yielded.
    pub done: usize,
    /// The number of failed inputs among them.
    pub failed: usize,
    /// The number of tokens that the model processed.
    pub tokens: usize,
    /// The total number of inputs, if their iterator knows it.
    pub total: Option<usize>,
}

/// Inputs that are tokenized and wait for their group.
struct Ahead<K> {
    items: VecDeque<Result<Prepared<K>>>,
    tokens: usize,
    /// Of all that were ever here.
    total_items: usize,
    total_tokens: usize,
}

impl<'p, P: Pipeline, I: Iterator<Item: Into<P::Input>>> Stream<'p, P, I> {
    pub(super) fn new(pipeline: &'p P, inputs: I) -> Self {
        let total = match inputs.size_hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        };
        Self {
            pipeline,
            inputs: inputs.fuse(),
            ahead: Ahead {
                items: VecDeque::new(),
                tokens: 0,
                total_items: 1,
                total_tokens: FIRST_GUESS,
            },
            ready: VecDeque::new(),
            given: 0,
            progress: Progress { total, ..Progress::default() },
            hook: None,
        }
    }

    /// Calls `hook` after each group, such as for a progress bar.
    ///
    /// ```
    /// use ndalbert::pipelines::{Pipeline, TextClassification};
    ///
    /// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pipelines/classifier");
    /// let classify = TextClassification::from_pretrained(directory)?;
    /// let show = |progress: ndalbert::pipelines::Progress| {
    ///     eprintln!("{} of {:?}", progress.done, progress.total);
    /// };
    /// for output in classify.stream(["hello world", "another pattern"]).on_progress(show) {
    ///     println!("{}", output?[0].label);
    /// }
    /// # Ok::<(), ndalbert::Error>(())
    /// ```
    #[must_use]
    pub fn on_progress(mut self, hook: impl FnMut(Progress) + Send + 'p) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Tokenizes inputs until there are enough of them for a group, or no more.
    fn read(&mut self) {
        let budget = self.pipeline.tokens_per_batch();
        loop {
            let count = self.ahead.missing(budget);
            let inputs: Vec<P::Input> = self.inputs.by_ref().take(count).map(Into::into).collect();
            if inputs.is_empty() {
                return;
            }
            let prepare = |input| self.pipeline.prepare(input);
            let prepared: Vec<_> = match inputs.len() {
                1 => inputs.into_iter().map(prepare).collect(),
                _ => inputs.into_par_iter().map(prepare).collect(),
            };
            prepared.into_iter().for_each(|item| self.ahead.push(item));
        }
    }

    /// Runs the model over the next group. Returns whether there was one.
    fn run_group(&mut self) -> bool {
        self.read();
        let items = self.ahead.group(self.pipeline.tokens_per_batch());
        if items.is_empty() {
            return false;
        }
        let (mut group, mut failed) = (Vec::new(), VecDeque::new());
        let count = items.len();
        for (place, item) in items.into_iter().enumerate() {
            match item {
                Ok(prepared) => group.push(prepared),
                Err(error) => failed.push_back((place, error)),
            }
        }
        self.progress.tokens += group.iter().map(Prepared::num_tokens).sum::<usize>();
        let outputs = if group.is_empty() { Vec::new() } else { infer_all(self.pipeline, &group) };
        let mut outputs = outputs.into_iter();
        for place in 0..count {
            let output = match failed.front() {
                Some((failed_place, _)) if *failed_place == place => {
                    failed.pop_front().map(|(_, error)| Err(error))
                }
                _ => outputs.next(),
            };
            self.progress.failed += usize::from(matches!(output, Some(Err(_))));
            self.ready.extend(output);
        }
        self.progress.done += count;
        if let Some(hook) = &mut self.hook {
            hook(self.progress);
        }
        true
    }
}

impl<P: Pipeline, I: Iterator<Item: Into<P::Input>>> Iterator for Stream<'_, P, I> {
    type Item = Result<P::Output>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && !self.run_group() {
            return None;
        }
        let output = self.ready.pop_front()?;
        let index = self.given;
        self.given += 1;
        Some(output.map_err(|error| error.of_item(index)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let here = self.ready.len() + self.ahead.items.len();
        let (least, most) = self.inputs.size_hint();
        (least.saturating_add(here), most.and_then(|most| most.checked_add(here)))
    }
}

impl<K> Ahead<K> {
    fn push(&mut self, item: Result<Prepared<K>>) {
        let tokens = size(&item);
        self.tokens += tokens;
        self.total_tokens += tokens;
        self.total_items += 1;
        self.items.push_back(item);
    }

    /// About how many inputs are missing from `budget` tokens, as long as inputs are; at most so many as may be read at
    /// a time.
    fn missing(&self, budget: usize) -> usize {
        if !self.items.is_empty() && self.tokens >= budget {
            return 0;
        }
        let average = self.total_tokens.div_ceil(self.total_items);
        ((budget - self.tokens.min(budget)) / average).clamp(1, MAX_AHEAD)
    }

    /// Takes the first items, as many as `budget` tokens allow for and at least one, if there are any.
    fn group(&mut self, budget: usize) -> Vec<Result<Prepared<K>>> {
        let (mut count, mut tokens) = (0, 0);
        for item in &self.items {
            let size = size(item);
            if count > 0 && tokens + size > budget {
                break;
            }
            (count, tokens) = (count + 1, tokens + size);
        }
        self.tokens -= tokens;
        self.items.drain(..count).collect()
    }
}

/// What an item takes of the budget.
fn size<K>(item: &Result<Prepared<K>>) -> usize {
    item.as_ref().map_or(1, |prepared| prepared.num_tokens().max(1))
}

impl<P: Pipeline, I> fmt::Debug for Stream<'_, P, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("given", &self.given)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
