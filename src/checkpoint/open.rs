//! Which files of a directory are a checkpoint.

use std::collections::{BTreeMap, btree_map};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use ndarray::{ArrayD, ArrayViewMutD};

use super::locate::{Located, locate};
use super::source::Source;
use super::tensor::TensorInfo;
use super::{LoadOptions, foreign, index, quantized, safetensors, tensorflow, torch};
use crate::files::check_path;
use crate::layout;
use crate::memory::{MemoryFiles, Origin};
use crate::{Error, Result};

/// The files that are looked for, in the order in which transformers does.
pub(super) const CANDIDATES: [(&str, Kind); 4] = [
    ("model.safetensors", Kind::File(Format::Safetensors)),
    ("model.safetensors.index.json", Kind::Index(Format::Safetensors)),
    ("pytorch_model.bin", Kind::File(Format::Torch)),
    ("pytorch_model.bin.index.json", Kind::Index(Format::Torch)),
];

/// How a checkpoint's files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Safetensors.
    Safetensors,
    /// `torch.save`, either of its formats.
    Torch,
    /// TensorFlow's tensor bundle: an index, and files of values.
    TensorFlow,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    File(Format),
    Index(Format),
}

impl Kind {
    pub fn is_index(self) -> bool {
        matches!(self, Self::Index(_))
    }
}

