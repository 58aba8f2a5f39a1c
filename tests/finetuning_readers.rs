//! The readers of fine-tuning's data sets, on small files of the same form, and on what such files
//! become when they are cut off or wrong.

mod common;

use std::fs;
use std::path::Path;

use common::data_files::{file, read, refuses};
use common::refused;
use ndalbert::Result;
use ndalbert::train::datasets::*;

fn choices(prompt: &str, choices: &[&str], label: Option<usize>) -> MultipleChoiceExample {
    MultipleChoiceExample {
        prompt: prompt.into(),
        choices: choices.iter().map(|&choice| choice.into()).collect(),
        label: label.map(ChoiceLabel::Index),
    }
}

const SWAG: &str = "\
,video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label
0,a_1,7,\"He sits, down. He\",\"He sits, down.\",He,gold,eats.,\"says \"\"no\"\".\",runs,\"two
lines\",2

1,a_2,8,It rains. She,It rains.,She,gen,a,b,c,d,0
";

#[test]
fn swag() {
    let rain = choices("It rains.", &["She a", "She b", "She c", "She d"], Some(0));
    let sits = ["He eats.", "He says \"no\".", "He runs", "He two\nlines"];
    let expected = [choices("He sits, down.", &sits, Some(2)), rain.clone()];
    assert_eq!(read(|path| read_swag(path), SWAG).unwrap(), expected);
    let test = "ending3,ending2,ending1,ending0,sent2,sent1\r\nd,c,b,a,She,It rains.\r\n";
    let unlabelled = MultipleChoiceExample { label: None, ..rain };
    assert_eq!(read(|path| read_swag(path), test).unwrap(), [unlabelled]);
}

#[test]
fn wrong_swag() {
    let swag = |path: &Path| read_swag(path);
    refuses(swag, "", &["line 1: expected a column `ending0`"]);
    refuses(
        swag,
        SWAG.replace("sent2,", ""),
        &["line 1: expected a column `sent2`, found ", "video-id"],
    );
    refuses(
        swag,
        SWAG.replace(",d,0", ",d,4"),
        &["line 5: `label`: expected a number from 0 to 3, found \"4\""],
    );
    refuses(swag, SWAG.replace(",d,0", ",d,"), &["line 5: `label`", "found \"\""]);
    refuses(swag, SWAG.replace(",d,0", ",d"), &["line 5: expected at least 12 columns, found 11"]);
    let cut = &SWAG[..SWAG.find("lines\"").unwrap()];
    refuses(swag, cut, &["line 2: ", "closed"]);
    let behind = SWAG.replace("lines\"", "lines\" x");
    refuses(swag, behind, &["line 3: expected a comma", "found ' ' at byte 7"]);
}

const RACE: &str = r#"{"article": "It was late.", "questions": ["It was _ .", "Why?"], "id": "high1.txt",
    "options": [["late", "early"], ["a", "b", "c", "d"]], "answers": ["A", "D"], "more": 1}"#;

