//! The masked-LM head and its loss, for masked tokens only.

use ndarray::{Array2, Axis};

use super::LossTerm;
use super::heads::{HeadGradients, HeadPass, add_rows};
use super::loss::{check_classes, cross_entropy};
use super::norm::{SavedNorm, TrainingNorm, add_parts};
use crate::error::Result;
use crate::kernels::activation_backward::{activate, activation_backward};
use crate::kernels::attention::Sequence;
use crate::kernels::convert::Strided;
use crate::kernels::weight_gradient::{Stretch, WeightGradient, weight_gradients};
use crate::model::heads::{MaskedLmHeadParameters, labelled_rows};
use crate::nn::{contiguous, contiguous_mut};

/// What the head computes on its way from states to scores, for N tokens.
struct Transformed {
    /// The states that were read, `[N, H]`.
    states: Array2<f32>,
    /// `[N, E]`.
    pre_activation: Array2<f32>,
    /// After the LayerNorm, `[N, E]`.
    out: Array2<f32>,
    norm_rows: Array2<f32>,
    norm_factors: Vec<f32>,
}

/// Loss of words `[B, S]` that are not −100, and gradients.
///
/// # Errors
/// If the shape differs, a label is no word or stands outside the attention mask, or none counts.
pub(super) fn masked_lm(
    pass: &HeadPass<'_>,
    name: &'static str,
    parameters: &MaskedLmHeadParameters,
    labels: &Array2<i64>,
    gradients: Option<HeadGradients<'_, MaskedLmHeadParameters>>,
) -> Result<LossTerm> {
    let (rows, labels) = check_words(pass, labels)?;
    let rows = pass.wanted.positions(&rows);
    let mut transformed = transform(pass, parameters, &rows);
    let decoder = &parameters.decoder;
    let table = decoder.weight.as_ref().unwrap_or(pass.words);
    let bias = contiguous(decoder.bias.as_ref().unwrap_or(&parameters.bias));
    let mut logits = pass.scores(contiguous(&transformed.out), table, bias);
    let term = cross_entropy(pass.isa, name, &mut logits, &labels, pass.scale)?;
    if let Some(HeadGradients { head, words, states }) = gradients {
        let shape = table.dim();
        let stretch = Stretch {
            d_out: Strided::dense(contiguous(&logits), shape.0),
            inputs: Strided::dense(contiguous(&transformed.out), shape.1),
        };
        let of_decoder = WeightGradient {
            stretches: vec![stretch],
            weight: contiguous_mut(head.decoder.weight.as_mut().unwrap_or(words)),
            bias: contiguous_mut(head.decoder.bias.as_mut().unwrap_or(&mut head.bias)),
        };
        weight_gradients(pass.isa, false, vec![of_decoder]);
        let d = pass.times(contiguous(&logits), contiguous(table), shape);
        let d = transform_backward(pass, parameters, &mut transformed, d, head);
        add_rows(&d, &rows, &mut states.tokens);
    }
    Ok(term)
}

/// The rows of masked tokens in the batch, and their words.
///
/// # Errors
/// As [`masked_lm`].
pub(super) fn check_words(
    pass: &HeadPass<'_>,
    labels: &Array2<i64>,
) -> Result<(Vec<usize>, Vec<i64>)> {
    let (rows, labels) = labelled_rows(&pass.batch.layout, labels.view())?;
    check_classes(&labels, rows.len(), pass.words.nrows())?;
    Ok((rows, labels))
}

/// dense → activation → LayerNorm, of certain rows of the states.
fn transform(
    pass: &HeadPass<'_>,
    parameters: &MaskedLmHeadParameters,
    rows: &[usize],
) -> Transformed {
    let states = pass.states.tokens.select(Axis(0), rows);
    let pre_activation = pass.linear(&parameters.dense, &states);
    let mut norm_rows = Array2::zeros(pre_activation.raw_dim());
    let mut out = norm_rows.clone();
    let mut norm_factors = vec![0.0; rows.len()];
    let nonlinearity = pass.config.hidden_act.nonlinearity();
    let to = contiguous_mut(&mut norm_rows);
    activate(pass.isa, nonlinearity, contiguous(&pre_activation), to);
    let mut saved = SavedNorm { rows: to, factors: &mut norm_factors, parts: &mut [] };
    norm(pass, parameters).forward(&[], &mut saved, contiguous_mut(&mut out));
    Transformed { states, pre_activation, out, norm_rows, norm_factors }
}

/// The gradient of the states, from that of the LayerNorm's output.
fn transform_backward(
    pass: &HeadPass<'_>,
    parameters: &MaskedLmHeadParameters,
    transformed: &mut Transformed,
    d: Array2<f32>,
    gradient: &mut MaskedLmHeadParameters,
) -> Array2<f32> {
    let Transformed { states, pre_activation, norm_rows, norm_factors, .. } = transformed;
    // Here, all tokens are treated as one sequence for summing parts.
    let tokens = norm_factors.len();
    let all = [Sequence { start: 0, tokens, keys: Vec::new() }];
    let mut parts = vec![0.0; super::norm::parts(&all).len() * 2 * d.ncols()];
    let rows = contiguous_mut(norm_rows);
    let mut saved = SavedNorm { rows, factors: norm_factors, parts: &mut parts };
    norm(pass, parameters).backward(&all, &mut saved, contiguous(&d));
    add_parts(&parts, &mut gradient.layer_norm);
    let nonlinearity = pass.config.hidden_act.nonlinearity();
    let d = contiguous_mut(pre_activation);
    activation_backward(pass.isa, nonlinearity, contiguous(norm_rows), d);
    pass.linear_backward(&parameters.dense, states, pre_activation, &mut gradient.dense)
}

fn norm<'a>(pass: &HeadPass<'_>, parameters: &'a MaskedLmHeadParameters) -> TrainingNorm<'a> {
    let eps = pass.config.layer_norm_eps;
    TrainingNorm { isa: pass.isa, parameters: &parameters.layer_norm, eps }
}
