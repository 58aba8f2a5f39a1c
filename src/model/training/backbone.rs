//! The backbone, forward and backward: embeddings → encoder → pooler.

use ndarray::{Array2, ArrayView2, Axis, Zip};

use super::encoder::{DropoutRates, ExitGradient, Pass, TrainingEncoder, product};
use super::linear::TrainingLinear;
use super::memory::EncoderMemory;
use super::norm::{TrainingNorm, add_parts, parts};
use super::saved::{NormBuffers, resize};
use super::wanted::Wanted;
use super::{ActivationPolicy, TrainingOptions};
use crate::batch::{Batch, Words};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::kernels::convert::{InputBuffer, Strided};
use crate::kernels::weight_gradient::{Stretch, weight_gradients};
use crate::kernels::{Isa, Precision};
use crate::model::parameters::AlbertParameters;
use crate::nn::{contiguous, contiguous_mut, gather_rows};

/// The packed matrices of a backbone in training.
pub(super) struct TrainingBackbone {
    isa: Isa,
    mapping: TrainingLinear,
    encoder: TrainingEncoder,
    pooler: Option<TrainingLinear>,
}

/// The states that forward passes save for backward passes, reused by every pass.
#[derive(Default)]
pub(super) struct Memory {
    embedding_norm: NormBuffers,
    /// The input of the projection E → H, `[T, E]`.
    embedded: Vec<f32>,
    encoder: EncoderMemory,
}

/// A batch in the backbone.
#[derive(Clone, Copy)]
pub(super) struct BackbonePass<'a> {
    pub(super) config: &'a AlbertConfig,
    pub(super) parameters: &'a AlbertParameters,
    pub(super) batch: &'a Batch,
    /// The tokens whose states are returned.
    pub(super) wanted: &'a Wanted,
    /// The layers before the last, counted from 1, after which the pooled output is returned, too.
    pub(super) exits: &'a [usize],
    /// The seed of dropout; `None` without dropout.
    pub(super) seed: Option<u64>,
}

/// The input of heads, or its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct BackboneStates {
    /// The last layer's states of the batch's tokens, sequence after sequence (see [`Batch::token_rows`]), `[T, H]`.
    pub tokens: Array2<f32>,
    /// The pooled output, `[B, H]`; none without a pooler.
    pub pooled: Option<Array2<f32>>,
    /// The same pooler's output after each exit before the last layer, `[B, H]` each, in the order
    /// of the configuration's [`exit_layers`](crate::ConfigFields::exit_layers); none without exits
    /// or without a pooler.
    pub exits: Vec<Array2<f32>>,
}

impl BackboneStates {
    /// Zeros of the same shapes.
    #[must_use]
    pub fn zeros_like(&self) -> Self {
        Self {
            tokens: Array2::zeros(self.tokens.raw_dim()),
            pooled: self.pooled.as_ref().map(|pooled| Array2::zeros(pooled.raw_dim())),
            exits: self.exits.iter().map(|pooled| Array2::zeros(pooled.raw_dim())).collect(),
        }
    }

    /// These gradients, in standard layout.
    ///
    /// # Errors
    /// [`Error::Input`] if they are not of the shapes of `states`.
    pub(super) fn like(self, states: &Self) -> Result<Self> {
        let shapes = |of: &Self| {
            let exits: Vec<_> = of.exits.iter().map(Array2::dim).collect();
            (of.tokens.dim(), of.pooled.as_ref().map(Array2::dim), exits)
        };
        let (expected, found) = (shapes(states), shapes(&self));
        if expected != found {
            let shown = |(tokens, pooled, exits)| {
                format!("tokens {tokens:?}, pooled {pooled:?}, exits {exits:?}")
            };
            return Err(Error::input("gradients of states", shown(expected), shown(found)));
        }
        let standard = |array: Array2<f32>| array.as_standard_layout().into_owned();
        Ok(Self {
            tokens: standard(self.tokens),
            pooled: self.pooled.map(standard),
            exits: self.exits.into_iter().map(standard).collect(),
        })
    }
}

