//! Training by several processes: data parallelism.
//!
//! Every process ("rank") has the whole model and computes the gradients of its share of a step's
//! batches. The gradients are added up over all ranks, and every rank takes the same step.
//!
//! ```text
//! mod.rs      what a rank needs of the others: one exchange between two of them
//! group.rs    … and what is made of it: messages from all to all, sums
//! ```

mod group;

pub(super) use group::Group;

use std::io;

use serde::{Deserialize, Serialize};

/// Access to the other processes that train the same model.
///
/// A [`Trainer`](super::Trainer) with [peers](super::Trainer::with_peers) divides the batches of
/// each step among them. This crate has no implementation of its own: `examples/mpi` implements it
/// over MPI.
///
/// # Bit-identical on any number of ranks
///
/// Gradients are summed in a binary tree over the batches of a step, which does not depend on the
/// number of ranks. The number of ranks must be a power of two and divide
/// [`gradient_accumulation_steps`](super::TrainerOptions::gradient_accumulation_steps).
pub trait Peers {
    /// This process's number, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are, this one included.
    fn size(&self) -> usize;

    /// Sends `sent` to a peer and fills `received` with what that peer sends at the same time.
    ///
    /// Both peers call it with each other's rank, and with buffers of matching lengths. A rank
    /// never exchanges with itself.
    ///
    /// # Errors
    /// If the peer cannot be reached. Training ends then, on this rank.
    fn exchange(&mut self, peer: usize, sent: &[u8], received: &mut [u8]) -> io::Result<()>;
}

/// The number format in which gradients are exchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientPrecision {
    /// `f32`: results are bit-identical on any number of ranks.
    #[default]
    F32,
    /// bfloat16, half the bytes. Sums are rounded when they are sent, so results depend on the
    /// number of ranks. They are still the same on all ranks.
    Bf16,
}
