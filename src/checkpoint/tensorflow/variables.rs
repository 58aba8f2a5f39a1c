//! TensorFlow's names of variables → transformers' names of parameters.
//!
//! The table that transformers' `load_tf_weights_in_albert` has as a row of replacements, without its gaps: it skips
//! the heads of SQuAD, and replaces wherever a name has such letters.

use std::collections::BTreeSet;

/// How a layer's variables end, and what becomes of them.
#[derive(Clone, Copy, Debug)]
enum Layer {
    /// `kernel` `[in, out]` and `bias`.
    Dense,
    /// `gamma` and `beta`.
    Norm,
    /// The name is a variable's already.
    Whole,
}
use Layer::{Dense, Norm, Whole};

/// A layer's name here and there.
type Row = (&'static str, &'static str, Layer);

/// Variables under the backbone's scope.
const BACKBONE: [Row; 6] = [
    ("embeddings/word_embeddings", "embeddings.word_embeddings.weight", Whole),
    ("embeddings/position_embeddings", "embeddings.position_embeddings.weight", Whole),
    ("embeddings/token_type_embeddings", "embeddings.token_type_embeddings.weight", Whole),
    ("embeddings/LayerNorm", "embeddings.LayerNorm", Norm),
    ("encoder/embedding_hidden_mapping_in", "encoder.embedding_hidden_mapping_in", Dense),
    ("pooler/dense", "pooler", Dense),
];

/// Variables under `encoder/transformer/group_G/inner_group_J/`.
const LAYERS: [Row; 8] = [
    ("attention_1/self/query", "attention.query", Dense),
    ("attention_1/self/key", "attention.key", Dense),
    ("attention_1/self/value", "attention.value", Dense),
    ("attention_1/output/dense", "attention.dense", Dense),
    ("LayerNorm", "attention.LayerNorm", Norm),
    ("ffn_1/intermediate/dense", "ffn", Dense),
    ("ffn_1/intermediate/output/dense", "ffn_output", Dense),
    ("LayerNorm_1", "full_layer_layer_norm", Norm),
];

/// Variables outside the backbone's scope. The matrices of heads are `[out, in]` already.
const HEADS: [Row; 9] = [
    ("cls/predictions/transform/dense", "predictions.dense", Dense),
    ("cls/predictions/transform/LayerNorm", "predictions.LayerNorm", Norm),
    ("cls/predictions/output_bias", "predictions.bias", Whole),
    ("cls/seq_relationship/output_weights", "sop_classifier.classifier.weight", Whole),
    ("cls/seq_relationship/output_bias", "sop_classifier.classifier.bias", Whole),
    ("cls/squad/output_weights", "qa_outputs.weight", Whole),
    ("cls/squad/output_bias", "qa_outputs.bias", Whole),
    ("output_weights", "classifier.weight", Whole),
    ("output_bias", "classifier.bias", Whole),
];

/// What every backbone has, by which its scope is found.
const LANDMARK: &str = "embeddings/word_embeddings";

/// The scope of google-research/albert.
const USUAL_SCOPE: &str = "bert/";

/// The most backbones: a teacher and its students, say.
const MAX_SCOPES: usize = 16;

/// The counters of `tf.train`'s optimizers.
const COUNTERS: [&str; 3] = ["global_step", "beta1_power", "beta2_power"];

/// What a variable is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A parameter of an ALBERT, by transformers' name.
    Parameter {
        name: String,
        /// Whether it is a matrix that transformers keeps the other way round.
        transposed: bool,
    },
    /// What an optimizer keeps.
    Optimizer,
    /// None of these.
    Unknown,
}

/// Under which scopes there are backbones, each with its slash: `bert/` as released, `module/bert/` on TF Hub.
#[derive(Debug)]
pub(super) struct Scopes(Vec<String>);

