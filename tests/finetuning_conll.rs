//! CoNLL files as people have them: comments, tabs, empty cells, CoNLL-U.

mod common;

use std::path::Path;

use common::data_files::{because, read, read_good, refuses};
use ndalbert::Result;
use ndalbert::train::datasets::*;

fn conll(path: &Path) -> Result<Examples<TokenClassificationExample>> {
    read_conll(path, ConllColumns::default())
}

fn columns(
    word: usize,
    tag: usize,
) -> impl Fn(&Path) -> Result<Examples<TokenClassificationExample>> {
    move |path| read_conll(path, ConllColumns { word, tag: Some(tag) })
}

/// Each sentence as `word/tag word/tag`.
fn sentences(examples: &[TokenClassificationExample]) -> Vec<String> {
    let pairs = |example: &TokenClassificationExample| {
        let pairs = example.words.iter().zip(&example.tags);
        pairs.map(|(word, tag)| format!("{word}/{tag}")).collect::<Vec<_>>().join(" ")
    };
    examples.iter().map(pairs).collect()
}

#[track_caller]
fn reads(
    reader: impl Fn(&Path) -> Result<Examples<TokenClassificationExample>>,
    content: &str,
    expected: &[&str],
) {
    assert_eq!(sentences(&read(&reader, content).unwrap()), expected, "{content}");
    let windows = content.replace('\n', "\r\n");
    assert_eq!(sentences(&read(&reader, windows).unwrap()), expected, "{content} with CRLF");
    let marked = format!("\u{feff}{content}");
    assert_eq!(sentences(&read(&reader, marked).unwrap()), expected, "{content} with a mark");
}

#[test]
fn comments_before_a_sentence_are_no_words() {
    // As many columns as a line of words has.
    let text = "# id 5f3a\tdomain=en\nacme _ _ B-CORP\nin _ _ O\n\n# id 6b1c\tdomain=en\nbob _ _ B-PER\n\n";
    reads(conll, text, &["acme/B-CORP in/O", "bob/B-PER"]);
    let text = "# comment of another width\na O\nacme B-CORP\n\nbob B-PER\n\n";
    reads(conll, text, &["a/O acme/B-CORP", "bob/B-PER"]);
    // Several, also without a space, and between blank lines.
    let text = "#begin document (a); part 000\n# sent_id = 1\n#\na O\n\n# note\n\n#end document\n";
    reads(conll, text, &["a/O"]);
    // Its last word is one of the tags.
    reads(conll, "# text = 1\na _ _ 1\n\n# sent_id = 1\nb _ _ 0\n", &["a/1", "b/0"]);
    reads(conll, "# see O\na O\n", &["a/O"]);
    reads(conll, "# newdoc x\na DET\nb NOUN\n", &["a/DET b/NOUN"]);
    reads(conll, "# the famous B-side\na _ _ O\n\n# id 5f3a O\nb _ _ O\n", &["a/O", "b/O"]);
}

#[test]
fn a_hash_with_a_tag_is_a_word() {
    reads(conll, "a O\n# O\nacme B-CORP\n\nbob B-PER\n\n", &["a/O #/O acme/B-CORP", "bob/B-PER"]);
    reads(conll, "# O\na O\n\n# B-PER\n", &["#/O a/O", "#/B-PER"]);
    reads(
        conll,
        "#rust\tB-PROD\nis\tO\n\nin\tO\n#rust\tB-PROD\n",
        &["#rust/B-PROD is/O", "in/O #rust/B-PROD"],
    );
    // Parts of speech: a tag that others have, or within a sentence any.
    reads(conll, "# SYM\n5 NUM\n\n5 SYM\n", &["#/SYM 5/NUM", "5/SYM"]);
    reads(conll, "a DT\n# #\n5 CD\n", &["a/DT #/# 5/CD"]);
    reads(conll, "a X Y O\n# # I-NP O\n", &["a/O #/O"]);
    reads(conll, "# _ _ B-X\na _ _ O\n\n# # _ O\n", &["#/B-X a/O", "#/O"]);
}

#[test]
fn comments_within_a_sentence_are_told_from_words() {
    reads(conll, "a O\n# a note\nb O\n", &["a/O b/O"]);
    reads(conll, "a _ _ O\n# id 5f3a domain=en\nb _ _ O\n", &["a/O b/O"]);
    // What is neither is not guessed at.
    refuses(conll, "a _ O\n#tag O\nb _ O\n", &["line 2: expected 3 columns, as before, found 2"]);
    refuses(conll, "a _ O\n#\nb _ O\n", &["line 2: expected 3 columns, as before, found 1"]);
}

