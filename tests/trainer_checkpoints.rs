//! Checkpoints of trainers: what is in them, which are kept, and what damage does.

mod common;

use std::fs;
use std::path::Path;

use common::refused;
use common::training::{files, names, new_trainer, saving_options};
use common::weights::weights_of;
use ndalbert::checkpoint::Checkpoint;
use ndalbert::train::{Interval, TrainerOptions, TrainingOutcome, latest_checkpoint};
use ndalbert::{
    AlbertForPreTraining, AlbertForSequenceClassification, AlbertTokenizer, LoadOptions,
    PreTrainedModel, Precision, Result, instruction_set,
};
use tempfile::tempdir;

type Classifier = AlbertForSequenceClassification;

/// Trains up to a step with a checkpoint every two steps, from the last one on.
fn train(output_dir: &Path, steps: u64) -> Result<TrainingOutcome> {
    train_with(saving_options(steps, 2, output_dir))
}

fn train_with(options: TrainerOptions) -> Result<TrainingOutcome> {
    let mut trainer = new_trainer::<Classifier>(Precision::F32, options);
    trainer.resume()?;
    trainer.train()
}

#[test]
fn a_checkpoint_is_a_model_and_more() {
    let directory = tempdir().unwrap();
    let options = saving_options(3, 100, directory.path());
    let mut trainer = new_trainer::<AlbertForPreTraining>(Precision::F32, options);
    let outcome = trainer.train().unwrap();
    let checkpoint = directory.path().join("checkpoint-3");
    assert_eq!(outcome.checkpoint.as_ref(), Some(&checkpoint));
    let load =
        |path: &Path| AlbertForPreTraining::load_parameters(path, &LoadOptions::new()).unwrap();
    let (_, parameters, report) = load(&checkpoint);
    assert!(report.is_clean(), "{report}");
    let weights = weights_of(trainer.model().parameters());
    assert_eq!(weights_of(&parameters), weights);
    AlbertForPreTraining::from_pretrained(&checkpoint).unwrap();
    // Both moments of every parameter, of its shape.
    let moments = Checkpoint::open(checkpoint.join("optimizer.safetensors")).unwrap();
    assert_eq!(moments.len(), 2 * weights.len());
    for (name, values) in &weights {
        for moment in ["exp_avg", "exp_avg_sq"] {
            let info = moments.get(&format!("{moment}.{name}")).unwrap();
            assert_eq!(info.shape(), values.shape());
        }
    }
    // Readable by whoever may read other files.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let usual = directory.path().join("usual");
        fs::create_dir(&usual).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&checkpoint), mode(&usual));
    }
}

/// With the given tokenizer, which is removed with the checkpoint.
#[test]
fn a_checkpoint_can_be_used_at_once() {
    for kind in ["chinese", "sentencepiece"] {
        let own =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers").join(kind);
        let tokenizer = AlbertTokenizer::from_pretrained(own).unwrap();
        let (directory, saved) = (tempdir().unwrap(), tempdir().unwrap());
        tokenizer.save_pretrained(&saved).unwrap();
        let options =
            TrainerOptions { save_total_limit: Some(1), ..saving_options(4, 2, directory.path()) };
        let mut trainer = new_trainer::<Classifier>(Precision::F32, options)
            .with_tokenizer(&tokenizer.with_max_length(7).unwrap());
        trainer.train().unwrap();
        assert_eq!(names(directory.path()), ["checkpoint-4"]);
        let checkpoint = directory.path().join("checkpoint-4");
        let found = files(&checkpoint);
        assert!(files(saved.path()).iter().all(|file| found.contains(file)), "{kind}");
        let again = AlbertTokenizer::from_pretrained(&checkpoint).unwrap();
        let original = AlbertTokenizer::from_pretrained(saved.path()).unwrap();
        let text = "a longer text than seven 深度学习";
        assert_eq!(again.encode(text).unwrap(), original.encode(text).unwrap());
        // It is gone on from, with or without.
        train(directory.path(), 6).unwrap();
        assert_eq!(names(directory.path()), ["checkpoint-4", "checkpoint-6"]);
    }
}

#[test]
fn the_last_are_kept() {
    let directory = tempdir().unwrap();
    let foreign = ["checkpoint-", "checkpoint-02", "checkpoint-x", "other"];
    foreign.iter().for_each(|name| fs::create_dir(directory.path().join(name)).unwrap());
    fs::write(directory.path().join("checkpoint-1"), "a file").unwrap();
    let options =
        TrainerOptions { save_total_limit: Some(2), ..saving_options(7, 2, directory.path()) };
    train_with(options).unwrap();
    let mut expected = vec!["checkpoint-1", "checkpoint-6", "checkpoint-7"];
    expected.extend(foreign);
    expected.sort_unstable();
    assert_eq!(names(directory.path()), expected);
}

#[test]
fn without_a_directory_there_is_no_checkpoint() {
    let directory = tempdir().unwrap();
    let none = directory.path().join("none");
    assert!(latest_checkpoint(&none).unwrap().path.is_none());
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    refused(latest_checkpoint(&file), &["file"]);
}

