//! Multi-head self-attention with its output projection, residual and LayerNorm.

use super::{LayerNorm, Linear, Norm, PackedLinear};
use crate::kernels::activation::Nonlinearity;
use crate::kernels::attention::{Asking, Heads, Queries, Sequence, attention, first_row};
use crate::kernels::convert::InputBuffer;
use crate::kernels::{Isa, Precision};

/// The parameters of one attention block.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionParameters {
    /// H → A·D.
    pub query: Linear,
    /// H → A·D.
    pub key: Linear,
    /// H → A·D.
    pub value: Linear,
    /// The output projection, A·D → H.
    pub dense: Linear,
    /// Applied to the sum of input and output.
    pub layer_norm: LayerNorm,
}

impl AttentionParameters {
    /// Zeros, to be filled.
    pub fn zeros(hidden: usize) -> Self {
        let linear = || Linear::zeros(hidden, hidden);
        Self {
            query: linear(),
            key: linear(),
            value: linear(),
            dense: linear(),
            layer_norm: LayerNorm::zeros(hidden),
        }
    }
}

/// An attention block to be executed: query, key and value as one matrix.
pub(crate) struct SelfAttention {
    isa: Isa,
    heads: Heads,
    query_key_value: PackedLinear,
    dense: PackedLinear,
    layer_norm: Norm,
}

/// Working memory of an attention block; all of it is overwritten.
pub(crate) struct AttentionBuffers<'a> {
    /// Queries, keys and values, `[T, 3H]`.
    pub(crate) qkv: &'a mut [f32],
    /// `[T, H]`, or `[B, H]` of first tokens alone.
    pub(crate) context: &'a mut [f32],
    pub(crate) inputs: &'a mut InputBuffer,
}

impl SelfAttention {
    /// `outliers` are the inputs that int8 takes in single precision: of query, key and value, and
    /// of the output projection.
    pub(crate) fn new(
        isa: Isa,
        precision: Precision,
        parameters: AttentionParameters,
        heads: usize,
        eps: f64,
        outliers: [&[usize]; 2],
    ) -> Self {
        let AttentionParameters { query, key, value, dense, layer_norm } = parameters;
        let size = query.weight.nrows() / heads;
        Self {
            isa,
            heads: Heads::new(isa, precision, heads, size),
            query_key_value: PackedLinear::with_outliers(
                isa,
                precision,
                [query, key, value],
                outliers[0],
            ),
            dense: PackedLinear::with_outliers(isa, precision, [dense], outliers[1]),
            layer_norm: Norm::new(isa, layer_norm, eps),
        }
    }

    pub(crate) fn unpack(&self) -> AttentionParameters {
        let hidden = self.dense.outputs();
        AttentionParameters {
            query: self.query_key_value.unpack(0, hidden),
            key: self.query_key_value.unpack(hidden, hidden),
            value: self.query_key_value.unpack(2 * hidden, hidden),
            dense: self.dense.unpack(0, hidden),
            layer_norm: self.layer_norm.unpack(),
        }
    }

    /// Queries, keys and values of `x` `[T, H]`, into `qkv` `[T, 3H]`.
    pub(crate) fn project(&self, x: &[f32], inputs: &mut InputBuffer, qkv: &mut [f32]) {
        let encoded = self.query_key_value.encode(x, inputs);
        self.query_key_value.forward_into(encoded, Nonlinearity::Identity, qkv);
    }

    /// The context `[T, H]` of sequences' queries, keys and values. `probabilities`, where not
    /// empty, receives the softmax of every sequence `[A, n, n]`.
    pub(crate) fn attend(
        &self,
        qkv: &[f32],
        sequences: &[Sequence],
        context: &mut [f32],
        probabilities: &mut [f32],
    ) {
        let queries = Asking { queries: Queries::All, dropout: None };
        attention(self.isa, qkv, sequences, self.heads, queries, context, probabilities);
    }

    /// LayerNorm(x + dense(context)), into `out` `[T, H]`.
    pub(crate) fn output(
        &self,
        x: &[f32],
        context: &[f32],
        inputs: &mut InputBuffer,
        out: &mut [f32],
    ) {
        self.dense.forward_into(self.dense.encode(context, inputs), Nonlinearity::Identity, out);
        self.layer_norm.forward_residual(x, out);
    }

    /// All of it, of each sequence's first token alone: keys and values of all tokens, but queries
    /// and whatever follows of B tokens only.
    ///
    /// `first` holds the first tokens' rows of `x`, `[B, H]`, and `out` and the context are as
    /// large.
    pub(crate) fn forward_first(
        &self,
        (x, first): (&[f32], &[f32]),
        sequences: &[Sequence],
        buffers: AttentionBuffers<'_>,
        out: &mut [f32],
    ) {
        let AttentionBuffers { qkv, context, inputs } = buffers;
        let hidden = self.dense.outputs();
        let width = self.query_key_value.outputs();
        let encoded = self.query_key_value.encode(x, inputs);
        self.query_key_value.forward_columns_into(encoded, hidden..width, qkv);
        let mut queries = vec![0.0; sequences.len() * width];
        let encoded = self.query_key_value.encode(first, inputs);
        self.query_key_value.forward_columns_into(encoded, 0..hidden, &mut queries);
        for (sequence, query) in sequences.iter().zip(queries.chunks_exact(width)) {
            let row = sequence.start - first_row(sequences);
            qkv[row * width..][..hidden].copy_from_slice(&query[..hidden]);
        }
        let queries = Asking { queries: Queries::First, dropout: None };
        attention(self.isa, qkv, sequences, self.heads, queries, context, &mut []);
        self.output(first, context, inputs, out);
    }
}
