//! Whole files: read if they are as small as they should be, replaced wholly or not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::{Builder, NamedTempFile, TempDir};

use crate::error::{Error, Result};
use crate::memory::Origin;

/// What the names of temporary files and directories begin and end with.
const TEMPORARY: (&str, &str) = (".ndalbert-", ".tmp");

/// How many bytes are handed to the operating system at once.
const BUFFER: usize = 256 << 10;

/// The longest JSON file next to weights or a vocabulary. Most are a few hundred bytes; the longest known, indices of models
/// a thousand times as large as ALBERT, a few hundred KB.
pub(crate) const MAX_JSON: u64 = 16 << 20;

/// The longest vocabulary. ALBERT's have one or two MB, the largest multilingual ones some twenty.
pub(crate) const MAX_VOCABULARY: u64 = 64 << 20;

/// The character that some programs put before a text to say how it is encoded, in UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Refuses an empty path, which joined with a name would mean the working directory, and alone nothing at all.
pub(crate) fn check_path(path: &Path, expected: &str) -> Result<()> {
    if path.as_os_str().is_empty() {
        let reason = format!("expected the path of {expected}, found an empty path");
        return Err(Error::io(path, io::Error::new(io::ErrorKind::InvalidInput, reason)));
    }
    Ok(())
}

/// Opens a file that can be read to an end.
///
/// # Errors
///
/// [`Error::Io`] if it cannot be opened or is a directory; [`Error::Format`] if it is a pipe or a device: opening or reading one may wait
/// forever, or give bytes forever.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    let metadata = fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if metadata.is_dir() {
        let reason = "expected a regular file, found a directory";
        return Err(Error::io(path, io::Error::new(io::ErrorKind::IsADirectory, reason)));
    }
    if !metadata.is_file() {
        let found = kind(metadata.file_type());
        return Err(Error::format(path, format!("expected a regular file, found {found}")));
    }
    File::open(path).map_err(|error| Error::io(path, error))
}

#[cfg(unix)]
fn kind(found: fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if found.is_fifo() {
        "a pipe"
    } else if found.is_char_device() || found.is_block_device() {
        "a device"
    } else if found.is_socket() {
        "a socket"
    } else {
        "something else"
    }
}

#[cfg(not(unix))]
fn kind(_found: fs::FileType) -> &'static str {
    "something else"
}

/// Reads a file of at most `limit` bytes.
///
/// The limit holds whatever length the file claims: some grow while they are read, and those of `/proc` claim none.
///
/// # Errors
///
/// Those of [`open_regular`]; [`Error::Format`] if the file is longer.
pub(crate) fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    check_length(path, file.metadata().map_err(|error| Error::io(path, error))?.len(), limit)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Error::io(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(too_long(path, limit, "more"));
    }
    Ok(bytes)
}

/// Refuses a file that is longer than `limit`.
pub(crate) fn check_length(path: &Path, length: u64, limit: u64) -> Result<()> {
    if length > limit { Err(too_long(path, limit, &length.to_string())) } else { Ok(()) }
}

fn too_long(path: &Path, limit: u64, found: &str) -> Error {
    Error::format(path, format!("expected a file of at most {limit} bytes, found {found}"))
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
///
/// Those of [`read_small`] and [`as_text`].
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<Vec<u8>> {
    Origin::Disk.read_text(path, limit)
}

/// The bytes of a text without the byte order mark that editors and shells of Windows put before
/// it.
///
/// # Errors
///
/// [`Error::Format`] if they are UTF-16 or UTF-32, which the same programs write, too: whoever
/// reads on would only say that the first character is none.
pub(crate) fn as_text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let found = match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => "UTF-32",
        // Without a mark, every ASCII character has an adjacent zero.
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 1..=255, ..] | [1..=255, 0, ..] => "UTF-16",
        _ => return Ok(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)),
    };
    Err(Error::format(path, format!("expected text in UTF-8, found {found}: save it as UTF-8")))
}

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
pub(crate) struct Staged {
    temporary: NamedTempFile,
    path: PathBuf,
}