/// Whichever file is missing or cut short: the one before is taken, and the notice names the file.
/// The damaged one is not replaced: whoever damaged it may want it.
#[test]
fn damaged_checkpoints_are_passed_over_and_kept() {
    let directory = tempdir().unwrap();
    train(directory.path(), 6).unwrap();
    let newest = directory.path().join("checkpoint-6");
    let whole = files(&newest);
    for (name, bytes) in &whole {
        for cut in [None, Some(0), Some(bytes.len() / 2), Some(bytes.len() - 1)] {
            match cut {
                None => fs::remove_file(newest.join(name)).unwrap(),
                Some(length) => fs::write(newest.join(name), &bytes[..length]).unwrap(),
            }
            let latest = latest_checkpoint(directory.path()).unwrap();
            // A last line's end is all that a config can do without.
            if name == "config.json" && cut == Some(bytes.len() - 1) {
                assert_eq!(latest.path, Some(newest.clone()));
            } else {
                assert_eq!(
                    latest.path,
                    Some(directory.path().join("checkpoint-4")),
                    "{name} {cut:?}"
                );
                let [error] = &latest.passed_over[..] else { panic!("{latest:?}") };
                let place = newest.join(name).display().to_string();
                // Weights that are not there may have another name.
                let place = place.trim_end_matches("model.safetensors");
                assert!(error.to_string().starts_with(place), "{error}");
            }
            fs::write(newest.join(name), bytes).unwrap();
        }
    }
    fs::remove_file(newest.join("optimizer.safetensors")).unwrap();
    let damaged = files(&newest);
    refused(train(directory.path(), 6), &["checkpoint-6", "optimizer.safetensors", "move it away"]);
    assert!(files(&newest) == damaged);
    fs::rename(&newest, directory.path().join("damaged")).unwrap();
    train(directory.path(), 6).unwrap();
    assert!(files(&newest) == whole);
    // If none is complete, training must not start over.
    for step in [2, 4, 6] {
        fs::write(directory.path().join(format!("checkpoint-{step}/config.json")), "{").unwrap();
    }
    refused(train(directory.path(), 8), &["checkpoint-6/config.json", "JSON"]);
}

/// A checkpoint that others have made, or mistaken for one.
#[test]
fn checkpoints_of_something_else_are_refused() {
    let directory = tempdir().unwrap();
    train(directory.path(), 2).unwrap();
    let checkpoint = directory.path().join("checkpoint-2");
    let resume_with = |allow_changed_options| {
        let options =
            TrainerOptions { allow_changed_options, ..saving_options(4, 2, directory.path()) };
        new_trainer::<Classifier>(Precision::F32, options).resume_from(&checkpoint)
    };
    let resume = || resume_with(false);
    resume().unwrap();
    let replaced = |name: &str, from: &str, to: &str, words: &[&str]| {
        let path = checkpoint.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        refused(resume(), words);
        fs::write(&path, text).unwrap();
    };
    let state = "trainer_state.json";
    replaced(state, "\"version\": 1", "\"version\": 2", &[state, "version 1", "found 2"]);
    replaced(state, "\"step\": 2", "\"step\": -2", &[state, "-2"]);
    replaced(state, "\"data\": [", "\"data\": [\"one\",", &["no position"]);
    // Of another processor, and of a version that did not keep this.
    let here = format!("\"instruction_set\": \"{}\",", instruction_set().unwrap());
    let expected =
        here.replace("\"instruction_set\": ", "expected instruction_set = ").replace(',', "");
    for (other, found) in [
        ("\"instruction_set\": \"abacus\",", "found instruction_set = \"abacus\""),
        ("", "found instruction_set = nothing"),
    ] {
        replaced(state, &here, other, &[state, &expected, found]);
    }
    replaced(
        "config.json",
        "\"hidden_act\": \"gelu",
        "\"hidden_act\": \"relu",
        &["hidden_act", "relu"],
    );
    // That another processor goes on may be allowed.
    let path = checkpoint.join(state);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(&here, "")).unwrap();
    resume_with(true).unwrap();
    fs::write(&path, text).unwrap();
    // Moments of another shape, and none.
    let path = checkpoint.join("optimizer.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::copy(checkpoint.join("model.safetensors"), &path).unwrap();
    refused(resume(), &["optimizer.safetensors", "exp_avg.albert.embeddings"]);
    fs::write(&path, bytes).unwrap();
    resume().unwrap();
}