#[test]
fn race() {
    let filled = choices("It was late.", &["It was late .", "It was early ."], Some(0));
    let asked = choices("It was late.", &["Why? a", "Why? b", "Why? c", "Why? d"], Some(3));
    let line = RACE.replace('\n', " ");
    let lines = format!("{line}\n\n{}\n", line.replace(r#""answers": ["A", "D"],"#, ""));
    let found = read(|path| read_race(path), lines).unwrap();
    let without =
        |example: &MultipleChoiceExample| MultipleChoiceExample { label: None, ..example.clone() };
    assert_eq!(found, [filled.clone(), asked.clone(), without(&filled), without(&asked)]);

    let (directory, _) = file("middle/2.txt", RACE.replace("late", "soon"));
    fs::create_dir(directory.path().join("high")).unwrap();
    fs::write(directory.path().join("high/1.txt"), RACE).unwrap();
    fs::write(directory.path().join("high/read.me"), "no article").unwrap();
    let found: Vec<_> = read_race(directory.path()).unwrap().collect::<Result<_>>().unwrap();
    assert_eq!((found.len(), &found[1]), (4, &asked));
    assert_eq!(found[2].prompt, "It was soon.");

    fs::write(directory.path().join("middle/3.txt"), &RACE[..60]).unwrap();
    refused(
        read_race(directory.path()).unwrap().collect::<Result<Vec<_>>>(),
        &["3.txt: line 1, column 60: EOF"],
    );
}

#[test]
fn wrong_race() {
    let race = |path: &Path| read_race(path);
    let line = RACE.replace('\n', " ");
    refuses(
        race,
        line.replace("\"D\"", "\"E\""),
        &["line 1: answers[1]: expected one of the first 4 letters, found \"E\""],
    );
    refuses(
        race,
        line.replace(", \"D\"", ""),
        &["line 1: ", "2, found 2 `options` and 1 `answers`"],
    );
    refuses(
        race,
        line.replace("\"article\"", "\"text\""),
        &["line 1: column", "missing field `article`"],
    );
    refuses(
        race,
        line.replace("\"late\", \"early\"", ""),
        &["line 1: options[0]: expected at least one"],
    );
    refuses(race, format!("{line}\n{}", &line[..50]), &["line 2: column 50: EOF"]);
    let empty = tempfile::tempdir().unwrap();
    refused(read_race(empty.path()), &["expected files named *.txt or *.json, found none"]);
}

#[test]
fn c3() {
    let text = r#"[[["女：走吗？", "男：不走。"], [{"question": "谁走？", "choice": ["都走", "都不走", "女的"], "answer": "都不走"},
        {"question": "谁说？", "choice": ["甲", "乙"]}], "d-1"]]"#;
    let prompt = "女：走吗？\n男：不走。";
    let expected = [
        choices(prompt, &["谁走？ 都走", "谁走？ 都不走", "谁走？ 女的"], Some(1)),
        choices(prompt, &["谁说？ 甲", "谁说？ 乙"], None),
    ];
    let c3 = |path: &Path| read_c3(path);
    assert_eq!(read(c3, text).unwrap(), expected);
    let wrong = text.replace("\"answer\": \"都不走\"", "\"answer\": \"走\"");
    refuses(c3, wrong, &["[0][1][0]: `answer`: expected one of the choices, found \"走\""]);
    refuses(c3, text.replace("[\"甲\", \"乙\"]", "[]"), &["[0][1][1]: `choice`"]);
    refuses(c3, text.replace("\"d-1\"", "\"d-1\", 2"), &["line 2, column"]);
    for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
        refuses(c3, &text[..end], &["line ", ", column ", "EOF"]);
    }
}

#[test]
fn json_lines_of_choices() {
    let text = "\u{feff}{\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"label\": 1, \"more\": {}}\r\n \n\
        {\"choices\": [\"a\", \"b\"], \"prompt\": \"q\", \"label\": [0.25, 0.75]}\n{\"prompt\": \"r\", \"choices\": [\"a\"]}";
    let found = read(|path| read_choices(path), text).unwrap();
    assert_eq!(found[0], choices("p", &["a", "b"], Some(1)));
    assert_eq!(found[1].label, Some(ChoiceLabel::Distribution(vec![0.25, 0.75])));
    assert_eq!(found[2], choices("r", &["a"], None));
}

#[test]
fn wrong_json_lines_of_choices() {
    let refuses = |line: &str, words: &[&str]| {
        let good = "{\"prompt\": \"p\", \"choices\": [\"a\"]}\n";
        let words = [&["line 3: "], words].concat();
        refuses(|path| read_choices(path), format!("{good}{good}{line}"), &words);
    };
    refuses("{\"prompt\": \"p\"", &["column 14: EOF"]);
    refuses("{\"prompt\": \"p\", \"choices\": []}", &["`choices`: expected at least one"]);
    refuses(
        "{\"prompt\": 5, \"choices\": [\"a\"]}",
        &["invalid type: integer `5`, expected a string"],
    );
    let with =
        |label| format!("{{\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"label\": {label}}}");
    refuses(&with("2"), &["`label`: expected an index below 2, found 2"]);
    for label in ["-1", "0.5", "\"a\"", "{}", "[1, \"a\"]", "true"] {
        refuses(&with(label), &["`label`: expected an index or a list of numbers, found "]);
    }
    for label in ["[1]", "[0.5, 0.6]", "[1.5, -0.5]", "[0, 0, 1]", "[1e39, 0]", "[]"] {
        refuses(&with(label), &["`label`: expected 2 numbers ≥ 0 of sum 1"]);
    }
}

fn classified(text: &str, pair: Option<&str>, label: Option<&str>) -> ClassificationExample {
    ClassificationExample {
        text: text.into(),
        text_pair: pair.map(str::to_owned),
        label: label.map(|label| RawLabel::Text(label.into())),
    }
}

