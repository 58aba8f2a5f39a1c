//! Training by several ranks: here, threads that exchange messages over channels.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use ndalbert::train::{
    AdamOptions, AdamW, Decay, Event, GradientPrecision, Interval, Peers, Schedule, Targets,
    Trainer, TrainerOptions, TrainingBatch, TrainingData, TrainingModel, TrainingOptions,
};
use ndalbert::{
    AlbertConfig, AlbertForSequenceClassification, Batch, ConfigFields, Error, Model, Parameters,
    Result,
};
use serde_json::{Value, json};

type Classifier = AlbertForSequenceClassification;

/// One end of channels to every other rank.
struct Threads {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

impl Threads {
    fn new(size: usize) -> Vec<Self> {
        let mut ranks: Vec<Self> =
            (0..size).map(|rank| Self { rank, to: Vec::new(), from: Vec::new() }).collect();
        for sender in 0..size {
            for receiver in 0..size {
                let (to, from) = channel();
                ranks[sender].to.push(to);
                ranks[receiver].from.push(from);
            }
        }
        ranks
    }
}

impl Peers for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn exchange(&mut self, peer: usize, sent: &[u8], received: &mut [u8]) -> io::Result<()> {
        assert_ne!(peer, self.rank);
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the rank has ended");
        self.to[peer].send(sent.to_owned()).map_err(|_| gone())?;
        let message = self.from[peer].recv().map_err(|_| gone())?;
        assert_eq!(message.len(), received.len(), "both know the lengths");
        received.copy_from_slice(&message);
        Ok(())
    }
}

/// Seven batches an epoch, so that the last step of four has three. Is the second token the larger
/// one?
struct Pairs {
    next: u32,
    multiplier: u32,
    fails_at: Option<u32>,
}

impl Pairs {
    fn new() -> Self {
        Self { next: 0, multiplier: 3, fails_at: None }
    }
}

impl TrainingData<Targets> for Pairs {
    fn next_batch(&mut self) -> Result<Option<TrainingBatch<Targets>>> {
        self.next += 1;
        if self.fails_at == Some(self.next) {
            let error = io::Error::other("a disk that is broken");
            return Err(Error::Io { path: "train.jsonl".into(), error });
        }
        if self.next.is_multiple_of(8) {
            return Ok(None);
        }
        let token = |i: u32| 5 + (self.next * self.multiplier + i * 7) % 11;
        let pairs: Vec<_> = (0..3 + self.next % 3).map(|i| vec![2, token(i), 5 + i, 3]).collect();
        let labels = pairs.iter().map(|pair| i64::from(pair[2] > pair[1])).collect();
        let batch = Batch::from_sequences(&pairs)?;
        Ok(Some(TrainingBatch { batch, labels: Targets::Classes(labels) }))
    }

    fn state(&self) -> Result<Value> {
        Ok(json!([self.next, self.multiplier]))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        self.next = state[0].as_u64().unwrap() as u32;
        Ok(())
    }
}

fn config() -> AlbertConfig {
    AlbertConfig::new(ConfigFields {
        vocab_size: 100,
        embedding_size: 16,
        hidden_size: 32,
        num_attention_heads: 4,
        num_hidden_layers: 2,
        intermediate_size: 64,
        hidden_dropout_prob: 0.1,
        attention_probs_dropout_prob: 0.1,
        ..ConfigFields::default()
    })
    .unwrap()
}

fn options(steps: u64) -> TrainerOptions {
    TrainerOptions {
        max_steps: Some(steps),
        gradient_accumulation_steps: 4,
        ..TrainerOptions::new(Schedule::new(1e-2, 2, Decay::Linear { total_steps: 9 }).unwrap())
    }
}

type Run<'a> = Trainer<'a, Classifier, AdamW<<Classifier as Model>::Parameters>>;

fn trainer<'a>(data: Pairs, options: TrainerOptions) -> Run<'a> {
    trainer_of(config(), data, options)
}

fn trainer_of<'a>(config: AlbertConfig, data: Pairs, options: TrainerOptions) -> Run<'a> {
    let parameters = Classifier::random_parameters(&config, 7).unwrap();
    let model = TrainingModel::new(config, parameters, TrainingOptions::default()).unwrap();
    let optimizer = AdamW::new(AdamOptions::torch(), || model.zero_gradients()).unwrap();
    Trainer::new(model, optimizer, data, options).unwrap()
}

