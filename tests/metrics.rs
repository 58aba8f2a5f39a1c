//! Metrics, compared with scikit-learn, SciPy, seqeval and the official scorers of answers
//! (tests/golden/finetuning).

mod common;

use std::fs;
use std::path::Path;

use common::refused;
use ndalbert::train::metrics::*;
use ndarray::Array2;
use serde_json::Value;

/// The references' own rounding, and that of sums in another order.
const TOLERANCE: f64 = 1e-12;

fn cases(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/finetuning/metrics.json");
    let golden: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    golden[name].as_array().unwrap().clone()
}

#[track_caller]
fn assert_close(found: f64, expected: &Value, case: &Value) {
    match expected.as_f64() {
        Some(expected) => {
            assert!((found - expected).abs() <= TOLERANCE, "{found} {expected} {case}")
        }
        None => assert!(found.is_nan(), "{found} {case}"),
    }
}

#[track_caller]
fn assert_scores(found: Scores, expected: &Value, case: &Value) {
    for (i, found) in [found.precision, found.recall, found.f1].into_iter().enumerate() {
        assert_close(found, &expected[i], case);
    }
}

fn integers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn classes_are_scored_as_scikit_learn_does() {
    for case in cases("classes") {
        let (predictions, labels) = (integers(&case["predictions"]), integers(&case["labels"]));
        let classes = case["classes"].as_u64().unwrap() as usize;
        let matrix = ConfusionMatrix::new(&predictions, &labels, classes).unwrap();
        assert_close(accuracy(&predictions, &labels).unwrap(), &case["accuracy"], &case);
        assert_close(matrix.accuracy(), &case["accuracy"], &case);
        assert_scores(matrix.micro_average(), &case["micro"], &case);
        assert_scores(matrix.macro_average(), &case["macro"], &case);
        assert_close(matrix.matthews(), &case["matthews"], &case);
        for class in 0..classes {
            assert_scores(matrix.class(class).scores(), &case["each"][class], &case);
        }
    }
}

#[test]
fn several_classes_are_scored_as_scikit_learn_does() {
    for case in cases("multi_label") {
        let table = |key: &str| {
            let rows: Vec<Vec<i64>> = case[key].as_array().unwrap().iter().map(integers).collect();
            Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, column)| {
                rows[row][column] == 1
            })
        };
        let counts =
            multi_label_counts(table("predictions").view(), table("labels").view()).unwrap();
        if case.get("micro").is_some() {
            assert_scores(Counts::micro_average(&counts), &case["micro"], &case);
            assert_scores(Counts::macro_average(&counts), &case["macro"], &case);
        }
    }
}

#[test]
fn values_are_scored_as_scipy_does() {
    let mut undefined = 0;
    for case in cases("values") {
        let (predictions, labels) = (floats(&case["predictions"]), floats(&case["labels"]));
        assert_close(pearson(&predictions, &labels).unwrap(), &case["pearson"], &case);
        assert_close(spearman(&predictions, &labels).unwrap(), &case["spearman"], &case);
        undefined += usize::from(case["pearson"].is_null());
    }
    assert!(undefined >= 2);
    assert!(spearman(&[f64::NAN, 1.0], &[1.0, 2.0]).unwrap().is_nan());
}

#[test]
fn spans_are_found_and_scored_as_seqeval_does() {
    for case in cases("tags") {
        let mut scores = SpanScores::new();
        let sentences = |key: &str| case[key].as_array().unwrap().clone();
        let (predictions, labels) = (sentences("predictions"), sentences("labels"));
        for (i, (predictions, labels)) in predictions.iter().zip(&labels).enumerate() {
            let (predictions, labels) = (strings(predictions), strings(labels));
            let found = spans(&predictions).into_iter().map(|span| {
                Value::from(vec![Value::from(span.kind), span.start.into(), span.end.into()])
            });
            assert_eq!(Value::from_iter(found), case["spans"][i], "{case}");
            scores.add(&predictions, &labels).unwrap();
        }
        assert_scores(scores.micro_average(), &case["micro"], &case);
        assert_scores(scores.macro_average(), &case["macro"], &case);
        assert_close(scores.accuracy().unwrap(), &case["accuracy"], &case);
    }
}

#[test]
fn answers_are_scored_as_by_the_official_scorers() {
    for (name, scorer) in [("squad", AnswerScorer::Squad), ("cmrc", AnswerScorer::Cmrc)] {
        let cases = cases(name);
        let mut sum = [0.0; 2];
        let mut pairs = Vec::new();
        for case in &cases {
            let (prediction, answers) =
                (case["prediction"].as_str().unwrap(), strings(&case["answers"]));
            assert_close(scorer.exact_match(prediction, &answers), &case["scores"][0], case);
            assert_close(scorer.f1(prediction, &answers), &case["scores"][1], case);
            sum[0] += case["scores"][0].as_f64().unwrap();
            sum[1] += case["scores"][1].as_f64().unwrap();
            pairs.push((prediction, answers));
        }
        let pairs = pairs.iter().map(|(prediction, answers)| (*prediction, answers.as_slice()));
        let mean = AnswerScores::new(scorer, pairs).unwrap();
        assert_eq!(mean.count, cases.len());
        assert!((mean.exact_match * mean.count as f64 - sum[0]).abs() < TOLERANCE);
        assert!((mean.f1 * mean.count as f64 - sum[1]).abs() < TOLERANCE * 100.0);
    }
}

#[test]
fn nothing_cannot_be_scored() {
    let lengths = &["predictions: expected as many as labels, 0, and at least 1, found 0"];
    refused(accuracy::<i64>(&[], &[]), lengths);
    refused(pearson(&[], &[]), lengths);
    refused(ConfusionMatrix::new(&[], &[], 2), lengths);
    refused(spearman(&[1.0], &[]), &["found 1"]);
    refused(
        ConfusionMatrix::new(&[0, 2], &[0, 0], 2),
        &["predictions[1]: expected a class below 2, found 2"],
    );
    refused(
        ConfusionMatrix::new(&[0], &[-100], 2),
        &["labels[0]: expected a class below 2, found -100"],
    );
    refused(
        ConfusionMatrix::new(&[0], &[0], 1 << 20),
        &["number of classes: expected at most 16384"],
    );
    refused(SpanScores::new().add(&["O"], &["O", "O"]), &["labels, 2, and at least 1, found 1"]);
    refused(SpanScores::new().accuracy(), &["sentences: expected at least one"]);
    let none: [(&str, &[&str]); 0] = [];
    refused(AnswerScores::new(AnswerScorer::Squad, none), &["predictions: expected at least one"]);
    let (one, two) = (Array2::from_elem((1, 1), true), Array2::from_elem((1, 2), true));
    refused(
        multi_label_counts(one.view(), two.view()),
        &["shape of predictions", "[1, 2]", "[1, 1]"],
    );
    assert_eq!(SpanScores::new().micro_average().f1, 0.0);
}
