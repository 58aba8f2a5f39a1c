//! Damaged and hostile safetensors files, indices and directories are refused, in words that help, and cheaply.

mod checkpoint_support;

use std::fs;
use std::path::Path;

use checkpoint_support::{ALLOWED, fixture, refused, refused_at, safetensors};
use ndalbert::checkpoint::Checkpoint;

const FILE: &str = "model.safetensors";

#[track_caller]
fn refused_header(header: &str, data: usize, needles: &[&str]) {
    refused(FILE, &safetensors(header, data), needles);
}

#[test]
fn files_that_are_something_else() {
    refused(FILE, b"", &["empty"]);
    refused(FILE, b"1234567", &["truncated", "found 7"]);
    refused(
        FILE,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 46747112\n",
        &["git-lfs pointer", "git lfs pull"],
    );
    refused(
        "pytorch_model.bin",
        b"version https://git-lfs.github.com/spec/v1\n",
        &["git lfs pull"],
    );
    refused(FILE, b"\n<!DOCTYPE html><html></html>", &["web page"]);
    refused(FILE, &fs::read(fixture("tensors_zip.bin")).unwrap(), &["zip archive", ".bin"]);
    refused(FILE, &fs::read(fixture("tensors_legacy.bin")).unwrap(), &["old torch.save"]);
    refused(FILE, b"\x89HDF\r\n\x1a\n00000000", &["HDF5"]);
    refused(FILE, b"{\"weight_map\": {}}", &["JSON text"]);
}

#[test]
fn header_lengths() {
    for len in [u64::MAX, u64::MAX - 7, 1 << 63, 100_000_001] {
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        refused(
            FILE,
            &bytes,
            &["expected a safetensors header of at most 2 bytes", &len.to_string()],
        );
    }
    // A length that could be right, and what looks like a header after it: a download that was cut off.
    let bytes = [&3u64.to_le_bytes()[..], b"{}"].concat();
    refused(FILE, &bytes, &["truncated", "expected a header of 3 bytes, found 2"]);
}

/// A file that really has room for a header longer than the limit; sparse, so it costs no disk.
#[test]
fn a_header_beyond_the_limit_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, 200_000_000u64.to_le_bytes()).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(300_000_000).unwrap();
    refused_at(&path, &path, &["at most 100000000", "found the length 200000000"], ALLOWED);
}

