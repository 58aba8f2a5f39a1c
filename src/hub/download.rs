//! Downloads one file: receives or resumes it, verifies it, and moves it to its final path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::cache::{Cache, make_directory_of};
use super::client::{Client, Metadata, Part};
use super::failure::Failure;
use super::name::Repository;
use super::settings::Progress;
use crate::files::MAX_VOCABULARY;

/// How often in a row nothing may be received before giving up.
const MAX_ATTEMPTS: u32 = 5;

/// How often one file may be interrupted: a server that gives a byte at a time has no end.
const MAX_INTERRUPTIONS: u32 = 100;

/// The longest file of weights: what the Hub gives without its own protocol. The largest ALBERT has
/// 0.9 GB.
const MAX_WEIGHTS: u64 = 50 << 30;

const BUFFER: usize = 64 << 10;

/// Brings a commit's files into the cache.
pub(super) struct Downloader<'a> {
    pub client: &'a Client<'a>,
    pub cache: &'a Cache,
    pub repository: &'a Repository,
    pub commit: &'a str,
    /// How long to wait after the first attempt; after each further one, twice as long.
    pub pause: Duration,
    pub progress: Option<&'a (dyn Fn(Progress<'_>) + Send + Sync)>,
}

impl Downloader<'_> {
    /// The path of a file that the commit has.
    pub fn fetch(&self, file: &str) -> Result<PathBuf, Failure> {
        if let Some(path) = self.cache.find(self.commit, file) {
            return Ok(path);
        }
        let url = self.client.url(self.repository, self.commit, file);
        let Metadata { etag, size } = self.persistently(|| self.client.metadata(&url))?;
        let blob = self.cache.blob(&etag);
        make_directory_of(&blob)?;
        let lock = self.cache.lock(&etag);
        if !blob.exists() {
            let incomplete = incomplete(&blob, lock.is_some());
            let (etag, url, path) = (etag.as_str(), url.as_str(), incomplete.as_path());
            let (size, goes_on, is_doubtful) = (size, true, false);
            Transfer { downloader: self, file, url, etag, path, size, goes_on, is_doubtful }
                .run()?;
            fs::rename(&incomplete, &blob)?;
        }
        self.cache.link(self.commit, file, &etag)
    }

    /// Tries again where there was no answer.
    fn persistently<T>(&self, mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            match ask() {
                Err(Failure::Unreachable(_)) if attempt < MAX_ATTEMPTS => self.pause(attempt),
                result => return result,
            }
            attempt += 1;
        }
    }

    fn pause(&self, attempt: u32) {
        sleep(self.pause * (1 << (attempt - 1)));
    }
}

