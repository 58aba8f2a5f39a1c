//! Answers, as transformers 4.57 finds them.

use ndalbert::pipelines::{Answer, Pipeline, PipelineOptions, QuestionAnswering};
use ndalbert::{AlbertForQuestionAnswering, PreTrainedModel};
use serde_json::Value;

use crate::common::refused;
use crate::spans::{assert_same, checkpoint, count, options};
use crate::support::{cases, fixture, list, number, text};

fn answerer(kind: &str) -> QuestionAnswering {
    let (directory, tokenizer) = checkpoint("answerer", kind);
    let (model, report) = AlbertForQuestionAnswering::from_pretrained(directory).unwrap();
    assert!(report.is_clean(), "{report}");
    QuestionAnswering::new(model, tokenizer).unwrap()
}

fn answerer_small() -> QuestionAnswering {
    QuestionAnswering::from_pretrained(fixture("answerer")).unwrap()
}

fn with_options(pipeline: QuestionAnswering, run: &Value) -> QuestionAnswering {
    let flag = |key: &str, default: bool| run[key].as_bool().unwrap_or(default);
    let pipeline = pipeline
        .top_k(count(run, "top_k").unwrap_or(1))
        .max_answer_len(count(run, "max_answer_len").unwrap_or(15))
        .max_seq_len(count(run, "max_seq_len").unwrap_or(384))
        .doc_stride(count(run, "doc_stride"))
        .handle_impossible_answer(flag("handle_impossible_answer", false));
    pipeline.align_to_words(flag("align_to_words", true))
}

type Row = [String; 3];

fn found(answers: &[Answer]) -> Vec<(f32, Row)> {
    let row = |answer: &Answer| {
        let (start, end) = (answer.start.to_string(), answer.end.to_string());
        (answer.score, [start, end, answer.answer.clone()])
    };
    answers.iter().map(row).collect()
}

fn expected(run: &Value) -> Vec<(f32, Row)> {
    let row = |answer: &Value| {
        let answer_text = text(&answer[3]).to_owned();
        (number(&answer[0]), [answer[1].to_string(), answer[2].to_string(), answer_text])
    };
    list(&run["answers"]).iter().map(row).collect()
}

#[test]
fn answers_are_those_of_transformers() {
    let mut compared = 0;
    for kind in ["wordpiece", "sentencepiece", "chinese"] {
        let mut pipeline = answerer(kind);
        for case in cases("answers.json", 48).iter().filter(|case| case["kind"] == kind) {
            let (question, context) = (text(&case["question"]), text(&case["context"]));
            for run in list(&case["runs"]) {
                pipeline = with_options(pipeline, run);
                let answers = pipeline.run((question, context)).unwrap();
                let options = options(run, "answers");
                let what = format!("{kind} {question:?} {context:?} {options}");
                assert_same(&what, &found(&answers), &expected(run));
                for answer in &answers {
                    assert_eq!(context[answer.bytes.clone()], answer.answer);
                }
                compared += answers.len();
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn many_questions_have_the_answers_of_each() {
    let pipeline = answerer("chinese").top_k(3).handle_impossible_answer(true);
    let all = cases("answers.json", 48);
    let questions: Vec<_> =
        all.iter().map(|case| (text(&case["question"]), text(&case["context"]))).collect();
    let together = pipeline.run_many(questions.clone());
    assert_eq!(together.len(), questions.len());
    for (question, together) in questions.into_iter().zip(together) {
        assert_eq!(together.unwrap(), pipeline.run(question).unwrap(), "{question:?}");
    }
    assert!(pipeline.run_many([("", ""); 0]).is_empty());
}

/// A context of many windows goes through the model a batch at a time.
#[test]
fn windows_may_be_more_than_a_batch() {
    let options = PipelineOptions::new().tokens_per_batch(100);
    let directory = fixture("answerer");
    let few = QuestionAnswering::from_pretrained_with(directory, &options).unwrap().top_k(10);
    let context = "So we see. You can use this. ".repeat(60) + "Anna lives in Uppsala.";
    let question = ("Where does Anna live?", &*context);
    let answers = few.run(question).unwrap();
    assert_eq!(answers, answerer_small().top_k(10).run(question).unwrap());
    assert_eq!(answers.len(), 10);
}

#[test]
fn empty_texts_and_long_questions_are_errors_of_their_own() {
    let answer = answerer_small();
    let long = "Where does Anna live? ".repeat(20);
    let inputs = [("", "Anna lives."), ("Who?", ""), (&*long, "Anna lives."), ("Who?", "Anna")];
    let mut results = answer.run_many(inputs).into_iter();
    refused(results.next().unwrap(), &["question", "empty"]);
    refused(results.next().unwrap(), &["context", "empty"]);
    refused(results.next().unwrap(), &["max_length", "stride"]);
    assert_eq!(results.next().unwrap().unwrap()[0].answer, "Anna");
}

#[test]
fn where_nothing_can_be_an_answer_there_is_none() {
    let answer = answerer_small().top_k(4);
    assert_eq!(answer.run(("Who?", "   ")).unwrap(), []);
    let answer = answer.handle_impossible_answer(true);
    let answers = answer.run(("Who?", "   ")).unwrap();
    assert_eq!((answers.len(), &*answers[0].answer), (1, ""));
    assert!((answers[0].score - 1.0).abs() < 1e-6, "{answers:?}");
    let answer = answer.max_answer_len(0).handle_impossible_answer(false);
    assert_eq!(answer.run(("Who?", "Anna")).unwrap(), []);
    assert_eq!(answer.max_answer_len(1).top_k(0).run(("Who?", "Anna")).unwrap(), []);
}
