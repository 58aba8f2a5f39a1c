//! What the Hub declines, what the disk declines, and what to do about it.

use std::fs;

use ndalbert::pipelines::Files;

use crate::common::refused;
use crate::server::{COMMIT, NAME, Reply, TOKEN};
use crate::{CONFIG, Home, fixture};

#[test]
fn an_unknown_model() {
    let (server, home) = (fixture(), Home::new());
    let ask = || home.hub(&server).resolve("owner/other", Files::All);
    refused(
        ask(),
        &["owner/other", "401", "Invalid username or password", "check the name", "HF_TOKEN"],
    );
    let known = home.hub(&server).token(TOKEN).unwrap();
    refused(
        known.resolve("owner/other", Files::All),
        &["404", "Repository not found", "check the name"],
    );
    assert!(home.tree().is_empty());
}

#[test]
fn an_unknown_revision() {
    let (server, home) = (fixture(), Home::new());
    let result = home.hub(&server).resolve(format!("{NAME}@v9"), Files::All);
    refused(result, &["owner/fixture@v9", "404", "no branch, tag or commit \"v9\""]);
}

#[test]
fn tokens_that_do_not_do() {
    let (server, home) = (fixture(), Home::new());
    let known = home.hub(&server).token(TOKEN).unwrap();
    for (status, code, words) in [
        (401, "", "not valid: renew HF_TOKEN"),
        (403, "", "may not read it"),
        (403, "GatedRepo", "accept its conditions at http://127.0.0.1"),
        (429, "", "too many requests"),
        (418, "", "answers 418"),
    ] {
        server.meddle(move |_, _| Reply::new(status).header("X-Error-Code", code));
        refused(known.resolve(NAME, Files::All), &[NAME, words]);
    }
    for token in ["", " ", "a b", "a\nb", "ключ"] {
        refused(home.hub(&server).token(token), &["HF_TOKEN"]);
    }
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nnonsense"] {
        refused(home.hub(&server).authorities(pem.as_bytes()), &["PEM", "SSL_CERT_FILE"]);
    }
    let endpoints = ["", "huggingface.co", "ftp://a", "https://", "https://a b"];
    for endpoint in endpoints {
        refused(home.hub(&server).endpoint(endpoint), &["HF_ENDPOINT"]);
    }
}

#[test]
fn a_gated_file() {
    let (server, home) = (fixture(), Home::new());
    server.meddle(|seen, reply| match seen.path.contains("model.safetensors") {
        true => Reply::new(401).header("X-Error-Code", "GatedRepo"),
        false => reply,
    });
    refused(home.get(&server, Files::All), &["gated", "HF_TOKEN"]);
    // The rest is there, and what failed is not taken to be.
    assert!(!home.names().contains(&"model.safetensors".to_owned()));
    let offline = home.hub(&server).offline(true);
    refused(
        offline.resolve(format!("{NAME}@{COMMIT}"), Files::All),
        &["its weights", "HF_HUB_OFFLINE"],
    );
}

#[test]
fn no_checkpoint() {
    let (server, home) = (fixture(), Home::new());
    server.remove("config.json");
    refused(home.get(&server, Files::Model), &["lack config.json"]);
}

/// `/dev/full` is a disk that is full.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let (server, home) = (fixture(), Home::new());
    home.get(&server, Files::Tokenizer).unwrap();
    let before = home.tree();
    std::os::unix::fs::symlink("/dev/full", home.incomplete()).unwrap();
    refused(home.get(&server, Files::Model), &["No space left", "free some space", "HF_HOME"]);
    fs::remove_file(home.incomplete()).unwrap();
    let after = home.tree();
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
    home.get(&server, Files::Model).unwrap();
}

#[test]
fn a_cache_that_cannot_be_written_to() {
    let (server, home) = (fixture(), Home::new());
    fs::write(home.cache(), "a file").unwrap();
    refused(home.get(&server, Files::Config), &["cannot write to the cache", "HF_HOME"]);
    fs::remove_file(home.cache()).unwrap();
    let directory = home.get(&server, Files::Config).unwrap();
    assert_eq!(fs::read(directory.join("config.json")).unwrap(), CONFIG);
}
