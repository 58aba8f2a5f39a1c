//! Whether fields fit each other.

use super::{ConfigFields, ParameterSharing, counts};
use crate::error::{Error, Result};

/// Checks sizes first, which what follows divides by.
///
/// # Errors
/// [`Error::Config`] for the first field that does not fit.
pub(super) fn check(fields: &ConfigFields) -> Result<()> {
    check_sizes(fields)?;
    check_layout(fields)?;
    check_numbers(fields)?;
    check_exits(fields)?;
    match &fields.int8_outliers {
        Some(outliers) => outliers.check(fields),
        None => Ok(()),
    }
}

fn check_sizes(fields: &ConfigFields) -> Result<()> {
    let sizes = [
        ("vocab_size", fields.vocab_size),
        ("embedding_size", fields.embedding_size),
        ("hidden_size", fields.hidden_size),
        ("num_hidden_layers", fields.num_hidden_layers),
        ("num_hidden_groups", fields.num_hidden_groups),
        ("num_attention_heads", fields.num_attention_heads),
        ("intermediate_size", fields.intermediate_size),
        ("inner_group_num", fields.inner_group_num),
        ("max_position_embeddings", fields.max_position_embeddings),
        ("type_vocab_size", fields.type_vocab_size),
        ("num_labels", fields.labels.len()),
    ];
    for (name, size) in sizes {
        // Ids are `u32`; this also keeps every later product of three sizes far from overflow in
        // 128 bits.
        if size == 0 || size > u32::MAX as usize {
            return Err(Error::config(name, format!("1 to {}", u32::MAX), size.to_string()));
        }
    }
    Ok(())
}

/// How many layers may be applied one after the other; the deepest ALBERT that was published has 24.
const MAX_APPLICATIONS: usize = 1 << 16;

fn check_layout(fields: &ConfigFields) -> Result<()> {
    let (layers, inner) = (fields.num_hidden_layers, fields.inner_group_num);
    if layers.saturating_mul(inner) > MAX_APPLICATIONS {
        let expected = format!("at most {MAX_APPLICATIONS} layers, inner ones counted");
        return Err(Error::config("num_hidden_layers", expected, format!("{layers} × {inner}")));
    }
    let (hidden, heads) = (fields.hidden_size, fields.num_attention_heads);
    if !hidden.is_multiple_of(heads) {
        let expected = format!("a divisor of hidden_size = {hidden}");
        return Err(Error::config("num_attention_heads", expected, heads.to_string()));
    }
    let groups = fields.num_hidden_groups;
    if groups > layers {
        let expected = format!("at most num_hidden_layers = {layers}");
        return Err(Error::config("num_hidden_groups", expected, groups.to_string()));
    }
    if fields.parameter_sharing == ParameterSharing::None && groups != layers {
        let expected = format!("1 or num_hidden_layers = {layers} where nothing is shared");
        return Err(Error::config("num_hidden_groups", expected, groups.to_string()));
    }
    if let Some(pad) = fields.pad_token_id.filter(|&pad| pad as usize >= fields.vocab_size) {
        let expected = format!("an id below vocab_size = {}", fields.vocab_size);
        return Err(Error::config("pad_token_id", expected, pad.to_string()));
    }
    counts::check_total(fields)
}

fn check_exits(fields: &ConfigFields) -> Result<()> {
    let (exits, layers) = (&fields.exit_layers, fields.num_hidden_layers);
    let ascends = exits.windows(2).all(|pair| pair[0] < pair[1]);
    let fits = exits.first() != Some(&0) && exits.last().is_none_or(|&last| last == layers);
    if ascends && fits {
        return Ok(());
    }
    let expected = format!("layers from 1 on, ascending, the last num_hidden_layers = {layers}");
    Err(Error::config("exit_layers", expected, shortened(exits)))
}

/// A list as an error shows it: never pages of it.
fn shortened(list: &[usize]) -> String {
    const MOST: usize = 12;
    match list {
        [first @ .., _] if first.len() >= MOST => format!("{:?}…", &list[..MOST]),
        _ => format!("{list:?}"),
    }
}

fn check_numbers(fields: &ConfigFields) -> Result<()> {
    let probabilities = [
        ("hidden_dropout_prob", Some(fields.hidden_dropout_prob)),
        ("attention_probs_dropout_prob", Some(fields.attention_probs_dropout_prob)),
        ("classifier_dropout_prob", fields.classifier_dropout_prob),
    ];
    for (name, value) in probabilities {
        if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value)) {
            return Err(Error::config(name, "a probability, 0 ≤ p ≤ 1", value.to_string()));
        }
    }
    let range = fields.initializer_range;
    if !((range as f32).is_finite() && range >= 0.0) {
        let expected = "a standard deviation: a finite number, at least 0";
        return Err(Error::config("initializer_range", expected, range.to_string()));
    }
    // It is used in single precision, where it must neither vanish (a constant row would become
    // NaN) nor overflow.
    let eps = fields.layer_norm_eps;
    if !((eps as f32).is_finite() && eps as f32 > 0.0) {
        let expected = "a finite number above 0, in single precision";
        return Err(Error::config("layer_norm_eps", expected, eps.to_string()));
    }
    Ok(())
}
