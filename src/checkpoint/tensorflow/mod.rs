//! TensorFlow's checkpoints: `PREFIX.index` and `PREFIX.data-00000-of-00001`, as Google released ALBERT.
//!
//! ```text
//! directory.rs   which checkpoint of a directory
//! table.rs       the index file → keys and values  (a table in LevelDB's form)
//! bundle.rs      values → types, shapes, places    (three protobuf messages)
//! variables.rs   TensorFlow's names → transformers'
//! ```
//!
//! Parameters get the names and the layout that transformers' converter gives them: its kernels are `[out, in]`,
//! TensorFlow's `[in, out]`. A variable that belongs to no ALBERT keeps its own name. Optimizer states of variables, and variables that are not floating-point or are stored in slices, are skipped.

mod bundle;
mod directory;
mod table;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::bundle::Variable;
pub(super) use self::directory::{choose, is_table};
use self::variables::{Scopes, Use};
use super::dtype::DType;
use super::open::Contents;
use super::source::Source;
use super::tensor::{Layout, Storage, TensorInfo, row_major};
use crate::layout::INDEX;
use crate::{Error, Result};

/// The longest index. That of ALBERT-xxlarge has some two KB, with an optimizer's variables six.
const MAX_INDEX: u64 = 16 << 20;

/// Opens the checkpoint whose index is at `path`.
///
/// # Errors
///
/// `Error::Io` if a file cannot be read; `Error::Format` for an invalid index, one without an ALBERT, and for a missing file of
/// values; `Error::Tensor` for a variable that is not where the index says, or that is stored in slices.
pub(super) fn open(path: &Path) -> Result<Contents> {
    let index = Source::open(path)?;
    if index.len() > MAX_INDEX {
        let found = index.len();
        return Err(
            index.error(format!("expected an index of at most {MAX_INDEX} bytes, found {found}"))
        );
    }
    // At most MAX_INDEX.
    let mut bytes = vec![0; index.len() as usize];
    index.read_exact_at(0, &mut bytes)?;
    let bundle = bundle::read(&bytes)
        .map_err(|reason| index.error(format!("not the index of a checkpoint: {reason}")))?;
    check_overlaps(&index, &bundle.variables)?;
    let names = bundle.variables.iter().map(|variable| variable.name.as_str());
    let scopes = Scopes::of(names).map_err(|reason| index.error(reason))?;
    let mut shards = Shards { index: &index, count: bundle.num_shards, open: BTreeMap::new() };
    let mut tensors = Vec::new();
    for variable in &bundle.variables {
        let (name, transposed) = match scopes.usage(&variable.name) {
            Use::Parameter { name, transposed } => (name, transposed),
            Use::Unknown if variable.is_float() && variable.slices == 0 => {
                (variable.name.clone(), false)
            }
            Use::Unknown | Use::Optimizer => continue,
        };
        let source = shards.get(variable.shard)?;
        let tensor = locate(&source, variable, transposed)?;
        tensors.push((name, tensor));
    }
    add_missing_mappings(path, &mut tensors)?;
    Ok(Contents { tensors, foreign: Vec::new(), metadata: BTreeMap::new() })
}

/// The files of values that were needed so far.
struct Shards<'a> {
    index: &'a Source,
    count: u32,
    open: BTreeMap<u32, Arc<Source>>,
}

impl Shards<'_> {
    fn get(&mut self, shard: u32) -> Result<Arc<Source>> {
        if let Some(source) = self.open.get(&shard) {
            return Ok(Arc::clone(source));
        }
        let path = values_path(self.index.path(), shard, self.count);
        let source = Source::open(&path).map_err(|error| match error {
            Error::Io { error, .. } if error.kind() == std::io::ErrorKind::NotFound => {
                self.index.error(format!("the file of values {} is missing", path.display()))
            }
            error => error,
        })?;
        let source = Arc::new(source);
        self.open.insert(shard, Arc::clone(&source));
        Ok(source)
    }
}

/// `PREFIX.data-SHARD-of-COUNT`, next to `PREFIX.index`.
fn values_path(index: &Path, shard: u32, count: u32) -> PathBuf {
    let name = index.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let prefix = name.strip_suffix(INDEX).unwrap_or(&name);
    index.with_file_name(format!("{prefix}.data-{shard:05}-of-{count:05}"))
}

