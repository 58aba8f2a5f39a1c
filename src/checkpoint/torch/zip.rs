//! The directory of a zip archive, as far as `torch.save` uses the format: stored entries, zip64
//! where needed.
//!
//! Only the directory and the fixed part of each entry's own header are read. The format is
//! PKWARE's APPNOTE 6.3, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (its
//! end), 4.5.3 (zip64).
//!
//! The `zip` crate is not used to read since it makes its table as large as a file says that it has
//! entries (in version 9.8.1, 10 MB for a file of 65 KB that has one), and looks for the directory
//! elsewhere if it is not at the end. A test compares the two on a good file.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use super::super::source::Source;
use super::super::tensor::Storage;
use super::Fault;

/// What an archive begins with.
pub(super) const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const DIRECTORY_HEADER: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const END_64_LOCATOR: &[u8] = b"PK\x06\x07";

/// The fixed parts' lengths.
const LOCAL_HEADER_LEN: usize = 30;
const DIRECTORY_HEADER_LEN: usize = 46;
const END_LEN: usize = 22;
const END_64_LEN: usize = 56;
const END_64_LOCATOR_LEN: usize = 20;

/// A comment behind the end of the directory is at most this long.
const MAX_COMMENT: usize = u16::MAX as usize;

/// The longest directory. Of 10000 storages it has about 1 MB.
const MAX_DIRECTORY: u64 = 16 << 20;

/// In a field of 32 bits: see the zip64 field.
const SEE_64: u64 = u32::MAX as u64;
/// The same in a field of 16 bits.
const SEE_64_SHORT: u64 = u16::MAX as u64;

/// One entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Its bytes in the archive.
    pub place: Storage,
    /// Whether these are the entry as it is, neither compressed nor encrypted.
    pub stored: bool,
}

/// Where the directory is.
#[derive(Debug)]
struct Directory {
    start: u64,
    len: u64,
    entries: u64,
}

/// Finds the entries' bytes by name.
///
/// # Errors
///
/// A reason, for an archive whose directory is not whole or not where it says; for one that has an
/// entry twice, or entries that overlap each other or the directory.
pub(super) fn entries(source: &Source) -> Result<BTreeMap<String, Entry>, Fault> {
    let directory = find_directory(source)?;
    let mut reader =
        BufReader::new(source.section(directory.start, directory.start + directory.len));
    let mut entries = BTreeMap::new();
    for _ in 0..directory.entries {
        let (name, entry) = read_entry(source, &mut reader, directory.start)
            .map_err(|fault| fault.within(|| "zip directory".into()))?;
        if entries.contains_key(&name) {
            return Err(format!("entry `{name}`: expected one of this name, found two").into());
        }
        entries.insert(name, entry);
    }
    refuse_overlaps(&entries)?;
    Ok(entries)
}

/// Reads the end of the directory, which is at the end of the file but for a comment.
fn find_directory(source: &Source) -> Result<Directory, Fault> {
    let tail_len = source.len().min((END_LEN + MAX_COMMENT) as u64);
    let tail_start = source.len() - tail_len;
    let mut tail = vec![0; tail_len as usize];
    source.read_exact_at(tail_start, &mut tail)?;
    let at = (0..=tail.len().saturating_sub(END_LEN)).rev().find(|&at| {
        tail.get(at..).is_some_and(|end| {
            end.starts_with(END) && field(end, 20, 2) as usize + END_LEN == end.len()
        })
    });
    let Some(at) = at else {
        return Err(
            "truncated: expected the directory of a zip archive at the end, found none".into()
        );
    };
    let end = tail.get(at..).unwrap_or_default();
    let end_start = tail_start + at as u64;
    let mut directory =
        Directory { start: field(end, 16, 4), len: field(end, 12, 4), entries: field(end, 10, 2) };
    let mut limit = end_start;
    if directory.start == SEE_64 || directory.len == SEE_64 || directory.entries == SEE_64_SHORT {
        (directory, limit) = find_directory_64(source, end_start)?;
    }
    let Directory { start, len, entries } = directory;
    let fits = start.checked_add(len).is_some_and(|end| end <= limit) && len <= MAX_DIRECTORY;
    if !fits || entries.checked_mul(DIRECTORY_HEADER_LEN as u64).is_none_or(|least| least > len) {
        return Err(format!(
            "expected a zip directory of at most {MAX_DIRECTORY} bytes that ends before byte {limit}, found {entries} \
             entries in {len} bytes from byte {start}"
        )
        .into());
    }
    Ok(directory)
}