#[test]
fn glue() {
    let read = |task: GlueTask, labelled, text: &str| {
        read(|path| read_tsv(path, &task.layout(labelled)), text).unwrap()
    };
    let cola = "gj04\t1\t\tShe \"said so.\ngj04\t0\t*\tSo said\tmore\r\n";
    let said =
        [classified("She \"said so.", None, Some("1")), classified("So said", None, Some("0"))];
    assert_eq!(read(GlueTask::Cola, true, cola), said);
    assert_eq!(
        read(GlueTask::Cola, false, "index\tsentence\n0\ta b\n"),
        [classified("a b", None, None)]
    );
    assert_eq!(
        read(GlueTask::Sst2, true, "sentence\tlabel\nfine \t1\n"),
        [classified("fine ", None, Some("1"))]
    );
    let pairs = [
        (GlueTask::Mrpc, "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\nL\t1\t2\tA\tB", "1"),
        (
            GlueTask::Qqp,
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\tshort\n0\t1\t2\tA\tB\tL\n",
            "0",
        ),
        (GlueTask::StsB, "index\tgenre\tsentence1\tsentence2\tscore\n0\tg\tA\tB\tL", "3.8"),
        (
            GlueTask::Mnli,
            "index\tsentence1_parse\tsentence1\tsentence2\tlabel1\tgold_label\n0\t( A )\tA\tB\tx\tL",
            "neutral",
        ),
        (GlueTask::Qnli, "index\tquestion\tsentence\tlabel\n0\tA\tB\tL\n", "entailment"),
        (GlueTask::Rte, "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tL\n", "not_entailment"),
        (GlueTask::Wnli, "index\tsentence1\tsentence2\tlabel\n\n0\tA\tB\tL\n", "1"),
    ];
    for (task, text, label) in pairs {
        let labelled = text.replace('L', label);
        assert_eq!(
            read(task, true, &labelled),
            [classified("A", Some("B"), Some(label))],
            "{task:?}"
        );
        assert_eq!(read(task, false, &labelled), [classified("A", Some("B"), None)], "{task:?}");
        assert_eq!(GlueTask::from_name(&format!("{task:?}")), Some(task));
    }
    assert_eq!(GlueTask::from_name("SST-2"), Some(GlueTask::Sst2));
    assert_eq!(GlueTask::from_name("mnli-mm"), None);
}

#[test]
fn wrong_tables() {
    let rte = |path: &Path| read_tsv(path, &GlueTask::Rte.layout(true));
    let head = "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n";
    refuses(
        rte,
        "index\tsentence1\n",
        &["line 1: expected a column `sentence2`, found index, sentence1"],
    );
    refuses(rte, format!("{head}1\tA\tB\n"), &["line 3: expected at least 4 columns, found 3"]);
    refuses(
        rte,
        format!("{head}1\tA\tB\t \n"),
        &["line 3: expected a label, found an empty field"],
    );
    let binary = [head.as_bytes(), b"1\tA\xff\tB\tx\n"].concat();
    refuses(rte, binary, &["line 3: expected UTF-8, found something else at byte 4"]);
    let long = format!("{head}{}", "x".repeat((16 << 20) + 3));
    refuses(rte, long, &["line 3: expected at most 16777216 bytes, found more"]);
    refused(rte(Path::new("no such file")), &["no such file: "]);
    let directory = tempfile::tempdir().unwrap();
    refused(rte(directory.path()), &["expected a regular file, found a directory"]);
}

#[test]
fn nothing_follows_an_error() {
    let (_directory, path) = file("data", "0\n0\tA\tB\tentailment\n1\n2\tA\tB\tentailment\n");
    let layout = TsvLayout {
        has_header: false,
        text: 1.into(),
        text_pair: None,
        label: None,
        skip_short_lines: false,
    };
    let found: Vec<bool> =
        read_tsv(&path, &layout).unwrap().map(|example| example.is_ok()).collect();
    assert_eq!(found, [false]);
    let skipping = TsvLayout { skip_short_lines: true, ..layout };
    assert_eq!(read_tsv(&path, &skipping).unwrap().count(), 2);
}

