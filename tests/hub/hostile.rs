//! Answers that the Hub never gives: an error each, no panic, and the cache as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::pipelines::Files;

use crate::common::random::numbers;
use crate::common::refused;
use crate::server::{COMMIT, NAME, Reply, Seen, Server, chunked, sha256};
use crate::{Home, fixture, weights};

/// A home in which a model is cached already, and what is in it.
struct Victim {
    server: Server,
    home: Home,
}

impl Victim {
    fn new() -> Self {
        let (server, home) = (fixture(), Home::new());
        home.get(&server, Files::Tokenizer).unwrap();
        Self { server, home }
    }

    /// Asserts that the model cannot be had, for reasons that are told, and nothing in the cache has changed.
    #[track_caller]
    fn withstands(
        &self,
        words: &[&str],
        meddle: impl FnMut(&Seen, Reply) -> Reply + Send + 'static,
    ) {
        let before = self.home.tree();
        self.server.meddle(meddle);
        refused(self.home.get(&self.server, Files::Model), words);
        self.server.behave();
        self.is_unharmed(&before);
    }

    #[track_caller]
    fn is_unharmed(&self, before: &BTreeMap<PathBuf, Vec<u8>>) {
        let after = self.home.tree();
        // What was on its way is not in the cache yet.
        let is_whole = |path: &Path| !path.to_string_lossy().ends_with(".incomplete");
        for (path, bytes) in before.iter().filter(|(path, _)| is_whole(path)) {
            assert_eq!(after.get(path), Some(bytes), "{}", path.display());
        }
        let inside = self.home.cache();
        let outside = fs::read_dir(self.home.0.path()).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(outside.collect::<Vec<_>>(), [inside]);
        let wrong = self.home.model(&format!("snapshots/{COMMIT}/model.safetensors"));
        assert!(!wrong.exists(), "weights that are none");
    }
}

fn is_listing(seen: &Seen) -> bool {
    seen.path.starts_with("/api/models/")
}

/// Of the weights: what the Hub says before it redirects.
fn is_head(seen: &Seen) -> bool {
    seen.method == "HEAD" && seen.path.ends_with("model.safetensors")
}

#[test]
fn listings_that_are_none() {
    let victim = Victim::new();
    let bodies = [
        "",
        "null",
        "[]",
        "{}",
        "<html>",
        "{\"sha\": 1, \"siblings\": []}",
        "{\"sha\": \"x\"",
        "{\"sha\": \"\", \"siblings\": []}",
        "{\"sha\": \"../../../../evil\", \"siblings\": [{\"rfilename\": \"config.json\"}]}",
        "{\"sha\": \"0123456789ABCDEF0123456789abcdef01234567\", \"siblings\": []}",
        "{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": {}}",
        "{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": [\"config.json\"]}",
    ];
    for body in bodies {
        victim.withstands(
            &["sent an invalid answer", "The cache is intact"],
            move |seen, reply| {
                if is_listing(seen) { Reply::new(200).body(body) } else { reply }
            },
        );
    }
    let deep = "[".repeat(1 << 20);
    victim.withstands(&["no list of files"], move |_, _| Reply::new(200).body(deep.as_str()));
    let long = vec![b' '; (16 << 20) + 1];
    victim.withstands(&["more than"], move |_, _| Reply::new(200).body(long.as_slice()));
}

#[test]
fn etags_that_lead_elsewhere() {
    let victim = Victim::new();
    let etags = [
        "",
        "\"\"",
        "..",
        "../../../evil",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:a",
        ".lock",
        "a b",
        "W/\"../x\"",
    ];
    for etag in etags {
        victim.withstands(&["ETag"], move |seen, reply| {
            if is_head(seen) { reply.header("X-Linked-Etag", etag) } else { reply }
        });
    }
    let long = "a".repeat(300);
    victim.withstands(&["ETag"], move |seen, reply| {
        if is_head(seen) { reply.header("X-Linked-Etag", &long) } else { reply }
    });
    victim.withstands(&["no ETag"], |seen, reply| {
        if is_head(seen) { reply.without("X-Linked-Etag").without("ETag") } else { reply }
    });
}

#[test]
fn sizes_that_are_wrong() {
    let victim = Victim::new();
    for size in ["", "x", "-1", "1e3", "99999999999999999999999"] {
        victim.withstands(&["size"], move |seen, reply| {
            if is_head(seen) { reply.header("X-Linked-Size", size) } else { reply }
        });
    }
    for size in [0, 1, 499_999, 500_001, u64::MAX] {
        victim.withstands(&["sent an invalid answer"], move |seen, reply| {
            if is_head(seen) { reply.header("X-Linked-Size", size) } else { reply }
        });
    }
    // Small files have a limit, so that a repository cannot fill the disk with a vocabulary.
    Victim::new().withstands(&["at most"], |seen, reply| {
        if seen.path.ends_with("/config.json") {
            reply.header("X-Linked-Size", 1u64 << 40)
        } else {
            reply
        }
    });
}