#[test]
fn documents_begin_whatever_else_is_on_the_line() {
    for start in ["-DOCSTART- -X- -X- O", "-DOCSTART-", "-DOCSTART-\tO", "-DOCSTART- (12)"] {
        let text = format!("{start}\n\na b c O\n{start}\nd e f B-X\n");
        reads(conll, &text, &["a/O", "d/B-X"]);
    }
}

#[test]
fn columns_are_between_tabs_where_lines_have_tabs() {
    let text = "#\thttp://example.org/a [2010-01-01]\n1\tAnna\tB-PER\tO\n2\tlebt\tO\tO\n\n#\thttp://example.org/b [2010-01-02]\n1\tBern\tB-LOC\tO\n\n";
    reads(columns(1, 2), text, &["Anna/B-PER lebt/O", "Bern/B-LOC"]);
    let text = "Anna\t\tB-PER\nlebt\tVB\tO\n\nBern\t\tB-LOC\n";
    reads(conll, text, &["Anna/B-PER lebt/O", "Bern/B-LOC"]);
    reads(conll, "New York\tB-LOC\nis\tO\n\t\nbig\tO\n", &["New York/B-LOC is/O", "big/O"]);
    // A last column that is always empty is none; one that is not always empty is one.
    reads(conll, "Anna\tB-PER\t\nlebt\tO\t\n", &["Anna/B-PER lebt/O"]);
    reads(columns(0, 1), "Anna\tB-PER\tx\nlebt\tO\t\n", &["Anna/B-PER lebt/O"]);
    // A comment with a tab in a file with spaces, a line with spaces in one with tabs.
    reads(conll, "a b\tO\nc d O\ne f O\n", &["a/O c/O e/O"]);
    reads(conll, "a\tb\tO\nc\td\tO\ne f O\n", &["a/O c/O e/O"]);
    refuses(conll, "a\tb\tO\nc\td\t\ne\tf\tO\n", &["line 2: expected a tag, found an empty cell"]);
    refuses(conll, "a\tb\tO\n\td\tO\n", &["line 2: expected a word, found an empty cell"]);
    refuses(
        conll,
        "a\tb\tO\nNew York\tO\nc\td\tO\n",
        &["line 2: expected 3 columns, as before, found 2"],
    );
}

#[test]
fn no_break_spaces_are_kept_in_words_and_may_separate_columns() {
    reads(conll, "10\u{a0}000 O\n\u{a0} O\nkm B-X\n", &["10\u{a0}000/O \u{a0}/O km/B-X"]);
    reads(
        conll,
        "Anna\u{a0}B-PER\nlebt\u{a0}O\n\u{a0}\nBern\u{a0}B-LOC\n",
        &["Anna/B-PER lebt/O", "Bern/B-LOC"],
    );
}

#[test]
fn conll_u() {
    let rest = "\t_\t_\t3\tdep\t_\t_\n";
    let line = |id: &str, word: &str, tag: &str| format!("{id}\t{word}\t_\t{tag}{rest}");
    let text = [
        "# sent_id = 1\n# text = du vin #\n".to_owned(),
        line("1-2", "du", "_"),
        line("1", "de", "ADP"),
        line("2", "le", "DET"),
        line("2.1", "x", "VERB"),
        line("3", "vin", "NOUN"),
        line("4", "#", "SYM"),
    ]
    .concat();
    reads(columns(1, 3), &text, &["de/ADP le/DET vin/NOUN #/SYM"]);
}

#[test]
fn a_sentence_with_a_bad_line_is_skipped_as_a_whole() {
    let text = "a O\nb O\n\nc O\nd\ne\nf O\n\ng O\n";
    let (good, reasons) = read_good(conll, text);
    assert_eq!(sentences(&good), ["a/O b/O", "g/O"]);
    because(&reasons, &[&["line 5: expected 2 columns, as before, found 1"]]);
    refuses(conll, text, &["line 5: "]);
    // The first line is not always the right one.
    let (good, reasons) = read_good(conll, "a\n\nb O\nc O\n");
    assert_eq!(sentences(&good), ["b/O c/O"]);
    because(&reasons, &[&["line 1: expected 2 columns"]]);
    let (good, reasons) = read_good(conll, b"a O\n\nb\xff O\n\nc O\n");
    assert_eq!(sentences(&good), ["a/O", "c/O"]);
    because(&reasons, &[&["line 3: expected UTF-8"]]);
    let long = format!("{}\nb O\n", "a O\n".repeat((1 << 16) + 9));
    let (good, reasons) = read_good(conll, long);
    assert_eq!(sentences(&good), ["b/O"]);
    because(&reasons, &[&["line 65537: expected a sentence of at most 65536 words"]]);
}
