//! Damaged and hostile TensorFlow checkpoints are refused, in words that help, and cheaply.

mod checkpoint_support;

use std::fs;

use checkpoint_support::tensorflow::{
    Entry, INDEX, Pairs, VALUES, block, block_entry, footer, header, message, number, pairs,
    sealed, table, table_of, table_with, trailed, varint, written,
};
use checkpoint_support::{ALLOWED, refused, refused_at};
use ndalbert::checkpoint::Checkpoint;

/// Sixteen values of a file, 0 to 15.
fn values() -> Vec<u8> {
    (0..16).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

/// A checkpoint of two matrices.
fn good() -> Pairs {
    let values = values();
    pairs(&[("a", Entry::f32(&[2, 3], &values, 0)), ("b", Entry::f32(&[2, 5], &values, 24))])
}

#[track_caller]
fn refused_table(index: &[u8], needles: &[&str]) {
    let (_directory, path) = written(index, &values());
    refused_at(&path, &path, needles, ALLOWED);
}

/// A checkpoint of one variable `w`, a `[2, 3]` that `change` makes wrong.
#[track_caller]
fn refused_entry(change: impl Fn(&mut Entry), needles: &[&str]) {
    let mut entry = Entry::f32(&[2, 3], &values(), 0);
    change(&mut entry);
    let (directory, path) = written(&table(&pairs(&[("w", entry)])), &values());
    refused_at(&path, directory.path(), &[&["`w`"], needles].concat(), ALLOWED);
}

fn open_all(index: &[u8]) -> Vec<(String, Vec<f32>)> {
    let (_directory, path) = written(index, &values());
    let checkpoint = Checkpoint::open(&path).unwrap();
    let read =
        |name: &str| (name.to_owned(), checkpoint.read(name).unwrap().iter().copied().collect());
    checkpoint.names().map(read).collect()
}

/// Blocks in any number, compressed or not, are one table.
#[test]
fn good_tables() {
    let expected = open_all(&table(&good()));
    assert_eq!(expected[1].1, [6., 7., 8., 9., 10., 11., 12., 13., 14., 15.]);
    for compression in [0, 1] {
        let blocks =
            good().chunks(1).map(|pairs| sealed(&block(pairs), compression)).collect::<Vec<_>>();
        assert_eq!(open_all(&table_of(&blocks)), expected);
        assert_eq!(open_all(&table_of(&[sealed(&block(&good()), compression)])), expected);
    }
}

#[test]
fn files_that_are_something_else() {
    refused(INDEX, b"", &["empty"]);
    refused(INDEX, b"x", &["expected at least 48 bytes, found 1"]);
    refused(INDEX, &[0; 100], &["truncated or no table", "0xdb4775248b80fb57"]);
    refused(INDEX, b"version https://git-lfs.github.com/spec/v1\n", &["git lfs pull"]);
    refused(INDEX, b"<!DOCTYPE html>", &["web page"]);
    let (_directory, path) =
        written(&table(&good()), b"version https://git-lfs.github.com/spec/v1\n");
    refused_at(&path, &path.with_file_name(VALUES), &["git lfs pull"], ALLOWED);
}

/// Sparse, so it costs no disk.
#[test]
fn an_index_beyond_the_limit_is_not_read() {
    let (_directory, path) = written(&table(&good()), &values());
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    refused_at(&path, &path, &["at most 16777216", "found 1073741824"], ALLOWED);
}

#[test]
fn places_of_blocks() {
    for (offset, len) in [(0, u64::MAX), (u64::MAX, 1), (1 << 63, 1 << 63), (0, 1000), (1000, 0)] {
        let found = format!("{len} bytes from byte {offset}");
        refused_table(&[sealed(&block(&good()), 0), footer((offset, len))].concat(), &[&found]);
    }
    let mut long = footer((0, 0));
    long[2..14].fill(0xff);
    refused_table(&long, &["more than 64 bits"]);
    long[2..40].fill(0x80);
    refused_table(&long, &["more than 64 bits"]);
    refused_table(&footer((0, 0)), &["the index block"]);
    // An index block whose blocks do not exist, are it itself, or come twice.
    let data = sealed(&block(&good()), 0);
    let handles = |handles: &[Vec<u8>]| {
        let pairs: Pairs =
            handles.iter().enumerate().map(|(i, handle)| (vec![i as u8], handle.clone())).collect();
        table_with(data.clone(), &block(&pairs))
    };
    let whole = [varint(0), varint(data.len() as u64 - 5)].concat();
    assert_eq!(open_all(&handles(&[whole.clone()])).len(), 2);
    refused_table(&handles(&[whole.clone(), whole.clone()]), &["a block at byte 0", "or after"]);
    refused_table(&handles(&[[varint(9), varint(1 << 40)].concat()]), &["from byte 9", "within"]);
    refused_table(&handles(&[vec![0]]), &["expected 1 more bytes"]);
    refused_table(&handles(&[[whole, vec![0]].concat()]), &["1 bytes after the place"]);
}

#[test]
fn blocks() {
    let good_block = block(&good());
    let mut wrong = table(&good());
    wrong[3] ^= 1;
    refused_table(&wrong, &["the block at byte 0", "CRC-32C"]);
    refused_table(&table_of(&[sealed(&good_block, 7)]), &["compression 7"]);
    for (bytes, words) in [
        (vec![], "a number of restarts"),
        (vec![1, 0, 0], "a number of restarts"),
        (vec![1, 0, 0, 0], "1 restarts, expected within 0 bytes"),
        (u32::MAX.to_le_bytes().to_vec(), "4294967295 restarts"),
        ([1u32, 1].map(u32::to_le_bytes).concat(), "a restart at 1"),
        ([0u32, u32::MAX, 2].map(u32::to_le_bytes).concat(), "a restart at 4294967295"),
    ] {
        refused_table(&table_of(&[sealed(&bytes, 0)]), &["the block at byte 0", words]);
    }
}

#[test]
fn entries_of_blocks() {
    let refused_entries = |entries: &[u8], words: &[&str]| {
        let block = [entries, &0u32.to_le_bytes()].concat();
        refused_table(&table_of(&[sealed(&block, 0)]), words);
    };
    let first = block_entry(0, b"", &header(1));
    let with = |rest: &[u8]| [&first, rest].concat();
    refused_entries(&with(&block_entry(1, b"a", b"")), &["a key before it of 1 bytes, found 0"]);
    refused_entries(&with(&block_entry(u64::MAX, b"a", b"")), &["found 0"]);
    refused_entries(&with(&block_entry(0, &[b'a'; 1025], b"")), &["a key of at most 1024"]);
    refused_entries(&with(&[varint(0), varint(u64::MAX), vec![0]].concat()), &["at most 1024"]);
    refused_entries(&with(&[0, 3, 0, b'a']), &["expected 3 more bytes, found 1"]);
    refused_entries(
        &with(&[vec![0, 1], varint(1 << 60), vec![b'a']].concat()),
        &["more bytes, found 0"],
    );
    refused_entries(&with(&[0x80; 4]), &["expected 1 more bytes"]);
    refused_entries(&with(&[[0xff; 9].to_vec(), vec![2]].concat()), &["more than 64 bits"]);
    refused_entries(&with(&first), &["out of order"]);
    let entry = Entry::f32(&[2, 3], &values(), 0).bytes();
    let [a, b] = ["a", "b"].map(|name| block_entry(0, name.as_bytes(), &entry));
    refused_entries(&with(&[b, a.clone()].concat()), &["the key \"a\" is out of order"]);
    refused_entries(&a, &["header to come first"]);
    refused_entries(b"", &["an empty table"]);
    refused_entries(&with(&block_entry(0, &[b'a', 0xff], &entry)), &["a\\xff", "not UTF-8"]);
    refused_entries(&with(&block_entry(0, b"a", b"\x0a\xff\xff\xff\xff\x0f")), &["variable `a`"]);
}

/// Some hundred KB of keys that would be some ten thousand times as much.
#[test]
fn more_entries_than_any_checkpoint_has() {
    let mut entries = block_entry(0, b"", &header(1));
    for i in 0..70_000u32 {
        let key = [&[0u8; 1000][..], &i.to_be_bytes()].concat();
        let shared = if i == 0 { 0 } else { 1000 };
        entries.extend(block_entry(shared, &key[shared as usize..], b""));
    }
    entries.extend(0u32.to_le_bytes());
    let (_directory, path) = written(&table_of(&[sealed(&entries, 0)]), &values());
    refused_at(&path, &path, &["more than 65536 entries"], 2 * entries.len() + ALLOWED);
}

#[test]
fn snappy() {
    let wrap = |compressed: &[u8]| table_of(&[trailed(compressed, 1)]);
    refused_table(&wrap(b""), &["not a Snappy block"]);
    refused_table(&wrap(&varint(u32::MAX.into())), &["once decompressed"]);
    refused_table(&wrap(&[varint(200), vec![0; 20]].concat()), &["not a Snappy block"]);
    refused_table(
        &wrap(&[varint(1 << 20), vec![0; 20]].concat()),
        &["1048576 bytes once decompressed"],
    );
    let zeros = snap::raw::Encoder::new().compress_vec(&vec![0; 8 << 20]).unwrap();
    let (_directory, path) = written(&wrap(&zeros), &values());
    refused_at(&path, &path, &["8388608", "at most 4194304"], 2 * zeros.len() + ALLOWED);
}

#[test]
fn headers() {
    let refused_header = |header: Vec<u8>, words: &[&str]| {
        let mut pairs = good();
        pairs[0].1 = header;
        refused_table(&table(&pairs), words);
    };
    for shards in [0, -1, 129, i64::from(i32::MAX)] {
        refused_header(header(shards), &["1 to 128 files", &format!("found {shards}")]);
    }
    refused_header([header(1), number(2, 1)].concat(), &["little-endian", "big-endian"]);
    refused_header([header(1), number(2, 2)].concat(), &["byte order 0 or 1, found 2"]);
    refused_header([number(1, 1), message(3, &number(2, 2))].concat(), &["version 1", "found 2"]);
    refused_header(vec![0xff], &["the header"]);
}

#[test]
fn descriptions_of_variables() {
    refused_entry(|w| w.shape = vec![2, 4], &["the bytes of a [2, 4] of f32", "found 24 bytes"]);
    refused_entry(|w| w.dtype = 2, &["of f64", "found 24 bytes"]);
    refused_entry(|w| w.shape = vec![i64::MAX, 2], &["found 24 bytes"]);
    refused_entry(|w| w.shape = vec![1 << 32, 1 << 32], &["4294967296", "found 24 bytes"]);
    refused_entry(|w| w.shape = vec![-2, -3], &["0 or more, found -2"]);
    refused_entry(|w| w.shape = vec![1, 1, 1, 1, 1, 1, 1, 2, 3], &["at most 8 dimensions"]);
    refused_entry(|w| (w.shape, w.size) = (vec![0, i64::MAX, 9], 0), &["9223372036854775807"]);
    refused_entry(|w| w.offset = 44, &["24 bytes from byte 44", "64 bytes"]);
    refused_entry(|w| w.offset = i64::MAX, &["9223372036854775807"]);
    refused_entry(|w| w.offset = -4, &["an offset of 0 or more, found -4"]);
    refused_entry(|w| w.size = -24, &["a size of 0 or more, found -24"]);
    refused_entry(|w| w.size = 25, &["found 25 bytes"]);
    refused_entry(
        |w| (w.shape, w.size) = (vec![1 << 40], 1 << 42),
        &["within the file of 64 bytes"],
    );
    refused_entry(|w| w.shard = 1, &["a file below 1, found 1"]);
    refused_entry(|w| w.shard = -1, &["found -1"]);
    refused_entry(|w| w.checksum ^= 1, &["the CRC-32C"]);
}

#[test]
fn variables_that_share_bytes() {
    let values = values();
    let [a, b] = [0, 20].map(|offset| Entry::f32(&[2, 3], &values, offset));
    let index = table(&pairs(&[("a", a), ("b", b)]));
    refused_table(&index, &["`b`", "after those of `a`, which end at 24", "from byte 20"]);
}

#[test]
fn files_of_values_that_are_not_there() {
    let mut pairs = good();
    pairs[0].1 = header(3);
    let (_directory, path) = written(&table(&pairs), &values());
    let missing = ["model.ckpt.data-00000-of-00003", "is missing"];
    refused_at(&path, &path, &missing, ALLOWED);
    fs::create_dir(path.with_file_name(missing[0])).unwrap();
    refused_at(&path, &path.with_file_name(missing[0]), &["a directory"], ALLOWED);
}

/// Names are compared with those of every model in the checkpoint.
#[test]
fn more_models_than_any_checkpoint_has() {
    let name = |i: usize| format!("m{i:03}/embeddings/word_embeddings");
    let entry = |i| (name(i).into_bytes(), Entry::f32(&[0], &values(), 0).bytes());
    let models = |count| {
        let first = (Vec::new(), header(1));
        table(&[first].into_iter().chain((0..count).map(entry)).collect::<Pairs>())
    };
    assert_eq!(open_all(&models(16))[0].0, "m000.embeddings.word_embeddings.weight");
    refused_table(&models(17), &["at most 16 models", "found 17"]);
}
