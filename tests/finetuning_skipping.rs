//! Records that cannot be used: named by file and line, or skipped and counted; the same for all
//! formats. And labels in the forms that people have them in.

mod common;

use std::fs;
use std::path::Path;

use common::data_files::{because, file, read, read_good, refuses};
use common::refused;
use ndalbert::train::datasets::*;
use ndalbert::{AlbertTokenizer, Result};

fn tokenizer() -> AlbertTokenizer {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
    AlbertTokenizer::from_pretrained(fixtures.join("wordpiece")).unwrap()
}

fn names(names: &[&str]) -> ClassificationTask {
    ClassificationTask::SingleLabel(LabelNames::new(names.iter().copied()).unwrap())
}

/// The classes of the labels of a file.
fn classes(
    examples: Result<Examples<ClassificationExample>>,
    task: &ClassificationTask,
) -> Result<Vec<Option<i64>>> {
    let tokenizer = tokenizer();
    let features =
        examples?.encode(|example| ClassificationFeatures::new(&tokenizer, task, example))?;
    Ok(features.iter().map(ClassificationFeatures::class).collect())
}

#[test]
fn every_format_skips_bad_records_and_says_which() {
    fn check<T: Clone>(
        reader: impl Fn(&Path) -> Result<Examples<T>>,
        content: impl AsRef<[u8]>,
        good: usize,
        reasons: &[&[&str]],
    ) {
        let (found, why) = read_good(&reader, &content);
        assert_eq!(found.len(), good);
        because(&why, reasons);
        refuses(reader, content, reasons[0]);
    }
    let choices = "{\"prompt\": \"p\", \"choices\": [\"a\"]}\n";
    let lines = [choices, "no JSON\n", choices, "{\"prompt\": \"p\"}\n", choices].concat();
    check(
        |path| read_choices(path),
        lines,
        3,
        &[&["line 2: column 2"], &["line 4: column", "choices"]],
    );
    let long = [choices, &"x".repeat((16 << 20) + 9), "\n", choices].concat();
    check(|path| read_choices(path), long, 2, &[&["line 2: expected at most 16777216 bytes"]]);
    let text = "{\"text\": \"a\", \"label\": {}}\n{\"text\": \"a\"}\n";
    check(|path| read_classification(path), text, 1, &[&["line 1: `label`"]]);
    let list = "[{\"text\": \"a\", \"label\": {}},\n {\"text\": \"a\"}, 5]";
    check(
        |path| read_classification(path),
        list,
        1,
        &[&["[0]: `label`"], &["[2]: line 2, column 17"]],
    );
    let tsv = b"index\tsentence1\tsentence2\tlabel\n0\ta\tb\tc\n1\ta\tb\n2\ta\tb\t\n3\ta\xff\tb\tc\n4\ta\tb\tc\n";
    let rte = |path: &Path| read_tsv(path, &GlueTask::Rte.layout(true));
    let reasons: [&[&str]; 3] = [
        &["line 3: expected at least 4 columns, found 3"],
        &["line 4: expected a label"],
        &["line 5: expected UTF-8"],
    ];
    check(rte, tsv, 2, &reasons);
    let swag = "sent1,sent2,ending0,ending1,ending2,ending3,label\na,b,1,2,3,4,0\na,b,\"1\n2\",2,3,4,7\na,b,\"1\"2,2,3,4,0\na,b,1,2,3,4,3\n";
    let reasons: [&[&str]; 2] = [&["line 3: `label`"], &["line 5: expected a comma"]];
    check(|path| read_swag(path), swag, 2, &reasons);
    let c3 = r#"[[["a"], [{"question": "q", "choice": ["x"], "answer": "y"}, {"question": "q", "choice": ["x"]}], "1"], [1], [["a"], [], "2"]]"#;
    check(|path| read_c3(path), c3, 1, &[&["[0][1][0]: `answer`"], &["[1]: line 1, column"]]);
    let race = r#"{"article": "a", "questions": ["q", "r"], "options": [["x"], ["y"]], "answers": ["A", "B"]}"#;
    let lines = format!("{race}\n{{\"article\": 1}}\n{}\n", race.replace("\"B\"", "\"A\""));
    check(|path| read_race(path), lines, 3, &[&["line 1: answers[1]"], &["line 2: column"]]);
}

