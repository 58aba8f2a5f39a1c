//! Trainers resume bit-identically, evaluate, and end when they should.

mod common;

use std::cell::RefCell;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use common::random::numbers;
use common::refused;
use common::training::{
    Synthetic, Trained, files, names, new_model, new_model_without_dropout, new_trainer,
    saving_options, trainer_of, trainer_options,
};
use common::weights::weights_of;
use ndalbert::checkpoint::{Checkpoint, write_safetensors};
use ndalbert::train::{
    AdamOptions, AdamW, Event, Interval, Lamb, MetricsLog, Optimizer, ParameterGroup,
    PreTrainingLabels, StopReason, Targets, Trainer, TrainerOptions, TrainingBatch, TrainingModel,
    clip_global_norm, global_norm,
};
use ndalbert::{
    AlbertForPreTraining, AlbertForSequenceClassification, Batch, Error, Parameters, Precision,
};
use ndarray::ArrayD;
use serde_json::Value;
use tempfile::tempdir;

type Classifier = AlbertForSequenceClassification;

/// Trains in one go, and with a pause after every so many steps, in which all but the checkpoint is
/// lost. Every checkpoint, the log included, is the same to the byte.
fn pauses_do_not_matter<M: Trained + 'static>(precision: Precision, pause: u64) {
    const STEPS: u64 = 12;
    let options = |directory: &Path, steps| TrainerOptions {
        evaluate: Interval::Steps(pause),
        ..saving_options(steps, pause, directory)
    };
    let evaluation = || Synthetic { position: (9, 4), ..Synthetic::new(7, M::batch) };
    let [unbroken, broken] = [(); 2].map(|()| tempdir().unwrap());
    let run = |directory: &Path, steps| {
        let mut log = MetricsLog::open(directory.join("metrics.jsonl")).unwrap();
        let mut trainer = new_trainer::<M>(precision, options(directory, steps))
            .evaluate_on(evaluation())
            .unwrap()
            .on_event(move |event| log.record(event).map(ControlFlow::Continue));
        trainer.resume().unwrap();
        assert_eq!(trainer.train().unwrap().step, steps);
        weights_of(trainer.model().parameters())
    };
    let expected = run(unbroken.path(), STEPS);
    let ends = (1..=STEPS / pause).map(|i| i * pause).filter(|&end| end < STEPS);
    ends.for_each(|end| drop(run(broken.path(), end)));
    assert!(run(broken.path(), STEPS) == expected);
    let checkpoints = names(unbroken.path());
    assert_eq!(names(broken.path()), checkpoints);
    for name in checkpoints.iter().filter(|name| name.starts_with("checkpoint")) {
        let [one, other] = [&unbroken, &broken].map(|run| files(&run.path().join(name)));
        let names: Vec<_> = one.iter().map(|(name, _)| name.as_str()).collect();
        let expected =
            ["config.json", "model.safetensors", "optimizer.safetensors", "trainer_state.json"];
        assert_eq!(names, expected);
        assert!(one == other, "{name}");
    }
    let [one, other] = [&unbroken, &broken].map(|run| log_lines(&run.path().join("metrics.jsonl")));
    assert_eq!(one.len() as u64, STEPS + STEPS / pause);
    assert_eq!(one, other);
}

/// A log's lines, without what differs from run to run.
fn log_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("tokens_per_second");
    }
    lines
}

/// Seven batches, two per step: every fourth step ends an epoch and has one batch. So pauses are in
/// and between epochs.
#[test]
fn resuming_continues_to_the_bit() {
    for pause in [1, 3, 4] {
        pauses_do_not_matter::<AlbertForPreTraining>(Precision::F32, pause);
        pauses_do_not_matter::<Classifier>(Precision::F32, pause);
    }
    pauses_do_not_matter::<AlbertForPreTraining>(Precision::Bf16, 4);
    pauses_do_not_matter::<Classifier>(Precision::Bf16, 3);
}

