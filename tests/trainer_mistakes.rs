//! What is not finite is skipped, and what else is wrong with losses, data or options is said, with the step.

mod common;

use std::cell::RefCell;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use common::refused;
use common::training::{
    Optimizer, Synthetic, Trained, files, names, new_model, new_model_without_dropout,
    new_regression_model, new_trainer, saving_options, trainer_of, trainer_on, trainer_options,
};
use ndalbert::train::{
    AdamOptions, AdamW, Decay, Event, Interval, Lamb, Schedule, Targets, Trainer, TrainerOptions,
    TrainingBatch, TrainingData, latest_checkpoint,
};
use ndalbert::{
    AlbertForPreTraining, AlbertForSequenceClassification, Batch, Error, Precision, Result,
};
use serde_json::Value;
use tempfile::tempdir;

type Classifier = AlbertForSequenceClassification;

/// Regression against a number that is not finite, or too large for the square of the difference.
fn bad_values(number: u64) -> TrainingBatch<Targets> {
    let mut batch = Classifier::batch(number);
    let value = match number {
        2 => f32::NAN,
        4 => f32::MAX,
        _ => 0.5,
    };
    batch.labels = Targets::Values(ndarray::Array2::from_elem((5, 2), value));
    batch
}

/// Regresses two numbers, of which those of batch 2 and 4 are of no use.
fn regression(options: TrainerOptions) -> Trainer<'static, Classifier, Optimizer<Classifier>> {
    let model = new_regression_model();
    let options = TrainerOptions { gradient_accumulation_steps: 1, ..options };
    trainer_of(model, Synthetic::new(7, bad_values), options)
}

#[test]
fn steps_that_are_not_finite_have_no_effect() {
    let directory = tempdir().unwrap();
    let options = saving_options(6, 1, directory.path());
    let skipped = RefCell::new(Vec::new());
    let mut trainer = regression(options.clone()).on_event(|event| {
        if let Event::Step(step) = event {
            skipped.borrow_mut().push((step.is_skipped, step.loss.loss.is_finite()));
        }
        Ok(ControlFlow::Continue(()))
    });
    let outcome = trainer.train().unwrap();
    assert_eq!((outcome.step, outcome.skipped_steps), (6, 2));
    drop(trainer);
    let fine = (false, true);
    let expected = [fine, fine, (true, false), fine, (true, false), fine];
    assert_eq!(skipped.into_inner(), expected);
    for (before, after) in [(2, 3), (4, 5)] {
        let read = |step, name| {
            fs::read(directory.path().join(format!("checkpoint-{step}/{name}"))).unwrap()
        };
        for name in ["model.safetensors", "optimizer.safetensors"] {
            assert!(read(before, name) == read(after, name), "{name}");
            assert!(read(before - 1, name) != read(before, name), "{name}");
        }
    }
    // Also with a pause at a skipped step.
    let paused = tempdir().unwrap();
    for steps in [3, 5, 6] {
        let mut trainer = regression(saving_options(steps, 1, paused.path()));
        trainer.resume().unwrap();
        trainer.train().unwrap();
    }
    let [one, other] = [&directory, &paused].map(|run| files(&run.path().join("checkpoint-6")));
    assert!(one == other);
}

#[test]
fn too_many_skipped_steps_are_an_error_that_leaves_what_was_saved() {
    fn hopeless(number: u64) -> TrainingBatch<Targets> {
        bad_values(if number < 4 { 0 } else { 2 })
    }
    let directory = tempdir().unwrap();
    let run = || {
        let model = new_regression_model();
        let options = TrainerOptions {
            gradient_accumulation_steps: 1,
            // Nothing is removed while steps are skipped: who knows whether the last checkpoints are any good.
            save_total_limit: Some(1),
            ..saving_options(20, 2, directory.path())
        };
        let mut trainer = trainer_of(model, Synthetic::new(7, hopeless), options);
        trainer.resume().unwrap();
        trainer.train()
    };
    // Two may be skipped, 5 and 6; after resuming it is remembered that they were.
    let words = ["step 7: loss", "expected a finite number", "NaN", "2 skipped steps in a row"];
    for _ in 0..2 {
        refused(run(), &words);
        let expected = ["checkpoint-4", "checkpoint-6"];
        assert_eq!(names(directory.path()), expected);
    }
    let [before, after] = [4, 6].map(|step| {
        fs::read(directory.path().join(format!("checkpoint-{step}/model.safetensors"))).unwrap()
    });
    assert!(before == after);
}

