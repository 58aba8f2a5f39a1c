//! Saving: a temporary file beside the target, synced, then renamed over it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ndarray::ArrayViewD;
use safetensors::tensor::{Dtype, TensorInfo};
use tempfile::{Builder, NamedTempFile};

use super::safetensors::{MAX_HEADER, METADATA_KEY};
use crate::{Error, Result};

/// How many bytes are handed to the operating system at once.
const BUFFER: usize = 256 << 10;

/// The header's length is a multiple of this, so that the data after it is aligned.
const ALIGNMENT: usize = 8;

/// Replaces the file at `path` by what `write` writes, wholly or not at all.
///
/// `write` gets a buffered temporary file in the same directory. If it succeeds, the file is synced and renamed to
/// `path` (and on Unix the directory is synced, so that the rename outlives a power cut). Whatever fails, also a panic,
/// leaves what was at `path` as it was, and no temporary file. A symbolic link at `path` is replaced, not followed: the
/// file it points to may be another checkpoint's, as in the Hugging Face cache. A file that is replaced hands down its
/// permissions on Unix; a new one gets the usual ones.
///
/// # Errors
///
/// `Error::Io` if `write` fails, if `path` is a directory, or if its directory does not exist or cannot be written to.
pub fn write_atomically(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    stage(path.as_ref(), write)?.commit()
}

/// A file that is written and synced, but does not stand at its path yet. Dropped, it is removed.
///
/// Files that belong together are all staged before the first of them is committed.
pub(super) struct Staged {
    temporary: NamedTempFile,
    path: PathBuf,
}

/// Writes what will stand at `path` to a temporary file beside it.
pub(super) fn stage(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Staged> {
    let temporary = write_temporary(path, write).map_err(|source| Error::io(path, source))?;
    Ok(Staged { temporary, path: path.to_owned() })
}

impl Staged {
    /// Puts the file in its place.
    pub(super) fn commit(self) -> Result<()> {
        let Self { temporary, path } = self;
        temporary
            .persist(&path)
            .map_err(|error| error.error)
            .and_then(|_| sync_directory(directory_of(&path)))
            .map_err(|source| Error::io(&path, source))
    }
}

fn write_temporary(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<NamedTempFile> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
    }
    let mut temporary = temporary_for(path, directory_of(path))?;
    let mut writer = BufWriter::with_capacity(BUFFER, temporary.as_file_mut());
    write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file that is removed when it is dropped, with the permissions that the target has or would get.
fn temporary_for(path: &Path, directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".ndalbert-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(directory)?;
    if cfg!(unix)
        && let Ok(old) = fs::metadata(path)
    {
        temporary.as_file().set_permissions(old.permissions())?;
    }
    Ok(temporary)
}

/// Makes a rename in `directory` durable. File systems that cannot do it say so, and are none the worse.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    match fs::File::open(directory).and_then(|directory| directory.sync_all()) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes tensors to a safetensors file, atomically (see [`write_atomically`]), in the order of their names.
///
/// Each is written from where it is, in row-major order, through a buffer of fixed size: nothing is copied as a whole.
/// The file says of itself `format` = `pt`, which transformers requires.
///
/// # Errors
///
/// `Error::Tensor` if two have the same name, or one that the format reserves; otherwise those of
/// [`write_atomically`].
pub fn write_safetensors<'a, N: Into<String>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, ArrayViewD<'a, f32>)>,
) -> Result<()> {
    stage_safetensors(path.as_ref(), tensors)?.commit()
}

/// As [`write_safetensors`], without putting the file in its place yet.
pub(super) fn stage_safetensors<'a, N: Into<String>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, ArrayViewD<'a, f32>)>,
) -> Result<Staged> {
    let mut by_name = BTreeMap::new();
    for (name, view) in tensors {
        let name = name.into();
        if name == METADATA_KEY {
            return Err(Error::tensor(path, name, "a tensor's name", "a reserved one"));
        }
        if by_name.contains_key(&name) {
            return Err(Error::tensor(path, name, "one tensor of this name", "two"));
        }
        by_name.insert(name, view);
    }
    let header = header(path, &by_name)?;
    stage(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        by_name.values().try_for_each(|view| write_values(file, view))
    })
}

/// The header, padded with spaces.
fn header(path: &Path, tensors: &BTreeMap<String, ArrayViewD<'_, f32>>) -> Result<Vec<u8>> {
    let mut json = serde_json::Map::new();
    json.insert(METADATA_KEY.to_owned(), serde_json::json!({ "format": "pt" }));
    let mut start = 0;
    for (name, view) in tensors {
        // An array in memory has at most `isize::MAX` bytes, but views may share theirs.
        let too_large = || Error::format(path, "the tensors are too large for one file");
        let bytes = view.len().checked_mul(size_of::<f32>()).ok_or_else(too_large)?;
        let end = bytes.checked_add(start).ok_or_else(too_large)?;
        let entry = TensorInfo {
            dtype: Dtype::F32,
            shape: view.shape().to_vec(),
            data_offsets: (start, end),
        };
        json.insert(name.clone(), to_json(path, &entry)?);
        start = end;
    }
    let mut header = serde_json::to_vec(&json).map_err(|error| not_json(path, &error))?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    if header.len() as u64 > MAX_HEADER {
        return Err(Error::format(
            path,
            format!("expected a header of at most {MAX_HEADER} bytes, found {}", header.len()),
        ));
    }
    Ok(header)
}

fn to_json(path: &Path, entry: &TensorInfo) -> Result<serde_json::Value> {
    serde_json::to_value(entry).map_err(|error| not_json(path, &error))
}

fn not_json(path: &Path, error: &serde_json::Error) -> Error {
    Error::format(path, format!("the header cannot be written: {error}"))
}

/// Writes the values in row-major order, little-endian.
fn write_values(file: &mut dyn Write, view: &ArrayViewD<'_, f32>) -> io::Result<()> {
    let mut buffer = [0u8; 4096];
    if let Some(values) = view.as_slice() {
        for piece in values.chunks(buffer.len() / size_of::<f32>()) {
            let mut used = 0;
            for (bytes, value) in buffer.as_chunks_mut().0.iter_mut().zip(piece) {
                *bytes = value.to_le_bytes();
                used += bytes.len();
            }
            file.write_all(buffer.get(..used).unwrap_or_default())?;
        }
        return Ok(());
    }
    view.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
}