/// Otherwise equal weights would say little.
#[test]
fn seed_order_precision_clipping_and_moments_do_matter() {
    let run = |precision, options: TrainerOptions, start| {
        let model = new_model::<Classifier>(precision);
        let data = Synthetic { position: (0, start), ..Synthetic::new(7, Classifier::batch) };
        let mut trainer = trainer_of(model, data, options);
        trainer.train().unwrap();
        weights_of(trainer.model().parameters())
    };
    let plain = run(Precision::F32, trainer_options(6), 0);
    assert!(run(Precision::F32, trainer_options(6), 0) == plain);
    assert!(run(Precision::F32, TrainerOptions { seed: 43, ..trainer_options(6) }, 0) != plain);
    assert!(run(Precision::F32, trainer_options(6), 1) != plain);
    assert!(run(Precision::Bf16, trainer_options(6), 0) != plain);
    let clipped = TrainerOptions { max_grad_norm: Some(0.1), ..trainer_options(6) };
    assert!(run(Precision::F32, clipped, 0) != plain);
    let directory = tempdir().unwrap();
    run(Precision::F32, saving_options(3, 3, directory.path()), 0);
    let resumed = || {
        let options = saving_options(6, 100, directory.path());
        let mut trainer = new_trainer::<Classifier>(Precision::F32, options);
        let checkpoint = directory.path().join("checkpoint-3");
        trainer.resume_from(&checkpoint).unwrap();
        trainer.train().unwrap();
        fs::remove_dir_all(directory.path().join("checkpoint-6")).unwrap();
        weights_of(trainer.model().parameters())
    };
    assert!(resumed() == plain);
    clear_moments(&directory.path().join("checkpoint-3/optimizer.safetensors"));
    assert!(resumed() != plain);
}

fn clear_moments(path: &Path) {
    let moments = Checkpoint::open(path).unwrap();
    let names: Vec<String> = moments.names().map(str::to_owned).collect();
    let zeros = names.into_iter().map(|name| {
        let zeros = ArrayD::<f32>::zeros(moments.get(&name).unwrap().shape());
        (name, zeros)
    });
    let zeros: Vec<_> = zeros.collect();
    drop(moments);
    write_safetensors(path, zeros.iter().map(|(name, zeros)| (name.clone(), zeros.view())))
        .unwrap();
}

/// Two batches of as many labels are as good as one of both, without dropout.
#[test]
fn accumulated_batches_count_as_one() {
    fn halves(number: u64) -> TrainingBatch<Targets> {
        let random = |i| 1 + numbers(i, 40).next().unwrap();
        let sequences: Vec<_> = (0..4).map(|i| vec![random(4 * number + i); 3]).collect();
        let labels = sequences.iter().map(|ids| i64::from(ids[0] > 20)).collect();
        let batch = Batch::from_sequences(&sequences).unwrap();
        TrainingBatch { batch, labels: Targets::Classes(labels) }
    }
    fn wholes(number: u64) -> TrainingBatch<Targets> {
        let [one, other] = [halves(2 * number), halves(2 * number + 1)];
        let (Targets::Classes(one), Targets::Classes(other)) = (one.labels, other.labels) else {
            unreachable!("as made above")
        };
        let random = |i| 1 + numbers(i, 40).next().unwrap();
        let sequences: Vec<_> = (0..8).map(|i| vec![random(8 * number + i); 3]).collect();
        let batch = Batch::from_sequences(&sequences).unwrap();
        TrainingBatch { batch, labels: Targets::Classes([one, other].concat()) }
    }
    let first = |make, gradient_accumulation_steps| {
        let model = new_model_without_dropout::<Classifier>();
        let options = TrainerOptions { gradient_accumulation_steps, ..trainer_options(1) };
        let steps = RefCell::new(Vec::new());
        let mut trainer = trainer_of(model, Synthetic::new(4, make), options).on_event(|event| {
            if let Event::Step(step) = event {
                steps.borrow_mut().push((*step).clone());
            }
            Ok(ControlFlow::Continue(()))
        });
        trainer.train().unwrap();
        drop(trainer);
        steps.into_inner().remove(0)
    };
    let (two, one) = (first(halves, 2), first(wholes, 1));
    approx::assert_relative_eq!(two.loss.loss, one.loss.loss, max_relative = 1e-6);
    approx::assert_relative_eq!(two.gradient_norm, one.gradient_norm, max_relative = 1e-5);
    assert_eq!((two.loss.terms[0].correct, two.tokens), (one.loss.terms[0].correct, one.tokens));
    assert_eq!((two.loss.terms[0].count, one.loss.terms[0].count), (8, 8));
}