/// Rate and decay so large that the second step makes weights overflow, which none of its gradients shows.
#[test]
fn weights_that_are_not_finite_are_not_saved() {
    let directory = tempdir().unwrap();
    let options = TrainerOptions {
        schedule: Schedule::new(3e38, 2, Decay::Constant).unwrap(),
        save_total_limit: Some(1),
        ..saving_options(20, 1, directory.path())
    };
    let model = new_model::<Classifier>(Precision::F32);
    let adam = AdamOptions { weight_decay: 1e3, ..AdamOptions::torch() };
    let optimizer = AdamW::new(adam, || model.zero_gradients()).unwrap();
    let data = Synthetic::new(7, Classifier::batch);
    let mut trainer = Trainer::new(model, optimizer, data, options).unwrap();
    refused(trainer.train(), &["step 2: parameter `albert.", "to be saved", "finite"]);
    assert_eq!(names(directory.path()), ["checkpoint-1"]);
}

/// Errors in the data name the step, and nothing saved is lost.
#[test]
fn bad_data_stops_training() {
    struct Failing<'a>(&'a str, Synthetic<Targets>);
    impl TrainingData<Targets> for Failing<'_> {
        fn next_batch(&mut self) -> Result<Option<TrainingBatch<Targets>>> {
            let is_time = self.1.position == (0, 5);
            let batch = self.1.next_batch()?;
            let Some(mut batch) = batch.filter(|_| is_time || self.1.position.0 == 0) else {
                return Ok(None);
            };
            match self.0 {
                "error" if is_time => return Err(Error::Tokenizer("no such word".to_owned())),
                "word" if is_time => batch.batch = Batch::from_sequences(&[[41; 3]; 5])?,
                "labels" if is_time => batch.labels = Targets::Classes(vec![0; 4]),
                "class" if is_time => batch.labels = Targets::Classes(vec![2; 5]),
                _ => {}
            }
            Ok(Some(batch))
        }

        fn state(&self) -> Result<Value> {
            self.1.state()
        }

        fn restore(&mut self, state: &Value) -> Result<()> {
            self.1.restore(state)
        }
    }
    let directory = tempdir().unwrap();
    for (kind, step, words) in [
        ("error", 3, ["no such word", ""]),
        ("word", 3, ["input_ids", "vocab_size = 41"]),
        ("labels", 3, ["labels", "4"]),
        ("class", 3, ["labels[0]", "2"]),
        ("end", 5, ["training data", "the end of the data"]),
    ] {
        let output_dir = directory.path().join(kind);
        let data = Failing(kind, Synthetic::new(7, Classifier::batch));
        let mut trainer = trainer_on::<Classifier>(data, saving_options(9, 1, &output_dir));
        let number = format!("step {step}: ");
        refused(trainer.train(), &[&number, words[0], words[1]]);
        assert_eq!(names(&output_dir).len() as u64, step - 1);
        let latest = latest_checkpoint(&output_dir).unwrap().path.unwrap();
        assert!(latest.ends_with(format!("checkpoint-{}", step - 1)));
        // With better data, it goes on from there.
        let mut trainer =
            new_trainer::<Classifier>(Precision::F32, saving_options(9, 1, &output_dir));
        trainer.resume().unwrap();
        assert_eq!(trainer.train().unwrap().step, 9);
    }
    let empty = || Synthetic::new(0, Classifier::batch);
    let mut trainer = trainer_on::<Classifier>(empty(), trainer_options(9));
    refused(trainer.train(), &["step 1: training data", "expected a batch"]);
    let options = TrainerOptions { evaluate: Interval::Steps(2), ..trainer_options(9) };
    let mut trainer =
        new_trainer::<Classifier>(Precision::F32, options).evaluate_on(empty()).unwrap();
    refused(trainer.train(), &["step 2: evaluation data", "expected a batch"]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let plain = || trainer_options(3);
    for (options, words) in [
        (
            TrainerOptions { max_steps: None, ..plain() },
            ["max_steps or num_train_epochs", "neither"],
        ),
        (
            TrainerOptions { gradient_accumulation_steps: 0, ..plain() },
            ["gradient_acc", "at least 1"],
        ),
        (TrainerOptions { max_grad_norm: Some(0.0), ..plain() }, ["max_grad_norm", "above 0"]),
        (TrainerOptions { max_grad_norm: Some(f64::NAN), ..plain() }, ["max_grad_norm", "NaN"]),
        (TrainerOptions { evaluate: Interval::Steps(0), ..plain() }, ["evaluate", "at least 1"]),
        (TrainerOptions { save: Interval::Steps(0), ..plain() }, ["save", "at least 1"]),
        (TrainerOptions { save: Interval::Epoch, ..plain() }, ["output_dir", "none"]),
        (TrainerOptions { save_total_limit: Some(0), ..plain() }, ["save_total_limit", "0"]),
        (TrainerOptions { early_stopping_patience: Some(1), ..plain() }, ["evaluate", "never"]),
        (TrainerOptions { early_stopping_patience: Some(0), ..plain() }, ["early_stopping", "0"]),
    ] {
        let model = new_model::<Classifier>(Precision::F32);
        let data = Synthetic::new(7, Classifier::batch);
        let optimizer = AdamW::new(AdamOptions::torch(), || model.zero_gradients()).unwrap();
        refused(Trainer::new(model, optimizer, data, options), &words);
    }
    let options = TrainerOptions { evaluate: Interval::Epoch, ..plain() };
    let mut trainer = new_trainer::<Classifier>(Precision::F32, options);
    refused(trainer.train(), &["evaluation", "neither"]);
    refused(trainer.resume(), &["output_dir", "none"]);
    let json = serde_json::to_string(&saving_options(5, 2, Path::new("runs"))).unwrap();
    let read: TrainerOptions = serde_json::from_str(&json).unwrap();
    assert_eq!(read, saving_options(5, 2, Path::new("runs")));
}

