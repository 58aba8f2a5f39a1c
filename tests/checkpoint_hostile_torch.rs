//! Damaged and hostile files of torch's are refused, in words that help, and cheaply; nothing in
//! them is executed.

mod checkpoint_support;

use std::fs;
use std::path::Path;

use checkpoint_support::torch::{
    MAGIC, archive, dict, global, int, legacy, legacy_of, storage, tensor, text, tuple,
};
use checkpoint_support::{ALLOWED, fixture, open_and_read, patched, refused, refused_at};
use ndalbert::checkpoint::Checkpoint;

const FILE: &str = "pytorch_model.bin";
const DATA: &[u8] = &[0; 24];

/// Six floats as storage `0`, in both formats.
fn both(object: &[u8]) -> [Vec<u8>; 2] {
    // The old format has no storage to which nothing refers.
    let used = object.windows(6).any(|part| part == text("0"));
    [
        legacy(object, if used { &[("0", 6, DATA)] } else { &[] }),
        archive(&[("archive/data.pkl", object), ("archive/data/0", DATA)]),
    ]
}

#[track_caller]
fn refused_object(object: &[u8], needles: &[&str]) {
    both(object).iter().for_each(|bytes| refused(FILE, bytes, needles));
}

/// A pickle of these instructions, in both formats.
#[track_caller]
fn refused_pickle(instructions: &[u8], needles: &[&str]) {
    refused_object(&[b"\x80\x02", instructions].concat(), needles);
}

fn six() -> Vec<u8> {
    storage("FloatStorage", "0", 6, b"")
}

/// What is refused below is refused for what it says, and not for how these files are made.
#[test]
fn good_files_are_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let view = [b"(", &text("1")[..], &int(2), &int(4), b"t"].concat();
    for (object, shape) in [
        (dict(&tensor(&six(), 0, &[2, 3], &[3, 1])), vec![2, 3]),
        (dict(&tensor(&six(), 5, &[], &[])), vec![]),
        (dict(&tensor(&six(), 6, &[0], &[1])), vec![0]),
        (dict(&tensor(&six(), 0, &[2, 5], &[0, 1])), vec![2, 5]),
        (dict(&tensor(&storage("FloatStorage", "0", 6, &view), 0, &[4], &[1])), vec![4]),
        (dict(&tensor(&storage("FloatStorage", "0", 6, b"N"), 0, &[6], &[1])), vec![6]),
    ] {
        for bytes in both(&object) {
            fs::write(&path, bytes).unwrap();
            open_and_read(&path).unwrap();
            assert_eq!(Checkpoint::open(&path).unwrap().get("w").unwrap().shape(), shape);
        }
    }
}

