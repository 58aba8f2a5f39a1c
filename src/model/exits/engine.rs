//! Brings a batch through the layers, each input as far as its policy has it go.
//!
//! ```text
//! group = as many inputs as fill some hundred tokens, each at its own depth
//! until nothing is left:
//!     apply the layer's attention to all
//!     where it pays, finish the first tokens alone of those that may leave: pool, classify, ask the policy
//!     finish the layer for the other tokens of those that stay
//!     close up the rows of those that left, and refill
//! ```
//!
//! Every thread has a group of its own and takes inputs from a common queue; for a small batch,
//! there is one group of everything, whose products the threads share.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, ArrayView2, s};

use super::group::{Group, Input, Progress};
use super::policy::{ExitPolicy, Predictions};
use crate::config::ProblemType;
use crate::kernels::activation::Nonlinearity;
use crate::kernels::attention::Sequence;
use crate::kernels::parallel;
use crate::model::encoder::SharedEncoder;
use crate::model::groups::TOKENS;
use crate::model::heads::ClassifierHead;
use crate::model::layer::{Layer, RowBuffers};
use crate::model::workspace::{LayerBuffers, Workspace};
use crate::nn::PackedLinear;

/// What first tokens alone cost, in rows of the whole: the weights have to be fetched, however few
/// rows there are.
const FIRST_TOKENS_COST: f64 = 8.0;

/// The classifiers of a model with exits, and what decides where an input leaves.
#[derive(Clone, Copy)]
pub(in crate::model) struct Exits<'a> {
    pub(in crate::model) head: &'a ClassifierHead,
    /// The layers, counted from 1, that the classifiers follow.
    pub(in crate::model) layers: &'a [usize],
    pub(in crate::model) policy: &'a dyn ExitPolicy,
    pub(in crate::model) problem: ProblemType,
    /// Makes the policy's prediction of the logits `[n, C]` of an input's sequences.
    pub(in crate::model) predict: &'a Predict<'a>,
}

/// Appends a prediction that is made of logits.
pub(in crate::model) type Predict<'a> = dyn Fn(ArrayView2<'_, f32>, &mut Vec<f32>) + Sync + 'a;

/// What an input is left with.
pub(in crate::model) struct Outcome {
    /// The layer, counted from 1, that it left after.
    pub(in crate::model) layer: usize,
    /// The logits `[n, C]` of its sequences there.
    pub(in crate::model) logits: Array2<f32>,
}

/// A backbone and a batch that goes through it.
#[derive(Clone, Copy)]
pub(in crate::model) struct Run<'a> {
    pub(in crate::model) encoder: &'a SharedEncoder,
    pub(in crate::model) pooler: &'a PackedLinear,
    pub(in crate::model) workspace: &'a Workspace,
    /// Embedded states `[T, H]`.
    pub(in crate::model) states: &'a [f32],
    pub(in crate::model) sequences: &'a [Sequence],
    /// Which sequences each input has.
    pub(in crate::model) inputs: &'a [Range<usize>],
}

impl Run<'_> {
    /// The outcomes of all inputs, in order.
    pub(in crate::model) fn outcomes(self, exits: Exits<'_>) -> Vec<Outcome> {
        let (threads, hidden) = (parallel::threads(), self.encoder.hidden());
        let tokens = self.states.len() / hidden;
        let is_large = tokens >= 2 * threads * TOKENS && self.inputs.len() >= 2 * threads;
        let (groups, room) = if is_large || threads == 1 { (threads, TOKENS) } else { (1, tokens) };
        let next = Mutex::new(0);
        let outcomes = Mutex::new(Vec::new());
        let travels = (0..groups).map(|_| Travel {
            run: self,
            exits,
            group: Group::new(hidden),
            room,
            next: &next,
            outcomes: Vec::new(),
            expectation: Expectation::default(),
            buffers: RowBuffers::default(),
        });
        parallel::for_each_alone(travels.collect(), |mut travel: Travel<'_>| {
            travel.go();
            let mut all = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            all.append(&mut travel.outcomes);
        });
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_unstable_by_key(|(index, _)| *index);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

