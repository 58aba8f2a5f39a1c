//! Questions about paragraphs in the forms that people have them in.

mod common;

use std::path::Path;

use common::data_files::{because, file, read, read_good, refuses};
use common::refused;
use ndalbert::train::datasets::*;
use ndalbert::{AlbertTokenizer, Result};

fn squad(path: &Path) -> Result<Examples<QuestionAnsweringExample>> {
    read_squad(path)
}

/// A document with one paragraph and these questions.
fn document(questions: &str) -> String {
    format!(
        r#"{{"version": "v2.0", "data": [{{"title": "t", "paragraphs": [
            {{"context": "The old town of Bern lies in Switzerland.", "qas": [{questions}]}}]}}]}}"#
    )
}

const ANSWERED: &str = r#"{"id": "a", "question": "Where?", "answers": [{"text": "Switzerland", "answer_start": 29}], "is_impossible": false}"#;

fn switzerland() -> Option<Vec<Answer>> {
    Some(vec![Answer { text: "Switzerland".into(), start: 29 }])
}

#[test]
fn ids_may_be_numbers() {
    let ids = |id: &str| {
        let found = read(squad, document(&ANSWERED.replace("\"a\"", id)));
        found.map(|examples| examples[0].id.clone())
    };
    let long = "123456789012345678901234567890";
    for (written, id) in
        [("17", "17"), ("\"17\"", "17"), ("1.5", "1.5"), ("-3", "-3"), (long, long)]
    {
        assert_eq!(ids(written).unwrap(), id);
    }
    for wrong in ["null", "true", "[1]", "{}"] {
        refused(
            ids(wrong),
            &[
                "data[0].paragraphs[0].qas[0]: line 2, column",
                "`id`: expected a string or a number, found",
            ],
        );
    }
    refuses(squad, document(&ANSWERED.replace("\"id\"", "\"key\"")), &["missing field `id`"]);
    let twice = [ANSWERED.replace("\"a\"", "17"), ANSWERED.replace("\"a\"", "\"17\"")].join(",");
    let again = "data[0].paragraphs[0].qas[1].id: expected an id of its own, found \"17\" again";
    refuses(squad, document(&twice), &[again]);
    let (good, reasons) = read_good(squad, document(&twice));
    assert_eq!(good.len(), 1);
    because(&reasons, &[&[again]]);
}