impl Scopes {
    /// Finds the scopes.
    ///
    /// # Errors
    ///
    /// That the checkpoint is none of an ALBERT, if it is of a kind that is often taken for one.
    pub fn of<'a>(variables: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let variables: BTreeSet<&str> = variables.collect();
        let scope = |name: &&&str| {
            let scope = name.strip_suffix(LANDMARK)?;
            (scope.is_empty() || scope.ends_with('/')).then(|| scope.to_owned())
        };
        let scopes: Vec<String> = variables.iter().filter_map(|name| scope(&name)).collect();
        if scopes.len() > MAX_SCOPES {
            let found = scopes.len();
            return Err(format!(
                "expected at most {MAX_SCOPES} models in a checkpoint, found {found}"
            ));
        }
        for scope in &scopes {
            refuse_relatives(scope, &variables)?;
        }
        if scopes.is_empty() && variables.iter().any(|name| name.ends_with("VARIABLE_VALUE")) {
            return Err("expected the variables of google-research/albert, found a checkpoint of objects \
                 (`tf.train.Checkpoint`, Keras), which has other names: convert it with the code that wrote it"
                .into());
        }
        Ok(Self(if scopes.is_empty() { vec![USUAL_SCOPE.to_owned()] } else { scopes }))
    }

    /// What the variable of this name is.
    pub fn usage(&self, variable: &str) -> Use {
        if let Some((name, transposed)) = self.parameter(variable) {
            return Use::Parameter { name, transposed };
        }
        let last = variable.rsplit('/').next().unwrap_or(variable);
        // An optimizer's variables are named after those that they belong to: `…/kernel/adam_m`, `…/kernel/SGD/momentum`.
        let ends = variable.rmatch_indices('/').take(2);
        let mut owners = ends.filter_map(|(end, _)| variable.get(..end));
        if COUNTERS.contains(&last) || owners.any(|owner| self.parameter(owner).is_some()) {
            return Use::Optimizer;
        }
        Use::Unknown
    }

    /// The parameter's name, and whether it is transposed.
    ///
    /// Of several backbones, each keeps its scope as a prefix.
    fn parameter(&self, variable: &str) -> Option<(String, bool)> {
        let several = self.0.len() > 1;
        self.0.iter().find_map(|scope| {
            let outer = scope.trim_end_matches('/').rfind('/').map_or("", |end| &scope[..=end]);
            let dotted = |scope: &str| scope.replace('/', ".");
            if let Some((name, transposed)) = variable.strip_prefix(scope).and_then(backbone) {
                let prefix = if several { dotted(scope) } else { "albert.".into() };
                return Some((format!("{prefix}{name}"), transposed));
            }
            let (name, transposed) = find(&HEADS, variable.strip_prefix(outer)?)?;
            let prefix = if several { dotted(outer) } else { String::new() };
            Some((format!("{prefix}{name}"), transposed))
        })
    }
}

/// Refuses models that share BERT's names, but are computed otherwise.
fn refuse_relatives(scope: &str, variables: &BTreeSet<&str>) -> Result<(), String> {
    let has = |name: &str| variables.contains(format!("{scope}{name}").as_str());
    let query = "attention/self/query/kernel";
    if has("embeddings/word_embeddings_2") || has(&format!("encoder/layer_shared/{query}")) {
        return Err("expected the variables of google-research/albert, found those of brightmart/albert_zh's own model \
             (`word_embeddings_2`, `layer_shared`), which adds positions and types after the projection: take \
             a `*_google` model of albert_zh, or one of google-research/albert"
            .into());
    }
    if has(&format!("encoder/layer_0/{query}")) {
        return Err("expected the variables of google-research/albert, found those of a BERT (`encoder/layer_0`)".into());
    }
    Ok(())
}

/// The name of a backbone's parameter, by its name after the scope.
fn backbone(variable: &str) -> Option<(String, bool)> {
    let Some(rest) = variable.strip_prefix("encoder/transformer/group_") else {
        return find(&BACKBONE, variable);
    };
    let (group, rest) = number(rest)?;
    let (inner, rest) = number(rest.strip_prefix("inner_group_")?)?;
    let (name, transposed) = find(&LAYERS, rest)?;
    Some((format!("encoder.albert_layer_groups.{group}.albert_layers.{inner}.{name}"), transposed))
}

/// A number, and what stands after it and a slash. Numbers with zeros before them are none.
fn number(text: &str) -> Option<(usize, &str)> {
    let (digits, rest) = text.split_once('/')?;
    let number: usize = digits.parse().ok()?;
    (number.to_string() == digits).then_some((number, rest))
}

