//! Twenty steps of training, loss by loss, against a loop in PyTorch: model, clipping, schedule and
//! optimizer together.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::golden::{Run, read_runs};
use common::gradients::metadata;
use common::inputs::Inputs;
use common::problems::Labelled;
use common::weights::{parameters_of, weights_of};
use ndalbert::train::{
    ActivationPolicy, AdamOptions, AdamW, AdamWeightDecay, Decay, Lamb, Optimizer, Schedule,
    TrainingModel, TrainingOptions, clip_global_norm,
};
use ndalbert::{AlbertConfig, AlbertForPreTraining, Model};
use ndarray::ArrayD;
use serde_json::Value;

/// How far losses (of order 4) and weights may be from those of PyTorch in double precision.
const TOLERANCE: f32 = 1e-4;

type Parameters = <AlbertForPreTraining as Model>::Parameters;

/// What a golden file has.
struct Trajectory {
    name: &'static str,
    config: AlbertConfig,
    settings: Value,
    runs: BTreeMap<String, Run>,
}

impl Trajectory {
    fn read(name: &'static str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/trajectories");
        let path = directory.join(format!("{name}.safetensors"));
        let metadata = metadata(&path);
        let runs = read_runs(name, &path).into_iter().map(|run| (run.name.clone(), run));
        let config = AlbertConfig::from_json(metadata["config"].clone()).unwrap();
        Self { name, config, settings: metadata["settings"].clone(), runs: runs.collect() }
    }

    fn setting(&self, name: &str) -> f64 {
        self.settings[name].as_f64().unwrap()
    }

    fn count(&self, name: &str) -> u64 {
        self.settings[name].as_u64().unwrap()
    }

    /// What was noted at each step.
    fn steps(&self, name: &str) -> &ArrayD<f32> {
        &self.runs["steps"].floats[name]
    }

    fn zeros(&self) -> Parameters {
        AlbertForPreTraining::zero_parameters(&self.config)
    }

    fn options(&self) -> AdamOptions {
        AdamOptions {
            beta1: self.setting("beta1"),
            beta2: self.setting("beta2"),
            eps: self.setting("epsilon"),
            weight_decay: self.setting("weight_decay"),
            ..AdamOptions::google()
        }
    }

    #[track_caller]
    fn assert_near(&self, what: &str, step: usize, found: f64) {
        let expected = self.steps(what)[step];
        let difference = (found as f32 - expected).abs() / expected.abs().max(1.0);
        let place = format!("{}, {what} of step {step}", self.name);
        assert!(difference <= TOLERANCE, "{place}: expected {expected}, found {found}");
    }

    /// Trains, and compares losses, norms of gradients and learning rates at each step, and weights
    /// after the last.
    fn assert_followed(
        &self,
        mut optimizer: impl Optimizer<Parameters>,
        decay: Decay,
        activations: ActivationPolicy,
    ) {
        let initial =
            parameters_of::<AlbertForPreTraining>(&self.config, &self.runs["initial"].floats);
        let options = TrainingOptions { activations, ..TrainingOptions::default() };
        let mut model: TrainingModel<AlbertForPreTraining> =
            TrainingModel::new(self.config.clone(), initial, options).unwrap();
        let schedule = Schedule::new(self.setting("peak"), self.count("warmup"), decay).unwrap();
        for step in 0..self.count("steps") as usize {
            let batch = &self.runs[&format!("batch_{}", step % 4)];
            let labels = AlbertForPreTraining::labels_of_run(batch);
            let mut gradients = model.zero_gradients();
            let inputs = Inputs::of_run(batch).batch();
            let output = model.backward(&inputs, &labels, None, 1.0, &mut gradients).unwrap();
            let norm = clip_global_norm(&mut gradients, 1.0).unwrap();
            let rate = schedule.rate_at(step as u64);
            model.update(|weights| optimizer.update(weights, &gradients, rate)).unwrap();
            self.assert_near("losses", step, output.loss);
            self.assert_near("norms", step, norm);
            self.assert_near("rates", step, rate);
        }
        let expected = &self.runs["final"].floats;
        let mut found = weights_of(&model.into_parameters());
        // No loss depends on them. Their gradients are rounding, which optimizers divide by its own
        // size.
        found.retain(|name, _| !name.ends_with("attention.key.bias"));
        assert!(expected.keys().eq(found.keys()));
        for (name, expected) in expected {
            for (expected, found) in expected.iter().zip(&found[name]) {
                let difference = (expected - found).abs();
                let place = format!("{}, {name} after the last step", self.name);
                assert!(difference <= TOLERANCE, "{place}: expected {expected}, found {found}");
            }
        }
    }
}

#[test]
fn twenty_steps_of_adamw_are_those_of_pytorch() {
    for (name, activations) in [
        ("adamw", ActivationPolicy::Keep),
        ("adamw", ActivationPolicy::Recompute),
        ("adamw_untied", ActivationPolicy::Keep),
    ] {
        let trajectory = Trajectory::read(name);
        let optimizer = AdamW::new(trajectory.options(), || trajectory.zeros()).unwrap();
        let decay = Decay::Linear { total_steps: trajectory.count("steps") };
        trajectory.assert_followed(optimizer, decay, activations);
    }
}

/// google-research's decay to 0, which begins under the warm-up.
fn google_decay(trajectory: &Trajectory) -> Decay {
    let total_steps = trajectory.count("steps");
    Decay::PolynomialFromStart { total_steps, power: 1.0, end_rate: 0.0 }
}

#[test]
fn twenty_steps_of_googles_adam_are_those_of_its_definition() {
    let trajectory = Trajectory::read("adam_weight_decay");
    let optimizer = AdamWeightDecay::new(trajectory.options(), || trajectory.zeros()).unwrap();
    trajectory.assert_followed(optimizer, google_decay(&trajectory), ActivationPolicy::Keep);
}

#[test]
fn twenty_steps_of_googles_lamb_are_those_of_its_definition() {
    let trajectory = Trajectory::read("lamb");
    let optimizer = Lamb::new(trajectory.options(), || trajectory.zeros()).unwrap();
    trajectory.assert_followed(optimizer, google_decay(&trajectory), ActivationPolicy::Keep);
}
