//! The index file: a sorted table in LevelDB's form.
//!
//! ```text
//! table   = block trailer …  index block, metaindex block (in any order)  footer
//! trailer = compression u8, masked CRC-32C of block and compression u32
//! footer  = two handles (metaindex, index), zeros up to 40 bytes, magic u64
//! handle  = offset varint, length varint
//! block   = entry … , restart offset u32 … , number of restarts u32
//! entry   = shared varint, unshared varint, value length varint, the key's unshared end, value
//! ```
//!
//! A key begins with the `shared` first bytes of the key before it. The index block has a handle for each block of
//! entries. `tensorflow/core/lib/io/format.cc` and `table_builder.cc` are the definition. Numbers are little-endian.

use std::borrow::Cow;

use super::unmask;

/// What a table ends with.
pub(super) const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

const FOOTER: usize = 48;

/// The bytes after each block.
const TRAILER: usize = 5;

/// The longest key. The names of ALBERT's variables have up to some 100 bytes.
const MAX_KEY: usize = 1024;

/// The most entries. A deep ALBERT that shares nothing has some 400 variables, three times as many with the optimizer's.
const MAX_ENTRIES: usize = 1 << 16;

/// The longest block once it is decompressed. TensorFlow ends a block after 256 KiB.
const MAX_BLOCK: usize = 4 << 20;

/// More than the number of bytes that Snappy can make of one: its densest element makes 64 of 3.
const SNAPPY_RATIO: usize = 22;

/// The action for a key and its value.
type Visitor<'v> = dyn FnMut(&[u8], &[u8]) -> Result<(), String> + 'v;

/// Calls `visit` with every key and value of the table, in the order of the keys.
///
/// # Errors
///
/// What is wrong with the table, or what `visit` finds wrong.
pub(super) fn for_each(table: &[u8], visit: &mut Visitor<'_>) -> Result<(), String> {
    let index = index_handle(table)?;
    let index_block = block(table, index).map_err(|reason| format!("the index block: {reason}"))?;
    let (mut last_key, mut count, mut end): (Option<Vec<u8>>, usize, u64) = (None, 0, 0);
    entries(&index_block, &mut |_, value| {
        let mut value = Bytes(value);
        let handle = value.handle()?;
        if !value.0.is_empty() {
            return Err(format!("{} bytes after the place of a block", value.0.len()));
        }
        // Blocks in order, none twice: however small the index block, no more is read than the file has.
        if handle.offset < end {
            return Err(format!("a block at byte {}, expected at {end} or after", handle.offset));
        }
        end = handle.offset.saturating_add(handle.len);
        let within = |reason| format!("the block at byte {}: {reason}", handle.offset);
        let block = block(table, handle).map_err(within)?;
        let each = &mut |key: &[u8], value: &[u8]| {
            count += 1;
            if count > MAX_ENTRIES {
                return Err(format!("more than {MAX_ENTRIES} entries"));
            }
            if last_key.as_deref().is_some_and(|last| last >= key) {
                return Err(format!("the key \"{}\" is out of order", key.escape_ascii()));
            }
            last_key = Some(key.to_vec());
            visit(key, value)
        };
        entries(&block, each).map_err(within)
    })
}

/// A place in the file: a block without its trailer.
#[derive(Clone, Copy, Debug)]
struct Handle {
    offset: u64,
    len: u64,
}

/// Where the index block is, by the footer.
fn index_handle(table: &[u8]) -> Result<Handle, String> {
    let Some((_, footer)) = table.split_last_chunk::<FOOTER>() else {
        return Err(format!("expected at least {FOOTER} bytes, found {}", table.len()));
    };
    if !footer.ends_with(&MAGIC) {
        let found = footer.last_chunk::<8>().map(|end| u64::from_le_bytes(*end));
        return Err(format!(
            "truncated or no table: expected the last 8 bytes to be {:#018x}, found {:#018x}",
            u64::from_le_bytes(MAGIC),
            found.unwrap_or_default()
        ));
    }
    let mut footer = Bytes(footer);
    let _metaindex = footer.handle()?;
    footer.handle()
}