#[test]
fn headers_that_are_not_ones() {
    refused_header("", 0, &["header", "EOF"]);
    refused_header("[]", 0, &["header", "map"]);
    refused_header("{\"a\":", 0, &["header", "EOF"]);
    refused_header("{\"a\": 3}", 0, &["`a`"]);
    refused_header("{\"a\": {\"dtype\":\"F32\"}}", 0, &["`a`", "shape"]);
    refused_header(
        r#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#,
        4,
        &["`a`", "F99", "BF16"],
    );
    refused_header(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, &["`a`", "-1"]);
    refused_header(r#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, 4, &["`a`"]);
    refused_header(&"[".repeat(100_000), 0, &["header"]);
    refused_header(&format!("{{\"a\":{{\"x\":{}", "[".repeat(100_000)), 0, &["EOF"]);
    let mut bytes = safetensors("{\"abc\": 1}", 0);
    bytes[10] = 0xff;
    refused(FILE, &bytes, &["header"]);
}

#[test]
fn shapes_and_offsets() {
    let entry = |shape: &str, offsets: &str| {
        format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let refused_entry = |shape: &str, offsets: &str, needles: &[&str]| {
        refused_header(&entry(shape, offsets), 8, &[&["tensor `w`"], needles].concat());
    };
    refused_entry("[3]", "[0,8]", &["expected the bytes of a [3] of F32", "found 8"]);
    refused_entry("[4294967296,4294967296]", "[0,8]", &["4294967296", "found 8"]);
    refused_entry("[18446744073709551615,2]", "[0,8]", &["found 8"]);
    refused_entry("[0,18446744073709551615,9]", "[0,0]", &["18446744073709551615"]);
    refused_entry("[4611686018427387904,0,8]", "[0,0]", &["4611686018427387904"]);
    refused_entry("[2]", "[8,16]", &["within the 8 bytes of data", "8..16"]);
    refused_entry("[2]", "[8,0]", &["8..0"]);
    refused_entry("[2]", "[0,18446744073709551615]", &["within the 8 bytes"]);
    refused_entry("[2]", "[18446744073709551608,0]", &["within the 8 bytes"]);
    refused_entry("[1,1,1,1,1,1,1,1,2]", "[0,8]", &["more than 8 dimensions"]);
    refused_header(&entry("[2]", "[0,8]"), 9, &["9 bytes of data", "found 8"]);
    refused_header(&entry("[2]", "[0,18446744073709551616]"), 8, &["`w`"]);
}

#[test]
fn tensors_that_overlap_leave_holes_or_come_twice() {
    let two = |a: &str, b: &str| {
        format!(
            r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{a}}},"b":{{"dtype":"F32","shape":[2],"data_offsets":{b}}}}}"#
        )
    };
    refused_header(&two("[0,8]", "[4,12]"), 12, &["overlap", "`b`"]);
    refused_header(&two("[0,8]", "[0,8]"), 8, &["overlap"]);
    refused_header(&two("[0,8]", "[12,20]"), 20, &["hole"]);
    refused_header(&two("[4,12]", "[12,20]"), 20, &["hole", "`a`"]);
    let twice = two("[0,8]", "[8,16]").replace("\"b\"", "\"a\"");
    refused_header(&twice, 16, &["`a` occurs twice"]);
    refused_header(r#"{"__metadata__":{},"__metadata__":{}}"#, 0, &["`__metadata__` occurs twice"]);
    refused_header(r#"{"__metadata__":{"format":3}}"#, 0, &["`__metadata__`"]);
}

/// The same, but right: what is tested above is what is refused, and not something else about these files.
#[test]
fn good_headers_are_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    for (header, data) in [
        (r#"{}"#, 0),
        (r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8),
        (r#"{"w":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}}"#, 0),
        (r#"{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"__metadata__":null}"#, 4),
        (
            r#"{"b":{"dtype":"I64","shape":[1],"data_offsets":[4,12]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            12,
        ),
        (r#"{"f8":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]}}"#, 3),
    ] {
        fs::write(&path, safetensors(header, data)).unwrap();
        checkpoint_support::open_and_read(&path).unwrap();
    }
    assert!(
        Checkpoint::open(&path).unwrap().read("f8").unwrap_err().to_string().contains("f8_e4m3")
    );
    let error = Checkpoint::open(&path).unwrap().read("nothing").unwrap_err().to_string();
    assert!(error.contains("tensor `nothing`") && error.contains("none among the 1"), "{error}");
}

#[test]
fn a_file_that_shrinks_after_it_was_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, safetensors(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8))
        .unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(20).unwrap();
    assert!(checkpoint.read("w").unwrap_err().to_string().contains("truncated"));
}

/// A directory with the sharded fixture and another index.
#[track_caller]
fn refused_index(index: &str, needles: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    copy_shards(directory.path());
    let path = directory.path().join("model.safetensors.index.json");
    fs::write(&path, index).unwrap();
    refused_at(directory.path(), &path, needles, ALLOWED);
}

fn copy_shards(to: &Path) {
    for i in 1..=4 {
        let shard = format!("model-0000{i}-of-00004.safetensors");
        fs::copy(fixture("albert_sharded").join(&shard), to.join(&shard)).unwrap();
    }
}

#[test]
fn indices_that_are_not_ones() {
    refused_index("", &["empty"]);
    refused_index("{", &["not the index"]);
    refused_index("{}", &["weight_map"]);
    refused_index(r#"{"weight_map": []}"#, &["map"]);
    refused_index(r#"{"weight_map": {"a": 3}}"#, &["string"]);
    refused_index(r#"{"weight_map": {}}"#, &["1 to 128 shards", "found 0"]);
    refused_index(r#"{"weight_map": {"a": "x", "a": "y"}}"#, &["`a` occurs twice"]);
    refused_index(&format!("{{\"x\":{}", "[".repeat(200_000)), &["EOF"]);
    refused_index("version https://git-lfs.github.com/spec/v1\n", &["git lfs pull"]);
    let many: Vec<String> = (0..129).map(|i| format!("\"t{i}\":\"s{i}\"")).collect();
    refused_index(&format!("{{\"weight_map\":{{{}}}}}", many.join(",")), &["found 129"]);
}

#[test]
fn indices_that_point_elsewhere() {
    for shard in [
        "../model.safetensors",
        "/etc/passwd",
        "a/../../b",
        "sub/model.safetensors",
        r"..\\model.safetensors",
        r"C:\\model.safetensors",
        "C:model.safetensors",
        r"\\\\server\\share\\x",
        "model.safetensors:stream",
        "..",
        ".",
        "",
        r"a\u0000b",
    ] {
        let index = format!(r#"{{"weight_map": {{"w": "{shard}"}}}}"#);
        refused_index(&index, &["tensor `w`", "expected a shard next to the index"]);
    }
}

#[test]
fn indices_that_do_not_fit_their_shards() {
    let shard = "model-00001-of-00004.safetensors";
    refused_index(r#"{"weight_map": {"w": "none.safetensors"}}"#, &["none.safetensors is missing"]);
    refused_index(
        &format!(r#"{{"weight_map": {{"w": "{shard}"}}}}"#),
        &["tensor `w`", "expected it in model-00001", "found it in no shard"],
    );
    // In another shard than the index says.
    let text = fs::read_to_string(fixture("albert_sharded/model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (name, right) = index["weight_map"].as_object().unwrap().iter().next().unwrap();
    let wrong = if right == shard { "model-00002-of-00004.safetensors" } else { shard };
    let moved =
        text.replacen(&format!("\"{name}\": {right}"), &format!("\"{name}\": \"{wrong}\""), 1);
    assert_ne!(moved, text);
    refused_index(&moved, &[name, wrong, right.as_str().unwrap()]);
}

#[test]
fn a_name_in_two_shards() {
    let directory = tempfile::tempdir().unwrap();
    let header = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    for shard in ["a.safetensors", "b.safetensors"] {
        fs::write(directory.path().join(shard), safetensors(header, 4)).unwrap();
    }
    let path = directory.path().join("model.safetensors.index.json");
    fs::write(&path, r#"{"weight_map": {"w": "a.safetensors", "v": "b.safetensors"}}"#).unwrap();
    refused_at(directory.path(), &path, &["`w`", "a.safetensors", "b.safetensors"], ALLOWED);
}

#[test]
fn directories_without_weights() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let looked_for = [
        "model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json",
    ];
    refused_at(path, path, &looked_for, ALLOWED);
    refused_at(&path.join("none"), &path.join("none"), &[], ALLOWED);
    for foreign in ["tf_model.h5", "flax_model.msgpack"] {
        fs::write(path.join(foreign), "x").unwrap();
        refused_at(path, path, &[looked_for[0], foreign, "convert them with"], ALLOWED);
    }
    // The only one is taken for what it seems to be.
    let only = path.join("adapter.safetensors");
    fs::write(&only, "x").unwrap();
    refused_at(path, &only, &["truncated"], ALLOWED);
    fs::write(path.join("other.pth"), "x").unwrap();
    refused_at(path, path, &["adapter.safetensors, other.pth", "give its path"], ALLOWED);
    fs::create_dir(path.join(FILE)).unwrap();
    refused_at(path, &path.join(FILE), &["regular file"], ALLOWED);
}

/// Links are followed, since the Hugging Face cache is made of them; what they lead to must be a regular file.
#[test]
#[cfg(unix)]
fn links() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join(FILE);
    symlink(fixture("albert/model.safetensors"), &link).unwrap();
    checkpoint_support::open_and_read(directory.path()).unwrap();
    for target in ["/dev/zero", "nowhere"] {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        refused_at(directory.path(), &link, &[], ALLOWED);
    }
}
