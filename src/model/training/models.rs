//! Every model's head and loss.

use ndarray::Array2;

use super::exits::pooled_classifiers;
use super::heads::{HeadGradients, HeadTask, single, token_classifier};
use super::loss::cross_entropy;
use super::masked_lm::{check_words, masked_lm};
use super::objective::Objective;
use super::question_answering::positions_term;
use super::{AnswerPositions, LossOutput, PreTrainingLabels, Targets, TrainableModel};
use crate::batch::Batch;
use crate::error::Result;
use crate::model::heads::{
    AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining, AlbertForQuestionAnswering,
    AlbertForSentenceOrder, AlbertForSequenceClassification, AlbertForTokenClassification,
    ClassifierParameters, MaskedLmHeadParameters, PreTrainingHeadParameters,
    QuestionAnsweringHeadParameters, SentenceOrderHeadParameters, labelled_rows,
};
use crate::nn::Linear;

type Task<'a, M> = HeadTask<'a, <M as TrainableModel>::Head, <M as TrainableModel>::Labels>;

impl TrainableModel for AlbertForMaskedLM {
    type Head = MaskedLmHeadParameters;

    /// `[B, S]`; −100 is ignored.
    type Labels = Array2<i64>;

    fn rows_read(batch: &Batch, labels: &Self::Labels) -> Result<Vec<usize>> {
        labelled(batch, labels)
    }

    fn head_pass(task: Task<'_, Self>) -> Result<LossOutput> {
        let HeadTask { pass, head, labels, gradients } = task;
        masked_lm(pass, "masked_lm", head, labels, gradients).map(single)
    }
}

impl TrainableModel for AlbertForPreTraining {
    type Head = PreTrainingHeadParameters;
    type Labels = PreTrainingLabels;

    fn rows_read(batch: &Batch, labels: &Self::Labels) -> Result<Vec<usize>> {
        labelled(batch, &labels.masked_lm)
    }

    fn head_pass(task: Task<'_, Self>) -> Result<LossOutput> {
        let HeadTask { pass, head, labels, gradients } = task;
        let classifier = &head.sentence_order.classifier;
        let order = |gradients| {
            let labels = &labels.sentence_order;
            let objective = Objective::classes(labels, classifier.weight.nrows());
            pooled_classifiers(pass, "sentence_order", (classifier, &[]), gradients, &objective)
        };
        let words = &labels.masked_lm;
        let terms = match gradients {
            None => [masked_lm(pass, "masked_lm", &head.masked_lm, words, None)?, order(None)?],
            Some(HeadGradients { head: gradient, words: d_words, states }) => {
                // Before anything is added to gradients.
                check_words(pass, words)?;
                let of_order = &mut gradient.sentence_order.classifier;
                let order = order(Some((of_order, &mut [][..], &mut *states)))?;
                let gradients =
                    HeadGradients { head: &mut gradient.masked_lm, words: d_words, states };
                [masked_lm(pass, "masked_lm", &head.masked_lm, words, Some(gradients))?, order]
            }
        };
        let terms = terms.to_vec();
        Ok(LossOutput { loss: terms.iter().map(|term| term.loss).sum(), terms })
    }
}

impl TrainableModel for AlbertForSentenceOrder {
    type Head = SentenceOrderHeadParameters;

    /// `[B]`; −100 is ignored.
    type Labels = Vec<i64>;

    fn rows_read(batch: &Batch, _: &Self::Labels) -> Result<Vec<usize>> {
        first_rows(batch)
    }

    fn num_exits(head: &Self::Head) -> usize {
        head.exits.len()
    }

    fn head_pass(task: Task<'_, Self>) -> Result<LossOutput> {
        let objective = Objective::classes(task.labels, task.head.classifier.weight.nrows());
        pooled_head(task, "sentence_order", &objective)
    }
}

impl TrainableModel for AlbertForMultipleChoice {
    type Head = ClassifierParameters;
    type Labels = Targets;

    fn rows_read(batch: &Batch, _: &Self::Labels) -> Result<Vec<usize>> {
        first_rows(batch)
    }

    fn num_exits(head: &Self::Head) -> usize {
        head.exits.len()
    }

