//! Models by their names, from a server on the loopback address that answers as the Hub does, or as it never should.

mod cached;
#[path = "../common/mod.rs"]
mod common;
mod environment;
mod hostile;
mod names;
mod proxies;
mod refused;
mod resumed;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ndalbert::Result;
use ndalbert::hub::Hub;
use ndalbert::pipelines::Files;
use tempfile::TempDir;

use server::{COMMIT, NAME, Server, sha256};

/// As short as a busy machine allows.
const TIMEOUT: Duration = Duration::from_millis(1500);

const CONFIG: &[u8] = b"{\"model_type\": \"albert\"}";
const VOCABULARY: &[u8] = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";

/// Bytes that are larger than any buffer, and the same every time.
fn weights() -> Vec<u8> {
    (0..500_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A repository with weights of both kinds, and unnecessary files.
fn fixture() -> Server {
    Server::new([
        ("config.json", CONFIG.to_vec()),
        ("vocab.txt", VOCABULARY.to_vec()),
        ("tokenizer_config.json", b"{}".to_vec()),
        ("model.safetensors", weights()),
        ("pytorch_model.bin", b"pickle".to_vec()),
        ("tf_model.h5", b"tensorflow".to_vec()),
        ("README.md", b"# Fixture".to_vec()),
        ("../evil.json", b"evil".to_vec()),
        ("/etc/evil.json", b"evil".to_vec()),
    ])
}

/// A cache of its own.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("hub")
    }

    fn hub(&self, server: &Server) -> Hub {
        Hub::new(self.cache()).endpoint(&server.url()).unwrap().timeout(TIMEOUT)
    }

    fn get(&self, server: &Server, files: Files) -> Result<PathBuf> {
        self.hub(server).resolve(NAME, files)
    }

    /// A path in the part of the cache that is the fixture's.
    fn model(&self, path: &str) -> PathBuf {
        self.cache().join("models--owner--fixture").join(path)
    }

    /// Where the weights are while they are on their way.
    fn incomplete(&self) -> PathBuf {
        self.model(&format!("blobs/{}.incomplete", sha256(&weights())))
    }

    /// Every file under the cache with what it holds; of links, where they lead.
    fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut tree = BTreeMap::new();
        walk(&self.cache(), &mut tree);
        tree
    }

    /// What is in the commit's snapshot.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.model("snapshots").join(COMMIT)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn walk(directory: &Path, tree: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.map(|entry| entry.unwrap().path()) {
        if entry.is_symlink() {
            let target = fs::read_link(&entry).unwrap();
            tree.insert(entry, target.into_os_string().into_encoded_bytes());
        } else if entry.is_dir() {
            walk(&entry, tree);
        } else {
            let bytes = fs::read(&entry).unwrap();
            tree.insert(entry, bytes);
        }
    }
}