#[test]
fn what_cannot_be_gone_on_after_is_an_error_even_so() {
    let (_directory, path) =
        file("data.file", "sent1,sent2,ending0,ending1,ending2,ending3\na,b,1,2,3,4\na,\"b,1\n");
    refused(
        read_swag(&path).unwrap().load(true),
        &["data.file: line 3: the file ends before the quotes"],
    );
    let (_directory, path) = file("data.file", b"\xff\xfea\0\n\0");
    refused(
        read_choices(&path).and_then(|e| e.load(true)),
        &["line 1: expected UTF-8, found UTF-16"],
    );
    refused(read_conll(&path, ConllColumns::default()), &["line 1: expected UTF-8, found UTF-16"]);
    let (_directory, path) = file("data.file", b"{\"data\":\n[\"\xe4\"]}");
    refused(
        read_squad(&path),
        &["data.file: line 2: expected UTF-8, found something else at byte 3"],
    );
}

#[test]
fn lines_that_a_layout_passes_over_are_counted_in_any_case() {
    let (_directory, path) = file(
        "data",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\tshort\n0\t1\t2\tA\tB\t1\n",
    );
    let loaded = read_tsv(&path, &GlueTask::Qqp.layout(true)).unwrap().load(false).unwrap();
    assert_eq!((loaded.len(), loaded.skipped().count()), (1, 1));
    assert_eq!(loaded.skipped().to_string().lines().count(), 2);
}

const MNLI: &str = "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tA cat sits.\tAn animal sits.\tentailment\tentailment\n1\tA dog runs.\tA dog may run.\tneutral\t-\n2\tA dog runs.\tNo dog runs.\tcontradiction\tcontradiction\n";

#[test]
fn a_gold_label_that_is_none_is_named_by_file_and_line_or_skipped() {
    let (_directory, path) = file("train.tsv", MNLI);
    let (mnli, tokenizer) = (GlueTask::Mnli, tokenizer());
    let task = mnli.task();
    let read = || read_tsv(&path, &mnli.layout(true));
    let words = [
        "train.tsv: line 3: label: expected one of entailment, neutral, contradiction, found \"-\"",
    ];
    refused(classes(read(), &task), &words);
    let encode =
        |example: &ClassificationExample| ClassificationFeatures::new(&tokenizer, &task, example);
    refused(read().unwrap().load(false).unwrap().encode(encode), &words);
    let mut loaded = read().unwrap().load(true).unwrap();
    assert_eq!(loaded.len(), 3);
    let found: Vec<_> = loaded.encode(encode).unwrap().iter().map(|f| f.class()).collect();
    assert_eq!(found, [Some(0), Some(2)]);
    assert_eq!((loaded.len(), loaded.skipped().count()), (2, 1));
    assert!(loaded.skipped().reasons()[0].ends_with(words[0].split_once(": ").unwrap().1));
    let options = DatasetOptions { skip_bad: true, ..Default::default() };
    let data = Dataset::read(read().unwrap(), options, encode).unwrap();
    assert_eq!((data.features().len(), data.skipped()), (2, loaded.skipped()));
}

#[test]
fn dashes_of_inference_in_json_lines_are_no_class() {
    let line = |key: &str, label: &str| {
        format!("{{\"sentence1\": \"a\", \"sentence2\": \"b\", \"{key}\": \"{label}\"}}\n")
    };
    let labels = ["entailment", "-", "neutral"];
    for key in ["gold_label", "label"] {
        let (_directory, path) = file("snli.jsonl", labels.map(|label| line(key, label)).concat());
        let loaded = read_classification(&path).unwrap().load(false).unwrap();
        let names = class_names(&loaded).unwrap();
        assert_eq!(names.names(), ["entailment", "neutral"]);
        let task = ClassificationTask::SingleLabel(names);
        let tokenizer = tokenizer();
        let encode = |e: &ClassificationExample| {
            labelled(ClassificationFeatures::new(&tokenizer, &task, e)?)
        };
        refused(
            read_classification(&path).unwrap().encode(encode),
            &["snli.jsonl: line 2: label: expected "],
        );
    }
    // Where there is a label, this is but another key.
    let both = "{\"text\": \"a\", \"label\": \"x\", \"gold_label\": 1}";
    let found = read(|path| read_classification(path), both).unwrap();
    assert_eq!(found[0].label, Some(RawLabel::Text("x".into())));
    // Elsewhere it may well be one.
    let (_directory, path) =
        file("data.jsonl", ["+", "-"].map(|label| line("label", label)).concat());
    let loaded = read_classification(&path).unwrap().load(false).unwrap();
    assert_eq!(class_names(&loaded).unwrap().names(), ["+", "-"]);
}

