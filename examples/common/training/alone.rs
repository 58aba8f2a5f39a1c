//! Training in one process. `examples/mpi` has the same functions for several.

use std::io::Write;

use ndalbert::train::{Optimizer, TrainableModel, Trainer};

use super::Failure;

/// The trainer as it is.
pub fn join<'a, M: TrainableModel, O: Optimizer<M::Parameters>>(
    trainer: Trainer<'a, M, O>,
) -> Result<Trainer<'a, M, O>, Failure> {
    Ok(trainer)
}

/// Whether this is the process that reports and saves.
pub fn is_first() -> bool {
    true
}

/// Does what only one process may do, and gives all of them its result.
pub fn once(act: impl FnOnce() -> Result<bool, Failure>) -> Result<bool, Failure> {
    act()
}

/// Where the process reports to.
pub fn report<'a>(out: &'a mut dyn Write, _: &'a mut dyn Write) -> &'a mut dyn Write {
    out
}

/// Says that training has ended well.
pub fn end() {}