fn add(sums: &mut impl Parameters, tree: &impl Parameters) {
    let mut values = Vec::new();
    tree.visit("", &mut |_, array| values.extend(array.iter().copied()));
    let mut values = values.into_iter();
    sums.visit_mut("", &mut |_, mut array| {
        array.iter_mut().zip(values.by_ref()).for_each(|(sum, value)| *sum += value);
    });
}

/// The norm is that of what is trained, and so is its limit. The gradient's length shows in the
/// step because of a large ε.
#[test]
fn frozen_parameters_have_no_part_in_clipping() {
    const LIMIT: f64 = 0.05;
    let adam = AdamOptions {
        eps: 1.0,
        groups: vec![ParameterGroup::frozen(["albert.*"])],
        ..AdamOptions::torch()
    };
    let optimizer = |model: &TrainingModel<Classifier>| {
        AdamW::new(adam.clone(), || model.zero_gradients()).unwrap()
    };
    let mut model = new_model_without_dropout::<Classifier>();
    let mut gradients = model.zero_gradients();
    for TrainingBatch { batch, labels } in [Classifier::batch(0), Classifier::batch(1)] {
        // As a trainer does: each batch's by themselves, so that ranks may share the batches.
        let mut of_batch = model.zero_gradients();
        model.backward(&batch, &labels, None, 0.5, &mut of_batch).unwrap();
        add(&mut gradients, &of_batch);
    }
    let of_all = global_norm(&gradients);
    gradients.albert = model.zero_gradients().albert;
    let options = TrainerOptions { max_grad_norm: Some(LIMIT), ..trainer_options(1) };
    let rate = options.schedule.rate_at(0);
    let norm = clip_global_norm(&mut gradients, LIMIT).unwrap();
    assert!(norm > 1.5 * LIMIT && of_all > 1.3 * norm, "{of_all} {norm}");
    let mut adamw = optimizer(&model);
    model.update(|parameters| adamw.update(parameters, &gradients, rate)).unwrap();
    let norms = RefCell::new(Vec::new());
    let trained = new_model_without_dropout::<Classifier>();
    let (adamw, data) = (optimizer(&trained), Synthetic::new(7, Classifier::batch));
    let mut trainer = Trainer::new(trained, adamw, data, options).unwrap().on_event(|event| {
        if let Event::Step(step) = event {
            norms.borrow_mut().push(step.gradient_norm);
        }
        Ok(ControlFlow::Continue(()))
    });
    trainer.train().unwrap();
    assert_eq!(norms.borrow()[..], [norm]);
    assert!(weights_of(trainer.model().parameters()) == weights_of(model.parameters()));
}

