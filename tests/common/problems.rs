//! One small training problem of every kind: a model, inputs, and labels that count in part.

use ndalbert::train::{
    AnswerPositions, LossOutput, PreTrainingLabels, Targets, TrainingModel, TrainingOptions,
};
use ndalbert::{
    Activation, AlbertConfig, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining,
    AlbertForQuestionAnswering, AlbertForSentenceOrder, AlbertForSequenceClassification,
    AlbertForTokenClassification, ConfigFields, Model, ParameterSharing, ProblemType, Result,
};
use ndarray::{Array2, ArrayD};

use super::golden::Run;
use super::inputs::Inputs;
use super::random::{lively, numbers};
use super::reference::Reference;
use super::reference::heads::Judged;

/// Every head with every loss that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    MaskedLm,
    PreTraining,
    SentenceOrder,
    ChoiceByClass,
    ChoiceByDistribution,
    Regression,
    SingleLabel,
    MultiLabel,
    Tokens,
    Questions,
}

/// Calls a generic function for the model of a problem.
macro_rules! for_problem {
    ($problem:expr, $function:ident($($argument:expr),*)) => {
        match $problem {
            Problem::MaskedLm => $function::<ndalbert::AlbertForMaskedLM>($($argument),*),
            Problem::PreTraining => $function::<ndalbert::AlbertForPreTraining>($($argument),*),
            Problem::SentenceOrder => $function::<ndalbert::AlbertForSentenceOrder>($($argument),*),
            Problem::ChoiceByClass | Problem::ChoiceByDistribution => {
                $function::<ndalbert::AlbertForMultipleChoice>($($argument),*)
            }
            Problem::Regression | Problem::SingleLabel | Problem::MultiLabel => {
                $function::<ndalbert::AlbertForSequenceClassification>($($argument),*)
            }
            Problem::Tokens => $function::<ndalbert::AlbertForTokenClassification>($($argument),*),
            Problem::Questions => $function::<ndalbert::AlbertForQuestionAnswering>($($argument),*),
        }
    };
}
pub(crate) use for_problem;

impl Problem {
    pub const ALL: [Self; 10] = [
        Self::MaskedLm,
        Self::PreTraining,
        Self::SentenceOrder,
        Self::ChoiceByClass,
        Self::ChoiceByDistribution,
        Self::Regression,
        Self::SingleLabel,
        Self::MultiLabel,
        Self::Tokens,
        Self::Questions,
    ];

    /// The problem of that name in the golden files.
    pub fn from_name(name: &str) -> Self {
        match name {
            "masked_lm" | "masked_lm_untied" | "masked_lm_untied_bias" => Self::MaskedLm,
            "pretraining" | "pretraining_untied" => Self::PreTraining,
            "sentence_order" => Self::SentenceOrder,
            "choice_by_class" => Self::ChoiceByClass,
            "choice_by_distribution" => Self::ChoiceByDistribution,
            "regression" => Self::Regression,
            "single_label" => Self::SingleLabel,
            "multi_label" => Self::MultiLabel,
            "tokens" => Self::Tokens,
            "questions" | "questions_padded" => Self::Questions,
            other => panic!("no problem {other}"),
        }
    }

    /// The number of classes, and what kind they are of.
    fn configure(self, fields: &mut ConfigFields) {
        let (classes, problem_type) = match self {
            Self::Regression => (2, Some(ProblemType::Regression)),
            Self::SingleLabel => (3, Some(ProblemType::SingleLabelClassification)),
            Self::MultiLabel => (3, Some(ProblemType::MultiLabelClassification)),
            _ => (5, None),
        };
        fields.labels = (0..classes).map(|class| format!("LABEL_{class}")).collect();
        fields.problem_type = problem_type;
    }

    /// A model of sizes that are multiples of nothing, with changes.
    pub fn config(self, change: impl FnOnce(&mut ConfigFields)) -> AlbertConfig {
        let mut fields = ConfigFields {
            vocab_size: 37,
            embedding_size: 7,
            hidden_size: 12,
            num_attention_heads: 3,
            intermediate_size: 17,
            num_hidden_layers: 2,
            max_position_embeddings: 11,
            ..ConfigFields::default()
        };
        self.configure(&mut fields);
        change(&mut fields);
        AlbertConfig::new(fields).unwrap()
    }
}

/// Which layers have parameters of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub sharing: ParameterSharing,
    pub layers: usize,
    pub groups: usize,
    pub inner: usize,
}

