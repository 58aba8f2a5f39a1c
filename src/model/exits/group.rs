//! Sequences that go through the layers together, each at a depth of its own.

use crate::kernels::attention::Sequence;

/// Inputs on their way through the layers, and the states of their tokens.
pub(super) struct Group {
    hidden: usize,
    /// `[T, H]`.
    pub(super) states: Vec<f32>,
    /// Those of all inputs, one after the other.
    pub(super) sequences: Vec<Sequence>,
    pub(super) inputs: Vec<Input>,
}

/// An input on its way: one sequence, or several that leave together.
pub(super) struct Input {
    /// Its place in the batch.
    pub(super) index: usize,
    /// How many layers it has passed.
    pub(super) layers: usize,
    /// The last layer after which it was classified.
    pub(super) classified: usize,
    /// How many sequences it has.
    pub(super) sequences: usize,
    /// How many tokens these have.
    pub(super) tokens: usize,
    /// The predictions of the exits that it has passed, one after the other.
    pub(super) predictions: Vec<f32>,
    /// How far it is in the layer that the group is in.
    pub(super) progress: Progress,
}

/// How far an input is in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No further than attention, or through all of it.
    Even,
    /// Its first tokens are through, but not the others.
    FirstTokens,
    /// It leaves: its rows are not needed any more.
    Leaves,
}

impl Group {
    pub(super) fn new(hidden: usize) -> Self {
        Self { hidden, states: Vec::new(), sequences: Vec::new(), inputs: Vec::new() }
    }

    pub(super) fn tokens(&self) -> usize {
        self.states.len() / self.hidden
    }

    /// Takes in an input whose sequences follow each other in `states` `[T, H]`, at their rows of
    /// the whole batch.
    pub(super) fn push(&mut self, index: usize, sequences: &[Sequence], states: &[f32]) {
        let mut tokens = 0;
        for sequence in sequences {
            let rows = sequence.start * self.hidden..;
            let start = self.tokens();
            self.states.extend_from_slice(&states[rows][..sequence.tokens * self.hidden]);
            self.sequences.push(Sequence { start, ..sequence.clone() });
            tokens += sequence.tokens;
        }
        self.inputs.push(Input {
            index,
            layers: 0,
            classified: 0,
            sequences: sequences.len(),
            tokens,
            predictions: Vec::new(),
            progress: Progress::Even,
        });
    }

    /// The first tokens' rows of the inputs that are chosen, of `rows` `[T, H]`.
    pub(super) fn first_rows(&self, rows: &[f32], chosen: impl Fn(&Input) -> bool) -> Vec<f32> {
        let mut first = Vec::new();
        for (input, sequences) in self.inputs_with_sequences() {
            if chosen(input) {
                for sequence in sequences {
                    first.extend_from_slice(&rows[sequence.start * self.hidden..][..self.hidden]);
                }
            }
        }
        first
    }

    /// Moves the rows that a layer has not been through to the front: of `states` and of `context`
    /// `[T, H]`. Returns how many values of each these are.
    pub(super) fn gather_rest(&mut self, context: &mut [f32]) -> usize {
        let mut end = 0;
        for (input, sequences) in inputs_with_sequences(&self.inputs, &self.sequences) {
            let done = match input.progress {
                Progress::Even => 0,
                Progress::FirstTokens => 1,
                Progress::Leaves => continue,
            };
            for sequence in sequences {
                let begin = (sequence.start + done) * self.hidden;
                let len = (sequence.tokens - done) * self.hidden;
                self.states.copy_within(begin..begin + len, end);
                context.copy_within(begin..begin + len, end);
                end += len;
            }
        }
        end
    }

    /// The inverse, without those that leave: puts the rows that were gathered where they belong,
    /// with `first` `[f, H]` between them, the first tokens' rows of all inputs that were
    /// through with them.
    pub(super) fn scatter_rest(&mut self, first: &[f32]) {
        let hidden = self.hidden;
        let mut first = first.chunks_exact(hidden);
        // Where each sequence's rows are, where they belong, and what comes before them.
        let (mut moves, mut from, mut to) = (Vec::new(), 0, 0);
        for (input, sequences) in inputs_with_sequences(&self.inputs, &self.sequences) {
            for sequence in sequences {
                let row = match input.progress {
                    Progress::Even => None,
                    Progress::FirstTokens | Progress::Leaves => first.next(),
                };
                if input.progress != Progress::Leaves {
                    let rest = (sequence.tokens - usize::from(row.is_some())) * hidden;
                    moves.push((from..from + rest, to, row));
                    from += rest;
                    to += sequence.tokens * hidden;
                }
            }
        }
        // Nothing moves to the front, so going from the end overwrites nothing that is still to be
        // moved.
        self.states.resize(self.states.len().max(to), 0.0);
        for (rows, to, first) in moves.into_iter().rev() {
            self.states.copy_within(rows, to + first.map_or(0, <[f32]>::len));
            if let Some(first) = first {
                self.states[to..to + hidden].copy_from_slice(first);
            }
        }
        self.states.truncate(to);
        self.forget_leaving();
    }

