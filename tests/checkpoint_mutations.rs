//! Every fixture cut off at every length, and damaged at random: whatever comes of it is an error
//! or a checkpoint, never a panic, and never a large allocation.

mod checkpoint_support;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use checkpoint_support::{ALLOWED, fixture, open_and_read, peak_of, tensorflow};

/// The fixtures of each format; the name decides how a file is read.
const FIXTURES: [&str; 8] = [
    "tensors.safetensors",
    "albert/model.safetensors",
    "tensors_zip.bin",
    "tensors_legacy.bin",
    "protocol4.bin",
    "nested_zip.bin",
    "nested_legacy.bin",
    "os_system_legacy.bin",
];

/// How many times each fixture is damaged.
const MUTATIONS: usize = 3000;

/// Opens and reads `bytes` as the file at `path`; whether that went well.
fn survives(path: &Path, bytes: &[u8], what: &dyn Fn() -> String) -> bool {
    overwrite(path, bytes).unwrap();
    let (result, peak) = peak_of(|| open_and_read(path));
    assert!(peak <= ALLOWED, "{peak} bytes were allocated: {}: {result:?}", what());
    result.is_ok()
}

/// Writes over the file rather than anew, which some file systems make slow by flushing it.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// A small generator (SplitMix64), so that a failure can be had again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

#[test]
fn a_file_that_is_cut_off_is_refused_at_every_length() {
    let directory = tempfile::tempdir().unwrap();
    for name in FIXTURES {
        let path = directory.path().join(name.rsplit('/').next().unwrap());
        let bytes = fs::read(fixture(name)).unwrap();
        for len in 0..bytes.len() {
            let what = || format!("{name} cut off at {len}");
            assert!(!survives(&path, &bytes[..len], &what), "opened: {}", what());
        }
    }
}

#[test]
fn damaged_files_neither_panic_nor_take_memory() {
    let directory = tempfile::tempdir().unwrap();
    for (seed, name) in FIXTURES.into_iter().enumerate() {
        let path = directory.path().join(name.rsplit('/').next().unwrap());
        let good = fs::read(fixture(name)).unwrap();
        let mut random = Random(seed as u64);
        let mut refused = 0;
        for round in 0..MUTATIONS {
            let mut bytes = good.clone();
            for _ in 0..=random.below(4) {
                damage(&mut bytes, &mut random);
            }
            refused += usize::from(!survives(&path, &bytes, &|| format!("{name}, round {round}")));
        }
        // Damage to the elements' bytes goes unseen; some of the rest does not.
        assert!(refused > MUTATIONS / 20, "{name}: only {refused} refused");
    }
}

/// An index and its values: neither is read once it is cut off.
#[test]
fn a_tensorflow_checkpoint_that_is_cut_off_is_refused_at_every_length() {
    let (index, values) = tensorflow_files();
    let (_directory, path) = tensorflow::written(&index, &values);
    for len in 0..index.len() {
        let what = || format!("the index cut off at {len}");
        assert!(!survives(&path, &index[..len], &what), "opened: {}", what());
    }
    overwrite(&path, &index).unwrap();
    for len in 0..values.len() {
        overwrite(&path.with_file_name(tensorflow::VALUES), &values[..len]).unwrap();
        assert!(open_and_read(&path).is_err(), "opened: the values cut off at {len}");
    }
}

/// Damage to either file is found by checksums, whatever it is.
#[test]
fn damage_to_a_tensorflow_checkpoint_is_found() {
    let (index, values) = tensorflow_files();
    let (_directory, path) = tensorflow::written(&index, &values);
    let place = path.with_file_name(tensorflow::VALUES);
    let mut random = Random(7);
    for round in 0..MUTATIONS {
        let mut bytes = values.clone();
        bytes[random.below(values.len())] ^= 1 << random.below(8);
        overwrite(&place, &bytes).unwrap();
        assert!(open_and_read(&path).is_err(), "round {round}");
    }
    overwrite(&place, &values).unwrap();
    for round in 0..MUTATIONS {
        let mut bytes = index.clone();
        damage(&mut bytes, &mut random);
        survives(&path, &bytes, &|| format!("index, round {round}"));
    }
}

/// The same where checksums are made right again, so that everything behind them is seen.
#[test]
fn damaged_descriptions_of_variables_neither_panic_nor_take_memory() {
    let (index, values) = tensorflow_files();
    let (_directory, path) = tensorflow::written(&index, &values);
    let block = tensorflow::only_block(&index);
    let mut random = Random(8);
    let mut refused = 0;
    for round in 0..MUTATIONS {
        let mut bytes = block.to_vec();
        for _ in 0..=random.below(4) {
            damage(&mut bytes, &mut random);
        }
        let sealed = tensorflow::sealed(&bytes, random.below(2) as u8);
        let index = tensorflow::table_of(&[sealed]);
        refused += usize::from(!survives(&path, &index, &|| format!("block, round {round}")));
    }
    assert!(refused > MUTATIONS / 2, "only {refused} refused");
}

fn tensorflow_files() -> (Vec<u8>, Vec<u8>) {
    let path = tensorflow::fixture("half/model.ckpt-best.index");
    let values = path.with_file_name("model.ckpt-best.data-00000-of-00001");
    (fs::read(path).unwrap(), fs::read(values).unwrap())
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(bytes.len());
    match random.below(6) {
        0 => bytes[place] ^= 1 << random.below(8),
        1 => bytes[place] = random.next() as u8,
        2 => bytes[place] = [0, 1, 0x7f, 0x80, 0xff, b'9'][random.below(6)],
        // A number of several bytes made extreme.
        3 => {
            let end = (place + 1 + random.below(8)).min(bytes.len());
            bytes[place..end].fill([0, 0xff, b'9'][random.below(3)]);
        }
        // A part of the file over another, or shifted.
        4 => {
            let len = random.below(16).min(bytes.len() - place);
            let from = random.below(bytes.len() - len + 1);
            bytes.copy_within(from..from + len, place);
        }
        _ => bytes.insert(place, random.next() as u8),
    }
}