/// Reads the zip64 end of the directory, and says where it begins.
fn find_directory_64(source: &Source, end_start: u64) -> Result<(Directory, u64), Fault> {
    let missing = || Fault::from("expected a zip64 directory, found none");
    let locator_start = end_start.checked_sub(END_64_LOCATOR_LEN as u64).ok_or_else(missing)?;
    let mut locator = [0; END_64_LOCATOR_LEN];
    source.read_exact_at(locator_start, &mut locator)?;
    let start = field(&locator, 8, 8);
    let fits = start.checked_add(END_64_LEN as u64).is_some_and(|end| end <= locator_start);
    if !locator.starts_with(END_64_LOCATOR) || !fits {
        return Err(missing());
    }
    let mut end = [0; END_64_LEN];
    source.read_exact_at(start, &mut end)?;
    if !end.starts_with(END_64) {
        return Err(missing());
    }
    let directory = Directory {
        start: field(&end, 48, 8),
        len: field(&end, 40, 8),
        entries: field(&end, 32, 8),
    };
    Ok((directory, start))
}

/// Reads one entry of the directory, and finds its data behind its own header.
fn read_entry(
    source: &Source,
    reader: &mut impl Read,
    directory: u64,
) -> Result<(String, Entry), Fault> {
    let mut header = [0; DIRECTORY_HEADER_LEN];
    reader.read_exact(&mut header).map_err(cut_short)?;
    if !header.starts_with(DIRECTORY_HEADER) {
        return Err("expected an entry, found something else".into());
    }
    let mut variable = |at| {
        let mut bytes = vec![0; field(&header, at, 2) as usize];
        reader.read_exact(&mut bytes).map_err(cut_short).map(|()| bytes)
    };
    let (name, extra, _comment) = (variable(28)?, variable(30)?, variable(32)?);
    let name = String::from_utf8(name).map_err(|_| "the name of an entry is not UTF-8")?;
    let named =
        |reason: String| Fault::Reason(format!("entry `{}`: {reason}", name.escape_debug()));
    let (flags, method) = (field(&header, 8, 2), field(&header, 10, 2));
    let stored = method == 0 && flags & 1 == 0;
    let mut wide = Zip64(zip64(&extra));
    let (size, packed, start) = (
        wide.resolve(field(&header, 24, 4)),
        wide.resolve(field(&header, 20, 4)),
        wide.resolve(field(&header, 42, 4)),
    );
    let (Some(size), Some(packed), Some(start)) = (size, packed, start) else {
        return Err(named("its size or place is missing".into()));
    };
    if stored && size != packed {
        return Err(named(format!("expected {size} bytes, stored as they are, found {packed}")));
    }
    let data =
        data_start(source, start).map_err(|fault| fault.within(|| format!("entry `{name}`")))?;
    if data.checked_add(packed).is_none_or(|end| end > directory) {
        return Err(named(format!(
            "expected it to end before the directory at byte {directory}, found {packed} bytes from byte {data}"
        )));
    }
    Ok((name, Entry { place: Storage { start: data, len: packed }, stored }))
}

/// Where the data of the entry begins whose own header is at `start`.
fn data_start(source: &Source, start: u64) -> Result<u64, Fault> {
    let behind = start.checked_add(LOCAL_HEADER_LEN as u64).filter(|&end| end <= source.len());
    let Some(behind) = behind else {
        return Err(format!("expected its header within the file, found byte {start}").into());
    };
    let mut header = [0; LOCAL_HEADER_LEN];
    source.read_exact_at(start, &mut header)?;
    if !header.starts_with(LOCAL_HEADER) {
        return Err(format!("expected its header at byte {start}, found something else").into());
    }
    Ok(behind + field(&header, 26, 2) + field(&header, 28, 2))
}

/// Two entries of the same bytes are how a small archive pretends to be a large one.
fn refuse_overlaps(entries: &BTreeMap<String, Entry>) -> Result<(), Fault> {
    let mut ranges: Vec<_> =
        entries.iter().map(|(name, entry)| (entry.place.start, entry.place.len, name)).collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if let [(start, len, name), (next, _, other)] = pair
            && start + len > *next
        {
            return Err(format!("the entries `{name}` and `{other}` overlap").into());
        }
    }
    Ok(())
}

/// The zip64 field: the values that did not fit in 32 bits, one after the other.
struct Zip64<'a>(&'a [u8]);

impl Zip64<'_> {
    /// The value of a field of 32 bits, which may refer to here.
    fn resolve(&mut self, short: u64) -> Option<u64> {
        if short != SEE_64 {
            return Some(short);
        }
        let (value, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*value))
    }
}

/// The zip64 field among the extra fields, each a type, a length and that many bytes.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let len = field(head, 2, 2) as usize;
        let Some((value, rest)) = rest.split_at_checked(len) else { break };
        if field(head, 0, 2) == 1 {
            return value;
        }
        extra = rest;
    }
    &[]
}

/// A little-endian number of `len` bytes; the bytes that are not there count as 0.
fn field(bytes: &[u8], at: usize, len: usize) -> u64 {
    let bytes = bytes.get(at..).unwrap_or_default().iter().take(len);
    bytes.rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn cut_short(error: std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it is shorter than its number of entries".into(),
        _ => error.into(),
    }
}