impl BackbonePass<'_> {
    fn dropout(&self) -> Option<DropoutRates> {
        self.seed.map(|seed| DropoutRates {
            seed,
            hidden: self.config.hidden_dropout_prob,
            probabilities: self.config.attention_probs_dropout_prob,
        })
    }

    fn encoder(&self) -> Pass<'_> {
        let parameters = &self.parameters.encoder;
        Pass { batch: self.batch, parameters, dropout: self.dropout(), wanted: self.wanted }
    }

    fn embedding_norm(&self, isa: Isa) -> TrainingNorm<'_> {
        let parameters = &self.parameters.embeddings.layer_norm;
        TrainingNorm { isa, parameters, eps: self.config.layer_norm_eps }
    }

    /// Where the states of first tokens are among those that come out.
    fn first_rows(&self) -> Vec<usize> {
        let rows: Vec<usize> = self.batch.layout.first_rows().collect();
        self.wanted.positions(&rows)
    }

    /// How many applications have been made after a layer, counted from 1.
    fn applications(&self, layer: usize) -> usize {
        layer * self.config.inner_group_num
    }

    /// The states of first tokens after a layer before the last, `[B, H]`.
    fn first_states(&self, layer: usize, memory: &EncoderMemory) -> Array2<f32> {
        let states = &memory.states[self.applications(layer)];
        let shape = (self.batch.num_tokens(), self.config.hidden_size);
        let states = ArrayView2::from_shape(shape, states).expect("made for this batch");
        let rows: Vec<usize> = self.batch.layout.first_rows().collect();
        states.select(Axis(0), &rows)
    }
}

impl TrainingBackbone {
    /// Packs parameters, which are in standard layout.
    pub(super) fn new(
        isa: Isa,
        options: TrainingOptions,
        config: &AlbertConfig,
        parameters: &AlbertParameters,
    ) -> Self {
        let TrainingOptions { precision, activations, .. } = options;
        let AlbertParameters { encoder, pooler, .. } = parameters;
        // What the inference model has in single precision, in whatever precision it is.
        let linear = |linear| TrainingLinear::new(isa, Precision::F32, [linear]);
        Self {
            isa,
            mapping: linear(&encoder.embedding_hidden_mapping_in),
            encoder: TrainingEncoder::new(isa, precision, activations, config, encoder),
            pooler: pooler.as_ref().map(linear),
        }
    }

    /// States of wanted tokens after the last layer, and pooled output; `memory` keeps what the policy says.
    pub(super) fn forward(
        &self,
        pass: BackbonePass<'_>,
        policy: ActivationPolicy,
        memory: &mut Memory,
    ) -> BackboneStates {
        self.encoder.prepare(pass.batch, pass.wanted, policy, &mut memory.encoder);
        self.embed(pass, memory);
        self.encoder.forward(pass.config.layer_norm_eps, pass.encoder(), &mut memory.encoder);
        let shape = (pass.wanted.rows.len(), pass.config.hidden_size);
        let states = memory.encoder.states.last().map_or(&[][..], Vec::as_slice);
        let tokens = ArrayView2::from_shape(shape, states).expect("made for this batch").to_owned();
        let Some(pooler) = &self.pooler else {
            return BackboneStates { tokens, pooled: None, exits: Vec::new() };
        };
        let exits = pass.exits.iter().map(|&layer| pass.first_states(layer, &memory.encoder));
        let exits = exits.map(|first| pool(pooler, &first)).collect();
        let pooled = pool(pooler, &tokens.select(Axis(0), &pass.first_rows()));
        BackboneStates { tokens, pooled: Some(pooled), exits }
    }