#[test]
fn code_is_refused_and_not_run() {
    for file in ["os_system_zip.bin", "os_system_legacy.bin"] {
        let path = fixture(file);
        refused_at(&path, &path, &["posix.system", "Nothing of it was run"], ALLOWED);
    }
    assert!(!Path::new("should-not-exist").exists());
    let path = fixture("whole_module.bin");
    refused_at(&path, &path, &["torch.nn.modules.linear.Linear"], ALLOWED);
    for (module, name) in [
        ("os", "system"),
        ("posix", "PathLike"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("torch", "load"),
        ("torch._utils", "_element_size"),
        ("torch.serialization", "load"),
        ("collections", "OrderedDict.fromkeys"),
        ("numpy.core.multiarray", "fromfile"),
        ("functools", "partial"),
        ("Foo.Bar", "_baz"),
    ] {
        let refusal = format!("asks for `{module}.{name}`");
        refused_pickle(&[&global(module, name)[..], b")R."].concat(), &[&refusal]);
        // It need not be called.
        refused_pickle(&[&global(module, name)[..], b"0}."].concat(), &[&refusal]);
        refused_pickle(&[&text(module)[..], &text(name), b"\x93)R."].concat(), &[&refusal]);
    }
    // A class's name is only ever that of objects which are passed over.
    for (module, name) in [("torch", "FooStorage"), ("webbrowser", "_Browser"), ("a", "B.C")] {
        let refusal = format!("asks for `{module}.{name}`");
        let named = global(module, name);
        refused_pickle(&[&named[..], b")R."].concat(), &[&refusal]);
        let state = [b"}q\0", &named[..], b")\x81q\x01Nbh\x01)R."].concat();
        refused_pickle(&state, &["a call of an object"]);
        refused_pickle(&[&named[..], b")\x81}b."].concat(), &["dictionary of tensors", name]);
        refused_pickle(&[&named[..], b"."].concat(), &["dictionary of tensors", name]);
    }
    let sparse = global("torch._utils", "_rebuild_sparse_tensor");
    refused_object(&dict(&[&sparse[..], b")R"].concat()), &["tensor `w`", "a sparse tensor"]);
    let typed = global("torch._tensor", "_rebuild_from_type_v2");
    let within = [&typed[..], b"(", &typed, &global("torch", "Tensor"), b")}tR."].concat();
    refused_pickle(&within, &["a class within a class"]);
    // The instructions that call by other ways: INST, OBJ, NEWOBJ_EX, EXT1, PERSID, NEXT_BUFFER.
    for instruction in [&b"(ios\nsystem\n."[..], b"(o.", b"\x92.", b"\x82\x01.", b"P1\n.", b"\x97."]
    {
        let name =
            format!("instruction 0x{:02x}", instruction.iter().find(|b| **b != b'(').unwrap());
        refused_pickle(instruction, &[&name]);
    }
}

#[test]
fn operands_that_are_missing_or_wrong() {
    for underflow in
        ["0.", ".", "R.", ")R.", "\u{7}.", "Q.", "b.", "a.", "s.", "q\0.", "2.", "]a.", "}Ns."]
    {
        refused_pickle(underflow.as_bytes(), &["pickle, byte"]);
    }
    for unmarked in ["t.", "e.", "u.", "1.", "l.", "d."] {
        refused_pickle(unmarked.as_bytes(), &["needs a MARK"]);
    }
    // Below the MARK lie values that do not belong to the instruction.
    refused_pickle(b"NN(\x85.", &["where the stack has none"]);
    refused_pickle(b"]N(a.", &["where the stack has none"]);
    refused_pickle(b"N(.", &["where the stack has none"]);
    refused_pickle(b"h\x05.", &["no value was kept as 5"]);
    refused_pickle(b"j\xff\xff\xff\xff.", &["no value was kept as 4294967295"]);
    refused_pickle(b"NNa.", &["append to None"]);
    refused_pickle(b")(NNu.", &["set an item of a tuple"]);
    refused_pickle(b"}(Nu.", &["key without a value"]);
    refused_pickle(b"N)R.", &["a call of None"]);
    refused_pickle(b"NNb.", &["attributes of None"]);
    refused_pickle(b"NQ.", &["persistent id that is None"]);
    refused_pickle(b"NN\x93.", &["not two strings"]);
    refused_pickle(&[&global("torch", "Size")[..], b"N\x85R."].concat(), &["torch.Size of None"]);
    let module = [b"(", &text("module")[..], b"NNNtQ."].concat();
    refused_pickle(&module, &["not that of a storage"]);
}

#[test]
fn lengths_beyond_the_end() {
    for huge in [
        &b"X\xff\xff\xff\xff"[..],
        b"X\xff\xff\xff\x7f",
        b"B\xff\xff\xff\xff",
        b"T\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\x7f",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8a\xff",
        b"\x8c\xff",
    ] {
        refused_pickle(huge, &["truncated", "more bytes"]);
    }
    refused_pickle(b"T\xff\xff\xff\xff.", &["negative length"]);
    refused_pickle(b"\x8b\xff\xff\xff\xff.", &["negative length"]);
    refused_pickle(&[b"c", &[b'a'; 300][..], b"\nb\n."].concat(), &["more than 256 bytes"]);
    refused_pickle(b"X\x01\0\0\0\xff.", &["not UTF-8"]);
    refused_pickle(b"cos", &["pickle, byte"]);
    // No STOP: in the archive the entry ends, in the old format the next pickle is swallowed.
    refused(FILE, &both(b"\x80\x02}")[1], &["truncated"]);
    refused(FILE, &both(b"\x80\x02}")[0], &["pickle, byte"]);
}

#[test]
fn pickles_that_go_on_and_on() {
    // Each within its limit of what a machine may take.
    let allowed = 64 << 20;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let check = |object: &[u8], needle: &str| {
        for bytes in both(object) {
            fs::write(&path, bytes).unwrap();
            refused_at(&path, &path, &[needle], allowed);
        }
    };
    let deep = |open: &[u8], close: &[u8]| [&b"\x80\x02"[..], open, close, b"."].concat();
    check(&deep(&b"]0".repeat(1 << 20), b"]"), "instructions");
    check(&deep(b")", &b"\x85".repeat(200_000)), "expected a dictionary");
    check(&deep(&b"]".repeat(100_000), &b"a".repeat(99_999)), "expected a dictionary");
    check(&deep(&b"(".repeat(200_000), b"}"), "no tensors");
    check(&deep(&b"}N".repeat(60_000), &b"s".repeat(60_000)), "pickle, byte");
    check(&deep(b"]q\0h\0", b"a"), "expected a dictionary");
    check(&deep(b"}q\0X\x01\0\0\0ah\0", b"s"), "no tensors");
    // Each is a pair of the one before: 2^50000 leaves, if one were to walk them.
    check(&deep(b")", &b"2\x86".repeat(50_000)), "expected a dictionary");
    check(&deep(b"N", &b"\x94".repeat(200_000)), "expected a dictionary");
    check(&deep(b"N", &b"r\xff\xff\xff\xff".repeat(50_000)), "expected a dictionary");
    // Many storages with one key, which may not be long, and many tensors with one shape, which
    // may.
    let id = |key: &str| {
        let class = global("torch", "FloatStorage");
        [&b"("[..], &text("storage"), &class, &text(key), b"NK\x06tq\0"].concat()
    };
    check(&deep(&id("k"), &b"h\0Q".repeat(80_000)), "expected a dictionary");
    check(&deep(&id(&"k".repeat(100_000)), &b"h\0Q".repeat(80_000)), "at most 64 bytes");
    let rebuild = global("torch._utils", "_rebuild_tensor");
    let shape = [b"(", &b"K\x01".repeat(10_000)[..], b"tq\x02"].concat();
    let wide = [&id("k")[..], b"Q", &shape, &rebuild, b"q\x01(h\0QK\0h\x02h\x02tq\x03"].concat();
    check(&deep(&wide, &b"h\x01h\x03R".repeat(50_000)), "expected a dictionary");
    // One long list of pairs, made into a dictionary again and again: the pairs are not there as
    // often.
    let pairs = [b"](", &b"h\x01".repeat(100_000)[..], b"e\x85q\x02"].concat();
    let named = global("collections", "OrderedDict");
    let list = [&named[..], b"q\0K\x01K\x02\x86q\x01", &pairs].concat();
    check(&deep(&list, &b"h\0h\x02R".repeat(300)), "copies more than 262144 pairs");
    check(&deep(&list, b"h\0h\x02R"), "no tensors");
    // A long name of a class, again and again.
    let class =
        [&text("m")[..], b"q\0", &text(&format!("C{}", "c".repeat(250))), b"q\x01"].concat();
    check(&deep(&class, &b"h\0h\x01\x93".repeat(80_000)), "expected a dictionary");
    // One long key of many dictionaries, each in the one before.
    let key = [&text(&"k".repeat(7 << 20))[..], b"q\x000}"].concat();
    let chain = [b"h\0}".repeat(20), b"s".repeat(20)].concat();
    check(&deep(&key, &chain), "more than 16777216 bytes together");
    // A name that would be eight times as long in a message.
    let name = text(&"\u{1}".repeat(7 << 20));
    check(&deep(&[&text("os")[..], &name].concat(), b"\x93"), "a name of more than 256 bytes");
    // Longer than any pickle may be, though it is all there.
    let long = [b"X", &(9u32 << 20).to_le_bytes()[..], &vec![b'a'; 9 << 20]].concat();
    check(&deep(&long, b""), "8388608 bytes");
}

#[test]
fn tensors_outside_their_storage() {
    let refused_tensor = |offset, shape: &[i64], strides: &[i64], needles: &[&str]| {
        let object = dict(&tensor(&six(), offset, shape, strides));
        refused_object(&object, &[&["tensor `w`"], needles].concat());
    };
    refused_tensor(0, &[7], &[1], &["within the 24 bytes of its storage", "shape [7]"]);
    refused_tensor(1, &[6], &[1], &["offset 1 of f32"]);
    refused_tensor(0, &[2, 3], &[4, 1], &["strides [4, 1]"]);
    refused_tensor(7, &[0], &[1], &["offset 7"]);
    refused_tensor(i64::MAX, &[1], &[1], &["offset 9223372036854775807"]);
    refused_tensor(0, &[2], &[i64::MAX], &["strides [9223372036854775807]"]);
    refused_tensor(0, &[3, 3], &[i64::MAX, i64::MAX], &["strides"]);
    refused_tensor(0, &[1 << 40, 1 << 40], &[0, 0], &["a size that fits in memory"]);
    refused_tensor(0, &[i64::MAX, 0], &[1, 1], &["a size that fits in memory"]);
    refused_tensor(0, &[1 << 40], &[0], &["repeats its elements more often"]);
    refused_tensor(0, &[100_000], &[0], &["repeats its elements more often"]);
    refused_tensor(0, &[1, 2], &[1], &["2 dimensions and 1 strides"]);
    refused_tensor(0, &[1; 9], &[1; 9], &["more than 8 dimensions"]);
    refused_tensor(0, &[-1], &[1], &["its shape", "negative", "found -1"]);
    refused_tensor(0, &[2], &[-1], &["its strides", "negative", "found -1"]);
}

#[test]
fn numbers_and_kinds() {
    refused_object(&dict(&tensor(&six(), -1, &[1], &[1])), &["a tensor's offset", "found -1"]);
    refused_object(&dict(&tensor(b"N", 0, &[1], &[1])), &["a tensor's storage, found None"]);
    let no_class = [b"(", &text("storage")[..], b"N", &text("0"), b"NK\x06tQ"].concat();
    refused_object(&dict(&no_class), &["a storage class, found None"]);
    refused_object(b"\x80\x02].", &["dictionary of tensors, found a list"]);
    let bare = [b"\x80\x02", &tensor(&six(), 0, &[6], &[1])[..], b"."].concat();
    refused_object(&bare, &["dictionary of tensors, found a tensor"]);
    refused_object(&dict(b"K\x01"), &["no tensors"]);
    let one = tensor(&six(), 0, &[6], &[1]);
    let twice = [b"\x80\x02}(", &text("w")[..], &one, &text("w"), &one, b"u."].concat();
    refused_object(&twice, &["tensor `w`", "found two"]);
}

#[test]
fn storages_that_do_not_fit() {
    let with = |class: &str, key: &str, elements: i64, view: &[u8]| {
        dict(&tensor(&storage(class, key, elements, view), 0, &[1], &[1]))
    };
    let wrong_key = with("FloatStorage", "1", 6, b"");
    let [old, new] = both(&wrong_key);
    refused(FILE, &new, &["tensor `w`", "no storage `1`"]);
    refused(FILE, &old, &["tensor `w`", "no storage `1`"]);
    let too_many = with("FloatStorage", "0", 7, b"");
    let [old, new] = both(&too_many);
    refused(FILE, &new, &["tensor `w`", "storage `0` within 24 bytes", "7 elements of f32"]);
    refused(FILE, &old, &["storage `0`", "expected 7 elements, found 6"]);
    let [old, new] = both(&with("DoubleStorage", "0", 6, b""));
    refused(FILE, &new, &["within 24 bytes", "6 elements of f64"]);
    refused(FILE, &old, &["6 elements of f64", "the file ends"]);
    refused(FILE, &both(&with("FloatStorage", "0", i64::MAX, b""))[1], &["9223372036854775807"]);
    for (from, len) in [(6, 1), (0, 7), (i64::MAX, 2), (2, i64::MAX)] {
        let view = [b"(", &text("1")[..], &int(from), &int(len), b"t"].concat();
        refused_object(&with("FloatStorage", "0", 6, &view), &["tensor `w`", "of which"]);
    }
    refused_object(&with("FloatStorage", "0", 6, &tuple(&[1])), &["other than three parts"]);
}

#[test]
fn old_files() {
    let good = dict(&tensor(&six(), 0, &[6], &[1]));
    let version = b"\x80\x02M\xe9\x03.";
    let system = |value: &[u8]| [b"\x80\x02}", &text("little_endian")[..], value, b"s."].concat();
    let with = |pickles: &[&[u8]]| legacy_of(pickles, &[("0", 6, DATA)]);
    let (little, big) = (system(b"\x88"), system(b"\x89"));
    refused(FILE, &with(&[MAGIC, version, &big, &good]), &["little-endian", "big-endian"]);
    refused(FILE, &with(&[MAGIC, version, b"\x80\x02}.", &good]), &["little_endian"]);
    refused(
        FILE,
        &with(&[MAGIC, b"\x80\x02M\xe8\x03.", &little, &good]),
        &["version 1001", "found 1000"],
    );
    refused(FILE, &with(&[b"\x80\x02M\xe8\x03.", version, &little, &good]), &["magic number"]);
    refused(FILE, &good, &["magic number"]);
    let count = |count: u64, data: &[u8]| legacy(&good, &[("0", count, data)]);
    refused(FILE, &count(5, DATA), &["expected 6 elements, found 5"]);
    refused(FILE, &count(u64::MAX, DATA), &["found 18446744073709551615"]);
    refused(FILE, &count(6, &DATA[1..]), &["storage `0`", "the file ends at byte"]);
    refused(FILE, &legacy(&good, &[]), &["tensor `w`", "no storage `0`"]);
    refused(FILE, &legacy(&good, &[("0", 6, DATA), ("0", 6, DATA)]), &["storage `0`", "found two"]);
    refused(FILE, &legacy(&good, &[("1", 6, DATA)]), &["storage `1`", "found none"]);
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    refused(FILE, &tar, &["tar archive", "save its state_dict again"]);
    refused(FILE, b"", &["empty"]);
    refused(FILE, b"what?", &["unknown bytes 77 68 61 74"]);
    refused(FILE, &fs::read(fixture("albert/model.safetensors")).unwrap(), &["a safetensors file"]);
}

#[test]
fn archives() {
    let good = dict(&tensor(&six(), 0, &[6], &[1]));
    let with = |entries: &[(&str, &[u8])]| {
        let all = [&[("a/data.pkl", &good[..]), ("a/data/0", DATA)], entries].concat();
        archive(&all)
    };
    refused(FILE, &with(&[("a/byteorder", b"big")]), &["little-endian", "\"big\""]);
    refused(FILE, &with(&[("a/byteorder", &[b'x'; 4000])]), &["truncated"]);
    refused(FILE, &with(&[("b/data.pkl", &good)]), &["several"]);
    refused(FILE, &with(&[("a/constants.pkl", b"")]), &["TorchScript"]);
    let script = fixture("torchscript.bin");
    refused_at(&script, &script, &["TorchScript"], ALLOWED);
    refused(FILE, &archive(&[("a/data/0", DATA)]), &["without `data.pkl`"]);
    refused(FILE, &archive(&[("a/data.pkl", &good)]), &["tensor `w`", "no storage `0`"]);
    refused(FILE, &archive(&[("a/data.pkl", &vec![b'N'; 9 << 20])]), &["at most 8388608 bytes"]);
    refused(FILE, &archive(&[]), &["expected a file of torch.save's"]);
}

/// Where the parts of an archive with two entries are: the directory's two headers and its end.
fn parts(zip: &[u8]) -> [usize; 3] {
    let find = |magic: &[u8]| -> Vec<usize> {
        (0..zip.len()).filter(|&i| zip[i..].starts_with(magic)).collect()
    };
    let (headers, end) = (find(b"PK\x01\x02"), find(b"PK\x05\x06"));
    [headers[0], headers[1], end[0]]
}

#[test]
fn zip_directories() {
    let good =
        archive(&[("a/data.pkl", &dict(&tensor(&six(), 0, &[6], &[1]))), ("a/data/0", DATA)]);
    let [_, second, end] = parts(&good);
    let with = |at: usize, bytes: &[u8]| {
        let mut zip = good.clone();
        zip[at..at + bytes.len()].copy_from_slice(bytes);
        zip
    };
    let huge = u32::MAX.to_le_bytes();
    let almost = (u32::MAX - 1).to_le_bytes();
    refused(FILE, &with(second + 10, &[8, 0]), &["a/data/0", "zipped again"]);
    refused(FILE, &with(second + 8, &[1, 0]), &["a/data/0", "encrypted"]);
    refused(FILE, &with(second + 24, &almost), &["a/data/0", "expected 4294967294 bytes, stored"]);
    refused(FILE, &with(second + 20, &[almost, almost].concat()), &["before the directory"]);
    refused(FILE, &with(second + 20, &huge), &["size or place is missing"]);
    refused(FILE, &with(second + 42, &almost), &["header within the file", "4294967294"]);
    refused(FILE, &with(second + 42, &[1, 0, 0, 0]), &["header at byte 1"]);
    refused(FILE, &with(second + 42, &[0; 4]), &["overlap"]);
    refused(FILE, &with(second, b"QQQQ"), &["expected an entry"]);
    refused(FILE, &with(second + 28, &[255, 255]), &["shorter than its number of entries"]);
    refused(FILE, &with(end + 10, &[3, 0]), &["3 entries in"]);
    refused(FILE, &with(end + 10, &[254, 255]), &["65534 entries"]);
    refused(FILE, &with(end + 12, &almost), &["4294967294 bytes"]);
    refused(FILE, &with(end + 16, &almost), &["from byte 4294967294"]);
    refused(FILE, &with(end + 10, &[255, 255]), &["zip64"]);
    refused(FILE, &with(end + 20, &[1, 0]), &["expected the directory"]);
    refused(FILE, &good[..end], &["truncated"]);
    let same = patched(&good, b"a/data/0PK\x05\x06", b"a/data.pPK\x05\x06");
    refused(FILE, &same, &["tensor `w`", "no storage `0`"]);
}

/// An archive that claims millions of entries costs no more than one that does not.
#[test]
fn zip64_directories() {
    let good =
        archive(&[("a/data.pkl", &dict(&tensor(&six(), 0, &[6], &[1]))), ("a/data/0", DATA)]);
    let [first, _, end] = parts(&good);
    let with = |entries: u64, len: u64, start: u64, end_start: u64| {
        let mut zip = good[..end].to_vec();
        zip.extend(b"PK\x06\x06");
        zip.extend(44u64.to_le_bytes());
        zip.extend([0; 20]);
        [entries, len, start].iter().for_each(|value| zip.extend(value.to_le_bytes()));
        zip.extend(b"PK\x06\x07\0\0\0\0");
        zip.extend(end_start.to_le_bytes());
        zip.extend([1, 0, 0, 0]);
        zip.extend(b"PK\x05\x06\0\0\0\0");
        zip.extend([255; 12]);
        zip.extend([0, 0]);
        zip
    };
    let (len, start, end) = ((end - first) as u64, first as u64, end as u64);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, with(2, len, start, end)).unwrap();
    open_and_read(&path).unwrap();
    refused(FILE, &with(u64::MAX, len, start, end), &["18446744073709551615 entries"]);
    refused(FILE, &with(1 << 30, len, start, end), &["1073741824 entries"]);
    refused(FILE, &with(2, u64::MAX, start, end), &["18446744073709551615 bytes"]);
    refused(FILE, &with(2, len, u64::MAX - 2, end), &["from byte 18446744073709551613"]);
    refused(FILE, &with(2, len, start, u64::MAX - 3), &["zip64 directory, found none"]);
    refused(FILE, &with(2, len, start, end + 1), &["zip64 directory, found none"]);
}
