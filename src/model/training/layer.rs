//! One layer, forward and backward.

use super::linear::TrainingLinear;
use super::norm::{TrainingNorm, each};
use super::saved::SavedRows;
use super::wanted::WantedRows;
use crate::config::AlbertConfig;
use crate::kernels::activation::Nonlinearity;
use crate::kernels::activation_backward::{activate, activation_backward};
use crate::kernels::attention::{Asking, Heads, Queries, Sequence, attention, first_row};
use crate::kernels::attention_backward::attention_backward;
use crate::kernels::backward::add;
use crate::kernels::convert::InputBuffer;
use crate::kernels::dropout::Dropout;
use crate::kernels::{Isa, Precision};
use crate::nn::{AttentionParameters, FeedForwardParameters};

/// The packed matrices of an attention block.
pub(super) struct AttentionBlock {
    query_key_value: TrainingLinear,
    dense: TrainingLinear,
}

/// The packed matrices of a feed-forward block.
pub(super) struct FeedForwardBlock {
    ffn: TrainingLinear,
    ffn_output: TrainingLinear,
}

impl AttentionBlock {
    pub(super) fn new(isa: Isa, precision: Precision, parameters: &AttentionParameters) -> Self {
        let AttentionParameters { query, key, value, dense, .. } = parameters;
        Self {
            query_key_value: TrainingLinear::new(isa, precision, [query, key, value]),
            dense: TrainingLinear::new(isa, precision, [dense]),
        }
    }
}

impl FeedForwardBlock {
    pub(super) fn new(isa: Isa, precision: Precision, parameters: &FeedForwardParameters) -> Self {
        Self {
            ffn: TrainingLinear::new(isa, precision, [&parameters.ffn]),
            ffn_output: TrainingLinear::new(isa, precision, [&parameters.ffn_output]),
        }
    }
}

/// The settings that all layers share.
#[derive(Clone, Copy)]
pub(super) struct LayerSettings {
    pub(super) isa: Isa,
    heads: Heads,
    activation: Nonlinearity,
}

impl LayerSettings {
    pub(super) fn new(isa: Isa, precision: Precision, config: &AlbertConfig) -> Self {
        let count = config.num_attention_heads;
        Self {
            isa,
            heads: Heads::new(isa, precision, count, config.hidden_size / count),
            activation: config.hidden_act.nonlinearity(),
        }
    }
}

/// One application of a layer.
pub(super) struct TrainingLayer<'a> {
    pub(super) settings: LayerSettings,
    pub(super) attention: &'a AttentionBlock,
    pub(super) attention_norm: TrainingNorm<'a>,
    pub(super) feed_forward: &'a FeedForwardBlock,
    pub(super) output_norm: TrainingNorm<'a>,
    pub(super) dropout: LayerDropout,
}

/// The dropout of one application.
#[derive(Clone, Copy, Default)]
pub(super) struct LayerDropout {
    /// On attention probabilities.
    pub(super) probabilities: Option<Dropout>,
    /// On the output of attention's projection.
    pub(super) hidden: Option<Dropout>,
}

/// Working memory of one group.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) inputs: InputBuffer,
    /// `[t, I]`.
    pub(super) wide: Vec<f32>,
    /// `[t, H]`.
    pub(super) narrow: Vec<f32>,
}

