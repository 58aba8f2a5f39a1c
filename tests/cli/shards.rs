//! `--shard`: parts of a file, each by a process of its own.

use std::fs;

use crate::{DEMO, Run, fed, run, text};

/// What a part answers.
fn part(file: &str, index: usize, count: usize, options: &[&str]) -> Run {
    let shard = format!("{index}/{count}");
    let arguments = ["embed", "-m", DEMO, "-i", file, "--shard", &shard];
    run(&[&arguments[..], options].concat())
}

/// The parts' answers one after the other are those of the whole, line numbers included: with lines of all lengths, empty
/// ones, two kinds of line ends, and more parts than lines.
#[test]
fn parts_make_the_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("texts.txt");
    let long = "回归分类".repeat(40);
    let lines =
        ["\u{feff}回归", "", &long, "a", "b\r", "\r", "分类", "", "", "数据", &long, "模型"];
    for end in ["", "\n", "\n\n"] {
        fs::write(&path, lines.join("\n") + end).unwrap();
        let file = text(&path);
        let whole = run(&["embed", "-m", DEMO, "-i", file]).succeeds();
        assert_eq!(whole.lines(), [1, 3, 4, 5, 7, 10, 11, 12]);
        for count in [1, 2, 3, 7, 40] {
            let parts = (0..count).map(|index| part(file, index, count, &[]).succeeds().stdout);
            assert_eq!(parts.collect::<String>(), whole.stdout, "{count} parts, end {end:?}");
        }
    }
    fs::write(&path, "").unwrap();
    assert_eq!(part(text(&path), 1, 2, &[]).succeeds().stdout, "");
}

/// An error is one part's alone, with the number that its line has in the file.
#[test]
fn errors_keep_the_number_of_their_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("texts.jsonl");
    fs::write(&path, "\"回归\"\n\"分类\"\n{\n\"数据\"\n").unwrap();
    let first = part(text(&path), 0, 2, &["-f", "jsonl"]).succeeds();
    let second = part(text(&path), 1, 2, &["-f", "jsonl"]).fails(1, &["error: line 3", "1 of 2"]);
    assert_eq!((first.lines(), second.lines()), (vec![1, 2], vec![4]));
}

#[test]
fn wrong_parts() {
    for shard in ["2/2", "0/0", "1", "a/2", "0/", "-1/2", "0/2/3"] {
        let shard = format!("--shard={shard}");
        run(&["embed", "-m", DEMO, "-i", "/nowhere", &shard]).fails(2, &["expected I/N"]);
    }
    // Neither of these can be cut.
    fed(&["embed", "-m", DEMO, "--shard", "0/2"], "回归").fails(2, &["--input"]);
    run(&["embed", "-m", DEMO, "--shard", "0/2", "回归"]).fails(2, &["--shard", "[TEXT]"]);
    run(&["embed", "-m", DEMO, "-i", "/dev/null", "--shard", "0/2"])
        .fails(1, &["/dev/null", "regular file"]);
}
