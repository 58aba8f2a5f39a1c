//! Everything that `transformers` answered on the awkward texts (tests/golden/tokenizer), compared
//! field by field.

use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::{AlbertTokenizer, Encoding, Truncation, TruncationSide, TruncationStrategy};
use serde_json::Value;

/// All golden files that are not about truncation, with the least number of cases each must hold.
const SETS: [(&str, usize); 25] = [
    ("sentencepiece", 650),
    ("sentencepiece-cased", 130),
    ("sentencepiece-accents", 130),
    ("sentencepiece-cased-accents", 130),
    ("sentencepiece-no-prefix", 130),
    ("sentencepiece-legacy-map", 130),
    ("sentencepiece-typed-mask", 130),
    ("sentencepiece-decoder", 130),
    ("sentencepiece-added", 130),
    ("sentencepiece-split", 130),
    ("converted", 650),
    ("converted-cased", 130),
    ("converted-verbatim", 130),
    ("converted-saved-by-4", 130),
    ("saved", 130),
    ("chinese", 650),
    ("chinese-cased", 130),
    ("chinese-cased-stripped", 130),
    ("chinese-accents", 130),
    ("chinese-unsplit", 130),
    ("chinese-cleaned", 130),
    ("chinese-added", 130),
    ("wordpiece", 130),
    ("saved-wordpiece", 130),
    ("saved-wordpiece-by-4", 130),
];

fn golden_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizer")
}

/// The header and the cases of a golden file.
fn golden(name: &str) -> (Value, Vec<Value>) {
    let text = fs::read_to_string(golden_directory().join(format!("{name}.jsonl"))).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (lines.next().unwrap(), lines.collect())
}

/// The tokenizer of the header's fixture with the header's JSON files next to it.
fn tokenizer(header: &Value) -> AlbertTokenizer {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
    let directory = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixtures.join(header["fixture"].as_str().unwrap())).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
    }
    for (name, value) in header["files"].as_object().unwrap() {
        fs::write(directory.path().join(name), value.to_string()).unwrap();
    }
    AlbertTokenizer::from_pretrained(directory.path()).unwrap()
}

fn encode(tokenizer: &AlbertTokenizer, case: &Value) -> ndalbert::Result<Encoding> {
    let text = case["text"].as_str().unwrap();
    match case.get("pair") {
        Some(pair) => tokenizer.encode_pair(text, pair.as_str().unwrap()),
        None => tokenizer.encode(text),
    }
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
}

/// The fields of an encoding that differ from the golden case.
fn differences(encoding: &Encoding, case: &Value) -> Vec<String> {
    let char_of = |bit: &bool| if *bit { '1' } else { '0' };
    let sequence_of = |sequence: &Option<usize>| sequence.map_or("-".into(), |n| n.to_string());
    let offsets = encoding.offsets.iter().flat_map(|&(start, end)| [start as u32, end as u32]);
    let type_ids: String = encoding.type_ids.iter().map(u32::to_string).collect();
    let sequences: String = encoding.sequence_ids.iter().map(sequence_of).collect();
    let special: String = encoding.special_tokens_mask.iter().map(char_of).collect();
    let found: [(&str, Value); 6] = [
        ("ids", encoding.ids.clone().into()),
        ("type_ids", type_ids.into()),
        ("offsets", offsets.collect::<Vec<_>>().into()),
        ("words", encoding.word_ids.clone().into()),
        ("sequences", sequences.into()),
        ("special", special.into()),
    ];
    let differs = |(key, found): &(&str, Value)| case[*key] != *found;
    let report = |(key, found): (&str, Value)| format!("{key}: {} != {found}", case[key]);
    found.into_iter().filter(differs).map(report).collect()
}

/// Bytes and characters must name the same stretch of the same text.
fn offsets_agree(encoding: &Encoding, case: &Value) -> bool {
    let texts = [case["text"].as_str().unwrap(), case["pair"].as_str().unwrap_or("")];
    encoding.sequence_ids.iter().enumerate().all(|(token, sequence)| {
        let (start, end) = encoding.offsets[token];
        let (byte_start, byte_end) = encoding.byte_offsets[token];
        match sequence {
            None => (start, end) == (0, 0) && (byte_start, byte_end) == (0, 0),
            Some(sequence) => {
                let chars: String = texts[*sequence].chars().take(end).skip(start).collect();
                texts[*sequence].get(byte_start..byte_end) == Some(chars.as_str())
            }
        }
    })
}

fn compare_decoding(tokenizer: &AlbertTokenizer, ids: &[u32], case: &Value) -> Vec<String> {
    let found = [
        ("decoded", tokenizer.decode(ids, false).unwrap()),
        ("decoded_without_special", tokenizer.decode(ids, true).unwrap()),
    ];
    let differs = |(key, found): &(&str, String)| case[*key] != *found.as_str();
    found
        .into_iter()
        .filter(differs)
        .map(|(key, found)| format!("{key}: {} != {found:?}", case[key]))
        .collect()
}

