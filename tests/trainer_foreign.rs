//! Checkpoints in a trainer's directory that no trainer has written, or not as they are: none is
//! removed or replaced.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::refused;
use common::training::{files, names, new_trainer, saving_options};
use ndalbert::train::{TrainerOptions, TrainingOutcome};
use ndalbert::{AlbertForSequenceClassification, Error, Precision, Result};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

/// Trains, from the last checkpoint on, with one after every `save` steps, of which the last is
/// kept.
fn train(output_dir: &Path, steps: u64, save: u64) -> Result<TrainingOutcome> {
    let options =
        TrainerOptions { save_total_limit: Some(1), ..saving_options(steps, save, output_dir) };
    let mut trainer = new_trainer::<AlbertForSequenceClassification>(Precision::F32, options);
    trainer.resume()?;
    trainer.train()
}

/// A checkpoint of two steps, as a trainer has written it.
fn written() -> (TempDir, PathBuf) {
    let directory = tempdir().unwrap();
    train(directory.path(), 2, 2).unwrap();
    let checkpoint = directory.path().join("checkpoint-2");
    (directory, checkpoint)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in files(from) {
        fs::write(to.join(name), bytes).unwrap();
    }
}

fn change_state(checkpoint: &Path, change: impl FnOnce(&mut Value)) {
    let path = checkpoint.join("trainer_state.json");
    let mut state = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut state);
    fs::write(path, serde_json::to_vec_pretty(&state).unwrap()).unwrap();
}

type Make = fn(&Path, &Path);

/// Ways to put something at a checkpoint's place, of what a trainer has written elsewhere.
const FOREIGN: [(&str, Make); 11] = [
    ("of transformers", |_, to| {
        fs::create_dir(to).unwrap();
        let state =
            json!({ "global_step": 2, "epoch": 0.5, "log_history": [], "best_metric": null });
        fs::write(to.join("trainer_state.json"), state.to_string()).unwrap();
        fs::write(to.join("model.safetensors"), "weights").unwrap();
        fs::write(to.join("optimizer.pt"), "moments").unwrap();
    }),
    ("of another version", |from, to| {
        copy(from, to);
        change_state(to, |state| state["version"] = json!(2));
    }),
    ("one byte short", |from, to| {
        copy(from, to);
        let weights = fs::read(to.join("model.safetensors")).unwrap();
        fs::write(to.join("model.safetensors"), &weights[1..]).unwrap();
    }),
    ("one byte short at the end of its configuration", |from, to| {
        copy(from, to);
        let config = fs::read(to.join("config.json")).unwrap();
        fs::write(to.join("config.json"), &config[..config.len() - 1]).unwrap();
    }),
    ("other weights of the same length", |from, to| {
        copy(from, to);
        let mut weights = fs::read(to.join("model.safetensors")).unwrap();
        *weights.last_mut().unwrap() ^= 1;
        fs::write(to.join("model.safetensors"), weights).unwrap();
    }),
    ("another state", |from, to| {
        copy(from, to);
        change_state(to, |state| state["progress"]["tokens"] = json!(7));
    }),
    ("a note in the state", |from, to| {
        copy(from, to);
        change_state(to, |state| state["note"] = json!("mine"));
    }),
    ("a file more", |from, to| {
        copy(from, to);
        fs::write(to.join("notes.txt"), "the best so far").unwrap();
    }),
    ("a directory more", |from, to| {
        copy(from, to);
        fs::create_dir(to.join("runs")).unwrap();
    }),
    ("an empty directory", |_, to| fs::create_dir(to).unwrap()),
    ("a file", |_, to| fs::write(to, "mine").unwrap()),
];

/// All that there is under a path, links not followed.
fn tree(path: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let kind = fs::symlink_metadata(path).unwrap();
    if kind.is_symlink() {
        return vec![(
            path.to_owned(),
            Some(fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()),
        )];
    }
    if kind.is_file() {
        return vec![(path.to_owned(), Some(fs::read(path).unwrap()))];
    }
    let mut entries: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let within = entries.iter().flat_map(|entry| tree(entry));
    [(path.to_owned(), None)].into_iter().chain(within).collect()
}