    /// Goes back from gradients of what [`forward`](Self::forward) returned as `states`, and adds those of the parameters.
    pub(super) fn backward(
        &self,
        pass: BackbonePass<'_>,
        memory: &mut Memory,
        states: &BackboneStates,
        d_states: BackboneStates,
        gradients: &mut AlbertParameters,
    ) {
        let (mut d, exits) =
            self.pooler_backward(pass, &memory.encoder, states, d_states, gradients);
        let eps = pass.config.layer_norm_eps;
        let (encoder, of_encoder) = (&self.encoder, &mut gradients.encoder);
        let mut d_embedded = vec![0.0; pass.batch.num_tokens() * pass.config.hidden_size];
        let d = (contiguous_mut(&mut d), &exits[..], &mut d_embedded[..]);
        encoder.backward(eps, pass.encoder(), &mut memory.encoder, d, of_encoder);
        self.embed_backward(pass, memory, &d_embedded, gradients);
    }

    /// Word, type and position embeddings → LayerNorm → dropout → projection, into the encoder's first states.
    fn embed(&self, pass: BackbonePass<'_>, memory: &mut Memory) {
        let (batch, tables) = (pass.batch, &pass.parameters.embeddings);
        let (tokens, width) = (batch.num_tokens(), pass.config.embedding_size);
        let Memory { embedding_norm, embedded, encoder } = memory;
        embedding_norm.resize(width, tokens, parts(&batch.layout.sequences).len());
        resize(embedded, tokens * width);
        let mut sum = match &batch.words {
            Words::Embeddings(rows) => rows.clone(),
            Words::Ids(ids) => {
                let mut rows = Array2::zeros((tokens, width));
                gather_rows(&tables.word_embeddings, ids, &mut rows);
                rows
            }
        };
        gather_rows(&tables.token_type_embeddings, &batch.type_ids, &mut sum);
        gather_rows(&tables.position_embeddings, &batch.position_ids, &mut sum);
        embedding_norm.rows.iter_mut().zip(&sum).for_each(|(to, x)| *to = *x);
        pass.embedding_norm(self.isa).forward(&[], &mut embedding_norm.all(), embedded);
        self.drop(pass, embedded);
        self.mapping.forward_into(embedded, &mut InputBuffer::default(), &mut encoder.states[0]);
    }

    fn embed_backward(
        &self,
        pass: BackbonePass<'_>,
        memory: &mut Memory,
        d: &[f32],
        gradients: &mut AlbertParameters,
    ) {
        let batch = pass.batch;
        let Memory { embedding_norm, embedded, .. } = memory;
        let (width, hidden) = (pass.config.embedding_size, pass.config.hidden_size);
        let stretch =
            Stretch { d_out: Strided::dense(d, hidden), inputs: Strided::dense(embedded, width) };
        let mapping = &mut gradients.encoder.embedding_hidden_mapping_in;
        weight_gradients(self.isa, false, vec![product(vec![stretch], mapping)]);
        // Its values have been read.
        let d_embedded = embedded;
        self.mapping.backward_into(d, &mut InputBuffer::default(), d_embedded);
        self.drop(pass, d_embedded);
        let sequences = &batch.layout.sequences;
        let norm = pass.embedding_norm(self.isa);
        norm.backward(sequences, &mut embedding_norm.all(), d_embedded);
        let tables = &mut gradients.embeddings;
        add_parts(&embedding_norm.parts, &mut tables.layer_norm);
        let d_sum = ArrayView2::from_shape((batch.num_tokens(), width), &embedding_norm.rows)
            .expect("made for this batch");
        if let Words::Ids(ids) = &batch.words {
            // As PyTorch's `padding_idx` has it, a padding token that is looked up has no gradient.
            scatter_rows(d_sum, ids, pass.config.pad_token_id, &mut tables.word_embeddings);
        }
        scatter_rows(d_sum, &batch.type_ids, None, &mut tables.token_type_embeddings);
        scatter_rows(d_sum, &batch.position_ids, None, &mut tables.position_embeddings);
    }

    fn drop(&self, pass: BackbonePass<'_>, rows: &mut [f32]) {
        if let Some(dropout) = pass.dropout().and_then(DropoutRates::embeddings) {
            dropout.apply(self.isa, (0, 1), pass.config.embedding_size, rows);
        }
    }

