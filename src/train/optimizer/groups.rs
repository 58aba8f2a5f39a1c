//! Groups of parameters by name, with their own optimizer settings.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::train::check::check_not_negative;

/// A group of parameters with their own settings.
///
/// Names are those of the parameters' visitor, which are transformers' (`albert.embeddings.LayerNorm.weight`). A group contains the parameters whose whole name matches one of its patterns; `*` matches any characters, or none. If several groups match, only the first applies: a group before [`without_decay`](Self::without_decay) that matches biases decides whether they decay.
///
/// A classifier that learns ten times as fast as the backbone:
///
/// ```
/// use ndalbert::train::{AdamOptions, ParameterGroup};
///
/// let faster = |group| ParameterGroup { learning_rate_factor: 10.0, ..group };
/// let options = AdamOptions {
///     groups: vec![
///         faster(ParameterGroup { weight_decay: Some(0.0), ..ParameterGroup::new(["classifier.bias"]) }),
///         faster(ParameterGroup::new(["classifier.*"])),
///         ParameterGroup::without_decay(),
///     ],
///     ..AdamOptions::torch()
/// };
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterGroup {
    /// Patterns of names.
    pub names: Vec<String>,
    /// The factor of the learning rate.
    pub learning_rate_factor: f64,
    /// The weight decay, if it is not the optimizer's.
    pub weight_decay: Option<f64>,
    /// Whether LAMB scales the update by the trust ratio. Other optimizers have none.
    pub trust_ratio: bool,
    /// Whether parameters and their moments are frozen. A [`Trainer`](crate::train::Trainer) then treats their gradients as zero, in the norm and in the check for finite gradients.
    pub frozen: bool,
}

impl ParameterGroup {
    /// The parameters that match one of these patterns, with default settings.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            learning_rate_factor: 1.0,
            weight_decay: None,
            trust_ratio: true,
            frozen: false,
        }
    }

    /// LayerNorms and biases, without weight decay and without trust ratio: google-research's
    /// `exclude_from_weight_decay`, and what transformers' `Trainer` does.
    pub fn without_decay() -> Self {
        let names = ["*LayerNorm*", "*layer_norm*", "*bias"];
        Self { weight_decay: Some(0.0), trust_ratio: false, ..Self::new(names) }
    }

    /// The parameters that match one of these patterns, frozen.
    pub fn frozen<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { frozen: true, ..Self::new(names) }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| matches(pattern, name))
    }

    fn validate(&self) -> Result<()> {
        let place = |field| format!("{field} of the group {:?}", self.names);
        let factor = self.learning_rate_factor;
        check_not_negative(&place("learning-rate factor"), factor)?;
        check_not_negative(&place("weight decay"), self.weight_decay.unwrap_or(0.0))
    }
}

/// What is done with one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Treatment {
    pub(super) learning_rate_factor: f64,
    pub(super) weight_decay: f64,
    pub(super) trust_ratio: bool,
    pub(super) frozen: bool,
}

/// What is done with each parameter, in the order of the names.
pub(super) fn treatments(
    groups: &[ParameterGroup],
    weight_decay: f64,
    names: &[String],
) -> Result<Vec<Treatment>> {
    for group in groups {
        group.validate()?;
        if !names.iter().any(|name| group.has(name)) {
            let what = format!("parameter group {:?}", group.names);
            return Err(Error::input(what, "patterns that match a parameter", "none that does"));
        }
    }
    let rest = ParameterGroup::new(["*"]);
    let treatment = |name: &String| {
        let group = groups.iter().find(|group| group.has(name)).unwrap_or(&rest);
        Treatment {
            learning_rate_factor: group.learning_rate_factor,
            weight_decay: group.weight_decay.unwrap_or(weight_decay),
            trust_ratio: group.trust_ratio,
            frozen: group.frozen,
        }
    };
    Ok(names.iter().map(treatment).collect())
}

/// Whether a pattern, in which `*` stands for anything, matches a whole name.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("pooler.bias", "pooler.bias", true),
            ("pooler", "pooler.bias", false),
            ("bias", "pooler.bias", false),
            ("*bias", "pooler.bias", true),
            ("*bias", "pooler.bias.scale", false),
            ("pooler.*", "pooler.bias", true),
            ("pooler.*", "albert.pooler.bias", false),
            ("*.LayerNorm.*", "embeddings.LayerNorm.weight", true),
            ("*a*b*a*", "aba", true),
            ("*a*b*a*", "abb", false),
            ("ab*ba", "aba", false),
            ("*ab", "aab", true),
            ("*", "", true),
            ("**", "anything", true),
            ("", "", true),
            ("", "pooler", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_first_group_that_matches_counts() {
        let groups = [
            ParameterGroup::frozen(["albert.embeddings.*"]),
            ParameterGroup { learning_rate_factor: 3.0, ..ParameterGroup::new(["classifier.*"]) },
            ParameterGroup::without_decay(),
        ];
        let names = names(&[
            "albert.embeddings.LayerNorm.weight",
            "classifier.bias",
            "albert.encoder.full_layer_layer_norm.weight",
            "albert.encoder.attention.LayerNorm.weight",
            "albert.pooler.bias",
            "albert.pooler.weight",
        ]);
        let found = treatments(&groups, 0.1, &names).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|t| (t.learning_rate_factor, t.weight_decay, t.trust_ratio, t.frozen))
            .collect();
        let plain = (1.0, 0.0, false, false);
        let expected = [
            (1.0, 0.1, true, true),
            (3.0, 0.1, true, false),
            plain,
            plain,
            plain,
            (1.0, 0.1, true, false),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn groups_that_cannot_be_meant_are_refused() {
        let names = names(&["pooler.weight"]);
        let group = || ParameterGroup::new(["pooler.*"]);
        for (group, word) in [
            (ParameterGroup::new(["poller.*"]), "poller"),
            (ParameterGroup::new([""; 0]), "match"),
            (ParameterGroup { learning_rate_factor: f64::NAN, ..group() }, "factor"),
            (ParameterGroup { learning_rate_factor: -1.0, ..group() }, "factor"),
            (ParameterGroup { weight_decay: Some(-0.1), ..group() }, "weight decay"),
            (ParameterGroup { weight_decay: Some(f64::INFINITY), ..group() }, "weight decay"),
        ] {
            let error = treatments(&[group], 0.0, &names).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