    /// Closes up the rows of the inputs that leave.
    pub(super) fn close_up(&mut self) {
        let mut end = 0;
        for (input, sequences) in inputs_with_sequences(&self.inputs, &self.sequences) {
            if input.progress == Progress::Leaves {
                continue;
            }
            for sequence in sequences {
                let (begin, len) = (sequence.start * self.hidden, sequence.tokens * self.hidden);
                self.states.copy_within(begin..begin + len, end);
                end += len;
            }
        }
        self.states.truncate(end);
        self.forget_leaving();
    }

    /// Drops the inputs that leave and their sequences; the rows of the others lie one after the
    /// other.
    fn forget_leaving(&mut self) {
        let of_sequences = self.inputs.iter().flat_map(|input| {
            std::iter::repeat_n(input.progress != Progress::Leaves, input.sequences)
        });
        let stays: Vec<bool> = of_sequences.collect();
        let (mut stays, mut start) = (stays.into_iter(), 0);
        self.sequences.retain_mut(|sequence| {
            let stays = stays.next().unwrap_or_default();
            sequence.start = start;
            start += if stays { sequence.tokens } else { 0 };
            stays
        });
        self.inputs.retain(|input| input.progress != Progress::Leaves);
        self.inputs.iter_mut().for_each(|input| input.progress = Progress::Even);
    }

    fn inputs_with_sequences(&self) -> impl Iterator<Item = (&Input, &[Sequence])> {
        inputs_with_sequences(&self.inputs, &self.sequences)
    }
}

fn inputs_with_sequences<'a>(
    inputs: &'a [Input],
    mut sequences: &'a [Sequence],
) -> impl Iterator<Item = (&'a Input, &'a [Sequence])> {
    inputs.iter().map(move |input| {
        let (own, others) = sequences.split_at(input.sequences);
        sequences = others;
        (input, own)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two values for each token: its sequence and its place there.
    fn group() -> Group {
        let mut group = Group::new(2);
        let mut start = 0;
        let mut states = Vec::new();
        let mut sequence = |tokens: usize| {
            let number = start as f32;
            states.extend((0..tokens).flat_map(|token| [number, token as f32]));
            start += tokens;
            Sequence { start: start - tokens, tokens, keys: (0..tokens).collect() }
        };
        let inputs = [vec![sequence(3)], vec![sequence(2), sequence(1)], vec![sequence(4)]];
        for (index, sequences) in inputs.iter().enumerate() {
            group.push(index, sequences, &states);
        }
        group
    }

    fn rows(group: &Group) -> Vec<(f32, f32)> {
        group.states.chunks_exact(2).map(|row| (row[0], row[1])).collect()
    }

    fn starts(group: &Group) -> Vec<usize> {
        group.sequences.iter().map(|sequence| sequence.start).collect()
    }

    #[test]
    fn inputs_follow_each_other() {
        let group = group();
        assert_eq!(starts(&group), [0, 3, 5, 6]);
        assert_eq!(group.tokens(), 10);
        assert_eq!(rows(&group)[5..8], [(5.0, 0.0), (6.0, 0.0), (6.0, 1.0)]);
        let first = group.first_rows(&group.states, |input| input.index == 1);
        assert_eq!(first, [3.0, 0.0, 5.0, 0.0]);
    }

    #[test]
    fn who_leaves_is_closed_up() {
        let mut group = group();
        group.inputs[1].progress = Progress::Leaves;
        group.close_up();
        assert_eq!(starts(&group), [0, 3]);
        let expected =
            [(0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (6.0, 0.0), (6.0, 1.0), (6.0, 2.0), (6.0, 3.0)];
        assert_eq!(rows(&group), expected);
        assert_eq!(group.inputs.iter().map(|input| input.index).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn first_tokens_that_are_done_come_back_before_the_rest() {
        for leaving in [None, Some(0), Some(1), Some(2)] {
            let mut group = group();
            let expected = rows(&group);
            let is_done = |index: usize| index != 2 || leaving == Some(2);
            let first = group.first_rows(&group.states, |input| is_done(input.index));
            for input in &mut group.inputs {
                if is_done(input.index) {
                    input.progress = Progress::FirstTokens;
                }
                if Some(input.index) == leaving {
                    input.progress = Progress::Leaves;
                }
            }
            let mut context = group.states.clone();
            let rest = group.gather_rest(&mut context);
            assert_eq!(group.states[..rest], context[..rest]);
            let tokens = [3, 3, 4];
            let done = [1, 2, if leaving == Some(2) { 1 } else { 0 }];
            let stays = |index: &usize| Some(*index) != leaving;
            let expected_rest = (0..3).filter(stays).map(|i| tokens[i] - done[i]);
            assert_eq!(rest, 2 * expected_rest.sum::<usize>());
            group.scatter_rest(&first);
            let of_input = |row: f32| [0.0, 3.0, 6.0].iter().rposition(|&first| row >= first);
            let staying = expected.into_iter().filter(|(row, _)| of_input(*row) != leaving);
            assert_eq!(rows(&group), staying.collect::<Vec<_>>(), "{leaving:?}");
            assert!(group.inputs.iter().all(|input| input.progress == Progress::Even));
        }
    }
}
