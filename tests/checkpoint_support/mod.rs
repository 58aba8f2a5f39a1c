//! What the tests of hostile checkpoint files share: a counting allocator, and how to ask for a
//! refusal.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod tensorflow;
pub mod torch;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::checkpoint::Checkpoint;

/// What opening a small file and reading all of it may allocate at the most. The largest single
/// thing is the end of a zip archive, 64 KiB.
pub const ALLOWED: usize = 512 << 10;

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting the bytes of each thread.
struct Counting;

fn count(added: usize, removed: usize) {
    // A thread that is ending has no counters any more.
    let _ = CURRENT.try_with(|current| {
        let now = current.get().saturating_add(added).saturating_sub(removed);
        current.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The result of `work`, and the most bytes that this thread held at a time during it beyond those
/// before.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = CURRENT.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get().saturating_sub(before))
}

/// Opens a checkpoint and reads every tensor that is one of numbers.
pub fn open_and_read(path: &Path) -> ndalbert::Result<()> {
    let checkpoint = Checkpoint::open(path)?;
    for name in checkpoint.names() {
        if checkpoint.get(name).is_some_and(|tensor| tensor.dtype().is_float()) {
            checkpoint.read(name)?;
        }
    }
    Ok(())
}

/// Asserts that a file of these bytes is refused with a message that has its path and all of
/// `needles`, and that little was allocated.
#[track_caller]
pub fn refused(name: &str, bytes: &[u8], needles: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    refused_at(&path, &path, needles, ALLOWED);
}

/// The same for what is at `path` already; the message names `culprit`.
#[track_caller]
pub fn refused_at(path: &Path, culprit: &Path, needles: &[&str], allowed: usize) {
    let (result, peak) = peak_of(|| open_and_read(path));
    let message = match result {
        Ok(()) => panic!("opened, expected a refusal with {needles:?}"),
        Err(error) => error.to_string(),
    };
    for needle in needles.iter().copied().chain([&*culprit.to_string_lossy()]) {
        assert!(message.contains(needle), "expected {needle:?} in: {message}");
    }
    assert!(peak <= allowed, "{peak} bytes were allocated for: {message}");
}

/// A fixture's path.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints").join(name)
}

/// `bytes` with `new` in the place of the only occurrence of `old`, which is as long.
pub fn patched(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> =
        bytes.windows(old.len()).enumerate().filter(|(_, w)| *w == old).map(|(i, _)| i).collect();
    let [place] = places[..] else { panic!("{} occurrences", places.len()) };
    let mut bytes = bytes.to_vec();
    bytes[place..place + new.len()].copy_from_slice(new);
    bytes
}

/// A safetensors file of this header and data.
pub fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}