/// Options that would make other weights of the same checkpoint are named.
#[test]
fn resuming_with_other_options_is_refused() {
    let directory = tempdir().unwrap();
    let plain = || saving_options(4, 4, directory.path());
    new_trainer::<Classifier>(Precision::F32, plain()).train().unwrap();
    let resume = |precision, options| new_trainer::<Classifier>(precision, options).resume();
    let schedule = Schedule::new(0.5, 0, Decay::Constant).unwrap();
    for (options, words) in [
        (TrainerOptions { seed: 7, ..plain() }, ["seed = 7", "seed = 42"]),
        (TrainerOptions { schedule, ..plain() }, ["schedule", "0.5"]),
        (TrainerOptions { gradient_accumulation_steps: 3, ..plain() }, ["steps = 3", "steps = 2"]),
        (TrainerOptions { max_grad_norm: None, ..plain() }, ["max_grad_norm = null", "= 1.0"]),
        (TrainerOptions { greater_is_better: true, ..plain() }, ["greater_is_better", "false"]),
    ] {
        refused(
            resume(Precision::F32, options.clone()),
            &[words[0], words[1], "trainer_state.json"],
        );
        let options = TrainerOptions { allow_changed_options: true, ..options };
        assert!(resume(Precision::F32, options).unwrap().is_some());
    }
    refused(resume(Precision::Bf16, plain()), &["precision = \"bf16\"", "precision = \"f32\""]);
    let model = || new_model::<Classifier>(Precision::F32);
    let data = || Synthetic::new(7, Classifier::batch);
    let optimizer = AdamOptions { weight_decay: 0.5, ..AdamOptions::torch() };
    let optimizer = AdamW::new(optimizer, || model().zero_gradients()).unwrap();
    let mut trainer = Trainer::new(model(), optimizer, data(), plain()).unwrap();
    refused(trainer.resume(), &["optimizer = ", "\"weight_decay\":0.5", "\"weight_decay\":0.01"]);
    let optimizer = Lamb::new(AdamOptions::torch(), || model().zero_gradients()).unwrap();
    let mut trainer = Trainer::new(model(), optimizer, data(), plain()).unwrap();
    refused(trainer.resume(), &["optimizer = ", "Lamb", "AdamW"]);
    let model = new_model_without_dropout::<Classifier>();
    let mut trainer = trainer_of(model, data(), plain());
    refused(
        trainer.resume(),
        &[
            "attention_probs_dropout_prob, classifier_dropout_prob, hidden_dropout_prob",
            "config.json",
        ],
    );
    let mut trainer = new_trainer::<AlbertForPreTraining>(Precision::F32, plain());
    refused(trainer.resume(), &["model = \"AlbertForPreTraining\""]);
    // More steps, and other times to save, are the point of resuming.
    let options =
        TrainerOptions { save: Interval::Epoch, ..saving_options(8, 1, directory.path()) };
    let mut trainer = new_trainer::<Classifier>(Precision::F32, options);
    trainer.resume().unwrap();
    assert_eq!(trainer.train().unwrap().step, 8);
}