/// What one file has.
#[derive(Debug)]
pub(super) struct Contents {
    pub tensors: Vec<(String, TensorInfo)>,
    /// Tensors that cannot be read, and their kinds.
    pub foreign: Vec<(String, &'static str)>,
    pub metadata: BTreeMap<String, String>,
}

/// An opened checkpoint: all tensors are located and checked, but not read yet.
///
/// Its files stay open, so later reads see the checked files even if they are replaced meanwhile.
/// `Send + Sync`; reads of the same file are serialised.
///
/// ```no_run
/// use ndalbert::checkpoint::Checkpoint;
///
/// let checkpoint = Checkpoint::open("albert-base-v2")?;
/// for name in checkpoint.names() {
///     println!("{name}: {:?}", checkpoint.get(name).map(|tensor| tensor.shape()));
/// }
/// let bias = checkpoint.read("albert.pooler.bias")?;
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    format: Format,
    tensors: BTreeMap<String, TensorInfo>,
    foreign: BTreeMap<String, &'static str>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the checkpoint at `path`. In a directory, this is the first of `model.safetensors`,
    /// `model.safetensors.index.json`, `pytorch_model.bin` and `pytorch_model.bin.index.json`, else
    /// a TensorFlow checkpoint, else the only file of another name that ends in `.safetensors`,
    /// `.bin`, `.pt`, `.pth`, `.pth.tar`, `.t7` or `.ckpt`; or one file (`….safetensors`,
    /// `….index.json`, `….index`; of any other name: `torch.save`'s).
    ///
    /// All tensors in nested PyTorch dictionaries and lists are found. Keys and indices are joined
    /// by dots: `state_dict.albert.pooler.bias`.
    ///
    /// A TensorFlow checkpoint may also be named by its prefix, as in TensorFlow
    /// (`albert_base/model.ckpt-best`). If a directory has several, the file `checkpoint` decides.
    /// Variables get the names and the layout of transformers' converter (`albert.pooler.bias`).
    ///
    /// # Errors
    ///
    /// `Error::Io` for a file that cannot be opened or read; `Error::Format` for a directory
    /// without weights and for a file that is not what its name says; `Error::Tensor` for a tensor
    /// outside the file, one that occurs twice, or one that is missing from the shard named by the
    /// index.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        check_path(path, "a checkpoint")?;
        let (file, kind) = match layout::index_of(path) {
            _ if path.is_dir() => choose(path)?,
            Some(index) => (index, Kind::File(Format::TensorFlow)),
            None => by_name(path)?,
        };
        Self::open_kind(Origin::Disk, file, kind)
    }

    /// Opens the checkpoint among files in memory: the first of the same four names, else the only
    /// one of another name. TensorFlow's are read from directories alone.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn from_bytes(files: &MemoryFiles) -> Result<Self> {
        let (file, kind) = choose_in_memory(files)?;
        Self::open_kind(Origin::Memory(files), file, kind)
    }

    fn open_kind(origin: Origin<'_>, file: PathBuf, kind: Kind) -> Result<Self> {
        let mut checkpoint = match kind {
            Kind::File(format) => {
                let contents = open_file(origin, &file, format)?;
                Self::new(file, format, [contents])?
            }
            Kind::Index(format) => {
                let index = index::read(origin, &file)?;
                let shards = index
                    .shards()
                    .map(|shard| open_shard(origin, &file, &shard, format))
                    .collect::<Result<Vec<_>>>()?;
                let checkpoint = Self::new(file, format, shards)?;
                index.check(|name| checkpoint.get(name))?;
                checkpoint
            }
        };
        if checkpoint.format == Format::Safetensors {
            quantized::join(&mut checkpoint.tensors);
        }
        Ok(checkpoint)
    }

    /// The file that was opened; for a sharded checkpoint, its index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The format of its files.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The metadata of a safetensors file, usually `format` = `pt`; empty for PyTorch files.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The tensors' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The tensor `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// Reads the tensor `name`, converted to `f32`, row by row whatever its order in the file.
    ///
    /// Only its own bytes are read, in pieces of bounded size, so the returned array is the only
    /// copy.
    ///
    /// # Errors
    ///
    /// `Error::Tensor` if there is none of this name, if its elements are not f32, f16, bf16 or f64
    /// (nor int8 with scales, as written by this crate), or if memory is exhausted; `Error::Format`
    /// if the file was shortened; `Error::Io` if it cannot be read.
    pub fn read(&self, name: &str) -> Result<ArrayD<f32>> {
        self.find(name)?.read(name)
    }

    /// Like [`read`](Self::read), into an existing array of any layout.
    ///
    /// If the array is contiguous in row-major order, only a buffer of bounded size is allocated.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), and `Error::Tensor` if the array has another shape than the
    /// tensor. If the file cannot be read to the end, the array may have some of its values.
    pub fn read_into(&self, name: &str, values: ArrayViewMutD<'_, f32>) -> Result<()> {
        self.find(name)?.read_into(name, values)
    }

    /// The tensors of the ALBERT in this checkpoint, located as by
    /// [`from_pretrained`](super::PreTrainedModel::from_pretrained): maps parameter names without
    /// the backbone's prefix (`pooler.bias`) to names in the file.
    ///
    /// # Errors
    ///
    /// `Error::Format` if there is none, or if there are several and the options do not select one.
    pub fn albert_tensors(&self, options: &LoadOptions) -> Result<BTreeMap<String, &str>> {
        Ok(self.locate(options.under(), false)?.tensors)
    }

    /// Finds the ALBERT in it (see `locate.rs`).
    pub(super) fn locate(
        &self,
        under: Option<&str>,
        may_be_incomplete: bool,
    ) -> Result<Located<'_>> {
        locate(&self.path, &self.tensors, under, may_be_incomplete)
    }

    /// The kind of the tensor `name`, if it cannot be read.
    pub(super) fn foreign(&self, name: &str) -> Option<&'static str> {
        self.foreign.get(name).copied()
    }

    fn find(&self, name: &str) -> Result<&TensorInfo> {
        self.get(name).ok_or_else(|| {
            let found = match self.foreign(name) {
                Some(kind) => format!("{kind}, which cannot be read"),
                None => format!("none among the {} of the checkpoint", self.len()),
            };
            Error::tensor(&self.path, name, "a tensor of this name", found)
        })
    }

    fn new(
        path: PathBuf,
        format: Format,
        files: impl IntoIterator<Item = Contents>,
    ) -> Result<Self> {
        let mut checkpoint = Self {
            path,
            format,
            tensors: BTreeMap::new(),
            foreign: BTreeMap::new(),
            metadata: BTreeMap::new(),
        };
        for contents in files {
            checkpoint.foreign.extend(contents.foreign);
            checkpoint.metadata.extend(contents.metadata);
            for (name, tensor) in contents.tensors {
                match checkpoint.tensors.entry(name) {
                    btree_map::Entry::Vacant(vacant) => {
                        vacant.insert(tensor);
                    }
                    btree_map::Entry::Occupied(first) => {
                        return Err(Error::tensor(
                            &checkpoint.path,
                            first.key(),
                            "one tensor of this name",
                            format!(
                                "one in {} and one in {}",
                                first.get().file().display(),
                                tensor.file().display()
                            ),
                        ));
                    }
                }
            }
        }
        match checkpoint.foreign.first_key_value() {
            Some((name, &kind)) if checkpoint.tensors.is_empty() => {
                Err(Error::tensor(&checkpoint.path, name, "a tensor that can be read", kind))
            }
            _ => Ok(checkpoint),
        }
    }
}