    /// tanh(W·h + b) backwards, of the last layer and of all exits: one product for the pooler's
    /// gradient. Returns the gradients of the last layer's states, and of first tokens' at exits.
    fn pooler_backward(
        &self,
        pass: BackbonePass<'_>,
        memory: &EncoderMemory,
        states: &BackboneStates,
        d_states: BackboneStates,
        gradients: &mut AlbertParameters,
    ) -> (Array2<f32>, Vec<ExitGradient>) {
        let BackboneStates { tokens: mut d, pooled: d_pooled, exits: d_exits } = d_states;
        let (Some(pooler), Some(gradient)) = (&self.pooler, &mut gradients.pooler) else {
            return (d, Vec::new());
        };
        let rows = pass.first_rows();
        let mut first = vec![states.tokens.select(Axis(0), &rows)];
        first.extend(pass.exits.iter().map(|&layer| pass.first_states(layer, memory)));
        let mut d_pooled: Vec<Array2<f32>> = d_pooled.into_iter().chain(d_exits).collect();
        for (d, pooled) in d_pooled.iter_mut().zip(states.pooled.iter().chain(&states.exits)) {
            Zip::from(d).and(pooled).for_each(|d, y| *d *= 1.0 - y * y);
        }
        let width = pass.config.hidden_size;
        let stretches = d_pooled.iter().zip(&first).map(|(d, first)| Stretch {
            d_out: Strided::dense(contiguous(d), width),
            inputs: Strided::dense(contiguous(first), width),
        });
        weight_gradients(self.isa, false, vec![product(stretches.collect(), gradient)]);
        for (d_pooled, d_first) in d_pooled.iter().zip(&mut first) {
            let mut buffer = InputBuffer::default();
            pooler.backward_into(contiguous(d_pooled), &mut buffer, contiguous_mut(d_first));
        }
        let mut d_first = first.into_iter();
        let d_last = d_first.next().unwrap_or_default();
        for (row, d_last) in rows.into_iter().zip(d_last.outer_iter()) {
            let mut row = d.row_mut(row);
            row += &d_last;
        }
        let exits = pass.exits.iter().zip(d_first);
        let exits =
            exits.map(|(&layer, d)| ExitGradient { applications: pass.applications(layer), d });
        (d, exits.collect())
    }
}

/// tanh(W·h + b) of states `[B, H]`.
fn pool(pooler: &TrainingLinear, first: &Array2<f32>) -> Array2<f32> {
    let mut pooled = Array2::zeros(first.raw_dim());
    let mut buffer = InputBuffer::default();
    pooler.forward_into(contiguous(first), &mut buffer, contiguous_mut(&mut pooled));
    pooled.mapv_inplace(f32::tanh);
    pooled
}

/// Adds row t of `rows` `[T, E]` to row `ids[t]` of `table` `[V, E]`, but for one id.
fn scatter_rows(rows: ArrayView2<'_, f32>, ids: &[u32], but: Option<u32>, table: &mut Array2<f32>) {
    for (row, &id) in rows.outer_iter().zip(ids).filter(|(_, id)| Some(**id) != but) {
        let mut to = table.row_mut(id as usize);
        to += &row;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_of_the_same_id_add_up_but_for_padding() {
        let rows = array![[1.0, 2.0], [10.0, 20.0], [100.0, 200.0], [5.0, 6.0]];
        let scattered = |but| {
            let mut table = Array2::from_elem((3, 2), 0.5);
            scatter_rows(rows.view(), &[2, 0, 2, 0], but, &mut table);
            table
        };
        assert_eq!(scattered(None), array![[15.5, 26.5], [0.5, 0.5], [101.5, 202.5]]);
        assert_eq!(scattered(Some(0)), array![[0.5, 0.5], [0.5, 0.5], [101.5, 202.5]]);
    }
}
