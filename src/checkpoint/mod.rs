//! Checkpoint files: finding, opening, checking and reading tensors, and saving them atomically.
//!
//! ALBERT is published in six shapes: `model.safetensors`, `pytorch_model.bin` in either of torch's two formats (a
//! zip archive, and the bare pickle of before torch 1.6), and a sharded form of each, described by an
//! `….index.json`. All of them resolve to the same thing, a name for each [`TensorInfo`] (shape, strides, element
//! type, and where in which file the bytes are), and one reader serves them all:
//!
//! ```text
//! open.rs         which file of the directory      (in the order that transformers looks)
//! index.rs        sharded: names → shard files
//! safetensors.rs  header → tensors
//! torch/          archive or old pickle → tensors  (a pickle machine that can only describe tensors)
//! tensor.rs       bounds of every tensor           (checked before anything is allocated)
//! read.rs         bytes → f32                      (in pieces: no second copy of a tensor, let alone of a file)
//! write.rs        f32 → safetensors                (in any of three types; through `src/files.rs`: a temporary file, synced and renamed)
//! ```
//!
//! and above them, where tensors become parameters:
//!
//! ```text
//! names.rs        which field of the tree a name stands for, and the names of old files
//! pretrained.rs   directory → model, model → directory
//! report.rs       what loading could not use, and what it had to make up
//! shipped.rs      the checkpoints that come with the crate
//! ```
//!
//! # What is trusted
//!
//! Nothing that is in a file. Every length, offset, shape and stride is checked against the file's real length with
//! overflow-checked arithmetic before it is used, so that what opening allocates is bounded by a
//! multiple of the size of the file, and never by a number written in it. No pickle code is executed: a pickle may name what a dictionary of tensors is
//! made of (`torch/globals.rs` has the list) and nothing else, and those names stand for descriptions here, not for
//! functions. An index can name only files beside it. Symbolic links *are* followed, since the Hugging Face cache is made
//! of them: no file of a checkpoint can create one, so whoever made the link already had the directory.

mod dtype;
mod index;
mod names;
mod open;
mod pretrained;
mod read;
mod report;
mod safetensors;
mod shipped;
mod source;
mod tensor;
mod torch;
mod write;

pub use crate::files::write_atomically;
pub use dtype::DType;
#[cfg(feature = "hub")]
pub(crate) use index::shards;
#[cfg(feature = "hub")]
pub(crate) use open::WEIGHTS;
pub use open::{Checkpoint, Format};
pub(crate) use pretrained::stage_model;
pub use pretrained::{LoadOptions, PreTrainedModel};
pub use report::{LoadReport, MismatchedShape};
pub use shipped::shipped_checkpoint;
pub use tensor::TensorInfo;
pub use write::{write_safetensors, write_safetensors_as};
