//! Checkpoint files: finding, opening, checking and reading tensors, and saving them atomically.
//!
//! ALBERT is published in seven formats: `model.safetensors`, `pytorch_model.bin` in either of
//! PyTorch's two formats (a zip archive, and the plain pickle used before torch 1.6), a sharded
//! form of each, described by an `….index.json`, and TensorFlow checkpoints. All of them resolve to
//! named [`TensorInfo`]s (shape, strides, element type, file and offset), and one reader serves
//! them all:
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
//! quantized.rs    bytes, scales and outliers ↔ one tensor: the storage of int8 models
//! write.rs        f32 → safetensors                (in any of three types, or bytes; through `src/files.rs`: a temporary file, synced and renamed)
//! ```
//!
//! and above them, where tensors become parameters:
//!
//! ```text
//! names.rs        which field of the tree a name stands for
//! table.rs        the same for names as files have them, old ones too
//! locate.rs       where in a file an ALBERT is, whatever else the file has
//! pretrained.rs   directory or files in memory → model, model → directory
//! loader.rs       an opened checkpoint → parameters
//! decoder.rs      which tensors of a masked-LM decoder are not tied, and which are copies
//! report.rs       what loading could not use, and what it had to make up
//! shipped.rs      the checkpoints that come with the crate
//! ```
//!
//! # What is trusted
//!
//! Nothing in a file. Every length, offset, shape and stride is checked against the file's real
//! length with overflow-checked arithmetic before it is used. Memory is therefore bounded by a
//! multiple of the file's size, and never by a number written in it. No pickle code is executed:
//! the callables allowed in a pickle are on a list (`torch/globals.rs`), and are interpreted as
//! descriptions, not as functions. Objects of other classes are skipped without being constructed.
//! An index can name only files in its own directory. Symbolic links *are* followed, since the
//! Hugging Face cache consists of them. No file of a checkpoint can create one, so a link was made
//! by someone with access to the directory.

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
mod table;
mod tensor;
mod tensorflow;
mod torch;
mod wanted;
mod write;

pub use crate::files::write_atomically;
pub use dtype::DType;
pub use load_options::LoadOptions;
pub use open::{Checkpoint, Format};
pub use pretrained::PreTrainedModel;
pub(crate) use pretrained::{saved_type, stage_model};
pub use report::{LoadReport, MismatchedShape, UntiedTensor};
pub use shipped::shipped_checkpoint;
pub use tensor::TensorInfo;
pub(crate) use wanted::ModelFiles;
pub use write::{write_safetensors, write_safetensors_as};