#[test]
fn what_has_no_label_is_read_and_not_learnt_from() {
    let text = "{\"text\": \"a\", \"label\": 0}\n{\"text\": \"a\"}\n{\"text\": \"a\", \"label\": null}\n{\"text\": \"a\", \"label\": -1}\n";
    let (_directory, path) = file("data.file", text);
    let (tokenizer, task) = (tokenizer(), names(&["bad", "good"]));
    let encode =
        |example: &ClassificationExample| ClassificationFeatures::new(&tokenizer, &task, example);
    let read = || read_classification(&path).unwrap();
    assert_eq!(read().count(), 4);
    refused(
        Dataset::read(read(), DatasetOptions::default(), encode),
        &["data.file: line 2: label: expected one, found none"],
    );
    let options = DatasetOptions { skip_bad: true, ..Default::default() };
    let data = Dataset::read(read(), options, encode).unwrap();
    assert_eq!(data.features().len(), 1);
    let reasons: [&[&str]; 3] = [
        &["line 2: label: expected one"],
        &["line 3: "],
        &["line 4: label: expected a class below 2, found -1"],
    ];
    because(data.skipped().reasons(), &reasons);
    let all_bad = |_: &ClassificationExample| {
        encode(&ClassificationExample { text: String::new(), text_pair: None, label: None })
    };
    refused(Dataset::read(read(), options, all_bad), &["examples of a data set", "found 0"]);
}

#[test]
fn labels_of_two_classes_have_several_forms() {
    let lines = |labels: &[&str]| -> String {
        labels.iter().map(|label| format!("{{\"text\": \"a\", \"label\": {label}}}\n")).collect()
    };
    let found = |labels: &[&str], task: &ClassificationTask| {
        let (_directory, path) = file("data.file", lines(labels));
        classes(read_classification(&path), task)
    };
    for (task, labels) in [
        (names(&["bad", "good"]), ["true", "1.0", "1", "\"1\"", "\"good\"", "\"1.0\""].as_slice()),
        (names(&["false", "true"]), &["true", "\"true\"", "1"]),
        (names(&["False", "True"]), &["true", "\"True\""]),
        (names(&["0", "1"]), &["true", "1.0", "1", "\"1\"", "\"1.0\""]),
        // Names that are numbers are no ids.
        (names(&["2", "1"]), &["1", "1.0", "\"1\""]),
    ] {
        assert_eq!(found(labels, &task).unwrap(), vec![Some(1); labels.len()], "{labels:?}");
    }
    assert_eq!(
        found(&["false", "0.0", "-0.0", "0"], &names(&["bad", "good"])).unwrap(),
        [Some(0); 4]
    );
    assert_eq!(found(&["true", "false"], &names(&["true", "false"])).unwrap(), [Some(0), Some(1)]);
    refused(
        found(&["true"], &names(&["a", "b", "c"])),
        &["data.file: line 1: label: expected one of a, b, c"],
    );
    refused(
        found(&["0"], &names(&["1", "2"])),
        &["line 1: label: expected one of 1, 2, found \"0\""],
    );
    refused(
        found(&["1", "2.0"], &names(&["a", "b"])),
        &["line 2: label: expected a class below 2, found 2"],
    );
    refused(
        found(&["1", "true"], &ClassificationTask::Regression(1)),
        &["line 2: label: expected numbers, found Bool(true)"],
    );
    let several = ClassificationTask::MultiLabel(LabelNames::new(["a", "b"]).unwrap());
    let (_directory, path) = file("data.file", lines(&["[true, false]", "[1, 0.0]"]));
    let tokenizer = tokenizer();
    let features = read_classification(&path)
        .unwrap()
        .encode(|e| ClassificationFeatures::new(&tokenizer, &several, e));
    assert!(features.unwrap().iter().all(|features| features.values() == Some(&[1.0, 0.0])));

    let collected = |labels: &[&str]| {
        let (_directory, path) = file("data.file", lines(labels));
        class_names(&read_classification(&path)?.load(false)?).map(|names| names.names().to_vec())
    };
    assert_eq!(collected(&["true", "false", "true"]).unwrap(), ["false", "true"]);
    assert_eq!(collected(&["\"b\"", "null", "[\"a\", \"c\"]"]).unwrap(), ["a", "b", "c"]);
    refused(
        collected(&["\"b\"", "1"]),
        &["data.file: line 2: label: expected the name of a class"],
    );
    refused(
        collected(&["\"b\"", "true"]),
        &["data.file: line 2: label: expected texts, or true and false"],
    );
}