/// Where a blob is until it is whole. Only under a lock may it be what an earlier process has left: another may be writing there.
fn incomplete(blob: &Path, is_locked: bool) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = blob.as_os_str().to_owned();
    if !is_locked {
        name.push(format!(".{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    }
    name.push(".incomplete");
    name.into()
}

/// One blob on its way.
struct Transfer<'a> {
    downloader: &'a Downloader<'a>,
    file: &'a str,
    url: &'a str,
    etag: &'a str,
    path: &'a Path,
    /// The file's length, once it is known.
    size: Option<u64>,
    /// Whether the server may be asked for the rest of the file. Some give other bytes than that,
    /// or do not say which.
    goes_on: bool,
    /// Whether what was received may be of different files, or cut off.
    is_doubtful: bool,
}

impl Transfer<'_> {
    /// Receives the whole file, in as many parts as it takes.
    fn run(mut self) -> Result<(), Failure> {
        self.expect(self.size)?;
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(self.path)?;
        let mut have = file.metadata()?.len();
        self.is_doubtful = have > 0;
        // A part that cannot be verified afterwards is not resumed: it may come from another server.
        if self.size.is_some_and(|size| have > size) || (have > 0 && self.checksum().is_none()) {
            have = restart(&mut file)?;
        }
        let announced = self.size;
        self.receive(&mut file, have)?;
        if !self.is_right(&mut file)? && self.is_doubtful {
            (self.size, self.goes_on) = (announced, false);
            let have = restart(&mut file)?;
            self.receive(&mut file, have)?;
        }
        if !self.is_right(&mut file)? {
            fs::remove_file(self.path)?;
            let what = format!("other bytes of {} than its SHA-256 says", self.url);
            return Err(Failure::Answer(what));
        }
        Ok(file.sync_all()?)
    }

    /// Appends what is missing, however often it is interrupted.
    fn receive(&mut self, file: &mut File, mut have: u64) -> Result<(), Failure> {
        let (mut attempt, mut interruptions) = (1, 0);
        self.report(have);
        while self.size != Some(have) {
            let before = have;
            let Err(failure) = self.receive_part(file, &mut have) else { continue };
            let Failure::Unreachable(why) = failure else { return Err(failure) };
            interruptions += 1;
            attempt = if have > before { 1 } else { attempt + 1 };
            if attempt > MAX_ATTEMPTS || interruptions > MAX_INTERRUPTIONS {
                let size = self.size.map(|size| format!(" of {size}")).unwrap_or_default();
                let file = self.file;
                return Err(Failure::Unreachable(format!("{why} ({have}{size} bytes of {file})")));
            }
            self.downloader.pause(attempt);
        }
        Ok(())
    }

    /// Asks for what is missing, and appends what comes. `have` is how much is there, also after an
    /// error. If there is none, the length of the file is known then.
    fn receive_part(&mut self, file: &mut File, have: &mut u64) -> Result<(), Failure> {
        let part = self.ask(*have)?;
        self.expect(part.total)?;
        self.is_doubtful |= !part.is_certain || !part.is_delimited;
        if part.start < *have {
            self.goes_on = false;
            *have = restart(file)?;
        }
        let most = self.size.unwrap_or(self.limit());
        let mut reader = part.reader;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Unreachable(error.to_string())),
            };
            if read == 0 {
                break;
            }
            if read as u64 > most - *have {
                let what = format!("more than the {most} bytes that {} should have", self.url);
                if part.start == 0 {
                    return Err(Failure::Answer(what));
                }
                // The rest may have been other bytes than those.
                self.goes_on = false;
                *have = restart(file)?;
                return Err(Failure::Unreachable(what));
            }
            file.write_all(&buffer[..read])?;
            *have += read as u64;
            self.report(*have);
        }
        if self.size.is_none() && !part.is_delimited && self.checksum().is_none() {
            let what = format!("neither a length nor a checksum of {}", self.url);
            return Err(Failure::Answer(what));
        }
        match *self.size.get_or_insert(*have) == *have {
            true => Ok(()),
            false => Err(Failure::Unreachable("the connection was closed too early".to_owned())),
        }
    }

    /// Asks for what is missing; for all of it, if what the server answers is not the rest, or
    /// cannot be checked to be.
    fn ask(&mut self, have: u64) -> Result<Part, Failure> {
        let client = self.downloader.client;
        if have > 0 && self.goes_on {
            match client.part(self.url, have) {
                Ok(part) if self.is_usable(&part) => return Ok(part),
                Ok(_) | Err(Failure::Range(_)) => self.goes_on = false,
                Err(failure) => return Err(failure),
            }
        }
        client.part(self.url, 0)
    }

    fn is_usable(&self, part: &Part) -> bool {
        let is_of_this_length =
            part.total.is_none() || self.size.is_none() || part.total == self.size;
        is_of_this_length && (part.is_certain || self.checksum().is_some())
    }

    /// Takes note of the file's length, if it is said.
    fn expect(&mut self, total: Option<u64>) -> Result<(), Failure> {
        let (Some(total), limit) = (total, self.limit()) else { return Ok(()) };
        let expected = match *self.size.get_or_insert(total) {
            size if size != total => format!("{size}"),
            _ if total > limit => format!("at most {limit}"),
            _ => return Ok(()),
        };
        let url = self.url;
        Err(Failure::Answer(format!("{total} bytes of {url}, which should have {expected}")))
    }

    /// How long such a file may be.
    fn limit(&self) -> u64 {
        let is_weights =
            [".safetensors", ".bin", ".pth"].iter().any(|end| self.file.ends_with(end));
        if is_weights { MAX_WEIGHTS } else { MAX_VOCABULARY }
    }

    /// The SHA-256 that the file must have, if its ETag is one: that of all large files is.
    fn checksum(&self) -> Option<&str> {
        let is_checksum =
            self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_checksum.then_some(self.etag)
    }

    fn is_right(&self, file: &mut File) -> Result<bool, Failure> {
        let Some(expected) = self.checksum() else { return Ok(true) };
        file.seek(SeekFrom::Start(0))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(found.eq_ignore_ascii_case(expected))
    }

    fn report(&self, received: u64) {
        if let Some(progress) = self.downloader.progress {
            progress(Progress { file: self.file, received, total: self.size.unwrap_or(received) });
        }
    }
}

/// Forgets what was received; how much is there then.
fn restart(file: &mut File) -> Result<u64, Failure> {
    file.set_len(0)?;
    Ok(0)
}