/// Ties a variable to its bytes.
fn locate(source: &Arc<Source>, variable: &Variable, transposed: bool) -> Result<TensorInfo> {
    let Variable { name, shape, .. } = variable;
    let refuse = |expected: &str, found: String| source.tensor_error(name, expected, found);
    if variable.slices > 0 {
        return Err(refuse(
            "a variable that is stored as a whole",
            format!(
                "{} slices: load it with TensorFlow without a partitioner, and save it again",
                variable.slices
            ),
        ));
    }
    let dtype = variable.dtype.ok_or_else(|| refuse("numbers", "strings or resources".into()))?;
    let size = dtype.size().unwrap_or(0) as u64;
    let elements = shape.iter().try_fold(size, |len, &size| len.checked_mul(size as u64));
    if elements != Some(variable.len) {
        let expected = format!("the bytes of a {shape:?} of {dtype}");
        return Err(refuse(&expected, format!("{} bytes", variable.len)));
    }
    let storage = Storage { start: variable.offset, len: variable.len };
    let (mut shape, mut strides) = (shape.clone(), row_major(shape));
    if transposed && shape.len() == 2 {
        shape.reverse();
        strides.reverse();
    }
    let layout = Layout { dtype, shape, strides, offset: 0 };
    let mut tensor = TensorInfo::new(source, name, storage, layout)?;
    tensor.checksum = Some(unmask(variable.checksum));
    Ok(tensor)
}

/// Adds the mapping from E to H where they are equal, as the identity that it stands for: google-research/albert has none there,
/// transformers always.
fn add_missing_mappings(index: &Path, tensors: &mut Vec<(String, TensorInfo)>) -> Result<()> {
    let shapes: BTreeMap<&str, &[usize]> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape())).collect();
    let missing = |name: &str| {
        let prefix = name.strip_suffix("embeddings.word_embeddings.weight")?;
        let mapping = format!("{prefix}encoder.embedding_hidden_mapping_in.");
        let layer = format!("{prefix}encoder.albert_layer_groups.0.albert_layers.0.");
        let query = shapes.get(format!("{layer}attention.query.weight").as_str())?;
        let (width, _) = shapes.get(name)?.split_last()?;
        let is_whole = shapes.contains_key(format!("{mapping}weight").as_str());
        // As wide as a matrix that is in the file.
        (!is_whole && **query == [*width, *width]).then_some((mapping, *width))
    };
    let missing: Vec<_> = shapes.keys().filter_map(|name| missing(name)).collect();
    for (mapping, width) in missing {
        let mut identity = vec![0.0f32; width * width];
        identity.iter_mut().step_by(width + 1).for_each(|value| *value = 1.0);
        for (end, shape, values) in
            [("weight", vec![width, width], identity), ("bias", vec![width], vec![0.0; width])]
        {
            let name = format!("{mapping}{end}");
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let source = Arc::new(Source::of_memory(index, bytes));
            let storage = Storage { start: 0, len: source.len() };
            let strides = row_major(&shape);
            let layout = Layout { dtype: DType::F32, shape, strides, offset: 0 };
            let tensor = TensorInfo::new(&source, &name, storage, layout)?;
            tensors.push((name, tensor));
        }
    }
    Ok(())
}

/// Refuses variables that share bytes, which no writer makes.
fn check_overlaps(index: &Source, variables: &[Variable]) -> Result<()> {
    let mut places: Vec<&Variable> = variables.iter().filter(|variable| variable.len > 0).collect();
    places.sort_by_key(|variable| (variable.shard, variable.offset));
    for pair in places.windows(2) {
        let [first, second] = pair else { continue };
        let end = first.offset.saturating_add(first.len);
        if first.shard == second.shard && end > second.offset {
            let expected = format!("its bytes after those of `{}`, which end at {end}", first.name);
            let found = format!("them from byte {}", second.offset);
            return Err(index.tensor_error(&second.name, expected, found));
        }
    }
    Ok(())
}

/// The checksum that a file stores masked, as LevelDB does: that of bytes with a checksum in them would be weak.
fn unmask(masked: u32) -> u32 {
    masked.wrapping_sub(0xa282_ead8).rotate_left(15)
}