fn open_file(origin: Origin<'_>, path: &Path, format: Format) -> Result<Contents> {
    let source = || Source::open_in(origin, path).map(Arc::new);
    match format {
        Format::Safetensors => safetensors::open(&source()?),
        Format::Torch => torch::open(&source()?),
        Format::TensorFlow => tensorflow::open(path),
    }
}

fn open_shard(origin: Origin<'_>, index: &Path, shard: &Path, format: Format) -> Result<Contents> {
    open_file(origin, shard, format).map_err(|error| match error {
        Error::Io { error, .. } if error.kind() == io::ErrorKind::NotFound => {
            Error::format(index, format!("the shard {} is missing", shard.display()))
        }
        error => error,
    })
}

/// What a single file is, by its name.
fn by_name(path: &Path) -> Result<(PathBuf, Kind)> {
    fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if let Some(what) = foreign::describe(path) {
        return Err(Error::format(path, format!("this is {what}")));
    }
    Ok((path.to_owned(), kind_of(path)))
}

fn kind_of(path: &Path) -> Kind {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if name.ends_with(".safetensors.index.json") {
        Kind::Index(Format::Safetensors)
    } else if name.ends_with(".index.json") {
        Kind::Index(Format::Torch)
    } else if name.ends_with(".safetensors") {
        Kind::File(Format::Safetensors)
    } else {
        Kind::File(Format::Torch)
    }
}

/// The first candidate among files in memory, or the only one of another name that may be weights.
fn choose_in_memory(files: &MemoryFiles) -> Result<(PathBuf, Kind)> {
    let has = |(name, _): &(&str, Kind)| Origin::Memory(files).has(Path::new(name));
    if let Some((name, kind)) = CANDIDATES.into_iter().find(has) {
        return Ok((name.into(), kind));
    }
    let others: Vec<&Path> =
        files.names().map(Path::new).filter(|path| layout::is_named_as_weights(path)).collect();
    if let [only] = &others[..] {
        return Ok((only.to_path_buf(), kind_of(only)));
    }
    let names: Vec<&str> = files.names().collect();
    let looked = CANDIDATES.map(|(name, _)| name).join(", ");
    let reason = format!("no weights: looked for {looked} among the files in memory, {names:?}");
    Err(Error::format(CANDIDATES[0].0, reason))
}

/// The first candidate that the directory has; a dangling link counts, so that the error names it.
/// Without any, the one file of another name that may be weights.
fn choose(directory: &Path) -> Result<(PathBuf, Kind)> {
    let found = CANDIDATES.iter().find_map(|&(name, kind)| {
        let path = directory.join(name);
        path.symlink_metadata().is_ok().then_some((path, kind))
    });
    if let Some(found) = found {
        return Ok(found);
    }
    match tensorflow::choose(directory)? {
        Some(index) => Ok((index, Kind::File(Format::TensorFlow))),
        None => only_one(directory),
    }
}

/// The only file that may be weights.
fn only_one(directory: &Path) -> Result<(PathBuf, Kind)> {
    let (mut foreign, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory).map_err(|error| Error::io(directory, error))? {
        let path = entry.map_err(|error| Error::io(directory, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(what) = foreign::describe(&path) {
            foreign.push(format!("{name} is {what}"));
        } else if layout::is_weights(&path) {
            others.push(path);
        }
    }
    if let [only] = &others[..] {
        return by_name(only);
    }
    let mut reason = format!(
        "no weights: looked for {} and a TensorFlow checkpoint's index",
        CANDIDATES.map(|(name, _)| name).join(", ")
    );
    if !others.is_empty() {
        others.sort();
        let names = layout::names(&others);
        reason += &format!("; if one of {names} is what you want, give its path instead");
    }
    foreign.sort();
    for what in foreign.iter().take(SHOWN) {
        reason += &format!("; {what}");
    }
    Err(Error::format(directory, reason))
}

/// How many files an error explains.
const SHOWN: usize = 4;