impl Layout {
    /// All strategies, each with one block for all layers and with groups that share out the layers
    /// evenly or not.
    pub const ALL: [Self; 9] = [
        Self::new(ParameterSharing::All, 3, 1, 1),
        Self::new(ParameterSharing::All, 4, 2, 2),
        Self::new(ParameterSharing::All, 5, 3, 1),
        Self::new(ParameterSharing::Attention, 3, 1, 1),
        Self::new(ParameterSharing::Attention, 4, 2, 2),
        Self::new(ParameterSharing::Ffn, 3, 1, 1),
        Self::new(ParameterSharing::Ffn, 4, 2, 2),
        Self::new(ParameterSharing::None, 3, 1, 1),
        Self::new(ParameterSharing::None, 2, 2, 2),
    ];

    const fn new(sharing: ParameterSharing, layers: usize, groups: usize, inner: usize) -> Self {
        Self { sharing, layers, groups, inner }
    }

    pub fn apply(self, fields: &mut ConfigFields) {
        fields.parameter_sharing = self.sharing;
        fields.num_hidden_layers = self.layers;
        fields.num_hidden_groups = self.groups;
        fields.inner_group_num = self.inner;
    }
}

/// A choice of problems, layouts and activations: every problem with every sharing strategy, in
/// layouts that take turns (so each has several problems), and with activations that do, too.
pub fn covering() -> Vec<(Problem, Layout, Activation)> {
    const STRATEGIES: [ParameterSharing; 4] = [
        ParameterSharing::All,
        ParameterSharing::Attention,
        ParameterSharing::Ffn,
        ParameterSharing::None,
    ];
    let mut activations = Activation::ALL.iter().cycle();
    let mut chosen = Vec::new();
    for (i, problem) in Problem::ALL.into_iter().enumerate() {
        for strategy in STRATEGIES {
            let layouts = Layout::ALL.iter().filter(|layout| layout.sharing == strategy);
            let layout = layouts.cycle().nth(i).unwrap();
            chosen.push((problem, *layout, *activations.next().unwrap()));
        }
    }
    chosen
}

/// A model whose labels can be generated, or read from a golden file.
pub trait Labelled: Judged {
    /// Labels for any inputs; where there are more than two sequences, some do not count.
    fn labels(problem: Problem, config: &AlbertConfig, inputs: &Inputs) -> Self::Labels;

    /// The labels of a golden file.
    fn labels_of_run(run: &Run) -> Self::Labels;
}

/// A class for every other token that the mask leaves, the first of each sequence among them.
fn token_labels(inputs: &Inputs, classes: usize) -> Array2<i64> {
    let drawn: Vec<u32> = numbers(77, classes as u32).take(inputs.ids.len()).collect();
    Array2::from_shape_fn(inputs.ids.dim(), |(sequence, column)| {
        let counts = column % 2 == 0 && inputs.mask[[sequence, column]] == 1;
        if counts { i64::from(drawn[sequence * inputs.length() + column]) } else { -100 }
    })
}

/// A class for every row but the third, which does not count.
fn classes(rows: usize, classes: usize) -> Vec<i64> {
    let drawn = numbers(78, classes as u32).take(rows).enumerate();
    drawn.map(|(row, class)| if row == 2 { -100 } else { i64::from(class) }).collect()
}

/// Values from 0 to 1, some of them 0 and 1 themselves; rows add up to 1 if they are to.
fn values(rows: usize, columns: usize, is_distribution: bool) -> Array2<f32> {
    let mut drawn = numbers(79, 5).map(|number| number as f32 / 4.0);
    let mut values = Array2::from_shape_simple_fn((rows, columns), || drawn.next().unwrap());
    if is_distribution {
        for mut row in values.outer_iter_mut() {
            row[0] += 0.5;
            let sum = row.sum();
            row /= sum;
        }
    }
    values
}

impl Labelled for AlbertForMaskedLM {
    fn labels(_: Problem, config: &AlbertConfig, inputs: &Inputs) -> Self::Labels {
        token_labels(inputs, config.vocab_size)
    }

    fn labels_of_run(run: &Run) -> Self::Labels {
        run.rows("labels").unwrap()
    }
}

impl Labelled for AlbertForPreTraining {
    fn labels(_: Problem, config: &AlbertConfig, inputs: &Inputs) -> Self::Labels {
        PreTrainingLabels {
            masked_lm: token_labels(inputs, config.vocab_size),
            sentence_order: classes(inputs.sequences(), 2),
        }
    }

    fn labels_of_run(run: &Run) -> Self::Labels {
        PreTrainingLabels {
            masked_lm: run.rows("labels").unwrap(),
            sentence_order: flat(&run.integers["sentence_order_label"]),
        }
    }
}

impl Labelled for AlbertForSentenceOrder {
    fn labels(_: Problem, _: &AlbertConfig, inputs: &Inputs) -> Self::Labels {
        classes(inputs.sequences(), 2)
    }

    fn labels_of_run(run: &Run) -> Self::Labels {
        flat(&run.integers["sentence_order_label"])
    }
}

