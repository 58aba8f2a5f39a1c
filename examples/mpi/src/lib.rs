//! [`Peers`] over MPI, and what the examples that train do with them.
//!
//! ```text
//! mpiexec -n 4 target/release/pretrain --text FILE --held-out FILE --accumulation 8 --output DIR
//! ```
//!
//! Rank 0 reports, evaluates and saves; the other ranks are silent. If a rank exits without calling
//! [`end`], `mpiexec` terminates all others.

use std::cell::{Cell, RefCell};
use std::env;
use std::error::Error;
use std::io::{self, Write};

use mpi::environment::Universe;
use mpi::point_to_point as p2p;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use ndalbert::train::{GradientPrecision, Optimizer, Peers, TrainableModel, Trainer};

thread_local! {
    static UNIVERSE: RefCell<Option<Universe>> = const { RefCell::new(None) };
    /// This rank, which is known after MPI has ended, too.
    static RANK: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The most bytes of a message: MPI counts in 32 bits.
const MESSAGE: usize = 1 << 30;

/// What gradients are exchanged in, `f32` (the default) or `bf16`.
const PRECISION: &str = "NDALBERT_GRADIENTS";

/// All processes that `mpiexec` has started.
pub struct World(SimpleCommunicator);

/// MPI's world, which is initialised when it is asked for first.
///
/// # Errors
/// If MPI cannot be initialised, or has been ended.
pub fn world() -> io::Result<World> {
    UNIVERSE.with_borrow_mut(|universe| {
        if universe.is_none() && RANK.get().is_none() {
            *universe = mpi::initialize();
        }
        match universe {
            Some(universe) => {
                let world = World(universe.world());
                RANK.set(Some(world.rank_of()));
                Ok(world)
            }
            None => Err(io::Error::other("MPI was initialised or ended before")),
        }
    })
}

impl World {
    fn rank_of(&self) -> usize {
        self.0.rank() as usize
    }
}

impl Peers for World {
    fn rank(&self) -> usize {
        self.rank_of()
    }

    fn size(&self) -> usize {
        self.0.size() as usize
    }

    fn exchange(&mut self, peer: usize, sent: &[u8], received: &mut [u8]) -> io::Result<()> {
        let peer = self.0.process_at_rank(peer as i32);
        let mut sent = sent.chunks(MESSAGE);
        let mut received = received.chunks_mut(MESSAGE);
        loop {
            match (sent.next(), received.next()) {
                (None, None) => return Ok(()),
                (sent, received) => {
                    let received = received.unwrap_or_default();
                    p2p::send_receive_into(sent.unwrap_or_default(), &peer, received, &peer);
                }
            }
        }
    }
}

/// The trainer, together with those of the other ranks.
///
/// # Errors
/// If MPI cannot be initialised, or the ranks cannot share the batches of a step.
pub fn join<'a, M: TrainableModel, O: Optimizer<M::Parameters>>(
    trainer: Trainer<'a, M, O>,
) -> Result<Trainer<'a, M, O>, Box<dyn Error>> {
    let precision = match env::var(PRECISION).as_deref() {
        Err(_) | Ok("f32") => GradientPrecision::F32,
        Ok("bf16") => GradientPrecision::Bf16,
        Ok(other) => return Err(format!("{PRECISION}: expected f32 or bf16, found {other}").into()),
    };
    Ok(trainer.with_peers(world()?, precision)?)
}

/// Whether this is rank 0, which reports and saves.
pub fn is_first() -> bool {
    let rank = RANK.get().or_else(|| world().ok().map(|world| world.rank_of()));
    rank.is_none_or(|rank| rank == 0)
}

/// Has rank 0 do something, and gives its result to all.
///
/// # Errors
/// Rank 0's.
pub fn once(act: impl FnOnce() -> Result<bool, Box<dyn Error>>) -> Result<bool, Box<dyn Error>> {
    let world = world()?;
    let result = if world.rank_of() == 0 { Some(act()) } else { None };
    let mut status = match &result {
        Some(Ok(value)) => u8::from(*value),
        Some(Err(_)) => 2,
        None => 0,
    };
    world.0.process_at_rank(0).broadcast_into(&mut status);
    match (result, status) {
        (Some(result), _) => result,
        (None, 0 | 1) => Ok(status == 1),
        (None, _) => Err("rank 0 could not begin".into()),
    }
}

/// Where this rank reports to: only rank 0 to `out`.
pub fn report<'a>(out: &'a mut dyn Write, silent: &'a mut dyn Write) -> &'a mut dyn Write {
    if is_first() { out } else { silent }
}

/// Ends MPI, when nothing is left to exchange.
pub fn end() {
    UNIVERSE.with_borrow_mut(Option::take);
}
