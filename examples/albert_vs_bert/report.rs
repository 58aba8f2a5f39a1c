//! The measurements, next to the paper's figures.

use serde_json::Value;

use super::options::Options;
use super::timing::Seconds;

/// A preset, and what was measured of it in each round.
pub struct Model {
    pub preset: String,
    pub runs: Vec<Value>,
}

/// Table 2 of the paper: how many times as fast as BERT-large a model goes through its training data.
const PAPER: [(&str, f64); 6] = [
    ("bert-base", 4.7),
    ("bert-large", 1.0),
    ("base", 5.6),
    ("large", 1.7),
    ("xlarge", 0.6),
    ("xxlarge", 0.3),
];

const COLUMNS: [&str; 10] = [
    "",
    "parameters",
    "gradients, MB",
    "optimizer, MB",
    "peak, MB",
    "GFLOP a step",
    "step, s",
    "of it clipping, optimizer, packing, s",
    "speed-up",
    "in the paper",
];

const WHY: &str = "\
Parameters are those of the whole model with its masked-LM and sentence-order heads; BERT is an ALBERT that
shares nothing and has E = H, whose mapping from E to H it keeps. GFLOP are what forward and backward pass need
of matrix products.

Where this differs from the paper, and why: the paper names less communication and fewer computations. It trained
on 64 to 512 TPUs, where every step ends with an exchange of all gradients among them, and ALBERT has a ninth to
an eighteenth of BERT's. On one machine nothing is exchanged, and sharing saves parameters, not arithmetic: a layer
that is applied twelve times multiplies as much as twelve layers. What is saved here is memory (gradients, moments
and packed weights are there once rather than L times), the time to go through all that after the backward pass,
and, by E = 128 rather than H, most of the arithmetic of the words' scores.
";

impl Model {
    /// The median over rounds.
    fn median(&self, field: &str) -> f64 {
        Seconds::new(self.all(field).collect()).median()
    }

    fn all(&self, field: &str) -> impl Iterator<Item = f64> {
        self.runs.iter().map(move |run| run[field].as_f64().unwrap_or(f64::NAN))
    }

    /// How many times as fast it is: the median over rounds, in each of which both had the same machine.
    fn speed_up(&self, over: &Self) -> f64 {
        let steps = over.all("median_s").zip(self.all("median_s"));
        Seconds::new(steps.map(|(theirs, own)| theirs / own).collect()).median()
    }

    fn paper(&self) -> Option<f64> {
        let found = PAPER.iter().find(|(name, _)| *name == self.preset);
        found.map(|(_, speed_up)| *speed_up)
    }

    /// As the paper calls it.
    fn name(&self) -> String {
        match self.preset.strip_prefix("bert-") {
            Some(size) => format!("BERT-{size}"),
            None => format!("ALBERT-{}", self.preset),
        }
    }

    fn row(&self, last: &Self) -> [String; COLUMNS.len()] {
        let megabytes = |field| format!("{:.0}", self.median(field) / 1e6);
        let after = ["clip_s", "update_s", "pack_s"].map(|part| self.median(part));
        [
            self.name(),
            format!("{:.1} M", self.median("parameters") / 1e6),
            megabytes("gradient_bytes"),
            megabytes("optimizer_bytes"),
            megabytes("peak_rss_bytes"),
            format!("{:.1}", self.median("operations") / 1e9),
            format!("{:.2}", self.median("median_s")),
            format!("{:.2}", after.iter().sum::<f64>()),
            format!("{:.2}×", self.speed_up(last)),
            self.paper().map_or_else(|| "—".to_owned(), |speed_up| format!("{speed_up:.1}×")),
        ]
    }
}

/// All of it. Speed-ups are over the last model.
pub fn markdown(options: &Options, models: &[Model]) -> String {
    let Some(last) = models.last() else { return String::new() };
    let (inputs, run) = (&options.inputs, &last.runs[0]);
    let mut text = format!(
        "Steps of pre-training, {}×{}, {} threads, {}, activations {}, {}: medians of {} rounds in alternation.\n\n",
        inputs.batch,
        inputs.seq.first,
        options.threads,
        options.training.precision,
        options.activations(),
        run["isa"].as_str().unwrap_or_default(),
        last.runs.len()
    );
    let rule = COLUMNS.map(|name| if name.is_empty() { "---" } else { "---:" }.to_owned());
    let rows = models.iter().map(|model| model.row(last));
    for cells in [COLUMNS.map(str::to_owned), rule].into_iter().chain(rows) {
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text.push_str(&format!(
        "\nSpeed-ups here are over {}, those in the paper over BERT-large.\n",
        last.name()
    ));
    for (albert, bert) in pairs(models) {
        text.push_str(&comparison(albert, bert));
    }
    format!("{text}\n{WHY}")
}

/// Models of the same size.
fn pairs(models: &[Model]) -> impl Iterator<Item = (&Model, &Model)> {
    models.iter().filter_map(|bert| {
        let size = bert.preset.strip_prefix("bert-")?;
        models.iter().find(|model| model.preset == size).map(|albert| (albert, bert))
    })
}

fn comparison(albert: &Model, bert: &Model) -> String {
    let times = |field| bert.median(field) / albert.median(field);
    let paper = albert.paper().zip(bert.paper()).map_or_else(String::new, |(albert, bert)| {
        format!(" (in the paper {:.1} times)", albert / bert)
    });
    format!(
        "{} is {:.2} times as fast as {}{paper}, has {:.1} times fewer parameters, and needs {:.1} times less memory.\n",
        albert.name(),
        albert.speed_up(bert),
        bert.name(),
        times("parameters"),
        times("peak_rss_bytes"),
    )
}