impl TrainingLayer<'_> {
    /// The layer's output of states `x` `[t, H]`, into `out`, of all tokens or of those that are
    /// wanted; all that the backward pass reads is saved.
    pub(super) fn forward(
        &self,
        x: &[f32],
        sequences: &[Sequence],
        wanted: Option<&mut WantedRows<'_>>,
        saved: &mut SavedRows<'_>,
        inputs: &mut InputBuffer,
        out: &mut [f32],
    ) {
        let LayerSettings { isa, heads, activation } = self.settings;
        let SavedRows {
            qkv,
            context,
            attention_norm,
            middle,
            pre_activation,
            activation: activated,
            output_norm,
        } = saved;
        self.attention.query_key_value.forward_into(x, inputs, qkv);
        let queries = Asking { queries: Queries::All, dropout: self.dropout.probabilities };
        attention(isa, qkv, sequences, heads, queries, context, &mut []);
        if let Some(wanted) = wanted {
            wanted.keep_context(self.hidden(), context);
            self.attention.dense.forward_into(wanted.context, inputs, attention_norm.rows);
            self.drop(wanted.rows.iter().copied(), attention_norm.rows);
            // The residual, for as long as there is no output.
            wanted.gather(self.hidden(), x, out);
            self.attention_norm.forward(out, attention_norm, middle);
        } else {
            self.attention.dense.forward_into(context, inputs, attention_norm.rows);
            self.drop(first_row(sequences).., attention_norm.rows);
            self.attention_norm.forward(x, attention_norm, middle);
        }

        self.feed_forward.ffn.forward_into(middle, inputs, pre_activation);
        let width = self.intermediate(middle, pre_activation);
        each(width, activated, pre_activation, |to, from| activate(isa, activation, from, to));
        self.feed_forward.ffn_output.forward_into(activated, inputs, output_norm.rows);
        self.output_norm.forward(middle, output_norm, out);
    }

    /// The forward pass read upwards: the gradient `d` of the output becomes that of the input, and
    /// what was saved the gradients that weights' are made of.
    pub(super) fn backward(
        &self,
        d: &mut [f32],
        sequences: &[Sequence],
        saved: &mut SavedRows<'_>,
        scratch: &mut Scratch,
    ) {
        self.backward_to_context(d, sequences, first_row(sequences).., saved, scratch);
        let Scratch { inputs, narrow, .. } = scratch;
        self.attend_backward(sequences, saved, inputs, narrow);
        self.add(narrow, d);
    }

    /// As [`backward`](Self::backward), where the output is that of wanted tokens: `d_wanted` `[w,
    /// H]` is its gradient, and is used up; `d` `[t, H]` becomes that of the input.
    pub(super) fn backward_wanted(
        &self,
        (d_wanted, wanted): (&mut [f32], &WantedRows<'_>),
        d: &mut [f32],
        sequences: &[Sequence],
        saved: &mut SavedRows<'_>,
        scratch: &mut Scratch,
    ) {
        let rows = wanted.rows.iter().copied();
        self.backward_to_context(d_wanted, wanted.sequences, rows, saved, scratch);
        let hidden = self.hidden();
        d.fill(0.0);
        wanted.scatter(hidden, &scratch.narrow, d);
        self.attend_backward(sequences, saved, &mut scratch.inputs, d);
        wanted.scatter(hidden, d_wanted, d);
    }

    /// From the gradient `d` of the output to the context's, which is left in `scratch.narrow`; `d`
    /// becomes the part of the input's that comes past attention. `rows` are the tokens' in the
    /// batch.
    fn backward_to_context(
        &self,
        d: &mut [f32],
        sequences: &[Sequence],
        rows: impl Iterator<Item = usize>,
        saved: &mut SavedRows<'_>,
        scratch: &mut Scratch,
    ) {
        let LayerSettings { isa, activation, .. } = self.settings;
        let SavedRows { attention_norm, pre_activation, output_norm, .. } = saved;
        let Scratch { inputs, wide, narrow } = scratch;
        super::saved::resize(wide, pre_activation.len());
        super::saved::resize(narrow, d.len());

        self.output_norm.backward(sequences, output_norm, d);
        self.feed_forward.ffn_output.backward_into(output_norm.rows, inputs, wide);
        let width = self.intermediate(d, pre_activation);
        each(width, pre_activation, wide, |x, d| activation_backward(isa, activation, d, x));
        self.feed_forward.ffn.backward_into(pre_activation, inputs, d);
        self.add(output_norm.rows, d);

        self.attention_norm.backward(sequences, attention_norm, d);
        d.copy_from_slice(attention_norm.rows);
        self.drop(rows, attention_norm.rows);
        self.attention.dense.backward_into(attention_norm.rows, inputs, narrow);
    }

    /// From the gradient `d` of the context to what attention adds to the input's.
    fn attend_backward(
        &self,
        sequences: &[Sequence],
        saved: &mut SavedRows<'_>,
        inputs: &mut InputBuffer,
        d: &mut [f32],
    ) {
        let LayerSettings { isa, heads, .. } = self.settings;
        let SavedRows { qkv, context, .. } = saved;
        let dropout = self.dropout.probabilities;
        attention_backward(isa, qkv, sequences, heads, dropout, (context, d));
        self.attention.query_key_value.backward_into(qkv, inputs, d);
    }

    /// `sum` += `x`, of rows `[t, H]`.
    fn add(&self, x: &[f32], sum: &mut [f32]) {
        each(self.hidden(), sum, x, |sum, x| add(self.settings.isa, x, sum));
    }

    /// Dropout of `values`, whose rows are those of the batch.
    fn drop(&self, rows: impl Iterator<Item = usize>, values: &mut [f32]) {
        if let Some(dropout) = self.dropout.hidden {
            let hidden = self.hidden();
            for (row, values) in rows.zip(values.chunks_exact_mut(hidden)) {
                dropout.apply(self.settings.isa, (row as u64, 1), hidden, values);
            }
        }
    }

    /// I, from rows `[t, H]` and `[t, I]`.
    fn intermediate(&self, narrow: &[f32], wide: &[f32]) -> usize {
        wide.len() / (narrow.len() / self.hidden()).max(1)
    }

    fn hidden(&self) -> usize {
        self.settings.heads.count * self.settings.heads.size
    }
}
