//! Factorized embeddings: V×E tables, a LayerNorm, and the projection E → H.
//!
//! Section 3.1 of the paper: the vocabulary's table is E wide, whatever the encoder's width, so
//! that V·H parameters become V·E + E·H. The norm comes before the projection.

use ndarray::{Array2, ArrayView2};

use super::parameters::EmbeddingParameters;
use crate::batch::{Batch, Words};
use crate::kernels::activation::Nonlinearity;
use crate::kernels::{Isa, Precision};
use crate::nn::{Linear, Norm, PackedLinear, contiguous_mut, gather_rows};

/// Embedding tables and projection, to be executed.
pub(super) struct FactorizedEmbeddings {
    word_embeddings: Array2<f32>,
    position_embeddings: Array2<f32>,
    token_type_embeddings: Array2<f32>,
    layer_norm: Norm,
    mapping: PackedLinear,
}

impl FactorizedEmbeddings {
    pub(super) fn new(isa: Isa, tables: EmbeddingParameters, mapping: Linear, eps: f64) -> Self {
        Self {
            // A tied decoder reads it row by row, so it is put in order once.
            word_embeddings: tables.word_embeddings.as_standard_layout().into_owned(),
            position_embeddings: tables.position_embeddings,
            token_type_embeddings: tables.token_type_embeddings,
            layer_norm: Norm::new(isa, tables.layer_norm, eps),
            mapping: PackedLinear::new(isa, Precision::F32, [mapping]),
        }
    }

    pub(super) fn unpack(&self) -> (EmbeddingParameters, Linear) {
        let tables = EmbeddingParameters {
            word_embeddings: self.word_embeddings.clone(),
            position_embeddings: self.position_embeddings.clone(),
            token_type_embeddings: self.token_type_embeddings.clone(),
            layer_norm: self.layer_norm.unpack(),
        };
        (tables, self.mapping.unpack(0, self.mapping.outputs()))
    }

    /// The table `[V, E]`, which a tied masked-LM decoder reads.
    pub(super) fn word_embeddings(&self) -> ArrayView2<'_, f32> {
        self.word_embeddings.view()
    }

    /// `[T]` ids (or `[T, E]` embeddings) to `[T, H]` states. The batch must have been checked.
    pub(super) fn forward(&self, batch: &Batch) -> Array2<f32> {
        let mut sum = match &batch.words {
            Words::Embeddings(rows) => rows.clone(),
            Words::Ids(ids) => {
                let mut rows = Array2::zeros((ids.len(), self.word_embeddings.ncols()));
                gather_rows(&self.word_embeddings, ids, &mut rows);
                rows
            }
        };
        // In this order, as transformers adds them.
        gather_rows(&self.token_type_embeddings, &batch.type_ids, &mut sum);
        gather_rows(&self.position_embeddings, &batch.position_ids, &mut sum);
        self.layer_norm.forward(contiguous_mut(&mut sum));
        self.mapping.forward(sum.view(), Nonlinearity::Identity)
    }
}