fn find(rows: &[Row], variable: &str) -> Option<(String, bool)> {
    let (layer, end) = variable.rsplit_once('/').unwrap_or(("", variable));
    rows.iter().find_map(|&(theirs, ours, kind)| match (kind, end) {
        (Whole, _) => (theirs == variable).then(|| (ours.to_owned(), false)),
        _ if theirs != layer => None,
        (Dense, "kernel") => Some((format!("{ours}.weight"), true)),
        (Norm, "gamma") => Some((format!("{ours}.weight"), false)),
        (Dense, "bias") | (Norm, "beta") => Some((format!("{ours}.bias"), false)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::table::Table;
    use super::*;

    fn scopes(variables: &[&str]) -> Scopes {
        Scopes::of(variables.iter().copied()).unwrap()
    }

    fn parameter(name: &str, transposed: bool) -> Use {
        Use::Parameter { name: name.to_owned(), transposed }
    }

    /// The names that a row stands for, under what precedes it.
    fn names_of(prefix: &str, rows: &[Row]) -> Vec<String> {
        let ends = |kind| match kind {
            Dense => ["/kernel", "/bias"].as_slice(),
            Norm => &["/gamma", "/beta"],
            Whole => &[""],
        };
        let names = |&(theirs, _, kind): &Row| {
            ends(kind).iter().map(move |end| format!("{prefix}{theirs}{end}"))
        };
        rows.iter().flat_map(names).collect()
    }

    /// Every variable is a parameter of the one table of names, and every parameter of a backbone is a variable.
    #[test]
    fn variables_are_the_parameters_of_the_table() {
        let table = Table::new().unwrap();
        let scopes = scopes(&["bert/embeddings/word_embeddings"]);
        let found = |name: &String| match scopes.usage(name) {
            Use::Parameter { name, .. } => name,
            other => panic!("{name}: {other:?}"),
        };
        let layer = "bert/encoder/transformer/group_0/inner_group_0/";
        let mut backbone = names_of("bert/", &BACKBONE);
        backbone.extend(names_of(layer, &LAYERS));
        let backbone: BTreeSet<String> = backbone.iter().map(found).collect();
        assert_eq!(backbone.len(), 25);
        for name in &backbone {
            assert!(table.find(name).is_some_and(|(_, start)| start == "albert.".len()), "{name}");
        }
        for name in table.essential() {
            assert!(backbone.contains(&format!("albert.{name}")), "{name}");
        }
        let heads: BTreeSet<String> = names_of("", &HEADS).iter().map(found).collect();
        assert_eq!(heads.len(), 11);
        for name in &heads {
            assert!(table.is_head(name), "{name}");
        }
    }

    #[test]
    fn groups_layers_and_kernels() {
        let scopes = scopes(&["module/bert/embeddings/word_embeddings"]);
        let layer = "module/bert/encoder/transformer/group_11/inner_group_2";
        let ours = "albert.encoder.albert_layer_groups.11.albert_layers.2";
        for (theirs, name, transposed) in [
            ("attention_1/self/query/kernel", "attention.query.weight", true),
            ("attention_1/output/dense/bias", "attention.dense.bias", false),
            ("LayerNorm/gamma", "attention.LayerNorm.weight", false),
            ("LayerNorm_1/beta", "full_layer_layer_norm.bias", false),
            ("ffn_1/intermediate/output/dense/kernel", "ffn_output.weight", true),
        ] {
            let expected = parameter(&format!("{ours}.{name}"), transposed);
            assert_eq!(scopes.usage(&format!("{layer}/{theirs}")), expected);
        }
        let sop = "module/cls/seq_relationship/output_weights";
        assert_eq!(scopes.usage(sop), parameter("sop_classifier.classifier.weight", false));
        assert_eq!(scopes.usage("module/output_bias"), parameter("classifier.bias", false));
        for unknown in [
            "module/bert/encoder/transformer/group_01/inner_group_0/LayerNorm/gamma",
            "module/bert/encoder/transformer/group_0/inner_group_0/LayerNorm/kernel",
            "module/bert/encoder/transformer/group_0/inner_group_0/ffn_2/intermediate/dense/kernel",
            "module/bert/encoder/transformer/group_-1/inner_group_0/LayerNorm/gamma",
            "bert/pooler/dense/kernel",
            "module/start_logits/dense/kernel",
            "",
        ] {
            assert_eq!(scopes.usage(unknown), Use::Unknown, "{unknown}");
        }
    }

    #[test]
    fn what_optimizers_keep() {
        let scopes = scopes(&["bert/embeddings/word_embeddings"]);
        for name in [
            "global_step",
            "beta1_power",
            "training/beta2_power",
            "bert/embeddings/word_embeddings/adam_m",
            "bert/pooler/dense/kernel/Adam_1",
            "bert/pooler/dense/kernel/LAMB/v",
            "cls/predictions/output_bias/ExponentialMovingAverage",
            "output_weights/adam_v",
        ] {
            assert_eq!(scopes.usage(name), Use::Optimizer, "{name}");
        }
    }

    /// Of several models, each keeps its prefix, by which it can be chosen; a scope of another name is one, too.
    #[test]
    fn scopes_of_other_names_and_of_several_models() {
        let one = scopes(&["encoder/embeddings/word_embeddings"]);
        assert_eq!(one.usage("encoder/pooler/dense/bias"), parameter("albert.pooler.bias", false));
        assert_eq!(one.usage("output_bias"), parameter("classifier.bias", false));
        let none = scopes(&["embeddings/word_embeddings"]);
        assert_eq!(none.usage("pooler/dense/bias"), parameter("albert.pooler.bias", false));
        let two =
            scopes(&["student/bert/embeddings/word_embeddings", "bert/embeddings/word_embeddings"]);
        let student = "student/bert/pooler/dense/bias";
        assert_eq!(two.usage(student), parameter("student.bert.pooler.bias", false));
        assert_eq!(two.usage("bert/pooler/dense/bias"), parameter("bert.pooler.bias", false));
        let head = "student/cls/predictions/output_bias";
        assert_eq!(two.usage(head), parameter("student.predictions.bias", false));
    }
}