/// Where this run will save, it is refused at the start; where it has been, it trains beside.
fn is_kept(what: &str, make: impl Fn(&Path)) {
    let ahead = tempdir().unwrap();
    let place = ahead.path().join("checkpoint-2");
    make(&place);
    let before = tree(&place);
    let options =
        TrainerOptions { save_total_limit: Some(1), ..saving_options(6, 2, ahead.path()) };
    let mut trainer = new_trainer::<AlbertForSequenceClassification>(Precision::F32, options);
    let error = trainer.train().unwrap_err();
    let said = error.to_string();
    assert!(!matches!(error, Error::Training { .. }), "{what}: {said}");
    assert!(said.contains(place.to_str().unwrap()), "{what}: {said}");
    assert_eq!(names(ahead.path()), ["checkpoint-2"], "{what}");
    assert!(tree(&place) == before, "{what}");

    let behind = tempdir().unwrap();
    train(behind.path(), 4, 4).unwrap();
    let place = behind.path().join("checkpoint-2");
    make(&place);
    let before = tree(&place);
    train(behind.path(), 8, 2).unwrap();
    assert_eq!(names(behind.path()), ["checkpoint-2", "checkpoint-8"], "{what}");
    assert!(tree(&place) == before, "{what}");
}

#[test]
fn what_others_have_made_is_neither_removed_nor_replaced() {
    let (_directory, own) = written();
    for (what, make) in FOREIGN {
        is_kept(what, |place| make(&own, place));
    }
}

#[test]
#[cfg(unix)]
fn links_are_neither_removed_nor_replaced() {
    use std::os::unix::fs::symlink;
    let (_directory, own) = written();
    is_kept("a link to a checkpoint", |place| symlink(&own, place).unwrap());
    is_kept("a link to nothing", |place| symlink("nowhere", place).unwrap());
    is_kept("a link to a file of it", |place| {
        copy(&own, place);
        fs::remove_file(place.join("model.safetensors")).unwrap();
        symlink(own.join("model.safetensors"), place.join("model.safetensors")).unwrap();
    });
    assert_eq!(names(&own).len(), 4);
}

/// A checkpoint under another step's number is somebody's copy.
#[test]
fn copies_under_other_names_are_kept() {
    let directory = tempdir().unwrap();
    train(directory.path(), 4, 4).unwrap();
    copy(&directory.path().join("checkpoint-4"), &directory.path().join("checkpoint-1"));
    train(directory.path(), 6, 2).unwrap();
    assert_eq!(names(directory.path()), ["checkpoint-1", "checkpoint-6"]);
}

/// What comes up while training goes on is not replaced either.
#[test]
fn what_appears_meanwhile_is_not_replaced() {
    let directory = tempdir().unwrap();
    let taken = directory.path().join("checkpoint-2");
    let mut trainer = new_trainer::<AlbertForSequenceClassification>(
        Precision::F32,
        saving_options(4, 2, directory.path()),
    )
    .on_event(|_| {
        fs::create_dir_all(&taken).unwrap();
        Ok(std::ops::ControlFlow::Continue(()))
    });
    refused(trainer.train(), &["step 2", "checkpoint-2", "already"]);
    assert_eq!(names(directory.path()), ["checkpoint-2"]);
    assert_eq!(names(&taken).len(), 0);
}

/// Training resumes from checkpoints without a list of files. That they are unchanged
/// cannot be told, so they stay.
#[test]
fn checkpoints_without_a_list_are_resumed_from_and_kept() {
    let (directory, own) = written();
    change_state(&own, |state| drop(state.as_object_mut().unwrap().remove("files")));
    let outcome = train(directory.path(), 6, 2).unwrap();
    assert_eq!(outcome.step, 6);
    assert_eq!(names(directory.path()), ["checkpoint-2", "checkpoint-6"]);
    let unbroken = tempdir().unwrap();
    train(unbroken.path(), 6, 2).unwrap();
    let last = |directory: &Path| files(&directory.join("checkpoint-6"));
    assert!(last(directory.path()) == last(unbroken.path()));
}