/// What `train` makes of each rank's trainer, on as many threads.
fn on_ranks<T: Send>(
    size: usize,
    precision: GradientPrecision,
    train: impl Fn(usize, &dyn Fn(Run<'static>) -> Result<Run<'static>>) -> T + Sync,
) -> Vec<T> {
    thread::scope(|scope| {
        let ranks: Vec<_> = Threads::new(size)
            .into_iter()
            .map(|peers| {
                let train = &train;
                scope.spawn(move || {
                    let rank = peers.rank;
                    let peers = std::cell::Cell::new(Some(peers));
                    train(rank, &|trainer| trainer.with_peers(peers.take().unwrap(), precision))
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// The bits of all weights.
fn bits(trainer: &Run<'_>) -> Vec<u32> {
    let mut bits = Vec::new();
    trainer.model().parameters().visit("", &mut |_, values| {
        bits.extend(values.iter().map(|value| value.to_bits()));
    });
    bits
}

/// Weights and losses after some steps on some ranks, of every rank.
fn trained(size: usize, steps: u64, precision: GradientPrecision) -> Vec<(Vec<u32>, Vec<u64>)> {
    on_ranks(size, precision, |_, with_peers| {
        let losses = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let seen = losses.clone();
        let trainer = with_peers(trainer(Pairs::new(), options(steps))).unwrap();
        let mut trainer = trainer.on_event(move |event| {
            if let Event::Step(metrics) = event {
                seen.borrow_mut().extend([metrics.loss.loss.to_bits(), metrics.tokens]);
            }
            Ok(ControlFlow::Continue(()))
        });
        trainer.train().unwrap();
        (bits(&trainer), losses.take())
    })
}

#[test]
fn any_number_of_ranks_gives_the_same_bits() {
    let mut alone = trainer(Pairs::new(), options(6));
    alone.train().unwrap();
    let one = trained(1, 6, GradientPrecision::F32).remove(0);
    assert_eq!(bits(&alone), one.0, "a trainer without peers is one rank");
    assert_ne!(bits(&trainer(Pairs::new(), options(6))), one.0);
    for size in [2, 4] {
        for (rank, found) in trained(size, 6, GradientPrecision::F32).into_iter().enumerate() {
            assert!(found == one, "rank {rank} of {size}");
        }
    }
}

#[test]
fn more_gradients_than_a_message_has_give_the_same_bits() {
    let train = |size| {
        on_ranks(size, GradientPrecision::F32, |_, with_peers| {
            let fields =
                ConfigFields { vocab_size: 70_000, embedding_size: 64, ..config().to_fields() };
            let config = AlbertConfig::new(fields).unwrap();
            let mut trainer = with_peers(trainer_of(config, Pairs::new(), options(2))).unwrap();
            assert!(trainer.model().parameters().parameter_count() > 1 << 22);
            trainer.train().unwrap();
            bits(&trainer)
        })
    };
    let expected = train(1).remove(0);
    assert!(train(4).iter().all(|rank| *rank == expected));
}

#[test]
fn gradients_in_bfloat16_are_the_same_on_all_ranks_and_near_those_in_f32() {
    let exact = trained(1, 6, GradientPrecision::F32).remove(0);
    let rounded = trained(4, 6, GradientPrecision::Bf16);
    assert!(rounded.iter().all(|rank| *rank == rounded[0]));
    assert_ne!(rounded[0].0, exact.0);
    for (&x, &y) in rounded[0].0.iter().zip(&exact.0) {
        let (x, y) = (f32::from_bits(x), f32::from_bits(y));
        assert!((x - y).abs() < 0.02, "{x} and {y}");
    }
}

fn saving(directory: &Path, steps: u64) -> TrainerOptions {
    let output_dir = Some(PathBuf::from(directory));
    TrainerOptions { output_dir, save: Interval::Steps(3), ..options(steps) }
}

#[test]
fn a_run_goes_on_to_the_same_bits_on_another_number_of_ranks() {
    let expected = trained(1, 6, GradientPrecision::F32).remove(0).0;
    for (before, after) in [(4, 2), (1, 4), (2, 1)] {
        let directory = tempfile::tempdir().unwrap();
        for (size, steps) in [(before, 3), (after, 6)] {
            let ranks = on_ranks(size, GradientPrecision::F32, |_, with_peers| {
                let trainer = trainer(Pairs::new(), saving(directory.path(), steps));
                let mut trainer = with_peers(trainer).unwrap();
                assert_eq!(trainer.resume().unwrap().is_some(), steps == 6);
                let outcome = trainer.train().unwrap();
                let saved = outcome.checkpoint.unwrap();
                assert!(saved.join("model.safetensors").is_file(), "{}", saved.display());
                bits(&trainer)
            });
            let is_last = steps == 6;
            assert!(!is_last || ranks.iter().all(|rank| *rank == expected), "{before}, {after}");
        }
    }
}

/// The errors of two ranks, the second of which has other data or options.
fn errors(data: fn() -> Pairs, change: fn(&mut TrainerOptions)) -> Vec<String> {
    on_ranks(2, GradientPrecision::F32, |rank, with_peers| {
        let (mut of_rank, mut changed) = (Pairs::new(), options(6));
        if rank == 1 {
            of_rank = data();
            change(&mut changed);
        }
        with_peers(trainer(of_rank, changed)).unwrap().train().unwrap_err().to_string()
    })
}

#[test]
fn a_rank_that_would_train_otherwise_is_refused_by_all() {
    for error in errors(|| Pairs { multiplier: 5, ..Pairs::new() }, |_| ()) {
        assert_eq!(error, "data of rank 1: expected that of rank 0, [0,3], found [0,5]");
    }
    for error in errors(Pairs::new, |options| options.seed = 43) {
        assert_eq!(error, "seed of rank 1: expected that of rank 0, 42, found 43");
    }
}

#[test]
fn an_error_of_one_rank_ends_all() {
    let errors = errors(|| Pairs { fails_at: Some(6), ..Pairs::new() }, |_| ());
    assert!(errors[0].contains("step 2") && errors[0].contains("rank 1"), "{}", errors[0]);
    for error in errors {
        assert!(error.contains("train.jsonl: a disk that is broken"), "{error}");
    }
}

#[test]
fn a_rank_that_is_gone_is_an_error_of_the_others() {
    let errors = on_ranks(2, GradientPrecision::F32, |rank, with_peers| {
        let mut trainer = with_peers(trainer(Pairs::new(), options(6))).unwrap();
        if rank == 1 {
            return None;
        }
        trainer.train().err().map(|error| error.to_string())
    });
    let error = errors[0].as_ref().unwrap();
    assert!(error.contains("rank 1") && error.contains("has ended"), "{error}");
}

#[test]
fn one_rank_may_ask_all_to_stop_and_what_they_have_is_saved() {
    let directory = tempfile::tempdir().unwrap();
    let steps = on_ranks(2, GradientPrecision::F32, |rank, with_peers| {
        let trainer = with_peers(trainer(Pairs::new(), saving(directory.path(), 6))).unwrap();
        let mut trainer = trainer.on_event(move |event| match event {
            Event::Step(metrics) if rank == 1 && metrics.step == 2 => Ok(ControlFlow::Break(())),
            _ => Ok(ControlFlow::Continue(())),
        });
        trainer.train().unwrap().step
    });
    assert_eq!(steps, [2, 2]);
    assert!(directory.path().join("checkpoint-2/trainer_state.json").is_file());
}

#[test]
fn evaluations_are_those_of_rank_0() {
    let evaluations = on_ranks(2, GradientPrecision::F32, |rank, with_peers| {
        let options = TrainerOptions { evaluate: Interval::Steps(2), ..options(4) };
        let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let told = seen.clone();
        let mut trainer = with_peers(trainer(Pairs::new(), options))
            .unwrap()
            .with_metrics(move |_| Ok(vec![("loss".to_owned(), [0.5, f64::NAN][rank])]))
            .on_event(move |event| {
                if let Event::Evaluation(evaluation) = event {
                    told.borrow_mut().push(evaluation.metrics["loss"]);
                }
                Ok(ControlFlow::Continue(()))
            });
        trainer.train().unwrap();
        seen.take()
    });
    assert_eq!(evaluations, [[0.5, 0.5], [0.5, 0.5]]);
}

#[test]
fn numbers_of_ranks_that_cannot_share_the_batches_are_refused() {
    for (size, batches, expected) in [(3, 3, "number of ranks"), (2, 3, "a multiple of the 2")] {
        let errors = on_ranks(size, GradientPrecision::F32, |_, with_peers| {
            let options = TrainerOptions { gradient_accumulation_steps: batches, ..options(6) };
            with_peers(trainer(Pairs::new(), options)).unwrap_err().to_string()
        });
        assert!(errors.iter().all(|error| error.contains(expected)), "{errors:?}");
    }
}
