//! Examples → ids, labels and answers, compared with what transformers' example scripts make of
//! them (tests/golden/finetuning).

mod common;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use common::refused;
use ndalbert::AlbertTokenizer;
use ndalbert::train::Targets;
use ndalbert::train::datasets::*;
use ndarray::{Array2, array};
use serde_json::Value;

fn golden(name: &str) -> Value {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/finetuning");
    serde_json::from_slice(&fs::read(directory.join(name)).unwrap()).unwrap()
}

fn tokenizer(name: &str) -> AlbertTokenizer {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
    AlbertTokenizer::from_pretrained(fixtures.join(name)).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn strings(value: &Value) -> Vec<String> {
    list(value).iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn labels_of_words_are_aligned_as_run_ner_does() {
    let golden = golden("tokens.json");
    let names = LabelNames::new(strings(&golden["labels"])).unwrap();
    assert_eq!(list(&golden["cases"]).len(), 72);
    for case in list(&golden["cases"]) {
        let tokenizer = tokenizer(case["tokenizer"].as_str().unwrap());
        let tokenizer = tokenizer.with_max_length(size(&case["max_length"])).unwrap();
        let example = TokenClassificationExample {
            words: strings(&case["words"]),
            tags: strings(&case["tags"]),
        };
        let labelling = match case["all_tokens"].as_bool().unwrap() {
            true => TokenLabelling::AllTokens,
            false => TokenLabelling::FirstToken,
        };
        let features =
            TokenClassificationFeatures::new(&tokenizer, &names, labelling, &example).unwrap();
        assert_eq!(Value::from(features.inputs()[0].ids.clone()), case["ids"], "{case}");
        assert_eq!(Value::from(features.token_labels().to_vec()), case["labels"], "{case}");
        let encoding = tokenizer.encode_words(&example.words).unwrap();
        assert_eq!(Value::from(encoding.word_ids.clone()), case["words_of_tokens"], "{case}");
        let offsets: Vec<usize> = encoding.offsets.iter().flat_map(|&(a, b)| [a, b]).collect();
        assert_eq!(Value::from(offsets), case["offsets"], "{case}");
        for (token, &(start, end)) in encoding.byte_offsets.iter().enumerate() {
            let word = encoding.word_ids[token].map_or("", |word| &example.words[word as usize]);
            assert!(word.get(start..end).is_some(), "{case}");
        }
    }
}

#[test]
fn tags_that_do_not_fit_are_refused() {
    let (tokenizer, names) = (tokenizer("wordpiece"), LabelNames::new(["O"]).unwrap());
    let features = |tags: &[&str]| {
        let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
        let example = TokenClassificationExample { words: vec!["a".into(), "b".into()], tags };
        TokenClassificationFeatures::new(&tokenizer, &names, TokenLabelling::FirstToken, &example)
    };
    assert!(features(&["O", "O"]).is_ok());
    refused(features(&["O"]), &["tags: expected 2, found 1"]);
    refused(features(&["O", "B"]), &["label: expected one of O, found \"B\""]);
    refused(
        aligned_tags(&names, &[0, 1], &[-100, 0]),
        &["label: expected a class below 1, found 1"],
    );
    refused(aligned_tags(&names, &[0], &[]), &["predictions: expected 0, found 1"]);
    assert_eq!(aligned_tags(&names, &[7, 0], &[-100, 0]).unwrap(), (vec!["O"], vec!["O"]));
}

fn examples(golden: &Value) -> Vec<QuestionAnsweringExample> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let answer = |answer: &Value| Answer {
        text: text(&answer["text"]),
        start: answer["answer_start"].as_i64().unwrap(),
    };
    let example = |example: &Value| QuestionAnsweringExample {
        id: text(&example["id"]),
        question: text(&example["question"]),
        context: text(&example["context"]),
        answers: Some(list(&example["answers"]).iter().map(answer).collect()),
    };
    list(&golden["examples"]).iter().map(example).collect()
}

fn windows_of(
    run: &Value,
    examples: &[QuestionAnsweringExample],
) -> Vec<QuestionAnsweringFeatures> {
    let options =
        WindowOptions { max_length: size(&run["max_length"]), doc_stride: size(&run["stride"]) };
    training_windows(&tokenizer(run["tokenizer"].as_str().unwrap()), examples, options).unwrap()
}

#[test]
fn windows_and_answers_are_where_run_qa_has_them() {
    let golden = golden("questions.json");
    let examples = examples(&golden);
    let mut starts = HashSet::new();
    for run in list(&golden["runs"]) {
        let windows = windows_of(run, &examples);
        assert_eq!(windows.len(), list(&run["features"]).len());
        for (window, expected) in windows.iter().zip(list(&run["features"])) {
            let context = &examples[window.example()].context;
            let input = &window.inputs()[0];
            let types: String = input.type_ids.iter().map(u32::to_string).collect();
            assert_eq!(window.example(), size(&expected["example"]));
            assert_eq!(Value::from(input.ids.clone()), expected["ids"], "{expected}");
            assert_eq!(types, expected["types"].as_str().unwrap(), "{expected}");
            let answer = (size(&expected["start"]), size(&expected["end"]));
            assert_eq!(window.answer(), Some(answer), "{context}: {expected}");
            starts.insert(answer.0);
            let chars = |byte: usize| context[..byte].chars().count();
            let columns = window.context_columns();
            let bytes = columns.clone().flat_map(|column| window.context_bytes(column));
            let offsets: Vec<usize> = bytes.flat_map(|(a, b)| [chars(a), chars(b)]).collect();
            assert_eq!(columns.start, size(&expected["context"]), "{expected}");
            assert_eq!(Value::from(offsets), expected["offsets"], "{expected}");
        }
    }
    assert!(starts.len() > 15, "too few different places to be of any use: {starts:?}");
}

#[test]
fn answers_are_chosen_as_run_qa_does() {
    let golden = golden("questions.json");
    let examples = examples(&golden);
    let mut compared = 0;
    for run in list(&golden["runs"]) {
        let windows = windows_of(run, &examples);
        let scores: Vec<Array2<f32>> = list(&run["logits"])
            .iter()
            .map(|pair| {
                // Whole numbers of 64ths.
                let score = |output: usize, column: usize| pair[output][column].as_f64().unwrap();
                let tokens = list(&pair[0]).len();
                Array2::from_shape_fn((tokens, 2), |(column, output)| {
                    (score(output, column) / 64.0) as f32
                })
            })
            .collect();
        for expected in list(&run["answers"]) {
            let threshold = expected["threshold"].as_f64().unwrap() as f32;
            let options = AnswerOptions {
                n_best_size: size(&expected["n_best_size"]),
                max_answer_length: size(&expected["max_answer_length"]),
                null_threshold: expected["version_2"].as_bool().unwrap().then_some(threshold),
            };
            let found = predict_answers(&examples, &windows, &scores, options).unwrap();
            for (found, expected) in found.iter().zip(list(&expected["answers"])) {
                match expected {
                    Value::Null => assert_eq!(found.text, ""),
                    _ => compare_answer(found, expected),
                }
                compared += usize::from(!expected.is_null());
            }
        }
    }
    assert!(compared >= 190, "{compared}");
}

fn compare_answer(found: &AnswerPrediction, expected: &Value) {
    assert_eq!(found.text, expected["text"].as_str().unwrap(), "{expected}");
    assert_eq!(found.candidates.len(), size(&expected["count"]), "{expected}");
    match (found.null_score_diff, expected["difference"].as_f64()) {
        (Some(found), Some(expected)) => assert!((f64::from(found) - expected).abs() < 1e-5),
        (found, expected) => assert!(found.is_none() && expected.is_none()),
    }
    // The first two and the last.
    let count = found.candidates.len();
    let chosen = found.candidates.iter().take(2).chain(&found.candidates[count - 1..]);
    for (found, expected) in chosen.zip(list(&expected["candidates"])) {
        assert_eq!(found.text, expected[0].as_str().unwrap());
        assert_eq!(found.score, expected[1].as_f64().unwrap() as f32);
        assert!((found.probability - expected[2].as_f64().unwrap()).abs() < 1e-6);
    }
}

fn question(context: &str, answer: &str, start: i64) -> QuestionAnsweringExample {
    QuestionAnsweringExample {
        id: "q7".into(),
        question: "who is it?".into(),
        context: context.into(),
        answers: Some(vec![Answer { text: answer.into(), start }]),
    }
}

#[test]
fn answers_that_are_not_where_they_should_be_are_refused() {
    let tokenizer = tokenizer("wordpiece");
    let train = |example| training_windows(&tokenizer, &[example], WindowOptions::default());
    assert!(train(question("é Ada", "Ada", 2)).is_ok());
    refused(
        train(question("é Ada", "Ada", 3)),
        &["question q7: answer: expected \"Ada\" at character 3", "found \"da\""],
    );
    for start in [-1, 5, 6, i64::MAX] {
        refused(train(question("é Ada", "Ada", start)), &["question q7: answer", "found \"\""]);
    }
    refused(train(question("é Ada", "", 0)), &["question q7"]);
    let test = QuestionAnsweringExample { answers: None, ..question("Ada", "", 0) };
    refused(train(test.clone()), &["question q7: answer: expected a list of answers, found none"]);
    let windows = evaluation_windows(&tokenizer, &[test], WindowOptions::default()).unwrap();
    assert_eq!(windows[0].answer(), None);
    refused(collate(&[&windows[0]]), &["label of example 0 of a batch"]);
}

#[test]
fn a_question_must_leave_room() {
    let tokenizer = tokenizer("wordpiece");
    let windows = |max_length, doc_stride| {
        let options = WindowOptions { max_length, doc_stride };
        evaluation_windows(&tokenizer, &[question("a b c d e f g h", "a", 0)], options)
    };
    let question = tokenizer.encode("who is it?").unwrap().len() - 2;
    let room = |tokens: usize| question + 3 + tokens;
    assert_eq!(windows(room(8), 20).unwrap().len(), 1);
    assert_eq!(windows(room(3), 2).unwrap().len(), 6);
    refused(
        windows(room(2), 2),
        &["question q7: max_length", "room for more than stride = 2 tokens"],
    );
    refused(windows(room(0), 0), &["question q7: max_length", "stride = 0"]);
    refused(windows(2, 0), &["question q7: max_length", "special tokens"]);
    refused(windows(0, 0), &["question q7: max_length"]);
}

#[test]
fn without_a_paragraph_there_is_no_answer() {
    let tokenizer = tokenizer("wordpiece");
    let empty = QuestionAnsweringExample { answers: Some(vec![]), ..question("", "", 0) };
    let examples = [empty, question("it is Ada", "Ada", 6)];
    let windows = training_windows(&tokenizer, &examples, WindowOptions::default()).unwrap();
    assert_eq!(windows[0].answer(), Some((0, 0)));
    assert!(windows[0].context_columns().is_empty());
    let scores: Vec<Array2<f32>> =
        windows.iter().map(|window| Array2::zeros((window.inputs()[0].ids.len(), 2))).collect();
    for null_threshold in [None, Some(0.0)] {
        let options = AnswerOptions { null_threshold, ..Default::default() };
        let answers = predict_answers(&examples, &windows, &scores, options).unwrap();
        assert_eq!((answers[0].text.as_str(), answers[0].null_score_diff), ("", None));
        assert_eq!(answers[1].text, "it");
        let path = tempfile::tempdir().unwrap();
        let path = path.path().join("predictions.json");
        write_predictions(&path, &answers[1..]).unwrap();
        let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(written, serde_json::json!({"q7": "it"}));
        refused(write_predictions(&path, &answers), &["ids of predictions: expected each once"]);
    }
}

#[test]
fn scores_that_do_not_fit_are_refused() {
    let tokenizer = tokenizer("wordpiece");
    let examples = [question("it is Ada", "Ada", 6)];
    let windows = training_windows(&tokenizer, &examples, WindowOptions::default()).unwrap();
    let predict = |scores: &[Array2<f32>], examples: &[QuestionAnsweringExample]| {
        predict_answers(examples, &windows, scores, AnswerOptions::default())
    };
    let mut scores = Array2::zeros((windows[0].inputs()[0].ids.len(), 2));
    assert!(predict(&[scores.clone()], &examples).is_ok());
    refused(predict(&[], &examples), &["windows with scores: expected 1, found 0"]);
    refused(
        predict(&[array![[0.0, 0.0]]], &examples),
        &["shape of the scores of window 0", "[1, 2]"],
    );
    refused(predict(&[scores.clone()], &[]), &["example of window 0: expected one of 0, found 0"]);
    scores[[3, 1]] = f32::NAN;
    refused(
        predict(&[scores], &examples),
        &["scores of window 0: expected finite numbers, found NaN"],
    );
}

#[test]
fn glue_labels_are_names_ids_or_values() {
    let tokenizer = tokenizer("wordpiece");
    let features = |task: &ClassificationTask, label: RawLabel| {
        let example =
            ClassificationExample { text: "it".into(), text_pair: None, label: Some(label) };
        ClassificationFeatures::new(&tokenizer, task, &example)
    };
    let text = |text: &str| RawLabel::Text(text.into());
    let mnli = GlueTask::Mnli.task();
    for (label, class) in [(text("neutral"), 1), (text("2"), 2), (RawLabel::Number(0.0), 0)] {
        assert_eq!(features(&mnli, label).unwrap().class(), Some(class));
    }
    let stars = ClassificationTask::SingleLabel(LabelNames::new(["1", "2"]).unwrap());
    assert_eq!(features(&stars, text("1")).unwrap().class(), Some(0));
    for label in [
        text("3"),
        text("maybe"),
        text("-1"),
        text("NaN"),
        RawLabel::Number(1.5),
        RawLabel::Number(f64::NAN),
    ] {
        refused(features(&mnli, label), &["label: expected "]);
    }
    refused(features(&mnli, RawLabel::Numbers(vec![1.0])), &["label: expected one class"]);

    let stsb = GlueTask::StsB.task();
    assert_eq!(features(&stsb, text("3.80")).unwrap().values(), Some(&[3.8][..]));
    assert_eq!(features(&stsb, RawLabel::Number(1.0)).unwrap().values(), Some(&[1.0][..]));
    for label in [
        text("good"),
        text("inf"),
        RawLabel::Number(1e300),
        RawLabel::Numbers(vec![]),
        RawLabel::Texts(vec![]),
    ] {
        refused(features(&stsb, label), &["label: expected "]);
    }

    let several = ClassificationTask::MultiLabel(LabelNames::new(["a", "b", "c"]).unwrap());
    let values = |label| features(&several, label).unwrap().values().unwrap().to_vec();
    assert_eq!(values(RawLabel::Texts(vec!["c".into(), "a".into()])), [1.0, 0.0, 1.0]);
    assert_eq!(values(RawLabel::Texts(vec![])), [0.0; 3]);
    assert_eq!(values(RawLabel::Numbers(vec![0.0, 0.5, 1.0])), [0.0, 0.5, 1.0]);
    for label in [
        text("a"),
        RawLabel::Numbers(vec![1.0]),
        RawLabel::Numbers(vec![0.0, 2.0, 0.0]),
        RawLabel::Texts(vec!["d".into()]),
    ] {
        refused(features(&several, label), &["label: expected "]);
    }
}

#[test]
fn label_names_are_sorted_and_different() {
    assert_eq!(LabelNames::collect(["b", "a", "b", "B"]).unwrap().names(), ["B", "a", "b"]);
    refused(LabelNames::collect([]), &["label names: expected at least one"]);
    refused(LabelNames::new(["a", "a"]), &["label names: expected each once"]);
}

fn choice(choices: usize, label: Option<ChoiceLabel>) -> MultipleChoiceFeatures {
    let choices = (0..choices).map(|i| format!("it is {i}")).collect();
    let example = MultipleChoiceExample { prompt: "what".into(), choices, label };
    MultipleChoiceFeatures::new(&tokenizer("wordpiece"), &example).unwrap()
}

#[test]
fn choices_of_a_batch_are_one_after_the_other() {
    let (first, second) =
        (choice(3, Some(ChoiceLabel::Index(2))), choice(3, Some(ChoiceLabel::Index(0))));
    let batch = collate(&[&first, &second]).unwrap();
    assert_eq!(batch.batch.num_sequences(), 6);
    assert_eq!(batch.labels, Targets::Classes(vec![2, 0]));
    let unsure = choice(3, Some(ChoiceLabel::Distribution(vec![0.5, 0.25, 0.25])));
    let batch = collate(&[&unsure, &first]).unwrap();
    assert_eq!(batch.labels, Targets::Values(array![[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]));
    let unlabelled = choice(3, None);
    refused(
        collate(&[&first, &unlabelled]),
        &["label of example 1 of a batch: expected one, found none"],
    );
    assert_eq!(inputs_of(&[&first, &unlabelled]).unwrap().num_sequences(), 6);
    refused(collate::<MultipleChoiceFeatures>(&[]), &["number of sequences in a batch"]);
    let wrong = MultipleChoiceExample {
        prompt: "p".into(),
        choices: vec!["c".into()],
        label: Some(ChoiceLabel::Index(1)),
    };
    refused(
        MultipleChoiceFeatures::new(&tokenizer("wordpiece"), &wrong),
        &["expected an index below 1, found 1"],
    );
}

#[test]
fn labels_of_a_batch_have_the_shapes_that_losses_take() {
    let (tokenizer, names) = (tokenizer("wordpiece"), LabelNames::new(["O", "X"]).unwrap());
    let sentence = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|&word| word.into()).collect();
        let example = TokenClassificationExample { tags: vec!["X".into(); words.len()], words };
        TokenClassificationFeatures::new(&tokenizer, &names, TokenLabelling::FirstToken, &example)
    };
    let batch =
        collate(&[&sentence(&["it"]).unwrap(), &sentence(&["is", "as", "it"]).unwrap()]).unwrap();
    assert_eq!(batch.batch.padded_length(), 5);
    assert_eq!(batch.labels, array![[-100, 1, -100, -100, -100], [-100, 1, 1, 1, -100]]);

    let text = |task: &ClassificationTask, label| {
        let example =
            ClassificationExample { text: "it".into(), text_pair: Some("is".into()), label };
        ClassificationFeatures::new(&tokenizer, task, &example).unwrap()
    };
    let stsb = GlueTask::StsB.task();
    let (three, four) =
        (text(&stsb, Some(RawLabel::Number(3.0))), text(&stsb, Some(RawLabel::Number(4.0))));
    assert_eq!(collate(&[&three, &four]).unwrap().labels, Targets::Values(array![[3.0], [4.0]]));
    let class = text(&GlueTask::Rte.task(), Some(RawLabel::Number(1.0)));
    assert_eq!(collate(&[&class]).unwrap().labels, Targets::Classes(vec![1]));
    refused(collate(&[&class, &three]), &["labels of a batch: expected 1 values"]);
    refused(collate(&[&text(&stsb, None)]), &["label of example 0 of a batch"]);

    let examples = [question("it is Ada", "Ada", 6)];
    let windows = training_windows(&tokenizer, &examples, WindowOptions::default()).unwrap();
    let (start, end) = windows[0].answer().unwrap();
    let labels = collate(&[&windows[0], &windows[0]]).unwrap().labels;
    assert_eq!((labels.start, labels.end), (vec![start as i64; 2], vec![end as i64; 2]));
}
