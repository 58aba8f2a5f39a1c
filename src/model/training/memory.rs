//! What an encoder's forward passes leave for backward passes, and its cutting into groups of sequences.

use super::ActivationPolicy;
use super::saved::{GroupSize, SavedLayer, SavedRows, Widths, resize, take};
use super::wanted::{Wanted, WantedRows};
use crate::batch::Batch;
use crate::kernels::attention::{Sequence, first_row};
use crate::kernels::parallel;
use crate::model::groups;

/// The states that forward passes save for backward passes, reused by every pass.
#[derive(Default)]
pub(super) struct EncoderMemory {
    groups: Vec<GroupSize>,
    /// The same groups, of wanted tokens alone.
    wanted: Vec<GroupSize>,
    /// The input of every application, `[T, H]` each, and the output of the last, of wanted tokens, `[W, H]`.
    pub(super) states: Vec<Vec<f32>>,
    /// The last application's context of wanted tokens, `[W, H]`.
    pub(super) wanted_context: Vec<f32>,
    /// What else was saved of every application; of a single one, where layers are computed once more.
    pub(super) layers: Vec<SavedLayer>,
}

/// A group of sequences on its way through a pass: its rows of all that there is in memory.
pub(super) struct Group<'a> {
    pub(super) sequences: &'a [Sequence],
    pub(super) size: &'a GroupSize,
    pub(super) wanted: WantedRows<'a>,
    pub(super) wanted_size: &'a GroupSize,
    pub(super) states: Vec<&'a mut [f32]>,
    /// The saved states of every application, or of a single one.
    pub(super) saved: Vec<SavedRows<'a>>,
}

impl EncoderMemory {
    /// Makes room for a batch that goes through `applications` layers.
    pub(super) fn prepare(
        &mut self,
        widths: Widths,
        applications: usize,
        (batch, wanted): (&Batch, &Wanted),
        policy: ActivationPolicy,
    ) {
        let ranges = groups::split(&batch.layout.sequences, parallel::threads());
        let groups = |sequences: &[Sequence], tokens: usize| -> Vec<GroupSize> {
            ranges.iter().map(|range| GroupSize::new(sequences, range.clone(), tokens)).collect()
        };
        let (tokens, hidden) = (batch.num_tokens(), widths.hidden);
        self.groups = groups(&batch.layout.sequences, tokens);
        self.wanted = groups(&wanted.sequences, wanted.rows.len());
        self.states.resize_with(applications + 1, Vec::new);
        for (index, states) in self.states.iter_mut().enumerate() {
            let is_output = index == applications;
            resize(states, if is_output { wanted.rows.len() } else { tokens } * hidden);
        }
        resize(&mut self.wanted_context, wanted.rows.len() * hidden);
        let layers = match policy {
            ActivationPolicy::Keep => applications,
            ActivationPolicy::Recompute => 1,
        };
        self.layers.resize_with(layers, SavedLayer::default);
        for index in 0..layers {
            self.make_room(widths, index);
        }
    }

    /// Gives what is saved of an application its size.
    pub(super) fn make_room(&mut self, widths: Widths, index: usize) {
        let place = self.place(index);
        let after = if self.is_last(index) { &self.wanted } else { &self.groups };
        self.layers[place].resize(widths, &self.groups, after);
    }

    /// Where an application's layer is saved: in a place of its own, or in the only one.
    pub(super) fn place(&self, index: usize) -> usize {
        if self.layers.len() == 1 { 0 } else { index }
    }

    fn is_last(&self, index: usize) -> bool {
        index + 2 == self.states.len()
    }

    /// The groups of a pass. What is saved of a single application has the size of that with this index.
    pub(super) fn groups<'a>(
        &'a mut self,
        widths: Widths,
        index: usize,
        (batch, wanted): (&'a Batch, &'a Wanted),
    ) -> Vec<Group<'a>> {
        let applications = self.states.len() - 1;
        let Self { groups, wanted: wanted_groups, states, wanted_context, layers } = self;
        let (groups, wanted_groups) = (&*groups, &*wanted_groups);
        let (hidden, single) = (widths.hidden, layers.len() == 1);
        let (mut rows, mut context) = (&wanted.rows[..], &mut wanted_context[..]);
        let group = |(size, wanted_size): (&'a GroupSize, &'a GroupSize)| {
            let sequences = &batch.layout.sequences[size.sequences.clone()];
            let (those, others) = rows.split_at(wanted_size.tokens);
            rows = others;
            let wanted = WantedRows {
                rows: those,
                first: first_row(sequences),
                sequences: &wanted.sequences[size.sequences.clone()],
                context: take(&mut context, wanted_size.tokens * hidden),
            };
            Group { sequences, size, wanted, wanted_size, states: Vec::new(), saved: Vec::new() }
        };
        let mut of_groups: Vec<Group<'a>> = groups.iter().zip(wanted_groups).map(group).collect();
        for (index, states) in states.iter_mut().enumerate() {
            let mut rest = &mut states[..];
            let sizes = if index == applications { wanted_groups } else { groups };
            for (group, size) in of_groups.iter_mut().zip(sizes) {
                group.states.push(take(&mut rest, size.tokens * hidden));
            }
        }
        for (place, layer) in layers.iter_mut().enumerate() {
            let is_last = if single { index } else { place } + 1 == applications;
            let after = if is_last { wanted_groups } else { groups };
            let parts = layer.split(widths, groups, after);
            of_groups.iter_mut().zip(parts).for_each(|(group, part)| group.saved.push(part));
        }
        of_groups
    }
}