#[test]
fn bodies_that_are_longer_or_shorter_or_others() {
    let victim = Victim::new();
    let reply_with = |body: Vec<u8>| {
        move |seen: &Seen, reply: Reply| match seen.elsewhere {
            true => Reply::new(200).body(body.as_slice()),
            false => reply,
        }
    };
    victim.withstands(&["500001 bytes"], reply_with([weights(), vec![0]].concat()));
    victim.withstands(&["499999 bytes"], reply_with(weights()[1..].to_vec()));
    victim.withstands(&["0 bytes"], reply_with(Vec::new()));
    victim.withstands(&["SHA-256"], reply_with(vec![7; 500_000]));
    assert!(!victim.home.incomplete().exists(), "what is wrong is not kept");
    // Without a length, and without an end.
    victim.withstands(&["more than the 500000 bytes"], |seen, reply| match seen.elsewhere {
        true => chunked(200, &[weights(), vec![0; 100]].concat()),
        false => reply,
    });
}

#[test]
fn ranges_that_were_not_asked_for() {
    let victim = Victim::new();
    for range in [
        "",
        "bytes",
        "bytes 7-9/500000",
        "bytes 1000-499999/7",
        "bytes x-y/z",
        "bytes 0-499999/500000",
    ] {
        fs::write(victim.home.incomplete(), &weights()[..1000]).unwrap();
        let before = victim.home.tree();
        victim.server.meddle(move |seen, reply| match seen.elsewhere {
            true => Reply::new(206).header("Content-Range", range).body(&weights()[1000..]),
            false => reply,
        });
        refused(victim.home.get(&victim.server, Files::Model), &["sent an invalid answer"]);
        victim.is_unharmed(&before);
    }
}

#[test]
fn redirections_that_lead_nowhere() {
    let victim = Victim::new();
    victim.withstands(&["redirections"], |seen, reply| match seen.elsewhere {
        true => Reply::new(302).header("Location", "/again"),
        false => reply,
    });
    for location in ["", "nowhere", "ftp://host/x", "file:///etc/passwd", "../x"] {
        victim.withstands(&["redirection to nowhere"], move |seen, reply| match is_listing(seen) {
            true => Reply::new(302).header("Location", location),
            false => reply,
        });
    }
    for location in ["http://", "http:///x", "http://a b/", "http://[::1", "http://user@:99999/"] {
        victim.withstands(&[NAME], move |seen, reply| match is_listing(seen) {
            true => Reply::new(302).header("Location", location),
            false => reply,
        });
    }
    victim.withstands(
        &["nowhere"],
        |seen, reply| if is_listing(seen) { Reply::new(302) } else { reply },
    );
    // A status that is neither.
    victim.withstands(
        &["nowhere"],
        |seen, reply| if is_listing(seen) { Reply::new(304) } else { reply },
    );
}

#[test]
fn shards_that_lead_elsewhere() {
    let victim = Victim::new();
    victim.server.remove("model.safetensors");
    for shard in ["../../../evil.bin", "/etc/passwd", "a\\b", "C:x", ""] {
        let home = Home::new();
        let index = serde_json::json!({ "weight_map": { "a": shard } }).to_string();
        victim.server.set("model.safetensors.index.json", index);
        victim.server.set("../../../evil.bin", "evil");
        refused(home.get(&victim.server, Files::Model), &["expected a shard next to the index"]);
        assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 1);
    }
}

/// Another file's name does not make a cached blob be written to.
#[test]
fn a_blob_is_never_written_to_again() {
    let victim = Victim::new();
    let before = victim.home.tree();
    let vocabulary = sha256(crate::VOCABULARY)[..40].to_owned();
    let blob = victim.home.model(&format!("blobs/{vocabulary}"));
    victim.server.meddle(move |seen, reply| match seen.path.ends_with("/config.json") {
        true => reply.header("X-Linked-Etag", &vocabulary),
        false => reply,
    });
    victim.home.get(&victim.server, Files::Config).unwrap();
    let after = victim.home.tree();
    assert_eq!(after[&blob], crate::VOCABULARY);
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
}

/// Bytes that are not HTTP, or hardly: whatever comes of it, it is no panic, and no harm.
#[test]
fn garbled_answers() {
    let victim = Victim::new();
    let before = victim.home.tree();
    let mut random = numbers(5, 1 << 16).map(|number| number as usize);
    let mut below = |limit| random.next().unwrap() % limit;
    for round in 0..300 {
        let (at, what, every, byte) = (below(600), below(4), 1 + below(3), below(256) as u8);
        let mut count = 0;
        victim.server.garble(move |mut bytes| {
            count += 1;
            if bytes.is_empty() || count % every != 0 {
                return bytes;
            }
            let at = at % bytes.len();
            match what {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            bytes
        });
        let home = Home::new();
        let _ = home.get(&victim.server, Files::All);
        let _ = victim.home.get(&victim.server, Files::Tokenizer);
        let after = victim.home.tree();
        assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "round {round}");
        let weights_there = home.model(&format!("blobs/{}", sha256(&weights())));
        assert!(
            !weights_there.exists() || fs::read(weights_there).unwrap() == weights(),
            "round {round}"
        );
    }
}
