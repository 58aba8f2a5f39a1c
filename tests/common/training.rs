//! Training on made-up data that takes no time.

use std::fs;
use std::path::Path;

use ndalbert::train::{
    AdamOptions, AdamW, Decay, Interval, PreTrainingLabels, Schedule, Targets, TrainableModel,
    Trainer, TrainerOptions, TrainingBatch, TrainingData, TrainingModel, TrainingOptions,
};
use ndalbert::{
    AlbertConfig, AlbertForPreTraining, AlbertForSequenceClassification, Batch, ConfigFields,
    Error, ModelParameters, Precision, ProblemType, Result,
};
use ndarray::Array2;
use serde_json::{Value, json};

use super::random::{numbers, small_config};

/// Batches made of random numbers, a function of epoch and number alone.
#[derive(Clone)]
pub struct Synthetic<L> {
    pub batches_per_epoch: u64,
    pub make: fn(u64) -> TrainingBatch<L>,
    /// The epoch, and the number of the next batch in it.
    pub position: (u64, u64),
}

impl<L> Synthetic<L> {
    pub fn new(batches_per_epoch: u64, make: fn(u64) -> TrainingBatch<L>) -> Self {
        Self { batches_per_epoch, make, position: (0, 0) }
    }
}

impl<L> TrainingData<L> for Synthetic<L> {
    fn next_batch(&mut self) -> Result<Option<TrainingBatch<L>>> {
        let (epoch, number) = self.position;
        if number == self.batches_per_epoch {
            self.position = (epoch + 1, 0);
            return Ok(None);
        }
        self.position.1 += 1;
        Ok(Some((self.make)(1000 * epoch + number)))
    }

    fn state(&self) -> Result<Value> {
        Ok(json!(self.position))
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let wrong = |_| Error::Tokenizer(format!("no position: {state}"));
        self.position = serde_json::from_value(state.clone()).map_err(wrong)?;
        Ok(())
    }
}

/// A model that tests train, and its data.
pub trait Trained: TrainableModel {
    fn batch(number: u64) -> TrainingBatch<Self::Labels>;
}

impl Trained for AlbertForPreTraining {
    /// Three sequences, in each of which a word is to be guessed: the one before.
    fn batch(number: u64) -> TrainingBatch<PreTrainingLabels> {
        let sequences = sequences(number, 3);
        let longest = sequences.iter().map(Vec::len).max().unwrap();
        let mut masked_lm = Array2::from_elem((3, longest), -100);
        for (i, sequence) in sequences.iter().enumerate() {
            masked_lm[[i, 1]] = i64::from(sequence[0]);
        }
        let sentence_order = sequences.iter().map(|ids| i64::from(ids[0] > ids[1])).collect();
        let batch = Batch::from_sequences(&sequences).unwrap();
        TrainingBatch { batch, labels: PreTrainingLabels { masked_lm, sentence_order } }
    }
}

impl Trained for AlbertForSequenceClassification {
    /// Five sequences: is the first word's number larger than 20?
    fn batch(number: u64) -> TrainingBatch<Targets> {
        let sequences = sequences(number, 5);
        let labels = sequences.iter().map(|ids| i64::from(ids[0] > 20)).collect();
        let batch = Batch::from_sequences(&sequences).unwrap();
        TrainingBatch { batch, labels: Targets::Classes(labels) }
    }
}

fn sequences(number: u64, count: usize) -> Vec<Vec<u32>> {
    let mut random = numbers(number, 1000);
    let mut next = |limit| random.next().unwrap() % limit;
    let lengths: Vec<u32> = (0..count).map(|_| 3 + next(8)).collect();
    lengths.iter().map(|&length| (0..length).map(|_| 1 + next(40)).collect()).collect()
}

/// A model of a few hundred weights, with dropout everywhere.
pub fn training_config() -> AlbertConfig {
    small_config(|fields| {
        fields.num_hidden_layers = 2;
        fields.hidden_dropout_prob = 0.1;
        fields.attention_probs_dropout_prob = 0.1;
    })
}

/// As many steps as are given, warm-up and decay, two batches per step.
pub fn trainer_options(max_steps: u64) -> TrainerOptions {
    let schedule = Schedule::new(0.02, 3, Decay::Linear { total_steps: 100 }).unwrap();
    TrainerOptions {
        max_steps: Some(max_steps),
        gradient_accumulation_steps: 2,
        ..TrainerOptions::new(schedule)
    }
}

/// As [`trainer_options`], with a checkpoint every so many steps.
pub fn saving_options(max_steps: u64, save: u64, output_dir: &Path) -> TrainerOptions {
    TrainerOptions {
        save: Interval::Steps(save),
        output_dir: Some(output_dir.to_owned()),
        ..trainer_options(max_steps)
    }
}

/// What tests' trainers optimize with.
pub type Optimizer<M> = AdamW<ModelParameters<<M as TrainableModel>::Head>>;

/// A model before its first step.
pub fn new_model<M: Trained>(precision: Precision) -> TrainingModel<M> {
    model_of(training_config(), precision)
}

/// As [`new_model`], without dropout.
pub fn new_model_without_dropout<M: Trained>() -> TrainingModel<M> {
    let fields = ConfigFields {
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        classifier_dropout_prob: Some(0.0),
        ..training_config().to_fields()
    };
    model_of(AlbertConfig::new(fields).unwrap(), Precision::F32)
}

/// A model with two numbers to be regressed.
pub fn new_regression_model() -> TrainingModel<AlbertForSequenceClassification> {
    let problem_type = Some(ProblemType::Regression);
    let fields = ConfigFields { problem_type, ..training_config().to_fields() };
    model_of(AlbertConfig::new(fields).unwrap(), Precision::F32)
}

/// A model of any configuration before its first step.
pub fn model_of<M: Trained>(config: AlbertConfig, precision: Precision) -> TrainingModel<M> {
    let parameters = M::random_parameters(&config, 1).unwrap();
    let options = TrainingOptions { precision, ..TrainingOptions::default() };
    TrainingModel::new(config, parameters, options).unwrap()
}

/// A trainer on some data, in single precision.
pub fn trainer_on<'a, M: Trained>(
    data: impl TrainingData<M::Labels> + 'a,
    options: TrainerOptions,
) -> Trainer<'a, M, Optimizer<M>> {
    trainer_of(new_model(Precision::F32), data, options)
}

/// A trainer on seven batches per epoch.
pub fn new_trainer<'a, M: Trained + 'a>(
    precision: Precision,
    options: TrainerOptions,
) -> Trainer<'a, M, Optimizer<M>> {
    trainer_of(new_model(precision), Synthetic::new(7, M::batch), options)
}

/// A trainer with PyTorch's optimizer.
pub fn trainer_of<'a, M: Trained>(
    model: TrainingModel<M>,
    data: impl TrainingData<M::Labels> + 'a,
    options: TrainerOptions,
) -> Trainer<'a, M, Optimizer<M>> {
    let optimizer = AdamW::new(AdamOptions::torch(), || model.zero_gradients()).unwrap();
    Trainer::new(model, optimizer, data, options).unwrap()
}

/// The names in a directory, sorted, without the lock.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    names
}

/// All files of a directory, by name.
pub fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| (name.clone(), fs::read(directory.join(name)).unwrap());
    names(directory).into_iter().map(read).collect()
}
