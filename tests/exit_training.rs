//! Training models with exits: what losses say, what is refused, and checkpoints.

mod common;

use common::problems::{Example, Labelled, Problem};
use common::refused;
use ndalbert::train::{
    AdamOptions, AdamW, BackboneStates, Decay, Distillation, ExitLoss, Interval, Schedule, Targets,
    Trainer, TrainerOptions, TrainingBatch, TrainingModel, TrainingOptions,
};
use ndalbert::{
    AlbertConfig, AlbertForMultipleChoice, AlbertForSentenceOrder, AlbertForSequenceClassification,
    Batch, LoadOptions, Model, PreTrainedModel, Result,
};
use ndarray::{Array2, Axis};

use common::training::Synthetic;

fn example<M: Labelled>(problem: Problem, exits: &[usize]) -> Example<M> {
    let config = problem.config(|fields| {
        fields.num_hidden_layers = 4;
        fields.exit_layers = exits.to_vec();
    });
    Example::new(problem, config, 5)
}

const DISTILLED: TrainingOptions = TrainingOptions {
    distillation: Some(Distillation { weight: 1.0, temperature: 2.0 }),
    ..TrainingOptions::DEFAULT
};

// -------------------------------------------------------------------------------------------------
// All exits at full depth

/// The exit after the last layer, and the others by their own classifiers: as models that end
/// there.
#[test]
fn the_logits_of_an_exit_are_those_of_a_model_that_ends_there() {
    let example = example::<AlbertForSequenceClassification>(Problem::SingleLabel, &[1, 3, 4]);
    let Example { config, parameters, inputs, .. } = &example;
    let model =
        AlbertForSequenceClassification::from_parameters(config.clone(), parameters.clone());
    let model = model.unwrap();
    let exits = model.forward_exits(&inputs.batch()).unwrap();
    assert_eq!(exits.len(), 3);
    assert_eq!(exits[2], model.forward(&inputs.batch()).unwrap().logits);
    for (exit, layers) in [1, 3].into_iter().enumerate() {
        let mut fields = config.to_fields();
        (fields.num_hidden_layers, fields.exit_layers) = (layers, vec![]);
        let mut parameters = parameters.clone();
        parameters.head.classifier = parameters.head.exits[exit].clone();
        parameters.head.exits.clear();
        let shallow = AlbertForSequenceClassification::from_parameters(
            AlbertConfig::new(fields).unwrap(),
            parameters,
        );
        let expected = shallow.unwrap().forward(&inputs.batch()).unwrap().logits;
        assert_eq!(exits[exit], expected, "after layer {layers}");
    }
}

#[test]
fn choices_have_a_row_of_logits_for_each_prompt_and_exit() {
    let example = example::<AlbertForMultipleChoice>(Problem::ChoiceByClass, &[2, 4]);
    let Example { config, parameters, inputs, .. } = &example;
    let model =
        AlbertForMultipleChoice::from_parameters(config.clone(), parameters.clone()).unwrap();
    let batch = inputs.batch();
    let exits = model.forward_exits(&batch, 2).unwrap();
    assert_eq!(exits.iter().map(Array2::dim).collect::<Vec<_>>(), [(2, 2), (2, 2)]);
    assert_eq!(exits[1], model.forward(&batch, 2).unwrap().logits);
    refused(model.forward_exits(&batch, 3), &["number of sequences", "3", "4"]);
    refused(model.forward_exits(&batch, 0), &["number of sequences", "at least 1"]);
}

#[test]
fn a_model_without_exits_has_the_logits_of_its_last_layer_alone() {
    let example = example::<AlbertForSentenceOrder>(Problem::SentenceOrder, &[]);
    let Example { config, parameters, inputs, .. } = &example;
    let model =
        AlbertForSentenceOrder::from_parameters(config.clone(), parameters.clone()).unwrap();
    let batch = inputs.batch();
    let expected = model.forward(&batch).unwrap().logits;
    assert_eq!(model.forward_exits(&batch).unwrap(), [expected]);
}

// -------------------------------------------------------------------------------------------------
// Losses