/// What would be lost by training from an earlier step is not written over.
#[test]
fn newer_checkpoints_are_not_written_over() {
    let directory = tempdir().unwrap();
    train(directory.path(), 4).unwrap();
    let before = files(&directory.path().join("checkpoint-4"));
    let options = || saving_options(8, 2, directory.path());
    let words = |step| {
        let step = format!("no checkpoint after step {step}");
        ["output_dir".to_owned(), step, "checkpoint-4: resume".to_owned()]
    };
    let mut trainer = new_trainer::<Classifier>(Precision::F32, options());
    refused(trainer.train(), &words(0).each_ref().map(String::as_str));
    trainer.resume_from(directory.path().join("checkpoint-2")).unwrap();
    refused(trainer.train(), &words(2).each_ref().map(String::as_str));
    assert!(files(&directory.path().join("checkpoint-4")) == before);
    // Elsewhere it may.
    let elsewhere = tempdir().unwrap();
    let mut trainer =
        new_trainer::<Classifier>(Precision::F32, saving_options(4, 2, elsewhere.path()));
    trainer.resume_from(directory.path().join("checkpoint-2")).unwrap();
    trainer.train().unwrap();
    assert!(files(&elsewhere.path().join("checkpoint-4")) == before);
}

/// A run that goes on from a checkpoint elsewhere would remove those of the run whose directory it uses.
#[test]
fn checkpoints_of_another_run_are_not_removed() {
    let root = tempdir().unwrap();
    let [own, other] = ["own", "other"].map(|name| root.path().join(name));
    train(&own, 6).unwrap();
    train(&other, 4).unwrap();
    let resumed = |from: &Path, output_dir: &Path| {
        let options =
            TrainerOptions { save_total_limit: Some(1), ..saving_options(8, 2, output_dir) };
        let mut trainer = new_trainer::<Classifier>(Precision::F32, options);
        trainer.resume_from(from.join("checkpoint-6")).unwrap();
        trainer.train()
    };
    let words = ["output_dir", "no checkpoint of another run", "other/checkpoint-4: resume"];
    refused(resumed(&own, &other), &words);
    assert_eq!(names(&other), ["checkpoint-2", "checkpoint-4"]);
    // Its own directory by another path, and one that is empty.
    resumed(&root.path().join("other/../own/."), &own).unwrap();
    assert_eq!(names(&own), ["checkpoint-8"]);
    train(&own.join("first"), 6).unwrap();
    resumed(&own.join("first"), &own.join("second")).unwrap();
    assert_eq!(names(&own.join("second")), ["checkpoint-8"]);
    assert_eq!(names(&own.join("first")).len(), 3);
}

#[test]
fn one_run_at_a_time_trains_into_a_directory() {
    let directory = tempdir().unwrap();
    let options = || saving_options(2, 1, directory.path());
    let mut first = new_trainer::<Classifier>(Precision::F32, options()).on_event(|_| {
        let second = new_trainer::<Classifier>(Precision::F32, options()).train();
        refused(second, &[".lock", "another run"]);
        Ok(std::ops::ControlFlow::Continue(()))
    });
    first.train().unwrap();
    // It is over.
    train(directory.path(), 4).unwrap();
}

/// What a process that was killed has begun is removed by the next, and nothing else is, whatever
/// its name.
#[test]
fn leftovers_are_removed() {
    let directory = tempdir().unwrap();
    let leftover = directory.path().join(".ndalbert-abc.tmp");
    fs::create_dir_all(leftover.join("old")).unwrap();
    fs::write(leftover.join("old/model.safetensors"), "half").unwrap();
    fs::write(directory.path().join(".ndalbert-def.tmp"), "half").unwrap();
    fs::write(directory.path().join(".ndalbert-notes"), "mine").unwrap();
    let mine = [".ndalbert-mine.tmp/notes.txt", ".ndalbert-aside.tmp/old/notes.txt"];
    for file in mine.map(|file| directory.path().join(file)) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file.with_file_name("config.json"), "mine").unwrap();
        fs::write(file, "mine").unwrap();
    }
    train(directory.path(), 2).unwrap();
    let kept = [".ndalbert-aside.tmp", ".ndalbert-mine.tmp", ".ndalbert-notes", "checkpoint-2"];
    assert_eq!(names(directory.path()), kept);
    assert!(mine.iter().all(|file| directory.path().join(file).exists()));
}

#[test]
fn places_where_no_checkpoint_can_be_are_errors() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    let options = || saving_options(4, 2, &file);
    let mut trainer = new_trainer::<Classifier>(Precision::F32, options());
    refused(trainer.train(), &[file.to_str().unwrap()]);
    let taken = directory.path().join("run/checkpoint-4");
    fs::create_dir_all(taken.parent().unwrap()).unwrap();
    fs::write(&taken, "mine").unwrap();
    let run = taken.parent().unwrap();
    refused(train(run, 4), &[taken.to_str().unwrap(), "move it away"]);
    assert_eq!(names(run), ["checkpoint-4"]);
    assert_eq!(fs::read(&taken).unwrap(), b"mine");
}

/// Epochs of seven batches, two per step: they end with steps 4 and 8.
#[test]
fn checkpoints_may_be_saved_with_epochs() {
    let directory = tempdir().unwrap();
    let options =
        TrainerOptions { save: Interval::Epoch, ..saving_options(9, 1, directory.path()) };
    train_with(options).unwrap();
    assert_eq!(names(directory.path()), ["checkpoint-4", "checkpoint-8", "checkpoint-9"]);
}
