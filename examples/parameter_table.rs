//! The parameter counts of the paper's tables, computed from configurations alone.
//!
//! ```text
//! cargo run --release --example parameter_table
//! ```

#[path = "common/cli.rs"]
mod cli;
#[path = "common/grouped.rs"]
mod grouped;
#[path = "common/table.rs"]
mod table;

use std::io::Write;
use std::process::ExitCode;

use lexopt::prelude::*;
use ndalbert::{AlbertConfig, ConfigFields, ParameterSharing};

use cli::Failure;
use grouped::grouped;
use table::{Align, Table};

const HELP: &str = "\
Prints the parameter counts of the ALBERT paper's tables (arXiv:1909.11942)
next to those of this crate's models.

Usage: parameter_table [--help]
";

const NOTES: &str = "\
\"computed\" counts the backbone with its pooler and no other head, \"off by\" is
its distance from the paper's figure. The paper gives whole millions, some of
them rounded down, and does not say what it counts. V is 30,000 for ALBERT and
30,522 for BERT, the vocabulary that BERT was published with.
";

/// A number of parameters as the paper has it.
struct Millions(usize);

fn main() -> ExitCode {
    cli::main(HELP, parse, |(), out| run(out))
}

fn run(out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(
        out,
        "Table 1: models of L layers, H hidden and E embedding units\n\n{}\n{NOTES}\n{}",
        models(),
        mapping_note()
    )?;
    writeln!(out, "Table 3: embedding sizes, ALBERT-base\n\n{}", embedding_sizes()?)?;
    Ok(writeln!(out, "Table 4: sharing, ALBERT-base\n\n{}", sharing()?)?)
}

/// Table 1 of the paper.
fn models() -> Table<9> {
    let mut table = Table::new([
        ("model", Align::Left),
        ("L", Align::Right),
        ("H", Align::Right),
        ("E", Align::Right),
        ("shared", Align::Left),
        ("computed", Align::Right),
        ("E to H", Align::Right),
        ("paper", Align::Right),
        ("off by", Align::Right),
    ]);
    for (name, config, paper) in [
        ("BERT-base", AlbertConfig::bert_base(), Millions(108)),
        ("BERT-large", AlbertConfig::bert_large(), Millions(334)),
        ("ALBERT-base", AlbertConfig::base_v2(), Millions(12)),
        ("ALBERT-large", AlbertConfig::large_v2(), Millions(18)),
        ("ALBERT-xlarge", AlbertConfig::xlarge_v2(), Millions(60)),
        ("ALBERT-xxlarge", AlbertConfig::xxlarge_v2(), Millions(235)),
    ] {
        let count = config.parameter_count();
        let [computed, figure, difference] = beside(count.total(), &paper);
        table.row([
            name.to_owned(),
            config.num_hidden_layers.to_string(),
            config.hidden_size.to_string(),
            config.embedding_size.to_string(),
            config.parameter_sharing.to_string(),
            computed,
            grouped(count.embedding_hidden_mapping_in),
            figure,
            difference,
        ]);
    }
    table
}

/// Why BERT has more parameters here than elsewhere.
fn mapping_note() -> String {
    let [base, large] = [AlbertConfig::bert_base(), AlbertConfig::bert_large()].map(|config| {
        let count = config.parameter_count();
        (count.embedding_hidden_mapping_in, count.total() - count.embedding_hidden_mapping_in)
    });
    format!(
        "\
BERT here is an ALBERT with E = H, which keeps the mapping from E to H although
it needs none; so do the rows with E = 768 below. BERT-base itself lacks these
{} parameters and has {}, BERT-large lacks {} and has
{}.
",
        grouped(base.0),
        grouped(base.1),
        grouped(large.0),
        grouped(large.1)
    )
}

/// Table 3 of the paper: how wide the vocabulary's table is.
fn embedding_sizes() -> Result<Table<6>, Failure> {
    let (none, all) = (ParameterSharing::None, ParameterSharing::All);
    comparison([
        (64, none, Millions(87)),
        (128, none, Millions(89)),
        (256, none, Millions(93)),
        (768, none, Millions(108)),
        (64, all, Millions(10)),
        (128, all, Millions(12)),
        (256, all, Millions(16)),
        (768, all, Millions(31)),
    ])
}

/// Table 4 of the paper: what the layers have in common.
fn sharing() -> Result<Table<6>, Failure> {
    comparison([
        (768, ParameterSharing::All, Millions(31)),
        (768, ParameterSharing::Attention, Millions(83)),
        (768, ParameterSharing::Ffn, Millions(57)),
        (768, ParameterSharing::None, Millions(108)),
        (128, ParameterSharing::All, Millions(12)),
        (128, ParameterSharing::Attention, Millions(64)),
        (128, ParameterSharing::Ffn, Millions(38)),
        (128, ParameterSharing::None, Millions(89)),
    ])
}

/// ALBERT-base with other embedding sizes and other sharing, next to the paper's figures.
fn comparison<const ROWS: usize>(
    rows: [(usize, ParameterSharing, Millions); ROWS],
) -> Result<Table<6>, Failure> {
    let mut table = Table::new([
        ("embedding", Align::Right),
        ("shared", Align::Left),
        ("computed", Align::Right),
        ("of it embeddings", Align::Right),
        ("paper", Align::Right),
        ("off by", Align::Right),
    ]);
    for (embedding_size, parameter_sharing, paper) in rows {
        let base = AlbertConfig::base_v2().to_fields();
        let config = AlbertConfig::new(ConfigFields { embedding_size, parameter_sharing, ..base })?;
        let count = config.parameter_count();
        let embeddings = count.embeddings + count.embedding_hidden_mapping_in;
        let [computed, figure, difference] = beside(count.total(), &paper);
        table.row([
            embedding_size.to_string(),
            parameter_sharing.to_string(),
            computed,
            grouped(embeddings),
            figure,
            difference,
        ]);
    }
    Ok(table)
}

/// The exact number, the paper's, and how far the first is from the second.
fn beside(computed: usize, paper: &Millions) -> [String; 3] {
    let figure = paper.0 as f64 * 1e6;
    let difference = (computed as f64 - figure) / figure * 100.0;
    [grouped(computed), format!("{}M", paper.0), format!("{difference:+.1} %")]
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<()>, Failure> {
    match arguments.next()? {
        None => Ok(Some(())),
        Some(Long("help") | Short('h')) => Ok(None),
        Some(argument) => Err(argument.unexpected().into()),
    }
}