/// One term: the losses of all exits in it, what was right after the last layer.
#[test]
fn losses_are_weighted_and_what_is_right_is_counted_after_the_last_layer() {
    let mut example = example::<AlbertForSequenceClassification>(Problem::SingleLabel, &[2, 4]);
    let Example { config, parameters, inputs, .. } = &example;
    let model =
        AlbertForSequenceClassification::from_parameters(config.clone(), parameters.clone());
    let exits = model.unwrap().forward_exits(&inputs.batch()).unwrap();
    let guess = |logits: &Array2<f32>| -> Vec<i64> {
        let largest = |row: ndarray::ArrayView1<'_, f32>| {
            let order = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            order.unwrap().0 as i64
        };
        logits.axis_iter(Axis(0)).map(largest).collect()
    };
    // Labels that the last exit guesses, but for one of the four.
    let mut classes = guess(&exits[1]);
    classes[3] = (classes[3] + 1) % 3;
    example.labels = Targets::Classes(classes.clone());
    let losses: Vec<f64> = exits
        .iter()
        .map(|logits| {
            let rows = logits.outer_iter().zip(&classes).map(|(row, &class)| {
                let row = row.mapv(f64::from);
                row.mapv(f64::exp).sum().ln() - row[class as usize]
            });
            rows.sum::<f64>() / 4.0
        })
        .collect();
    for (exit_loss, expected) in [
        (ExitLoss::ByLayer, (2.0 * losses[0] + 4.0 * losses[1]) / 6.0),
        (ExitLoss::Mean, (losses[0] + losses[1]) / 2.0),
    ] {
        let options = TrainingOptions { exit_loss, ..TrainingOptions::DEFAULT };
        let model = example.training_model(options);
        let output = model.loss(&example.inputs.batch(), &example.labels).unwrap();
        assert!((output.loss - expected).abs() < 1e-5, "{exit_loss:?}: {output:?} {expected}");
        assert_eq!(output.terms.len(), 1);
        let term = output.terms[0];
        assert_eq!((term.loss, term.correct, term.count), (output.loss, 3, 4));
    }
}

/// Exits that agree with the last one have nothing to learn from it.
#[test]
fn distillation_adds_nothing_where_exits_agree() {
    let mut example = example::<AlbertForSentenceOrder>(Problem::SentenceOrder, &[1, 2, 3, 4]);
    let head = &mut example.parameters.head;
    for linear in head.exits.iter_mut().chain([&mut head.classifier]) {
        linear.weight.fill(0.0);
        linear.bias.assign(&ndarray::arr1(&[0.5, -1.5]));
    }
    let [plain, distilled] =
        [TrainingOptions::DEFAULT, DISTILLED].map(|options| example.gradients(options));
    assert!((plain.0.loss - distilled.0.loss).abs() < 1e-12);
    assert_eq!(plain.1, distilled.1);
    // And where they do not, it does.
    example.parameters.head.exits[1].bias[0] = 3.0;
    let [plain, distilled] =
        [TrainingOptions::DEFAULT, DISTILLED].map(|options| example.gradients(options).0.loss);
    // T²·KL of the second exit, whose share is 2 of 10; logits are 2 and 4.5 apart.
    let [p, q] = [2.0, 4.5].map(|apart: f64| 1.0 / (1.0 + (-apart / 2.0).exp()));
    let divergence = p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln();
    let expected = plain + 0.2 * 4.0 * divergence;
    assert!((distilled - expected).abs() < 1e-6, "{distilled} {expected}");
}

// -------------------------------------------------------------------------------------------------
// What is refused

#[test]
fn distillation_in_a_regression_is_refused_and_changes_nothing() {
    let example = example::<AlbertForSequenceClassification>(Problem::Regression, &[2, 4]);
    let mut model = example.training_model(DISTILLED);
    let words = ["distillation", "probabilities", "a regression"];
    refused(model.loss(&example.inputs.batch(), &example.labels), &words);
    let mut gradients = example.parameters.clone();
    let batch = example.inputs.batch();
    refused(model.backward(&batch, &example.labels, None, 1.0, &mut gradients), &words);
    assert_eq!(gradients, example.parameters);
}

#[test]
fn distillation_without_a_meaning_is_refused() {
    let example = example::<AlbertForSentenceOrder>(Problem::SentenceOrder, &[2, 4]);
    for (weight, temperature, word) in [(-1.0, 1.0, "weight"), (1.0, 0.0, "temperature")] {
        let distillation = Some(Distillation { weight, temperature });
        let options = TrainingOptions { distillation, ..TrainingOptions::DEFAULT };
        let model = TrainingModel::<AlbertForSentenceOrder>::new(
            example.config.clone(),
            example.parameters.clone(),
            options,
        );
        refused(model.map(|_| ()), &[word]);
    }
}

#[test]
fn labels_that_do_not_fit_leave_gradients_as_they_were() {
    let example = example::<AlbertForSentenceOrder>(Problem::SentenceOrder, &[1, 2, 3, 4]);
    let mut model = example.training_model(DISTILLED);
    let batch = example.inputs.batch();
    for labels in [vec![0, 1, 2, 0], vec![-100; 4], vec![0, 1]] {
        let mut gradients = example.parameters.clone();
        refused(model.backward(&batch, &labels, None, 1.0, &mut gradients), &["labels"]);
        assert_eq!(gradients, example.parameters);
    }
}

