//! What was measured with one number of threads, as a table and as JSON.

use std::fmt;

use ndalbert::Precision;
use ndalbert::internals::{InstructionSet, Peak};
use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};
use serde_json::{Value, json};

use super::layer::{self, HEADS, PARTS, TOKENS};
use super::measure;
use super::products::Product;
use super::table::{Align, Table};

pub struct Report {
    isa: InstructionSet,
    threads: usize,
    /// In the order of [`Precision::ALL`].
    limits: [Option<Limit>; 3],
    rows: Vec<Row>,
    /// The seconds of a layer's parts in each precision, where there is one thread.
    layer: Option<[[f64; PARTS.len()]; 3]>,
}

/// What the processor can do at most.
struct Limit {
    peak: Peak,
    rate: f64,
}

/// Something made of products, and its operations per second in each precision that it exists in.
struct Row {
    name: String,
    rates: [Option<f64>; 3],
}

impl Report {
    pub fn measure(isa: InstructionSet, threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let limits = Precision::ALL.map(|precision| {
            let peak = Peak::of(isa, precision)?;
            Some(Limit { rate: measure::peak(&peak, threads), peak })
        });
        let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
        let rows = pool.install(|| rows(isa));
        let layer = || Precision::ALL.map(|precision| layer::measure(isa, precision));
        let layer = (threads == 1).then(|| pool.install(layer));
        Ok(Self { isa, threads, limits, rows, layer })
    }

    pub fn to_json(&self) -> Value {
        let peaks = Precision::ALL.iter().zip(&self.limits).map(|(precision, limit)| {
            json!({
                "precision": precision.name(),
                "gops": limit.as_ref().map(|limit| limit.rate / 1e9),
                "instructions": limit.as_ref().map(|limit| limit.peak.instructions),
                "emulated": limit.as_ref().map(|limit| limit.peak.is_emulated),
            })
        });
        let rows = self.rows.iter().flat_map(|row| {
            let of = Precision::ALL.iter().zip(&row.rates).zip(&self.limits);
            of.filter_map(|((precision, rate), limit)| {
                Some(json!({
                    "what": row.name,
                    "precision": precision.name(),
                    "gops": (*rate)? / 1e9,
                    "of_peak": limit.as_ref().and_then(|limit| Some((*rate)? / limit.rate)),
                }))
            })
        });
        let parts =
            self.layer.iter().flatten().zip(Precision::ALL).flat_map(|(parts, precision)| {
                let limits = self.allowed(precision);
                PARTS.iter().zip(parts).zip(limits).map(move |((part, seconds), limit)| {
                    json!({
                        "part": part,
                        "precision": precision.name(),
                        "us": seconds * 1e6,
                        "at_peak_us": limit.map(|limit| limit * 1e6),
                    })
                })
            });
        json!({
            "threads": self.threads,
            "peaks": peaks.collect::<Vec<_>>(),
            "products": rows.collect::<Vec<_>>(),
            "layer": parts.collect::<Vec<_>>(),
        })
    }
}

fn rows(isa: InstructionSet) -> Vec<Row> {
    let products = Product::all().map(|product| Row {
        name: product.to_string(),
        rates: Precision::ALL.map(|precision| Some(measure::product(isa, precision, product))),
    });
    let attentions = [128, 512].map(|length| Row {
        name: format!("attention 1x{length}"),
        // In bfloat16 where that is fast. Models of bytes multiply keys with queries as such and
        // weights with values as those of bfloat16 do, so that no peak is theirs.
        rates: Precision::ALL.map(|precision| {
            let has = isa.activation_precisions().contains(&precision);
            has.then(|| measure::attention(isa, precision, length, HEADS))
        }),
    });
    products.chain(attentions).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { isa, threads, .. } = self;
        let plural = if *threads == 1 { "" } else { "s" };
        writeln!(
            f,
            "{}, {threads} thread{plural}: GFLOP/s and fraction of the peak\n",
            isa.name()
        )?;
        for (precision, limit) in Precision::ALL.iter().zip(&self.limits) {
            let source = match limit {
                None => "no peak was measured (not written with vector instructions)".to_owned(),
                Some(Limit { peak, .. }) if peak.is_emulated => {
                    format!("emulated, peak of {}", peak.instructions)
                }
                Some(Limit { peak, .. }) => format!("peak of {}", peak.instructions),
            };
            writeln!(f, "  {precision}: {source}")?;
        }
        writeln!(f)?;
        self.table().fmt(f)?;
        if let Some(parts) = &self.layer {
            writeln!(f, "\nA layer of {TOKENS} tokens: microseconds, and at the peak\n")?;
            self.layer_table(parts).fmt(f)?;
        }
        Ok(())
    }
}