/// A group on its way, and what it takes from and gives to.
struct Travel<'a> {
    run: Run<'a>,
    exits: Exits<'a>,
    group: Group,
    /// About how many tokens the group may have.
    room: usize,
    /// The next input that waits.
    next: &'a Mutex<usize>,
    /// Of those that left, with their inputs' places.
    outcomes: Vec<(usize, Outcome)>,
    expectation: Expectation,
    buffers: RowBuffers,
}

impl Travel<'_> {
    fn go(&mut self) {
        loop {
            self.refill();
            if self.group.inputs.is_empty() {
                return;
            }
            self.apply_layer();
        }
    }

    /// Takes in inputs that wait, as long as there is room. Where layers differ, all of a group
    /// have to be at the same.
    fn refill(&mut self) {
        if !self.group.inputs.is_empty() && !self.run.encoder.is_one_layer() {
            return;
        }
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sequences) = self.run.inputs.get(*next) {
            let sequences = &self.run.sequences[sequences.clone()];
            let tokens: usize = sequences.iter().map(|sequence| sequence.tokens).sum();
            // As near to the room as whole inputs come.
            if !self.group.inputs.is_empty() && self.group.tokens() + tokens / 2 > self.room {
                break;
            }
            self.group.push(*next, sequences, self.run.states);
            *next += 1;
        }
    }

    /// Applies one more layer to all inputs of the group, and lets those leave that may.
    fn apply_layer(&mut self) {
        let Run { encoder, workspace, .. } = self.run;
        let depth = self.group.inputs.first().map_or(0, |input| input.layers);
        let Some((last, others)) = encoder.applications(depth).split_last() else { return };
        for input in &mut self.group.inputs {
            input.layers += 1;
        }
        let early = self.choose_early();
        workspace.with(encoder.sizes(&self.group.states), |mut buffers| {
            let Group { states, sequences, .. } = &mut self.group;
            for application in others {
                encoder.layer(application).forward(states, sequences, &mut buffers, &mut []);
            }
            let layer = encoder.layer(last);
            match early {
                Early::Nobody => layer.forward(states, sequences, &mut buffers, &mut []),
                Early::Everybody => {
                    let mut first = self.group.first_rows(&self.group.states, |_| true);
                    let Group { states, sequences, .. } = &self.group;
                    layer.forward_first(states, &mut first, sequences, &mut buffers);
                    self.classify(&first, |_| true);
                }
                Early::Some => self.finish_first_tokens(&layer, &mut buffers),
            }
        });
        let is_left =
            |input: &Input| input.progress == Progress::Even && input.classified < input.layers;
        let first = self.group.first_rows(&self.group.states, |input| {
            self.exits.at(input).is_some() && is_left(input)
        });
        self.classify(&first, |input| is_left(input));
        self.group.close_up();
    }

    /// Decides whose first tokens go through the rest of the layer before the others, and marks
    /// these inputs.
    fn choose_early(&mut self) -> Early {
        let exits = self.exits;
        let (mut certain, mut possible, mut all) = (0, 0, true);
        let chances: Vec<Chance> =
            self.group.inputs.iter().map(|input| exits.chance(input)).collect();
        for (input, chance) in self.group.inputs.iter().zip(&chances) {
            match chance {
                Chance::Certain => certain += input.tokens,
                Chance::Possible => possible += input.tokens,
                Chance::None => {}
            }
            all &= *chance == Chance::Certain;
        }
        if all {
            return Early::Everybody;
        }
        let saved = certain as f64 + self.expectation.share() * possible as f64;
        if saved <= FIRST_TOKENS_COST {
            return Early::Nobody;
        }
        for (input, chance) in self.group.inputs.iter_mut().zip(chances) {
            if chance != Chance::None {
                input.progress = Progress::FirstTokens;
            }
        }
        Early::Some
    }

    /// The last part of a layer where some inputs' first tokens go before the rest.
    fn finish_first_tokens(&mut self, layer: &Layer<'_>, buffers: &mut LayerBuffers<'_>) {
        let Group { states, sequences, .. } = &self.group;
        let begin = layer.attend(states, sequences, buffers, &mut []);
        let context = &mut buffers.scratch[begin..][..states.len()];
        let is_early = |input: &Input| input.progress == Progress::FirstTokens;
        let mut first = self.group.first_rows(states, is_early);
        let first_context = self.group.first_rows(context, is_early);
        layer.finish_rows(&mut first, &first_context, &mut self.buffers);
        self.classify(&first, is_early);
        let rest = self.group.gather_rest(context);
        if rest > 0 {
            layer.finish(&mut self.group.states[..rest], begin, buffers);
        }
        self.group.scatter_rest(&first);
    }

    /// Has the exits of chosen inputs classify their first tokens' states, which are `first`, and
    /// marks who leaves.
    fn classify(&mut self, first: &[f32], chosen: impl Fn(&Input) -> bool) {
        if first.is_empty() {
            return;
        }
        let (exits, hidden) = (self.exits, self.run.encoder.hidden());
        let first = ArrayView2::from_shape((first.len() / hidden, hidden), first)
            .expect("rows of the hidden size");
        let pooled = self.run.pooler.forward(first, Nonlinearity::Tanh);
        let mut row = 0;
        for input in &mut self.group.inputs {
            let Some(exit) = exits.at(input).filter(|_| chosen(input)) else { continue };
            let own = pooled.slice(s![row..row + input.sequences, ..]);
            row += input.sequences;
            let logits = exits.logits(exit, own);
            let was_possible = exits.chance(input) == Chance::Possible;
            let leaves = exits.add_prediction(exit, input, logits.view());
            if was_possible {
                self.expectation.add(leaves);
            }
            if leaves {
                input.progress = Progress::Leaves;
                self.outcomes.push((input.index, Outcome { layer: input.layers, logits }));
            }
        }
    }
}

