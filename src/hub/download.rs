//! One file: received, gone on with after an interruption, checked, put in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::cache::{Cache, make_directory_of};
use super::client::{Client, Metadata};
use super::failure::Failure;
use super::name::Repository;
use super::settings::Progress;
use crate::files::MAX_VOCABULARY;

/// How often in a row nothing may be received before giving up.
const MAX_ATTEMPTS: u32 = 5;

/// How often one file may be interrupted: a server that gives a byte at a time has no end.
const MAX_INTERRUPTIONS: u32 = 100;

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
        let metadata = self.persistently(|| self.client.metadata(&url))?;
        let is_weights = file.ends_with(".safetensors") || file.ends_with(".bin");
        if !is_weights && metadata.size > MAX_VOCABULARY {
            let size = metadata.size;
            return Err(Failure::Answer(format!(
                "{size} bytes of {url}, which should have at most {MAX_VOCABULARY}"
            )));
        }
        let blob = self.cache.blob(&metadata.etag);
        make_directory_of(&blob)?;
        let lock = self.cache.lock(&metadata.etag)?;
        if !blob.exists() {
            let incomplete = incomplete(&blob, lock.is_some());
            Transfer { downloader: self, file, url: &url, metadata: &metadata, path: &incomplete }
                .run()?;
            fs::rename(&incomplete, &blob)?;
        }
        self.cache.link(self.commit, file, &metadata.etag)
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
    metadata: &'a Metadata,
    path: &'a Path,
}

impl Transfer<'_> {
    /// Receives the whole file, in as many parts as it takes.
    fn run(&self) -> Result<(), Failure> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(self.path)?;
        let mut have = file.metadata()?.len();
        let is_resumed = have > 0;
        // What cannot be checked afterwards is not gone on with: it may be of another server.
        if have > self.metadata.size || (is_resumed && self.checksum().is_none()) {
            have = restart(&mut file)?;
        }
        self.receive(&mut file, have)?;
        if !self.is_right(&mut file)? && is_resumed {
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
    fn receive(&self, file: &mut File, mut have: u64) -> Result<(), Failure> {
        let (mut attempt, mut interruptions) = (1, 0);
        self.report(have);
        while have < self.metadata.size {
            let before = have;
            let Err(failure) = self.receive_part(file, &mut have) else { continue };
            let Failure::Unreachable(why) = failure else { return Err(failure) };
            interruptions += 1;
            attempt = if have > before { 1 } else { attempt + 1 };
            if attempt > MAX_ATTEMPTS || interruptions > MAX_INTERRUPTIONS {
                return Err(Failure::Unreachable(format!(
                    "{why} ({have} of {} bytes of {})",
                    self.metadata.size, self.file
                )));
            }
            self.downloader.pause(attempt);
        }
        Ok(())
    }

    /// Asks for what is missing, and appends what comes. `have` is how much is there, also after an error.
    fn receive_part(&self, file: &mut File, have: &mut u64) -> Result<(), Failure> {
        let size = self.metadata.size;
        let part = match self.downloader.client.part(self.url, *have, size) {
            // What is there may be more than the server has.
            Err(Failure::Refused(refusal)) if refusal.status == 416 && *have > 0 => {
                *have = restart(file)?;
                self.downloader.client.part(self.url, 0, size)?
            }
            part => part?,
        };
        if part.start < *have {
            *have = restart(file)?;
        }
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
            if read as u64 > size - *have {
                return Err(Failure::Answer(format!(
                    "more than the {size} bytes that {} should have",
                    self.url
                )));
            }
            file.write_all(&buffer[..read])?;
            *have += read as u64;
            self.report(*have);
        }
        match *have == size {
            true => Ok(()),
            false => Err(Failure::Unreachable("the connection was closed too early".to_owned())),
        }
    }

    /// The SHA-256 that the file must have, if its ETag is one: that of all large files is.
    fn checksum(&self) -> Option<&str> {
        let etag = self.metadata.etag.as_str();
        let is_checksum = etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_checksum.then_some(etag)
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
            progress(Progress { file: self.file, received, total: self.metadata.size });
        }
    }
}

/// Forgets what was received; how much is there then.
fn restart(file: &mut File) -> Result<u64, Failure> {
    file.set_len(0)?;
    Ok(0)
}
