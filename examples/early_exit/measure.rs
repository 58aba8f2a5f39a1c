//! Every setting on the same items, in turns.

use std::fmt;
use std::time::Instant;

use ndalbert::pipelines::{MultipleChoice, TextClassification};
use ndalbert::{AlbertConfig, LoadOptions, exits};

use super::Options;
use super::cli::Failure;
use super::items::Task;
use super::timing::Seconds;

/// How a model is used.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// All layers.
    Whole,
    /// So many layers for every item.
    Fixed(usize),
    /// By a policy.
    Policy(String),
}

impl Setting {
    /// What settings have in common that are a line in the picture.
    pub fn kind(&self) -> String {
        match self {
            Self::Whole | Self::Fixed(_) => "fixed depth".to_owned(),
            Self::Policy(policy) => policy.split('=').next().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole depth"),
            Self::Fixed(1) => f.write_str("1 layer"),
            Self::Fixed(layers) => write!(f, "{layers} layers"),
            Self::Policy(policy) => f.write_str(policy),
        }
    }
}

/// What a setting gave.
pub struct Measured {
    pub setting: Setting,
    pub items: usize,
    pub accuracy: f64,
    /// On average.
    pub layers: f64,
    /// Seconds for all items in a stream.
    pub stream_s: f64,
    /// Seconds for an item alone.
    pub alone_s: f64,
}

/// Measures a model of any kind.
pub fn all(options: &Options) -> Result<Vec<Measured>, Failure> {
    let config = AlbertConfig::from_pretrained(&options.model)?;
    let classes = config.other.get("architectures").and_then(|classes| classes.get(0));
    match classes.and_then(|class| class.as_str()) {
        Some("AlbertForMultipleChoice") => measure::<MultipleChoice>(options),
        Some("AlbertForSequenceClassification") => measure::<TextClassification>(options),
        other => Err(format!(
            "{}: expected a model for multiple choice or sequence classification, found {other:?}",
            options.model.display()
        )
        .into()),
    }
}

fn measure<T: Task>(options: &Options) -> Result<Vec<Measured>, Failure> {
    let items = T::read(&options.items)?;
    let items = &items[..items.len().min(options.limit)];
    if items.is_empty() {
        return Err(format!("{}: no item has a label", options.items.display()).into());
    }
    let load = LoadOptions::new().precision(options.precision);
    let whole = T::load(&options.model, &load)?;
    let mut contestants = Vec::new();
    for setting in settings(whole.config(), &options.policies) {
        contestants.push(Contestant::new(&whole, setting, items)?);
    }
    let alone = &items[..items.len().min(options.alone)];
    for round in 0..options.rounds {
        eprint!("\rround {} of {}", round + 1, options.rounds);
        for contestant in &mut contestants {
            contestant.time(items, alone)?;
        }
    }
    eprintln!();
    Ok(contestants.into_iter().map(Contestant::measured).collect())
}

/// The whole depth, all smaller ones that have an exit, and policies.
fn settings(config: &AlbertConfig, policies: &[String]) -> Vec<Setting> {
    let (_, smaller) = config.exit_layers.split_last().unwrap_or((&0, &[]));
    let fixed = smaller.iter().map(|&layers| Setting::Fixed(layers));
    let mut policies = policies.to_vec();
    if policies.is_empty() {
        policies.extend((1..config.exit_layers.len()).map(|n| format!("patience={n}")));
        policies.extend([0.5, 0.6, 0.7, 0.8, 0.9, 0.95].map(|p| format!("confidence={p}")));
        policies.extend([0.5, 0.75, 1.0, 1.5, 2.0].map(|sum| format!("agreement={sum}")));
    }
    [Setting::Whole]
        .into_iter()
        .chain(fixed)
        .chain(policies.into_iter().map(Setting::Policy))
        .collect()
}

struct Contestant<T> {
    setting: Setting,
    pipeline: T,
    items: usize,
    right: usize,
    layers: usize,
    stream: Vec<f64>,
    alone: Vec<f64>,
}

impl<T: Task> Contestant<T> {
    /// Answers all items, which is also what warms it up.
    fn new(whole: &T, setting: Setting, items: &[T::Item]) -> Result<Self, Failure> {
        let pipeline = match &setting {
            Setting::Whole => whole.with(None, None)?,
            Setting::Fixed(layers) => {
                let exits = &whole.config().exit_layers;
                whole.with(exits.iter().position(|exit| exit == layers), None)?
            }
            Setting::Policy(policy) => whole.with(None, Some(exits::parse(policy)?))?,
        };
        let answers = pipeline.answer(items)?;
        Ok(Self {
            setting,
            pipeline,
            items: items.len(),
            right: answers.iter().filter(|(is_right, _)| *is_right).count(),
            layers: answers.iter().map(|(_, layers)| layers).sum(),
            stream: Vec::new(),
            alone: Vec::new(),
        })
    }

    fn time(&mut self, items: &[T::Item], alone: &[T::Item]) -> Result<(), Failure> {
        let start = Instant::now();
        self.pipeline.answer(items)?;
        self.stream.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        for item in alone {
            self.pipeline.answer(std::slice::from_ref(item))?;
        }
        self.alone.push(start.elapsed().as_secs_f64() / alone.len() as f64);
        Ok(())
    }

    fn measured(self) -> Measured {
        let items = self.items as f64;
        Measured {
            setting: self.setting,
            items: self.items,
            accuracy: self.right as f64 / items,
            layers: self.layers as f64 / items,
            stream_s: Seconds::new(self.stream).median(),
            alone_s: Seconds::new(self.alone).median(),
        }
    }
}
