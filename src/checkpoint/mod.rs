//! Checkpoint files: finding, opening, checking and reading tensors, and saving them atomically.
//!
//! ALBERT is published in seven shapes: `model.safetensors`, `pytorch_model.bin` in either of torch's two formats (a
//! zip archive, and the bare pickle of before torch 1.6), a sharded form of each, described by an
//! `….index.json`, and TensorFlow's checkpoints. All of them resolve to the same thing, a name for each [`TensorInfo`] (shape, strides, element
//! type, and where in which file the bytes are), and one reader serves them all:
//!
//! ```text
//! open.rs         which file of the directory      (in the order that transformers looks)
//! index.rs        sharded: names → shard files
//! safetensors.rs  header → tensors
//! torch/          archive or old pickle → tensors  (a pickle machine that can only describe tensors)
//! tensorflow/     index → tensors                  (a table of protobufs; names and layout become transformers')
//! foreign.rs      what is not read                 (and what to do about it)
//! tensor.rs       bounds of every tensor           (checked before anything is allocated)
//! read.rs         bytes → f32                      (in pieces: no second copy of a tensor, let alone of a file)
//! quantized.rs    bytes, scales and outliers ↔ one tensor: what models in int8 are saved as
//! write.rs        f32 → safetensors                (in any of three types, or bytes; through `src/files.rs`: a temporary file, synced and renamed)
//! ```
//!
//! and above them, where tensors become parameters:
//!
//! ```text
//! names.rs        which field of the tree a name stands for, and the names of old files
//! locate.rs       where in a file an ALBERT is, whatever else the file has
//! pretrained.rs   directory or files in memory → model, model → directory
//! loader.rs       an opened checkpoint → parameters
//! decoder.rs      which tensors a masked-LM decoder has of its own, and which are copies
//! report.rs       what loading could not use, and what it had to make up
//! shipped.rs      the checkpoints that come with the crate
//! ```
//!
//! # What is trusted
//!
//! Nothing that is in a file. Every length, offset, shape and stride is checked against the file's real length with
//! overflow-checked arithmetic before it is used, so that what opening allocates is bounded by a
//! multiple of the size of the file, and never by a number written in it. No pickle code is executed: what a pickle may call is on a list (`torch/globals.rs`), and those names stand for
//! descriptions here, not for functions. Objects of other classes are passed over without being made. An index can name only files beside it. Symbolic links *are* followed, since the Hugging Face cache is made
//! of them: no file of a checkpoint can create one, so whoever made the link already had the directory.

mod decoder;
mod dtype;
mod exits;
mod foreign;
mod index;
mod load_options;
mod loader;
mod locate;
mod names;
mod open;
mod pretrained;
mod quantized;
mod read;
mod report;
mod safetensors;
mod shipped;
mod source;
mod tensor;
mod tensorflow;
mod torch;
mod write;

pub use crate::files::write_atomically;
pub use dtype::DType;
#[cfg(feature = "hub")]
pub(crate) use index::shards;
pub use load_options::LoadOptions;
#[cfg(feature = "hub")]
pub(crate) use open::WEIGHTS;
pub use open::{Checkpoint, Format};
pub use pretrained::PreTrainedModel;
pub(crate) use pretrained::{saved_type, stage_model};
pub use report::{LoadReport, MismatchedShape, UntiedTensor};
pub use shipped::shipped_checkpoint;
pub use tensor::TensorInfo;
pub use write::{write_safetensors, write_safetensors_as};