#[test]
fn epochs_end_steps_and_training() {
    let events = RefCell::new(Vec::new());
    let options = TrainerOptions {
        max_steps: None,
        num_train_epochs: Some(2),
        evaluate: Interval::Epoch,
        ..trainer_options(0)
    };
    let mut trainer = new_trainer::<Classifier>(Precision::F32, options)
        .evaluate_on(Synthetic::new(3, Classifier::batch))
        .unwrap()
        .on_event(|event| {
            events.borrow_mut().push(match event {
                Event::Step(step) => {
                    format!("{}:{}:{}", step.step, step.epoch, step.loss.terms[0].count)
                }
                Event::Evaluation(evaluation) => format!("evaluated {}", evaluation.step),
                _ => "other".to_owned(),
            });
            Ok(ControlFlow::Continue(()))
        });
    let outcome = trainer.train().unwrap();
    assert_eq!((outcome.reason, outcome.step, outcome.epoch), (StopReason::Completed, 8, 2));
    assert!(outcome.checkpoint.is_none());
    // Nothing more to do.
    assert_eq!(trainer.train().unwrap().step, 8);
    drop(trainer);
    let expected = [
        "other",
        "1:0:10",
        "2:0:10",
        "3:0:10",
        "4:0:5",
        "evaluated 4",
        "5:1:10",
        "6:1:10",
        "7:1:10",
        "8:1:5",
        "evaluated 8",
        "other",
    ];
    assert_eq!(events.into_inner(), expected);
}

/// What is measured is the mean over all that counts, whichever batch it is in; the data ends and
/// is gone through again.
#[test]
fn evaluations_are_the_same_each_time() {
    /// Five labels, then two.
    fn uneven(number: u64) -> TrainingBatch<Targets> {
        let count = if number.is_multiple_of(2) { 5 } else { 2 };
        let sequences: Vec<Vec<u32>> = (0..count)
            .map(|i| numbers(10 * number + i, 40).take(4).map(|id| 1 + id).collect())
            .collect();
        let labels = sequences.iter().map(|ids| i64::from(ids[0] > 20)).collect();
        let batch = Batch::from_sequences(&sequences).unwrap();
        TrainingBatch { batch, labels: Targets::Classes(labels) }
    }
    let batches = [uneven(0), uneven(1)];
    let model = new_model::<Classifier>(Precision::F32);
    let losses = batches.map(|batch| model.loss(&batch.batch, &batch.labels).unwrap());
    let mut trainer = new_trainer::<Classifier>(Precision::F32, trainer_options(3))
        .evaluate_on(Synthetic::new(2, uneven))
        .unwrap()
        .with_metrics(|model| {
            Ok(vec![("layers".to_owned(), model.config().num_hidden_layers as f64)])
        });
    let evaluation = trainer.evaluate().unwrap();
    let names: Vec<_> = evaluation.metrics.keys().map(String::as_str).collect();
    assert_eq!(names, ["accuracy", "layers", "loss"]);
    let correct = losses.iter().map(|loss| loss.terms[0].correct).sum::<usize>();
    assert_eq!(evaluation.metrics["accuracy"], correct as f64 / 7.0);
    let mean = (5.0 * losses[0].loss + 2.0 * losses[1].loss) / 7.0;
    let of_batches = (losses[0].loss + losses[1].loss) / 2.0;
    assert!((mean - of_batches).abs() > 1e-4 * mean, "{mean} {of_batches}");
    approx::assert_relative_eq!(evaluation.metrics["loss"], mean, max_relative = 1e-12);
    assert_eq!(trainer.evaluate().unwrap(), evaluation);
    trainer.train().unwrap();
    assert_ne!(trainer.evaluate().unwrap().metrics["loss"], evaluation.metrics["loss"]);
    let mut trainer = new_trainer::<AlbertForPreTraining>(Precision::F32, trainer_options(3))
        .evaluate_on(Synthetic::new(2, AlbertForPreTraining::batch))
        .unwrap();
    let names: Vec<_> = trainer.evaluate().unwrap().metrics.into_keys().collect();
    let expected = [
        "loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
        "sentence_order_accuracy",
        "sentence_order_loss",
    ];
    assert_eq!(names, expected);
}