impl Labelled for AlbertForMultipleChoice {
    /// Two choices for every prompt.
    fn labels(problem: Problem, _: &AlbertConfig, inputs: &Inputs) -> Self::Labels {
        let prompts = inputs.sequences() / 2;
        match problem {
            Problem::ChoiceByClass => Targets::Classes(classes(prompts, 2)),
            _ => Targets::Values(values(prompts, 2, true)),
        }
    }

    fn labels_of_run(run: &Run) -> Self::Labels {
        targets_of(run)
    }
}

impl Labelled for AlbertForSequenceClassification {
    fn labels(problem: Problem, config: &AlbertConfig, inputs: &Inputs) -> Self::Labels {
        match problem {
            Problem::SingleLabel => Targets::Classes(classes(inputs.sequences(), 3)),
            _ => Targets::Values(values(inputs.sequences(), config.num_labels(), false)),
        }
    }

    fn labels_of_run(run: &Run) -> Self::Labels {
        targets_of(run)
    }
}

impl Labelled for AlbertForTokenClassification {
    fn labels(_: Problem, config: &AlbertConfig, inputs: &Inputs) -> Self::Labels {
        token_labels(inputs, config.num_labels())
    }

    fn labels_of_run(run: &Run) -> Self::Labels {
        run.rows("labels").unwrap()
    }
}

impl Labelled for AlbertForQuestionAnswering {
    /// First and last token of each sequence; of the third, only the last counts; of the first, −1
    /// stands for 0.
    fn labels(_: Problem, _: &AlbertConfig, inputs: &Inputs) -> Self::Labels {
        let real = |i| inputs.mask.row(i).into_iter().enumerate().filter(|(_, real)| **real == 1);
        let sequences = 0..inputs.sequences();
        let (mut start, end): (Vec<i64>, Vec<i64>) = sequences
            .map(|i| (real(i).next().unwrap().0 as i64, real(i).next_back().unwrap().0 as i64))
            .unzip();
        if let [first, _, third, ..] = start.as_mut_slice() {
            // Where the mask leaves its first token.
            *first = if *first == 0 { -1 } else { *first };
            *third = inputs.length() as i64;
        }
        AnswerPositions { start, end }
    }

    fn labels_of_run(run: &Run) -> Self::Labels {
        AnswerPositions {
            start: flat(&run.integers["start_positions"]),
            end: flat(&run.integers["end_positions"]),
        }
    }
}

fn flat(labels: &ArrayD<i64>) -> Vec<i64> {
    labels.iter().copied().collect()
}

fn targets_of(run: &Run) -> Targets {
    if let Some(classes) = run.integers.get("labels") {
        return Targets::Classes(flat(classes));
    }
    let values = &run.floats["labels"];
    let rows = values.shape()[0];
    Targets::Values(values.to_shape((rows, values.len() / rows)).unwrap().into_owned())
}

/// A model, a batch and its labels.
pub struct Example<M: Labelled> {
    pub config: AlbertConfig,
    pub parameters: M::Parameters,
    pub inputs: Inputs,
    pub labels: M::Labels,
}

impl<M: Labelled> Example<M> {
    /// Lively weights, and the inputs with every kind of padding.
    pub fn new(problem: Problem, config: AlbertConfig, seed: u64) -> Self {
        let inputs = Inputs::masked(seed, config.vocab_size);
        Self::with_inputs(problem, config, inputs, seed)
    }

    pub fn with_inputs(problem: Problem, config: AlbertConfig, inputs: Inputs, seed: u64) -> Self {
        let parameters = lively::<M>(&config, seed);
        let labels = M::labels(problem, &config, &inputs);
        Self { config, parameters, inputs, labels }
    }

    pub fn training_model(&self, options: TrainingOptions) -> TrainingModel<M> {
        TrainingModel::new(self.config.clone(), self.parameters.clone(), options).unwrap()
    }

    /// Loss and gradients without dropout.
    pub fn gradients(&self, options: TrainingOptions) -> (LossOutput, M::Parameters) {
        let mut model = self.training_model(options);
        let mut gradients = model.zero_gradients();
        let loss = model.backward(&self.inputs.batch(), &self.labels, None, 1.0, &mut gradients);
        (loss.unwrap(), gradients)
    }

    pub fn reference(&self) -> Reference<'_> {
        Reference::new(&self.config, &self.parameters)
    }

    pub fn reference_loss(&self, reference: &Reference<'_>) -> f64 {
        M::reference_loss(reference, &self.inputs, &self.labels)
    }

    pub fn inference_loss(&self) -> Result<f32> {
        let model = M::from_parameters(self.config.clone(), self.parameters.clone())?;
        model.inference_loss(&self.inputs.batch(), &self.labels)
    }
}