impl Report {
    /// The seconds that each part of a layer takes at the peak, where it is known. Half of
    /// attention's products are those of keys with queries.
    fn allowed(&self, precision: Precision) -> [Option<f64>; PARTS.len()] {
        let rate = |precision: Precision| {
            let index = Precision::ALL.iter().position(|other| *other == precision)?;
            Some(self.limits[index].as_ref()?.rate)
        };
        let is_narrow = self.isa.activation_precisions().contains(&Precision::Bf16);
        let values =
            if is_narrow && precision != Precision::F32 { Precision::Bf16 } else { Precision::F32 };
        let scores = if precision == Precision::Int8 { precision } else { values };
        layer::operations().map(|(of_weights, of_activations)| {
            let half = of_activations as f64 / 2.0;
            let attention = half / rate(scores)? + half / rate(values)?;
            Some(of_weights as f64 / rate(precision)? + attention)
        })
    }

    fn layer_table(&self, parts: &[[f64; PARTS.len()]; 3]) -> Table<7> {
        let mut table = empty_table();
        let allowed = Precision::ALL.map(|precision| self.allowed(precision));
        let cell =
            |seconds: Option<f64>| seconds.map_or(String::new(), |s| format!("{:.0}", s * 1e6));
        let columns = |of: &dyn Fn(usize) -> (Option<f64>, Option<f64>), name: &str| {
            std::array::from_fn(|column| match column.checked_sub(1) {
                None => name.to_owned(),
                Some(i) if i % 2 == 0 => cell(of(i / 2).0),
                Some(i) => cell(of(i / 2).1.filter(|seconds| *seconds > 0.0)),
            })
        };
        for (part, name) in PARTS.iter().enumerate() {
            table.row(columns(&|i| (Some(parts[i][part]), allowed[i][part]), name));
        }
        let sum = |i: usize| (Some(parts[i].iter().sum()), allowed[i].iter().copied().sum());
        table.row(columns(&sum, "all"));
        table
    }

    fn table(&self) -> Table<7> {
        let mut table = empty_table();
        let limits = self.limits.each_ref().map(|limit| limit.as_ref().map(|limit| limit.rate));
        table.row(cells("peak", limits, [None; 3]));
        for row in &self.rows {
            table.row(cells(&row.name, row.rates, limits));
        }
        table
    }
}

/// A name, and two columns for each precision.
fn empty_table() -> Table<7> {
    let [f32, bf16, int8] = Precision::ALL.map(Precision::name);
    let names = ["", f32, "", bf16, "", int8, ""];
    let align = |column| if column == 0 { Align::Left } else { Align::Right };
    Table::new(std::array::from_fn(|i| (names[i], align(i))))
}

/// A name, and for each precision a rate and what part of its limit that is.
fn cells(name: &str, rates: [Option<f64>; 3], limits: [Option<f64>; 3]) -> [String; 7] {
    std::array::from_fn(|column| {
        let Some(index) = column.checked_sub(1) else { return name.to_owned() };
        let (rate, limit) = (rates[index / 2], limits[index / 2]);
        match (index % 2, rate, limit) {
            (0, Some(rate), _) => format!("{:.1}", rate / 1e9),
            (1, Some(rate), Some(limit)) => format!("{:.0} %", 100.0 * rate / limit),
            _ => String::new(),
        }
    })
}
