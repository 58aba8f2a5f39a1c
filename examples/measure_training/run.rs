//! Several steps, and what they took as JSON.

use std::time::Instant;

use ndalbert::{
    AlbertConfig, AlbertForPreTraining, Batch, LoadOptions, Model, ModelParameters,
    PreTrainedModel, heads::PreTrainingHeadParameters, instruction_set,
};
use rayon::ThreadPoolBuilder;
use serde_json::{Value, json};

use super::options::Options;
use super::step::{Pretraining, Step};
use super::timing::{Seconds, peak_memory};
use super::{Failure, arithmetic, inputs, labels};

/// Steps before the timed ones. In the first, memory is asked for.
const WARM_UP: usize = 2;

/// Trains, and tells how fast.
pub fn measure(options: &Options) -> Result<Value, Failure> {
    ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let start = Instant::now();
    let (config, parameters) = load(options)?;
    let load_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut model = Pretraining::new(config, parameters, options.training)?;
    let build_s = start.elapsed().as_secs_f64();

    let ids = inputs::ids(&options.inputs, model.config(), options.seed)?;
    let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
    let labels = match &options.labels {
        Some(path) => labels::read(path)?,
        None => labels::random(&lengths, model.config(), options.seed.wrapping_add(1)),
    };
    let batch = Batch::from_sequences(&ids)?;
    let steps: Vec<Step> = (0..WARM_UP + options.iterations)
        .map(|_| model.step(&batch, &labels))
        .collect::<Result<_, _>>()?;

    let [parameters, gradients, moments] = model.sizes();
    let tokens: usize = lengths.iter().sum();
    let masked = labels::count(&labels);
    let of = |part: fn(&Step) -> f64| Seconds::new(steps[WARM_UP..].iter().map(part).collect());
    let whole = of(|step| step.whole);
    let median = whole.median();
    let operations = arithmetic::step_operations(model.config(), &lengths, masked);
    Ok(json!({
        "median_s": median,
        "min_s": whole.least(),
        "p90_s": whole.quantile(0.9),
        "backward_s": of(|step| step.backward).median(),
        "clip_s": of(|step| step.clip).median(),
        "update_s": of(|step| step.update).median(),
        "pack_s": of(|step| step.pack).median(),
        "sequences_per_s": lengths.len() as f64 / median,
        "tokens_per_s": tokens as f64 / median,
        "operations": operations,
        "gflops": operations / median / 1e9,
        "peak_rss_bytes": peak_memory(),
        "parameters": parameters,
        "gradient_bytes": gradients * size_of::<f32>(),
        "optimizer_bytes": moments * size_of::<f32>(),
        "losses": steps.iter().map(|step| step.loss).collect::<Vec<_>>(),
        "isa": instruction_set()?,
        "threads": options.threads,
        "precision": options.training.precision.name(),
        "activations": options.activations(),
        "load_s": load_s,
        "build_s": build_s,
        "sequences": lengths.len(),
        "tokens": tokens,
        "masked": masked,
        "iterations": options.iterations,
    }))
}

type Loaded = (AlbertConfig, ModelParameters<PreTrainingHeadParameters>);

fn load(options: &Options) -> Result<Loaded, Failure> {
    let Some(directory) = &options.model else {
        let config = AlbertConfig::from_preset(&options.preset)?;
        let parameters = AlbertForPreTraining::random_parameters(&config, options.seed)?;
        return Ok((config, parameters));
    };
    let load = LoadOptions::new().seed(options.seed);
    let (config, parameters, report) = AlbertForPreTraining::load_parameters(directory, &load)?;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok((config, parameters))
}