#[test]
fn indices_of_choices_have_several_forms() {
    let label = |label: &str| {
        let line =
            format!("{{\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"label\": {label}}}");
        read(|path| read_choices(path), line).map(|examples| examples[0].label.clone())
    };
    for index in ["1", "1.0", "\"1\""] {
        assert_eq!(label(index).unwrap(), Some(ChoiceLabel::Index(1)));
    }
    refused(label("2.0"), &["line 1: `label`: expected an index below 2"]);
    refused(label("true"), &["line 1: `label`: expected an index"]);
}

const ARTICLE: &str = r#"{"answers": ["B"], "options": [["red", "blue"]], "questions": ["What colour?"], "article": "The sky is blue .", "id": "high1.txt"}"#;

#[test]
fn a_directory_of_articles_may_have_other_files_and_articles_by_line() {
    let (directory, path) = file("high/1.txt", ARTICLE);
    let add = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    add("high/2.txt", ARTICLE.replace(", \"", ",\n \"").as_bytes());
    let read = || read_race(directory.path()).unwrap().load(false);
    assert_eq!(read().unwrap().len(), 2);
    add("high/._1.txt", b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ");
    add("high/.DS_Store", b"\0\0\0\x01Bud1");
    add("__MACOSX/high/1.txt", b"\x00\x05\x16\x07");
    add(".ipynb_checkpoints/1.txt", b"x");
    add("Thumbs.db", b"x");
    assert_eq!(read().unwrap().len(), 2);
    add("middle/all.txt", format!("{ARTICLE}\n\n{ARTICLE}\n").as_bytes());
    let flat = r#"{"example_id": "1", "article": "a", "answer": "B", "question": "Is _ it?", "options": ["c", "d"]}"#;
    add("middle/flat.JSONL", format!("\u{feff}{flat}\r\n{flat}").as_bytes());
    let found = read().unwrap();
    assert_eq!(found.len(), 6);
    assert_eq!(found[5].choices, ["Is c it?", "Is d it?"]);
    assert_eq!(found[5].label, Some(ChoiceLabel::Index(1)));
    add("middle/1.txt", b"\x00\x05\x16\x07");
    refused(read(), &["1.txt: line 1, column 1: expected value"]);
    let loaded = read_race(directory.path()).unwrap().load(true).unwrap();
    assert_eq!((loaded.len(), loaded.skipped().count()), (6, 1));
    assert_eq!(read_race(&path).unwrap().count(), 1);
}

#[test]
fn a_mark_before_the_text_is_no_part_of_it() {
    let marked = |text: &str| format!("\u{feff}{text}");
    let swag = marked("sent1,sent2,ending0,ending1,ending2,ending3\r\na,b,1,2,3,4\r\n");
    assert_eq!(read(|path| read_swag(path), swag).unwrap()[0].prompt, "a");
    let tsv = marked("sentence\tlabel\na\t1\n");
    assert_eq!(
        read(|path| read_tsv(path, &GlueTask::Sst2.layout(true)), tsv).unwrap()[0].text,
        "a"
    );
    let cola = marked("gj04\t1\t\ta\n");
    assert_eq!(
        read(|path| read_tsv(path, &GlueTask::Cola.layout(true)), cola).unwrap()[0].text,
        "a"
    );
    assert_eq!(
        read(|path| read_classification(path), marked("{\"text\": \"a\"}\n")).unwrap()[0].text,
        "a"
    );
    assert_eq!(
        read(|path| read_classification(path), marked("[{\"text\": \"a\"}]")).unwrap()[0].text,
        "a"
    );
    assert_eq!(read(|path| read_race(path), marked(ARTICLE)).unwrap().len(), 1);
    let c3 = marked("[[[\"a\"], [{\"question\": \"q\", \"choice\": [\"x\"]}], \"1\"]]");
    assert_eq!(read(|path| read_c3(path), c3).unwrap().len(), 1);
}