#[test]
fn gradients_of_other_exits_are_refused() {
    let example = example::<AlbertForSentenceOrder>(Problem::SentenceOrder, &[1, 2, 3, 4]);
    let mut model = example.training_model(TrainingOptions::DEFAULT);
    let mut gradients = example.parameters.clone();
    let wrong: [fn(&mut BackboneStates); 3] = [
        |states| states.exits.clear(),
        |states| states.exits[1] = Array2::zeros((1, 12)),
        |states| states.exits.push(Array2::zeros((4, 12))),
    ];
    for wrong in wrong {
        let result = model.backward_with(&example.inputs.batch(), None, &mut gradients, |s, _| {
            let mut d_states = s.clone();
            wrong(&mut d_states);
            Ok(((), d_states))
        });
        refused(result, &["gradients of states", "exits"]);
        assert_eq!(gradients, example.parameters);
    }
}

// -------------------------------------------------------------------------------------------------
// Checkpoints

fn batch(number: u64) -> TrainingBatch<Targets> {
    let ids: Vec<Vec<u32>> =
        (0..4).map(|i| (0..5).map(|j| ((7 * i + 3 * j + number) % 37) as u32).collect()).collect();
    let classes = (0..4).map(|i| ((i + number) % 3) as i64).collect();
    TrainingBatch { batch: Batch::from_sequences(&ids).unwrap(), labels: Targets::Classes(classes) }
}

type Classifier = AlbertForSequenceClassification;

/// Trains to some step in a directory, after going on from what is there.
fn train(
    exits: &[usize],
    options: TrainingOptions,
    directory: &std::path::Path,
    steps: u64,
) -> Result<<Classifier as Model>::Parameters> {
    let Example { config, parameters, .. } = example::<Classifier>(Problem::SingleLabel, exits);
    let model = TrainingModel::<Classifier>::new(config, parameters, options)?;
    let optimizer = AdamW::new(AdamOptions::torch(), || model.zero_gradients())?;
    let schedule = Schedule::new(1e-2, 0, Decay::Constant)?;
    let of_trainer = TrainerOptions {
        output_dir: Some(directory.to_owned()),
        max_steps: Some(steps),
        save: Interval::Steps(2),
        ..TrainerOptions::new(schedule)
    };
    let mut trainer = Trainer::new(model, optimizer, Synthetic::new(100, batch), of_trainer)?;
    trainer.resume()?;
    trainer.train()?;
    Ok(trainer.into_model().into_parameters())
}

#[test]
fn checkpoints_of_models_with_exits_are_loaded_and_gone_on_from() {
    let directory = tempfile::tempdir().unwrap();
    let (whole, parts) = (directory.path().join("whole"), directory.path().join("parts"));
    let exits = [1, 3, 4];
    let expected = train(&exits, DISTILLED, &whole, 4).unwrap();
    let half = train(&exits, DISTILLED, &parts, 2).unwrap();
    let (config, loaded, report) =
        Classifier::load_parameters(parts.join("checkpoint-2"), &LoadOptions::new()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((&config.exit_layers[..], &loaded), (&exits[..], &half));
    assert_eq!(train(&exits, DISTILLED, &parts, 4).unwrap(), expected);
}

#[test]
fn training_is_not_gone_on_with_in_another_way() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    train(&[2, 4], TrainingOptions::DEFAULT, directory, 2).unwrap();
    let mean = TrainingOptions { exit_loss: ExitLoss::Mean, ..TrainingOptions::DEFAULT };
    refused(train(&[2, 4], mean, directory, 4), &["exit_loss", "mean", "by_layer"]);
    refused(train(&[2, 4], DISTILLED, directory, 4), &["distillation", "temperature", "null"]);
    refused(train(&[3, 4], TrainingOptions::DEFAULT, directory, 4), &["exit_layers"]);
    train(&[2, 4], TrainingOptions::DEFAULT, directory, 4).unwrap();
}

/// Checkpoints of models without exits say nothing of them, as those of earlier versions.
#[test]
fn the_options_of_exits_are_none_of_models_without() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    train(&[], TrainingOptions::DEFAULT, directory, 2).unwrap();
    let state = std::fs::read_to_string(directory.join("checkpoint-2/trainer_state.json")).unwrap();
    assert!(!state.contains("exit_loss") && !state.contains("distillation"), "{state}");
    train(&[], DISTILLED, directory, 4).unwrap();
}