    fn head_pass(task: Task<'_, Self>) -> Result<LossOutput> {
        let objective = Objective::of_choices(task.pass.batch.num_sequences(), task.labels)?;
        pooled_head(task, "loss", &objective)
    }
}

impl TrainableModel for AlbertForSequenceClassification {
    type Head = ClassifierParameters;
    type Labels = Targets;

    fn rows_read(batch: &Batch, _: &Self::Labels) -> Result<Vec<usize>> {
        first_rows(batch)
    }

    fn num_exits(head: &Self::Head) -> usize {
        head.exits.len()
    }

    fn head_pass(task: Task<'_, Self>) -> Result<LossOutput> {
        let (problem, outputs) =
            (task.pass.config.problem_type, task.head.classifier.weight.nrows());
        let objective = Objective::of_problem(problem, outputs, task.labels)?;
        pooled_head(task, "loss", &objective)
    }
}

impl TrainableModel for AlbertForTokenClassification {
    type Head = ClassifierParameters;

    /// `[B, S]`; −100 is ignored.
    type Labels = Array2<i64>;

    fn rows_read(batch: &Batch, labels: &Self::Labels) -> Result<Vec<usize>> {
        labelled(batch, labels)
    }

    fn head_pass(task: Task<'_, Self>) -> Result<LossOutput> {
        let HeadTask { pass, head, labels, gradients } = task;
        let (rows, labels) = labelled_rows(&pass.batch.layout, labels.view())?;
        let gradients = gradients.map(|g| (&mut g.head.classifier, g.states));
        let rate = pass.config.classifier_dropout_prob.unwrap_or(pass.config.hidden_dropout_prob);
        token_classifier(pass, &head.classifier, &rows, Some(rate), gradients, |logits| {
            cross_entropy(pass.isa, "loss", logits, &labels, pass.scale)
        })
        .map(single)
    }
}

impl TrainableModel for AlbertForQuestionAnswering {
    type Head = QuestionAnsweringHeadParameters;
    type Labels = AnswerPositions;

    fn head_pass(task: Task<'_, Self>) -> Result<LossOutput> {
        let HeadTask { pass, head, labels, gradients } = task;
        let rows: Vec<usize> = (0..pass.batch.num_tokens()).collect();
        let gradients = gradients.map(|g| (&mut g.head.qa_outputs, g.states));
        token_classifier(pass, &head.qa_outputs, &rows, None, gradients, |logits| {
            positions_term(pass, logits, labels)
        })
        .map(single)
    }
}

/// The rows of first tokens, which the pooler reads.
fn first_rows(batch: &Batch) -> Result<Vec<usize>> {
    Ok(batch.layout.first_rows().collect())
}

/// The rows of tokens that have labels.
fn labelled(batch: &Batch, labels: &Array2<i64>) -> Result<Vec<usize>> {
    Ok(labelled_rows(&batch.layout, labels.view())?.0)
}

/// A head of pooled outputs: a classifier after the last layer, and one after each earlier exit.
trait PooledHead {
    fn classifiers(&self) -> (&Linear, &[Linear]);
    fn classifiers_mut(&mut self) -> (&mut Linear, &mut [Linear]);
}

macro_rules! pooled_heads {
    ($($head:ty),+) => {$(
        impl PooledHead for $head {
            fn classifiers(&self) -> (&Linear, &[Linear]) {
                (&self.classifier, &self.exits)
            }

            fn classifiers_mut(&mut self) -> (&mut Linear, &mut [Linear]) {
                (&mut self.classifier, &mut self.exits)
            }
        }
    )+};
}
pooled_heads!(ClassifierParameters, SentenceOrderHeadParameters);

/// The loss of such a head, and gradients.
///
/// # Errors
/// As [`pooled_classifiers`].
fn pooled_head<H: PooledHead, L>(
    task: HeadTask<'_, H, L>,
    name: &'static str,
    objective: &Objective<'_>,
) -> Result<LossOutput> {
    let gradients = task.gradients.map(|HeadGradients { head, states, .. }| {
        let (last, exits) = head.classifiers_mut();
        (last, exits, states)
    });
    let classifiers = task.head.classifiers();
    pooled_classifiers(task.pass, name, classifiers, gradients, objective).map(single)
}