/// A measure that has its best at step 4: that checkpoint is kept, and training ends three
/// evaluations later.
#[test]
fn training_ends_early_and_the_best_is_kept() {
    let directory = tempdir().unwrap();
    let options = TrainerOptions {
        evaluate: Interval::Steps(2),
        metric_for_best_model: "score".to_owned(),
        greater_is_better: true,
        early_stopping_patience: Some(3),
        save_total_limit: Some(2),
        ..saving_options(50, 1, directory.path())
    };
    let run = || {
        let scores = RefCell::new([0.1, 0.9, 0.9, f64::NAN, 0.3].into_iter());
        let mut trainer =
            new_trainer::<Classifier>(Precision::F32, options.clone()).with_metrics(|_| {
                Ok(vec![("score".to_owned(), scores.borrow_mut().next().expect("a fifth at most"))])
            });
        trainer.resume().unwrap();
        trainer.train().unwrap()
    };
    for _ in 0..2 {
        let outcome = run();
        assert_eq!((outcome.reason, outcome.step), (StopReason::EarlyStopping, 10));
        let best = outcome.best.unwrap();
        assert_eq!((best.step, best.metric), (4, 0.9));
        assert_eq!(names(directory.path()), ["checkpoint-10", "checkpoint-4", "checkpoint-9"]);
        assert_eq!(outcome.best_checkpoint, Some(directory.path().join("checkpoint-4")));
    }
    // What stands in its place is not taken for it.
    let [four, nine] = [4, 9].map(|step| directory.path().join(format!("checkpoint-{step}")));
    fs::remove_dir_all(&four).unwrap();
    fs::rename(nine, four).unwrap();
    assert_eq!(run().best_checkpoint, None);
    let other = TrainerOptions { metric_for_best_model: "f1".to_owned(), ..trainer_options(50) };
    let mut trainer = new_trainer::<Classifier>(
        Precision::F32,
        TrainerOptions { evaluate: Interval::Steps(1), ..other },
    )
    .evaluate_on(Synthetic::new(2, Classifier::batch))
    .unwrap();
    refused(trainer.train(), &["step 1", "metric_for_best_model", "accuracy, loss", "f1"]);
}

#[test]
fn a_hook_can_stop_training() {
    let directory = tempdir().unwrap();
    let run = |stop: u64| {
        let mut trainer =
            new_trainer::<Classifier>(Precision::F32, saving_options(12, 100, directory.path()))
                .on_event(move |event| {
                    let is_time = matches!(event, Event::Step(step) if step.step == stop);
                    Ok(if is_time { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                });
        trainer.resume().unwrap();
        trainer.train().unwrap()
    };
    let outcome = run(5);
    assert_eq!((outcome.reason, outcome.step), (StopReason::Hook, 5));
    let checkpoint = directory.path().join("checkpoint-5");
    assert_eq!(outcome.checkpoint, Some(checkpoint));
    assert_eq!(run(100).reason, StopReason::Completed);
    let unbroken = tempdir().unwrap();
    let mut trainer =
        new_trainer::<Classifier>(Precision::F32, saving_options(12, 100, unbroken.path()));
    trainer.train().unwrap();
    let [one, other] = [&unbroken, &directory].map(|run| files(&run.path().join("checkpoint-12")));
    assert!(one == other);
    // One that fails ends training at once.
    let mut trainer = new_trainer::<Classifier>(Precision::F32, trainer_options(12)).on_event(
        |event| match event {
            Event::Step(step) if step.step == 3 => Err(Error::Tokenizer("out of ink".to_owned())),
            _ => Ok(ControlFlow::Continue(())),
        },
    );
    refused(trainer.train(), &["step 3", "out of ink"]);
}

/// A pre-training model may be trained with an optimizer that is chosen when the program runs.
#[test]
fn optimizers_may_be_boxed() {
    let model = new_model::<AlbertForPreTraining>(Precision::F32);
    let lamb = Lamb::new(AdamOptions::google(), || model.zero_gradients()).unwrap();
    let optimizer: Box<dyn Optimizer<_>> = Box::new(lamb);
    let data: Synthetic<PreTrainingLabels> = Synthetic::new(7, AlbertForPreTraining::batch);
    let mut trainer = Trainer::new(model, optimizer, data, trainer_options(2)).unwrap();
    assert_eq!(trainer.train().unwrap().step, 2);
}
