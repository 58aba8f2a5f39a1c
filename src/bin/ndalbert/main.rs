//! `ndalbert`: what ALBERT models make of texts, and what is in their files, from the command line.

mod arguments;
mod convert;
#[path = "../../../examples/common/grouped.rs"]
mod grouped;
mod input;
mod inspect;
mod measure;
mod models;
mod output;
mod shard;
#[path = "../../../examples/common/table.rs"]
mod table;
mod task;
mod tasks;
mod tokenize;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use rayon::ThreadPoolBuilder;

use arguments::{Arguments, Command};

/// The error of a command: anything with a message for the user.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    // Wrong usage ends here, with code 2.
    let arguments = Arguments::parse();
    match run(arguments) {
        Err(error) if !is_closed_pipe(&*error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    // The measurement has its own threads, as in the example.
    let is_measured = matches!(arguments.command, Command::Measure(_));
    if let Some(threads) = arguments.threads.filter(|_| !is_measured) {
        ThreadPoolBuilder::new().num_threads(threads.get()).build_global()?;
    }
    match arguments.command {
        Command::FillMask(options) => task::run(&options.common, &options),
        Command::Classify(options) => tasks::classify::run(&options),
        Command::Answer(options) => task::run(&options.common, &options),
        Command::Tag(options) => task::run(&options.common, &options),
        Command::Choose(options) => task::run(&options.common, &options),
        Command::Order(options) => task::run(&options.common, &options),
        Command::Embed(options) => task::run(&options.common, &options),
        Command::Tokenize(options) => tokenize::run(&options),
        Command::Convert(options) => convert::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Measure(options) => measure::run(options, arguments.threads),
        Command::Completions { shell } => {
            let (mut script, mut command) = (Vec::new(), Arguments::command());
            clap_complete::generate(shell, &mut command, "ndalbert", &mut script);
            Ok(io::Write::write_all(&mut io::stdout(), &script)?)
        }
    }
}

/// Whether the reader of our output has seen enough, as `head` in `ndalbert … | head`.
fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == ErrorKind::BrokenPipe)
}