#[test]
fn what_is_impossible_has_no_answer_whatever_stands_there() {
    let fillers = [
        r#""answers": []"#,
        r#""answers": null"#,
        r#""answers": [{"text": "", "answer_start": -1}]"#,
        r#""answers": [{"text": "", "answer_start": 5}]"#,
        r#""answers": [{"text": "Bern", "answer_start": 16}]"#,
        r#""answers": {"text": [""], "answer_start": [-1]}"#,
        r#""plausible_answers": []"#,
        r#""plausible_answers": [{"text": "Bern", "answer_start": 16}]"#,
    ];
    for filler in fillers {
        for truth in ["true", "1", "\"True\""] {
            let question =
                format!(r#"{{"id": "b", "question": "Who?", "is_impossible": {truth}, {filler}}}"#);
            let found = read(squad, document(&question)).unwrap();
            assert_eq!(found[0].answers, Some(vec![]), "{question}");
        }
    }
    let said = |fields: &str| {
        let question = format!(r#"{{"id": "b", "question": "Who?", {fields}}}"#);
        read(squad, document(&question)).map(|examples| examples[0].answers.clone())
    };
    // Nothing says that it is impossible.
    assert_eq!(said(fillers[6]).unwrap(), None);
    assert_eq!(said(r#""answers": null"#).unwrap(), None);
    assert_eq!(said(r#""answers": [{"text": "", "answer_start": -1}]"#).unwrap(), Some(vec![]));
    let contradiction =
        said(r#""is_impossible": false, "answers": [{"text": "", "answer_start": -1}]"#);
    assert_eq!(contradiction.unwrap().unwrap().len(), 1);
    refused(
        said(r#""is_impossible": "maybe""#),
        &["`is_impossible`: expected true or false, found \"maybe\""],
    );
}

/// A question with its paragraph.
fn flat(id: u32, answers: &str) -> String {
    let context = "The old town of Bern lies in Switzerland.";
    format!(
        r#"{{"id": {id}, "title": "t", "context": "{context}", "question": "Where?", {answers}}}"#
    )
}

const COLUMNS: &str = r#""answers": {"text": ["Switzerland"], "answer_start": [29]}"#;

#[test]
fn flattened_questions_may_be_in_lines_or_lists() {
    let (first, second) = (flat(1, COLUMNS), flat(2, COLUMNS));
    let files = [
        format!("{first}\n{second}\n"),
        format!("\u{feff}{first}\r\n\r\n{second}"),
        format!(r#"{{"data": [{first}, {second}]}}"#),
        format!("{{\"version\": \"1\",\n \"data\": [\n  {first},\n  {second}\n ]\n}}\n"),
        format!("[{first},{second}]"),
        format!("[\n{first},\n{second}\n]"),
        format!("{}\n", first.replace("{\"id\"", "{\"data\": 1, \"id\"")) + &second,
    ];
    for content in &files {
        let found = read(squad, content).unwrap();
        assert_eq!(found.len(), 2, "{content}");
        assert_eq!((found[1].id.as_str(), &found[1].answers), ("2", &switzerland()), "{content}");
        assert!(found[1].context.starts_with("The old town"));
    }
    for one in [first.clone(), first.replace(", \"question\"", ",\n\"question\"")] {
        assert_eq!(read(squad, one).unwrap().len(), 1);
    }
    // By its name it has lines, so that the first may be bad.
    let (_directory, path) = file("data.jsonl", format!("{}\n{second}", &first[..40]));
    let loaded = read_squad(&path).unwrap().load(true).unwrap();
    assert_eq!((loaded.len(), loaded.skipped().count()), (1, 1));
    assert!(loaded.skipped().reasons()[0].contains("data.jsonl: line 1: column 40: EOF"));
}

#[test]
fn answers_have_several_forms() {
    let forms = [
        r#""answers": {"answer_start": [29], "text": ["Switzerland"]}"#,
        r#""answers": {"text": "Switzerland", "answer_start": 29}"#,
        r#""answers": {"text": ["Switzerland"], "answer_start": [29.0]}"#,
        r#""answers": [{"text": "Switzerland", "answer_start": 29}]"#,
        r#""answers.text": ["Switzerland"], "answers.answer_start": [29]"#,
    ];
    for form in forms {
        assert_eq!(read(squad, flat(1, form)).unwrap()[0].answers, switzerland(), "{form}");
        let nested = format!(
            r#"{{"context": "The old town.", "qas": [{{"id": 1, "question": "?", {form}}}]}}"#
        );
        assert_eq!(read(squad, format!("[{nested}]")).unwrap()[0].answers, switzerland());
        assert_eq!(read(squad, nested).unwrap()[0].answers, switzerland());
    }
    let none = r#""answers": {"text": [], "answer_start": []}"#;
    assert_eq!(read(squad, flat(1, none)).unwrap()[0].answers, Some(vec![]));
    assert_eq!(read(squad, flat(1, "\"x\": 1")).unwrap()[0].answers, None);
    let wrong = |answers: &str, words: &[&str]| {
        refuses(squad, flat(1, answers), &[&["line 1: column "], words].concat());
    };
    wrong(
        r#""answers": {"text": ["a"], "answer_start": []}"#,
        &["`answer_start`: expected as many as there are texts, 1, found 0"],
    );
    wrong(r#""answers": {"text": ["a"]}"#, &["missing field `answer_start`"]);
    wrong(r#""answers.text": ["a"]"#, &["expected both `answers.text` and `answers.answer_start`"]);
    wrong(
        r#""answers": {"text": ["a"], "answer_start": [1.5]}"#,
        &["expected a whole number, found 1.5"],
    );
    wrong(r#""answers": "a""#, &["invalid type"]);
}

#[test]
fn records_of_other_forms_are_named_and_skipped() {
    let good = flat(1, COLUMNS);
    let content = format!(
        "{{\"data\": [\n{{\"title\": \"t\"}},\n5,\n{{\"paragraphs\": 5}},\n{{\"paragraphs\": [{{\"context\": \"c\"}},\n{{\"context\": \"c\", \"qas\": [{{\"id\": 1}},7]}}]}},\n{good}]}}"
    );
    let (found, reasons) = read_good(squad, &content);
    assert_eq!(found.len(), 1);
    because(
        &reasons,
        &[
            &["data[0]: expected `paragraphs`, `qas` or `question`, found none of them"],
            &["data[1]: line 3, column 1: invalid type: integer `5`"],
            &["data[2]: line 4, column 16: expected a list, found 5"],
            &["data[3].paragraphs[0]: line 5, column 32: missing field `qas`"],
            &["data[3].paragraphs[1].qas[0]: line 6, column 34: missing field `question`"],
            &["data[3].paragraphs[1].qas[1]: line 6, column 36: invalid type"],
        ],
    );
    refuses(squad, &content, &["data[0]: "]);
    // What is no JSON cannot be passed over.
    let (_directory, path) = file("data.file", &content[..content.len() - 2]);
    refused(read_squad(&path), &["data.file: line 7, column ", "EOF"]);
    refuses(squad, r#"{"data": 5}"#, &["line 1: expected `paragraphs`"]);
    refuses(squad, "{\"data\":\n5}", &["line 2, column 1: expected a list, found 5"]);
}

#[test]
fn many_bad_records_are_counted_and_few_reasons_kept() {
    let content = format!("[{}{}]", "{},".repeat(5000), flat(1, COLUMNS));
    let (_directory, path) = file("data.json", document(&vec!["{}"; 5000].join(",")));
    let loaded = read_squad(&path).unwrap().load(true).unwrap();
    assert_eq!((loaded.skipped().count(), loaded.skipped().reasons().len()), (5000, 10));
    let (_directory, path) = file("data.json", content);
    let loaded = read_squad(&path).unwrap().load(true).unwrap();
    let skipped = loaded.skipped();
    assert_eq!((loaded.len(), skipped.count(), skipped.reasons().len()), (1, 5000, 10));
    let shown = skipped.to_string();
    assert!(shown.starts_with("5000 records skipped:\n  "), "{shown}");
    assert!(shown.ends_with("\n  and 4990 more"), "{shown}");
}

#[test]
fn an_answer_that_is_elsewhere_is_named_by_file_and_question_or_skipped() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
    let tokenizer = AlbertTokenizer::from_pretrained(fixtures.join("wordpiece")).unwrap();
    let off = r#"{"id": "b", "question": "Which town?", "is_impossible": false, "answers": [{"text": "Bern", "answer_start": 0}]}"#;
    let spaced = off
        .replace("\"b\"", "\"c\"")
        .replace("\"Bern\", \"answer_start\": 0", "\"old  town\", \"answer_start\": 4");
    let (_directory, path) = file("data.file", document(&[off, &spaced, ANSWERED].join(",")));
    let windows = |example: &QuestionAnsweringExample| {
        training_windows(&tokenizer, std::slice::from_ref(example), WindowOptions::default())
    };
    let words = [
        "data.file: data[0].paragraphs[0].qas[0]: question b: answer: expected \"Bern\" at character 0",
        "found \"The \"",
    ];
    refused(read_squad(&path).unwrap().encode(windows), &words);
    refused(read_squad(&path).unwrap().load(false).unwrap().encode(windows), &words);
    let mut loaded = read_squad(&path).unwrap().load(true).unwrap();
    let found = joined_windows(loaded.encode(windows).unwrap());
    assert_eq!((loaded.len(), loaded[0].id.as_str(), found.len()), (1, "a", 1));
    because(loaded.skipped().reasons(), &[&words, &["question c: answer: expected \"old  town\""]]);
    assert_eq!(found, training_windows(&tokenizer, &loaded, WindowOptions::default()).unwrap());
    let options = DatasetOptions { skip_bad: true, ..Default::default() };
    let window = |example: &QuestionAnsweringExample| Ok(windows(example)?.remove(0));
    let data = Dataset::read(read_squad(&path).unwrap(), options, window).unwrap();
    assert_eq!((data.features().len(), data.skipped()), (1, loaded.skipped()));
    refused(Dataset::read(read_squad(&path).unwrap(), DatasetOptions::default(), window), &words);
}
