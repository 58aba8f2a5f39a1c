//! How close do the products of an ALBERT-base layer come to what this processor can do at most?
//!
//! ```text
//! cargo run --release --features internals --example roofline
//! ```

#[path = "../common/cli.rs"]
mod cli;
mod layer;
mod measure;
#[path = "../../benches/common/products.rs"]
mod products;
mod report;
#[path = "../common/table.rs"]
mod table;

use std::io::Write;
use std::process::ExitCode;
use std::thread;

use lexopt::prelude::*;
use ndalbert::internals::InstructionSet;

use cli::Failure;
use report::Report;

const HELP: &str = "\
Measures, for each precision, the peak of the processor (in a loop over registers),
and the speed of each matrix product of a layer of ALBERT-base and of its
attention. Figures are the best of several runs, in 10⁹ operations per second; a
multiply-add counts as two. For one thread, also prints the microseconds of each
part of a layer with 128 tokens, next to the minimum at peak speed. Takes a minute.

Usage: roofline [--threads N] [--json]

  --threads N   measure one thread and N threads [default: all]
  --json        one line of JSON instead of tables
  --help

NDALBERT_ISA selects another instruction set than the best.
";

struct Options {
    threads: usize,
    json: bool,
}

fn main() -> ExitCode {
    cli::main(HELP, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let isa = InstructionSet::current()?;
    let mut counts = vec![1, options.threads];
    counts.dedup();
    let mut reports = Vec::new();
    for threads in counts {
        let report = Report::measure(isa, threads)?;
        if !options.json {
            writeln!(out, "{report}")?;
        }
        reports.push(report);
    }
    if options.json {
        let reports: Vec<_> = reports.iter().map(Report::to_json).collect();
        writeln!(out, "{}", serde_json::json!({ "isa": isa.name(), "reports": reports }))?;
    }
    Ok(())
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { threads, json: false };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("threads") => options.threads = arguments.value()?.parse()?,
            Long("json") => options.json = true,
            Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.threads == 0 {
        return Err("--threads: expected at least 1".into());
    }
    Ok(Some(options))
}