#[test]
fn json_lines_of_texts() {
    let text = "{\"text\": \"a\", \"label\": \"good\"}\n{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 1}\n\
        {\"sentence\": \"a\", \"text_pair\": \"b\", \"label\": 2.5}\n{\"text\": \"a\", \"label\": [\"x\", \"y\"]}\n\
        {\"text\": \"a\", \"label\": [0, 1.0]}\n{\"text\": \"a\", \"label\": []}\n{\"text\": \"a\", \"label\": null, \"id\": 7}\n";
    let found = read(|path| read_classification(path), text).unwrap();
    let labels: Vec<_> = found.iter().map(|example| example.label.clone()).collect();
    let expected = [
        Some(RawLabel::Text("good".into())),
        Some(RawLabel::Number(1.0)),
        Some(RawLabel::Number(2.5)),
        Some(RawLabel::Texts(vec!["x".into(), "y".into()])),
        Some(RawLabel::Numbers(vec![0.0, 1.0])),
        Some(RawLabel::Texts(vec![])),
        None,
    ];
    assert_eq!(labels, expected);
    let pairs: Vec<_> = found.iter().map(|example| example.text_pair.as_deref()).collect();
    assert_eq!(pairs[..4], [None, Some("b"), Some("b"), None]);
    let refuses =
        |line: &str, words: &[&str]| refuses(|path| read_classification(path), line, words);
    refuses(
        "{\"text\": \"a\", \"label\": {}}",
        &["line 1: `label`: expected a string, a number or a list of either, found {}"],
    );
    refuses("{\"text\": \"a\", \"label\": [1, \"a\"]}", &["line 1: `label`"]);
    refuses("{\"label\": 1}", &["line 1: column", "missing field `text`"]);
    refuses("[1]\n", &["line 1: column"]);
}

fn sentence(words: &[&str], tags: &[&str]) -> TokenClassificationExample {
    let owned = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
    TokenClassificationExample { words: owned(words), tags: owned(tags) }
}

#[test]
fn conll() {
    let text = "-DOCSTART- -X- -X- O\n\nAnna NNP B-NP B-PER\nsings VBZ\tB-VP O\r\n. . O O\n\n\n-DOCSTART- -X- -X- O\n\nUppsala NNP B-NP B-LOC";
    let expected = [
        sentence(&["Anna", "sings", "."], &["B-PER", "O", "O"]),
        sentence(&["Uppsala"], &["B-LOC"]),
    ];
    let conll = |path: &Path| read_conll(path, ConllColumns::default());
    assert_eq!(read(conll, text).unwrap(), expected);
    let part_of_speech = |path: &Path| read_conll(path, ConllColumns { word: 0, tag: Some(1) });
    assert_eq!(read(part_of_speech, text).unwrap()[0].tags, ["NNP", "VBZ", "."]);
    refuses(
        conll,
        text.replace("sings VBZ", "sings"),
        &["line 4: expected 4 columns, as before, found 3"],
    );
    refuses(conll, "one\ntwo\n", &["line 1: expected a word and a tag, found 1 columns"]);
    refuses(
        |path| read_conll(path, ConllColumns { word: 4, tag: None }),
        text,
        &["line 3: expected a word and a tag"],
    );
    refuses(
        conll,
        "word O\n".repeat((1 << 16) + 1),
        &["line 65537: expected a sentence of at most 65536 words"],
    );
}

const SQUAD: &str = r#"{"version": "v2.0", "data": [{"title": "T", "paragraphs": [{"context": "Ada wrote it.", "qas": [
    {"id": "1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}], "is_impossible": false},
    {"id": "2", "question": "Why?", "answers": [], "is_impossible": true, "plausible_answers": [{"text": "it", "answer_start": 10}]},
    {"id": "3", "question": "When?"}]}]}]}"#;

#[test]
fn squad() {
    let squad = |path: &Path| read_squad(path);
    let found = read(squad, SQUAD).unwrap();
    let answers: Vec<_> = found.iter().map(|example| example.answers.clone()).collect();
    assert_eq!(answers, [Some(vec![Answer { text: "Ada".into(), start: 0 }]), Some(vec![]), None]);
    assert_eq!((found[2].id.as_str(), found[2].context.as_str()), ("3", "Ada wrote it."));
    let again = SQUAD.replace("\"2\"", "\"1\"");
    refuses(
        squad,
        again,
        &["data[0].paragraphs[0].qas[1].id: expected an id of its own, found \"1\" again"],
    );
    refuses(
        squad,
        SQUAD.replace("\"question\": \"Why?\"", "\"q\": 1"),
        &["line 3, column", "missing field `question`"],
    );
    refuses(
        squad,
        SQUAD.replace("start\": 0", "start\": \"0\""),
        &["line 2, column", "invalid type"],
    );
    refuses(squad, "[]", &["line 1, column"]);
    for end in 0..SQUAD.len() {
        refuses(squad, &SQUAD[..end], &["line ", ", column ", "EOF"]);
    }
}