/// Writes the future contents of `path` to a temporary file in its directory.
pub(crate) fn stage(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Staged> {
    check_path(path, "a file to write")?;
    let temporary = write_temporary(path, write).map_err(|error| Error::io(path, error))?;
    Ok(Staged { temporary, path: path.to_owned() })
}

/// Writes a JSON value that will stand at `path`.
pub(crate) fn stage_json(path: &Path, value: &Value) -> Result<Staged> {
    stage(path, |file| writeln!(file, "{value:#}"))
}

/// Puts files in their places, one after the other.
pub(crate) fn commit_all(staged: impl IntoIterator<Item = Staged>) -> Result<()> {
    staged.into_iter().try_for_each(Staged::commit)
}

impl Staged {
    /// Puts the file in its place.
    pub(crate) fn commit(self) -> Result<()> {
        let Self { temporary, path } = self;
        temporary
            .persist(&path)
            .map_err(|error| error.error)
            .and_then(|_| sync_directory(directory_of(&path)))
            .map_err(|error| Error::io(&path, error))
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

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file that is removed when it is dropped, with the permissions that the target has or would get.
fn temporary_for(path: &Path, directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
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

/// Makes a directory at `path` of what `write` writes into it, wholly or not at all.
///
/// `write` gets a temporary directory next to it, and syncs what it writes there. If it succeeds,
/// that is renamed to `path`. Whatever fails leaves no temporary directory, unless the process
/// ends: then it is one of the [`leftovers`]. What stands at `path` already is not replaced.
///
/// # Errors
///
/// Those of `write`; `Error::Io` if there is something at `path`, or the directory cannot be made
/// or put in its place.
pub(crate) fn write_directory_atomically(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let failed = |error| Error::io(path, error);
    check_vacant(path)?;
    let parent = directory_of(path);
    let temporary = temporary_directory(parent).map_err(failed)?;
    write(temporary.path()).map_err(|error| moved(error, temporary.path(), path))?;
    sync_directory(temporary.path()).map_err(failed)?;
    // Renaming would replace an empty directory.
    check_vacant(path)?;
    fs::rename(temporary.path(), path).map_err(failed)?;
    // It is no longer there to be removed.
    let _ = temporary.keep();
    sync_directory(parent).map_err(failed)
}

/// Refuses a path at which there is anything, also a link that leads nowhere.
fn check_vacant(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(_) => {
            let reason = "there is something here already, which is not replaced";
            Err(Error::io(path, io::Error::new(io::ErrorKind::AlreadyExists, reason)))
        }
        Err(_) => Ok(()),
    }
}

/// The name that [`move_aside`] gives a directory, within a temporary one.
pub(crate) const ASIDE: &str = "old";

/// Removes from its place, at once, a directory that is about to be removed. Returns where it is
/// now; if the process ends, that is within one of the [`leftovers`].
pub(crate) fn move_aside(path: &Path) -> Result<PathBuf> {
    let failed = |error| Error::io(path, error);
    let temporary = temporary_directory(directory_of(path)).map_err(failed)?;
    let aside = temporary.path().join(ASIDE);
    fs::rename(path, &aside).map_err(failed)?;
    // Removing it is up to the caller, who knows what is in there.
    let _ = temporary.keep();
    Ok(aside)
}

/// The temporary files and directories in `directory`, which processes that ended before their time
/// have left.
pub(crate) fn leftovers(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io(directory, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_temporary(&entry.file_name()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether a name is one of a temporary file or directory.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1)
}

/// A directory that is removed when it is dropped, with the permissions that directories usually get.
fn temporary_directory(parent: &Path) -> io::Result<TempDir> {
    let mut builder = Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder.tempdir_in(parent)
}

/// An error about a file in one directory, as if it were in another.
fn moved(error: Error, from: &Path, to: &Path) -> Error {
    match error {
        Error::Io { path, error } => {
            let path = path.strip_prefix(from).map_or(path.clone(), |rest| to.join(rest));
            Error::Io { path, error }
        }
        other => other,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(target_os = "wasi", ignore = "WASI has no directory for temporary files")]
    fn the_limit_is_the_longest_that_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("five");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_small(&path, 5).unwrap(), b"12345");
        let error = read_small(&path, 4).unwrap_err().to_string();
        assert!(error.ends_with("five: expected a file of at most 4 bytes, found 5"), "{error}");
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_other_encodings_are_named() {
        let path = Path::new("x.json");
        assert_eq!(as_text(path, b"\xEF\xBB\xBF{}").unwrap(), b"{}");
        assert_eq!(as_text(path, b"\xEF\xBB\xBF").unwrap(), b"");
        for plain in ["", "{", "{}", "\u{FEFE}", "é"] {
            assert_eq!(as_text(path, plain.as_bytes()).unwrap(), plain.as_bytes());
        }
        for (bytes, name) in [
            (&b"\xFF\xFE{\0}\0"[..], "UTF-16"),
            (b"\xFE\xFF\0{\0}", "UTF-16"),
            (b"\xFF\xFE", "UTF-16"),
            (b"{\0}\0", "UTF-16"),
            (b"\0{\0}", "UTF-16"),
            (b"\xFF\xFE\0\0{\0\0\0", "UTF-32"),
            (b"\0\0\xFE\xFF\0\0\0{", "UTF-32"),
        ] {
            let error = as_text(path, bytes).unwrap_err().to_string();
            assert!(error.starts_with("x.json: expected text in UTF-8"), "{error}");
            assert!(error.contains(name), "{error}");
        }
    }

    /// Files of the kernel's are regular, claim to be empty, and are not.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_limit_holds_for_files_that_claim_no_length() {
        let path = Path::new("/proc/self/status");
        assert!(!read_small(path, MAX_JSON).unwrap().is_empty());
        let error = read_small(path, 4).unwrap_err().to_string();
        assert!(error.ends_with("at most 4 bytes, found more"), "{error}");
    }
}
