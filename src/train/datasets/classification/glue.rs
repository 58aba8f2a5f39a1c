//! The tasks of GLUE (Wang et al. 2018).

use super::{ClassificationTask, Column, TsvLayout};
use crate::train::datasets::labels::LabelNames;

/// A task of GLUE: the layout of its `.tsv` files, and its classes in transformers' order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the task of that name")]
pub enum GlueTask {
    Cola,
    Sst2,
    Mrpc,
    Qqp,
    StsB,
    Mnli,
    Qnli,
    Rte,
    Wnli,
}

impl GlueTask {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Cola,
        Self::Sst2,
        Self::Mrpc,
        Self::Qqp,
        Self::StsB,
        Self::Mnli,
        Self::Qnli,
        Self::Rte,
        Self::Wnli,
    ];

    /// The task of a name as transformers' `run_glue` has it: `cola`, `sst2`, `mrpc`, `qqp`, `stsb`, `mnli`, `qnli`, `rte`, `wnli`;
    /// capitals and hyphens do not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase().replace('-', "");
        Self::ALL.into_iter().find(|task| format!("{task:?}").to_lowercase() == name)
    }

    /// The layout of the training and development files, or of the test files, which have no labels.
    ///
    /// The published files of QQP have lines that are too short, which are skipped, as in transformers.
    pub fn layout(self, is_labelled: bool) -> TsvLayout {
        if self == Self::Cola && is_labelled {
            return TsvLayout {
                has_header: false,
                text: Column::Index(3),
                text_pair: None,
                label: Some(Column::Index(1)),
                skip_short_lines: false,
            };
        }
        let (text, text_pair, label) = match self {
            Self::Cola | Self::Sst2 => ("sentence", None, "label"),
            Self::Mrpc => ("#1 String", Some("#2 String"), "Quality"),
            Self::Qqp => ("question1", Some("question2"), "is_duplicate"),
            Self::StsB => ("sentence1", Some("sentence2"), "score"),
            Self::Mnli => ("sentence1", Some("sentence2"), "gold_label"),
            Self::Qnli => ("question", Some("sentence"), "label"),
            Self::Rte | Self::Wnli => ("sentence1", Some("sentence2"), "label"),
        };
        TsvLayout {
            has_header: true,
            text: text.into(),
            text_pair: text_pair.map(Column::from),
            label: is_labelled.then(|| label.into()),
            skip_short_lines: self == Self::Qqp,
        }
    }

    /// The meaning of the labels: one value for STS-B, classes otherwise, with the names and in the order of transformers' `run_glue`. Files with ids instead of names are accepted, too.
    pub fn task(self) -> ClassificationTask {
        let names = match self {
            Self::Cola => ["unacceptable", "acceptable"].as_slice(),
            Self::Sst2 => &["negative", "positive"],
            Self::Mrpc => &["not_equivalent", "equivalent"],
            Self::Qqp => &["not_duplicate", "duplicate"],
            Self::Mnli => &["entailment", "neutral", "contradiction"],
            Self::Qnli | Self::Rte => &["entailment", "not_entailment"],
            Self::Wnli => &["not_entailment", "entailment"],
            Self::StsB => return ClassificationTask::Regression(1),
        };
        let names = LabelNames::new(names.iter().copied()).expect("the names above differ");
        ClassificationTask::SingleLabel(names)
    }
}
