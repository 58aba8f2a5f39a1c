//! Files of fine-tuning's data, cut off at every length and damaged at random: whatever comes of it
//! is an error or examples, never a panic. The files are the seeds of the fuzz target
//! `data_readers`.

mod common;

use std::fs;
use std::path::Path;

use common::any_format::read_any_format;
use common::random::numbers;

/// How many times each file is damaged.
const MUTATIONS: usize = 300;

/// The seeds, in the order of their names (those of what libFuzzer has found are hashes). The first
/// byte of each says how it is read.
fn seeds() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/data_readers");
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().len() < 40);
    paths.sort();
    assert!(paths.len() > 20, "{paths:?}");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn files_that_are_cut_off_do_not_panic() {
    let directory = tempfile::tempdir().unwrap();
    for seed in seeds() {
        for end in 0..seed.len() {
            read_any_format(directory.path(), &seed[..end]);
        }
    }
}

#[test]
fn damaged_files_do_not_panic() {
    let directory = tempfile::tempdir().unwrap();
    let seeds = seeds();
    for (number, seed) in seeds.iter().enumerate() {
        let mut random = numbers(number as u64, u32::MAX);
        let mut below = |end: usize| random.next().unwrap() as usize % end;
        for _ in 0..MUTATIONS {
            let mut bytes = seed.clone();
            for _ in 0..=below(4) {
                let place = below(bytes.len());
                match below(5) {
                    0 => bytes[place] ^= 1 << below(8),
                    1 => bytes[place] = b"\t\n\r \"#,-[]{}:0\xff\xef"[below(16)],
                    2 => bytes.insert(place, b"\t\n\r \"#,-[]{}:0\xff\xef"[below(16)]),
                    3 => drop(bytes.drain(place..bytes.len().min(place + 1 + below(20)))),
                    // Part of another file.
                    _ => {
                        let other = &seeds[below(seeds.len())];
                        let from = below(other.len());
                        let part = other[from..].iter().take(1 + below(30)).copied();
                        bytes.splice(place..place, part.collect::<Vec<_>>());
                    }
                }
                if bytes.is_empty() {
                    break;
                }
            }
            read_any_format(directory.path(), &bytes);
        }
    }
}