fn compare(tokenizer: &AlbertTokenizer, case: &Value) -> Vec<String> {
    if let Some(ids) = case.get("decode") {
        return compare_decoding(tokenizer, &numbers(ids), case);
    }
    let encoding = encode(tokenizer, case).unwrap();
    let mut wrong = differences(&encoding, case);
    wrong.extend(compare_decoding(tokenizer, &numbers(&case["ids"]), case));
    if !offsets_agree(&encoding, case) {
        wrong.push(format!("bytes {:?}", encoding.byte_offsets));
    }
    wrong
}

fn describe(case: &Value) -> String {
    format!("{} {}", case["text"], case.get("pair").unwrap_or(&Value::Null))
}

/// Fails with the first few differences if there are any.
fn report(wrong: Vec<String>, compared: usize) {
    let count = wrong.len();
    println!("{compared} cases");
    let first: Vec<String> = wrong.into_iter().take(12).collect();
    assert!(count == 0, "{count} of {compared} cases differ:\n{}", first.join("\n"));
}

/// Compares all sets, each with what `change` makes of its tokenizer.
fn compare_sets(change: impl Fn(AlbertTokenizer) -> AlbertTokenizer) {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (name, least) in SETS {
        let (header, cases) = golden(name);
        let tokenizer = change(tokenizer(&header));
        assert!(cases.len() >= least, "{name} has only {} cases", cases.len());
        compared += cases.len();
        for case in &cases {
            let differences = compare(&tokenizer, case);
            if !differences.is_empty() {
                wrong.push(format!("{name} {}: {}", describe(case), differences.join("; ")));
            }
        }
    }
    report(wrong, compared);
}

#[test]
fn encodes_and_decodes_as_transformers_does() {
    compare_sets(|tokenizer| tokenizer);
}

#[test]
fn saved_tokenizers_encode_and_decode_as_transformers_does() {
    compare_sets(|tokenizer| {
        let directory = tempfile::tempdir().unwrap();
        tokenizer.save_pretrained(directory.path()).unwrap();
        AlbertTokenizer::from_pretrained(directory.path()).unwrap()
    });
}

#[test]
fn special_ids_and_sizes_are_those_of_transformers() {
    for (name, _) in SETS {
        let (header, _) = golden(name);
        let tokenizer = tokenizer(&header);
        let special = [
            tokenizer.pad_token_id(),
            tokenizer.unk_token_id(),
            tokenizer.cls_token_id(),
            tokenizer.sep_token_id(),
            tokenizer.mask_token_id(),
        ];
        assert_eq!(header["special"], Value::from(special.to_vec()), "{name}");
        assert_eq!(header["size"], Value::from(tokenizer.vocab_size()), "{name}");
    }
}

#[test]
fn truncates_as_transformers_does() {
    let (mut wrong, mut compared, mut refused) = (Vec::new(), 0, 0);
    for name in ["truncated-sentencepiece", "truncated-chinese"] {
        let (header, cases) = golden(name);
        let whole = tokenizer(&header);
        for case in &cases {
            let tokenizer = truncating(&whole, case);
            compared += 1;
            let differences = match (encode(&tokenizer, case), case.get("error")) {
                (Ok(encoding), None) => differences(&encoding, case),
                (Err(_), Some(_)) => {
                    refused += 1;
                    Vec::new()
                }
                (Ok(_), Some(error)) => vec![format!("expected the error {error}")],
                (Err(error), None) => vec![error.to_string()],
            };
            if !differences.is_empty() {
                let settings =
                    format!("{} {} {}", case["max_length"], case["strategy"], case["side"]);
                wrong.push(format!(
                    "{name} {} {settings}: {}",
                    describe(case),
                    differences.join("; ")
                ));
            }
        }
    }
    report(wrong, compared);
    assert!(compared > 2000 && refused > 100, "{compared} compared, {refused} refused");
}

fn truncating(whole: &AlbertTokenizer, case: &Value) -> AlbertTokenizer {
    let strategy = match case["strategy"].as_str().unwrap() {
        "longest_first" => TruncationStrategy::LongestFirst,
        "only_first" => TruncationStrategy::OnlyFirst,
        "only_second" => TruncationStrategy::OnlySecond,
        other => panic!("{other}"),
    };
    let side = match case["side"].as_str().unwrap() {
        "left" => TruncationSide::Left,
        _ => TruncationSide::Right,
    };
    let max_length = case["max_length"].as_u64().unwrap() as usize;
    let tokenizer = whole.clone().with_truncation_side(side);
    tokenizer.with_truncation(Truncation { max_length, strategy }).unwrap()
}
