//! Every setting on the same items, in turns.

use std::collections::BTreeMap;
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
    /// The items that left after each layer where any did, in the order of the layers.
    pub left: Vec<Left>,
}

/// Items that left after the same layer.
pub struct Left {
    pub layer: usize,
    pub items: usize,
    /// How many were answered rightly there.
    pub right: usize,
    /// How many of them the last layer answers rightly.
    pub right_in_the_end: usize,
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
    let in_the_end = whole.answer(items)?;
    let mut contestants = Vec::new();
    for setting in settings(whole.config(), &options.policies) {
        contestants.push(Contestant::new(&whole, setting, items, &in_the_end)?);
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
    left: Vec<Left>,
    stream: Vec<f64>,
    alone: Vec<f64>,
}

impl<T: Task> Contestant<T> {
    /// Answers all items, which is also what warms it up. `in_the_end` are the answers of the whole
    /// depth.
    fn new(
        whole: &T,
        setting: Setting,
        items: &[T::Item],
        in_the_end: &[(bool, usize)],
    ) -> Result<Self, Failure> {
        let pipeline = match &setting {
            Setting::Whole => whole.with(None, None)?,
            Setting::Fixed(layers) => {
                let exits = &whole.config().exit_layers;
                whole.with(exits.iter().position(|exit| exit == layers), None)?
            }
            Setting::Policy(policy) => whole.with(None, Some(exits::parse(policy)?))?,
        };
        let left = left(&pipeline.answer(items)?, in_the_end);
        Ok(Self { setting, pipeline, left, stream: Vec::new(), alone: Vec::new() })
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
        let sum = |of: fn(&Left) -> usize| self.left.iter().map(of).sum::<usize>();
        let (items, right) = (sum(|left| left.items), sum(|left| left.right));
        let layers = sum(|left| left.layer * left.items);
        Measured {
            setting: self.setting,
            items,
            accuracy: right as f64 / items as f64,
            layers: layers as f64 / items as f64,
            stream_s: Seconds::new(self.stream).median(),
            alone_s: Seconds::new(self.alone).median(),
            left: self.left,
        }
    }
}

/// Answers (whether each is right, and after how many layers it came) by layer.
fn left(answers: &[(bool, usize)], in_the_end: &[(bool, usize)]) -> Vec<Left> {
    let mut by_layer: BTreeMap<usize, Left> = BTreeMap::new();
    for (&(is_right, layer), &(is_right_in_the_end, _)) in answers.iter().zip(in_the_end) {
        let left = by_layer.entry(layer).or_insert(Left {
            layer,
            items: 0,
            right: 0,
            right_in_the_end: 0,
        });
        left.items += 1;
        left.right += usize::from(is_right);
        left.right_in_the_end += usize::from(is_right_in_the_end);
    }
    by_layer.into_values().collect()
}