/// The bytes of a block, checked against its trailer and decompressed.
fn block(table: &[u8], handle: Handle) -> Result<Cow<'_, [u8]>, String> {
    let room = (table.len() - FOOTER) as u64;
    let len = handle.len.checked_add(TRAILER as u64);
    let end = len.and_then(|len| handle.offset.checked_add(len)).filter(|&end| end <= room);
    let Some(end) = end else {
        let Handle { offset, len } = handle;
        return Err(format!("{len} bytes from byte {offset}, expected within {room} bytes"));
    };
    // Both are at most the table's length.
    let whole = table.get(handle.offset as usize..end as usize).unwrap_or_default();
    let Some((checked, checksum)) = whole.split_last_chunk::<4>() else {
        return Err("no trailer".into());
    };
    let (expected, found) = (unmask(u32::from_le_bytes(*checksum)), crc32c::crc32c(checked));
    if expected != found {
        return Err(format!("expected the CRC-32C {expected:08x}, found {found:08x}"));
    }
    match checked.split_last() {
        Some((0, bytes)) => Ok(Cow::Borrowed(bytes)),
        Some((1, bytes)) => decompress(bytes).map(Cow::Owned),
        Some((other, _)) => Err(format!("a block of compression {other}, expected 0 or 1")),
        None => Err("no trailer".into()),
    }
}

fn decompress(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = |error: snap::Error| format!("not a Snappy block: {error}");
    let len = snap::raw::decompress_len(bytes).map_err(wrong)?;
    let most = bytes.len().saturating_mul(SNAPPY_RATIO).min(MAX_BLOCK);
    if len > most {
        return Err(format!("a block of {len} bytes once decompressed, expected at most {most}"));
    }
    snap::raw::Decoder::new().decompress_vec(bytes).map_err(wrong)
}

/// Calls `visit` with the entries of a block.
fn entries(block: &[u8], visit: &mut Visitor<'_>) -> Result<(), String> {
    let rest = without_restarts(block)?;
    let mut bytes = Bytes(rest);
    let mut key = Vec::new();
    while !bytes.0.is_empty() {
        let at = rest.len() - bytes.0.len();
        let within = |reason| format!("the entry at {at}: {reason}");
        let [shared, unshared, len] =
            [bytes.varint(), bytes.varint(), bytes.varint()].map(|number| number.map_err(within));
        let (shared, unshared, len) = (shared?, unshared?, len?);
        if shared > key.len() as u64 {
            let found = format!("expected a key before it of {shared} bytes, found {}", key.len());
            return Err(within(found));
        }
        if shared.saturating_add(unshared) > MAX_KEY as u64 {
            return Err(within(format!("expected a key of at most {MAX_KEY} bytes")));
        }
        key.truncate(shared as usize);
        key.extend_from_slice(bytes.take(unshared).map_err(within)?);
        visit(&key, bytes.take(len).map_err(within)?)?;
    }
    Ok(())
}

/// A block's entries. Its restarts, at which a search may begin, are not needed to read all of them.
fn without_restarts(block: &[u8]) -> Result<&[u8], String> {
    let Some((rest, count)) = block.split_last_chunk::<4>() else {
        return Err(format!("expected a number of restarts, found {} bytes", block.len()));
    };
    let count = u32::from_le_bytes(*count);
    let begin = (count as usize).checked_mul(4).and_then(|len| rest.len().checked_sub(len));
    let Some((entries, restarts)) = begin.and_then(|begin| rest.split_at_checked(begin)) else {
        return Err(format!("{count} restarts, expected within {} bytes", rest.len()));
    };
    let mut offsets = restarts.as_chunks::<4>().0.iter().map(|&offset| u32::from_le_bytes(offset));
    match offsets.find(|&offset| offset as usize > entries.len()) {
        Some(beyond) => {
            Err(format!("a restart at {beyond}, expected within {} bytes", entries.len()))
        }
        None => Ok(entries),
    }
}

/// The unread rest of some bytes.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], String> {
        let split = usize::try_from(len).ok().and_then(|len| self.0.split_at_checked(len));
        let Some((taken, rest)) = split else {
            return Err(format!("expected {len} more bytes, found {}", self.0.len()));
        };
        self.0 = rest;
        Ok(taken)
    }

    /// A number in groups of seven bits, the lowest first, all but the last with the eighth bit set.
    fn varint(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.take(1)? else { return Err("expected a byte".into()) };
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number of more than 64 bits".into())
    }

    fn handle(&mut self) -> Result<Handle, String> {
        Ok(Handle { offset: self.varint()?, len: self.varint()? })
    }
}
