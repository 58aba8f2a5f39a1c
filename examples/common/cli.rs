//! What every example does around its work: arguments in, one readable line out if something goes
//! wrong.

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use lexopt::Parser;

/// What stops an example: anything with a message for the user.
pub type Failure = Box<dyn Error>;

/// Parses the arguments, runs the example with standard output, and turns a failure into a message
/// and exit code 1.
///
/// `parse` returns nothing if the user asks for `help`.
pub fn main<O>(
    help: &str,
    parse: impl FnOnce(Parser) -> Result<Option<O>, Failure>,
    run: impl FnOnce(O, &mut dyn Write) -> Result<(), Failure>,
) -> ExitCode {
    let mut out = io::stdout().lock();
    let result = match parse(Parser::from_env()) {
        Ok(Some(options)) => run(options, &mut out),
        Ok(None) => write!(out, "{help}").map_err(Failure::from),
        Err(error) => Err(format!("{error} (--help lists the options)").into()),
    };
    match result {
        Err(error) if !is_closed_pipe(&*error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Whether the reader of our output has seen enough, as `head` in `example | head`.
fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == ErrorKind::BrokenPipe)
}
