//! What was measured with one number of threads, as a table and as JSON.

use std::fmt;

use ndalbert::Precision;
use ndalbert::internals::{InstructionSet, Peak};
use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};
use serde_json::{Value, json};

use super::measure;
use super::products::Product;
use super::table::{Align, Table};

/// Heads of ALBERT-base and their size.
const HEADS: (usize, usize) = (12, 64);

pub struct Report {
    isa: InstructionSet,
    threads: usize,
    /// In the order of [`Precision::ALL`].
    limits: [Option<Limit>; 3],
    rows: Vec<Row>,
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
        let rows = ThreadPoolBuilder::new().num_threads(threads).build()?.install(|| rows(isa));
        Ok(Self { isa, threads, limits, rows })
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
        json!({
            "threads": self.threads,
            "peaks": peaks.collect::<Vec<_>>(),
            "products": rows.collect::<Vec<_>>(),
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
        // In bfloat16 where that is fast; models of bytes attend as those of bfloat16.
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
        self.table().fmt(f)
    }
}

impl Report {
    fn table(&self) -> Table<7> {
        let [f32, bf16, int8] = Precision::ALL.map(Precision::name);
        let names = ["", f32, "", bf16, "", int8, ""];
        let align = |column| if column == 0 { Align::Left } else { Align::Right };
        let mut table = Table::new(std::array::from_fn(|i| (names[i], align(i))));
        let limits = self.limits.each_ref().map(|limit| limit.as_ref().map(|limit| limit.rate));
        table.row(cells("peak", limits, [None; 3]));
        for row in &self.rows {
            table.row(cells(&row.name, row.rates, limits));
        }
        table
    }
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