/// Whose first tokens go through the rest of a layer before the others.
enum Early {
    Nobody,
    /// Those that are marked.
    Some,
    /// All inputs are at their last layer.
    Everybody,
}

/// Whether an input will leave after the layer that it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chance {
    None,
    Possible,
    /// It is the last layer.
    Certain,
}

impl Exits<'_> {
    /// The exit after the layer that an input has just passed, counted from 0.
    fn at(&self, input: &Input) -> Option<usize> {
        self.layers.binary_search(&input.layers).ok()
    }

    fn is_last(&self, exit: usize) -> bool {
        exit + 1 == self.layers.len()
    }

    fn chance(&self, input: &Input) -> Chance {
        let Some(exit) = self.at(input) else { return Chance::None };
        if self.is_last(exit) {
            return Chance::Certain;
        }
        let predictions = (exit > 0).then(|| self.predictions(input, exit));
        match self.policy.may_leave_next(predictions.as_ref()) {
            true => Chance::Possible,
            false => Chance::None,
        }
    }

    fn logits(&self, exit: usize, pooled: ArrayView2<'_, f32>) -> Array2<f32> {
        self.head.exit(exit).forward(pooled).expect("a head as wide as its model")
    }

    /// Adds what an exit predicts of an input. Returns whether it leaves there.
    fn add_prediction(&self, exit: usize, input: &mut Input, logits: ArrayView2<'_, f32>) -> bool {
        (self.predict)(logits, &mut input.predictions);
        input.classified = input.layers;
        self.is_last(exit) || self.policy.leaves(&self.predictions(input, exit + 1))
    }

    /// What the first `count` exits have predicted of an input.
    fn predictions<'a>(&'a self, input: &'a Input, count: usize) -> Predictions<'a> {
        Predictions {
            problem: self.problem,
            logits: &input.predictions,
            width: input.predictions.len() / count,
            exit_layers: self.layers,
            input: input.index,
        }
    }
}

/// Which share of the inputs that might leave did.
#[derive(Default)]
struct Expectation {
    asked: u32,
    left: u32,
}

impl Expectation {
    /// Begins at a half, and follows what is seen.
    fn share(&self) -> f64 {
        f64::from(self.left + 1) / f64::from(self.asked + 2)
    }

    fn add(&mut self, leaves: bool) {
        self.asked += 1;
        self.left += u32::from(leaves);
    }
}
