//! What is downloaded, where it is put, and when it is not asked for again.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;

use ndalbert::hub::Hub;
use ndalbert::pipelines::Files;

use crate::common::refused;
use crate::server::{COMMIT, NAME, OTHER_COMMIT, Reply, Server, TOKEN, sha256};
use crate::{CONFIG, Home, TIMEOUT, fixture, weights};

#[test]
fn the_layout_is_that_of_huggingface_hub() {
    let (server, home) = (fixture(), Home::new());
    let directory = home.get(&server, Files::All).unwrap();
    assert_eq!(directory, home.model(&format!("snapshots/{COMMIT}")));
    let expected = ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"];
    assert_eq!(home.names(), expected);
    assert_eq!(fs::read(directory.join("config.json")).unwrap(), CONFIG);
    assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), weights());
    assert_eq!(fs::read_to_string(home.model("refs/main")).unwrap(), COMMIT);
    let blob = sha256(&weights());
    assert!(home.model(&format!("blobs/{blob}")).is_file());
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(directory.join("model.safetensors")).unwrap().to_str().unwrap(),
        format!("../../blobs/{blob}")
    );
    // The ETag without its marks.
    assert!(home.model(&format!("blobs/{}", &sha256(CONFIG)[..40])).is_file());
    assert!(home.model(&format!(".no_exist/{COMMIT}/tokenizer.json")).is_file());
    let left = home.tree().into_keys().filter(|path| path.to_string_lossy().contains("incomplete"));
    assert_eq!(left.count(), 0);
}

#[test]
fn only_what_is_wanted_is_downloaded() {
    let server = fixture();
    for (files, expected) in [
        (Files::Config, &["config.json"][..]),
        (Files::Tokenizer, &["tokenizer_config.json", "vocab.txt"]),
        (Files::Model, &["config.json", "model.safetensors"]),
    ] {
        let home = Home::new();
        home.get(&server, files).unwrap();
        assert_eq!(home.names(), expected);
    }
}

#[test]
fn pytorch_weights_where_there_are_no_others() {
    let (server, home) = (fixture(), Home::new());
    server.remove("model.safetensors");
    home.get(&server, Files::Model).unwrap();
    assert_eq!(home.names(), ["config.json", "pytorch_model.bin"]);
    server.remove("pytorch_model.bin");
    refused(Home::new().get(&server, Files::Model), &["no weights", "TensorFlow"]);
}

#[test]
fn kokoro_has_weights_and_phonemes_of_its_own_names() {
    let (server, home) = (fixture(), Home::new());
    for file in ["model.safetensors", "pytorch_model.bin", "vocab.txt"] {
        server.remove(file);
    }
    server.set("kokoro-v1_0.pth", "pickle");
    // Of another model, whatever it is.
    refused(home.get(&server, Files::Model), &["no weights"]);
    server.set("config.json", r#"{"plbert": {}, "n_token": 178, "vocab": {"a": 43}}"#);
    let home = Home::new();
    home.get(&server, Files::Model).unwrap();
    assert_eq!(home.names(), ["config.json", "kokoro-v1_0.pth"]);
    let home = Home::new();
    home.get(&server, Files::Tokenizer).unwrap();
    assert_eq!(home.names(), ["config.json", "tokenizer_config.json"]);
    server.set("config.json", r#"{"plbert": {}, "n_token": 178}"#);
    refused(Home::new().get(&server, Files::Tokenizer), &["vocab.txt"]);
}

#[test]
fn an_index_brings_its_shards() {
    let (server, home) = (fixture(), Home::new());
    server.remove("model.safetensors");
    let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}"#;
    server.set("model.safetensors.index.json", index);
    server.set("model-1.safetensors", "one");
    refused(home.get(&server, Files::Model), &["model-2.safetensors, which is not there"]);
    server.set("model-2.safetensors", "two");
    server.set("model-3.safetensors", "of another index");
    home.get(&server, Files::Model).unwrap();
    let expected = [
        "config.json",
        "model-1.safetensors",
        "model-2.safetensors",
        "model.safetensors.index.json",
    ];
    assert_eq!(home.names(), expected);
}

#[test]
fn a_sentence_transformers_model_has_its_modules() {
    let (server, home) = (fixture(), Home::new());
    server.set(
        "modules.json",
        r#"[{"path": ""}, {"path": "1_Pooling"}, {"path": "../1"}, {"path": "2_Normalize"}, 7]"#,
    );
    server.set("1_Pooling/config.json", "{\"pooling_mode_mean_tokens\": true}");
    server.set("../1/config.json", "evil");
    let directory = home.get(&server, Files::All).unwrap();
    assert!(fs::read_to_string(directory.join("1_Pooling/config.json")).unwrap().contains("mean"));
    assert!(home.names().contains(&"modules.json".to_owned()));
    assert!(!home.model("1").exists() && !home.model("snapshots/1").exists());
    assert!(home.model(&format!(".no_exist/{COMMIT}/2_Normalize/config.json")).is_file());
}

#[test]
fn a_second_time_only_the_commit_is_asked_for() {
    let (server, home) = (fixture(), Home::new());
    let first = home.get(&server, Files::All).unwrap();
    server.seen();
    let before = home.tree();
    assert_eq!(home.get(&server, Files::All).unwrap(), first);
    let lines: Vec<_> = server.seen().iter().map(|seen| seen.line()).collect();
    assert_eq!(lines, [format!("GET /api/models/{NAME}/revision/main")]);
    assert_eq!(home.tree(), before);
}

#[test]
fn a_commit_that_is_here_is_not_asked_for() {
    let (server, home) = (fixture(), Home::new());
    let name = format!("{NAME}@{COMMIT}");
    home.hub(&server).resolve(&name, Files::Model).unwrap();
    server.seen();
    home.hub(&server).resolve(&name, Files::Model).unwrap();
    assert!(server.seen().is_empty());
    // Its tokenizer is not here yet.
    home.hub(&server).resolve(&name, Files::All).unwrap();
    assert!(!server.seen().is_empty());
    home.hub(&server).resolve(&name, Files::All).unwrap();
    assert!(server.seen().is_empty());
    assert!(!home.model(&format!("refs/{COMMIT}")).exists());
}

#[test]
fn revisions_share_what_they_have_in_common() {
    let (server, home) = (fixture(), Home::new());
    home.get(&server, Files::Model).unwrap();
    server.seen();
    server.set("config.json", "{}");
    let directory = home.hub(&server).resolve(format!("{NAME}@refs/pr/1"), Files::Model).unwrap();
    assert_eq!(directory, home.model(&format!("snapshots/{OTHER_COMMIT}")));
    assert_eq!(fs::read_to_string(directory.join("config.json")).unwrap(), "{}");
    assert_eq!(fs::read_to_string(home.model("refs/refs/pr/1")).unwrap(), OTHER_COMMIT);
    let weights = server.seen().into_iter().filter(|seen| seen.line() == "GET /model.safetensors");
    assert_eq!(weights.count(), 0, "the weights are the same");
}

#[test]
fn offline_uses_the_cache_and_asks_nobody() {
    let (server, home) = (fixture(), Home::new());
    let offline = home.hub(&server).offline(true);
    refused(offline.resolve(NAME, Files::Model), &[NAME, "HF_HUB_OFFLINE"]);
    let directory = home.get(&server, Files::Model).unwrap();
    server.seen();
    assert_eq!(offline.resolve(NAME, Files::Model).unwrap(), directory);
    assert_eq!(offline.resolve(NAME, Files::Config).unwrap(), directory);
    refused(offline.resolve(NAME, Files::Tokenizer), &["vocab.txt", "HF_HUB_OFFLINE"]);
    refused(offline.resolve(format!("{NAME}@other"), Files::Config), &["HF_HUB_OFFLINE"]);
    assert!(server.seen().is_empty());
}

#[test]
fn a_cache_is_good_enough_where_there_is_no_network() {
    let (server, home) = (fixture(), Home::new());
    let directory = home.get(&server, Files::Model).unwrap();
    // Port 1 is closed.
    let nowhere = Hub::new(home.cache()).endpoint("http://127.0.0.1:1").unwrap().timeout(TIMEOUT);
    assert_eq!(nowhere.resolve(NAME, Files::Model).unwrap(), directory);
    refused(
        nowhere.resolve("owner/other", Files::Model),
        &["127.0.0.1:1", "cannot be reached", "HF_ENDPOINT"],
    );
    server.meddle(|_, _| Reply::new(503));
    assert_eq!(home.get(&server, Files::Model).unwrap(), directory);
}

#[test]
fn the_token_is_shown_to_the_endpoint_alone() {
    let (server, home) = (fixture(), Home::new());
    home.hub(&server).token(TOKEN).unwrap().resolve(NAME, Files::Model).unwrap();
    let seen = server.seen();
    assert!(seen.iter().any(|seen| seen.elsewhere));
    for seen in seen {
        let expected = (!seen.elsewhere).then(|| format!("Bearer {TOKEN}"));
        assert_eq!(seen.header("authorization").map(str::to_owned), expected, "{}", seen.line());
    }
}

/// A cache that others have filled, on a disk of theirs: what cannot be noted down there is not
/// needed.
#[test]
fn a_complete_cache_that_cannot_be_written_to_is_used() {
    let (server, home) = (fixture(), Home::new());
    home.get(&server, Files::All).unwrap();
    let locks = home.cache().join(".locks");
    // A file where a directory is wanted cannot be written to, not even by an administrator.
    let blocked = [home.model(".no_exist"), home.model("refs"), home.model("blobs"), locks];
    for (number, blocked) in blocked.into_iter().enumerate() {
        let aside = home.0.path().join(number.to_string());
        fs::rename(&blocked, &aside).unwrap();
        if blocked.ends_with("blobs") {
            // The snapshot's own files, as where there are no links.
            let snapshot = home.model(&format!("snapshots/{COMMIT}"));
            for name in home.names() {
                let blob = fs::read_link(snapshot.join(&name)).unwrap();
                fs::remove_file(snapshot.join(&name)).unwrap();
                fs::copy(aside.join(blob.file_name().unwrap()), snapshot.join(&name)).unwrap();
            }
        }
        fs::write(&blocked, "a file").unwrap();
        for files in [Files::All, Files::Model, Files::Tokenizer, Files::Config] {
            let directory = home.get(&server, files).unwrap();
            assert_eq!(fs::read(directory.join("config.json")).unwrap(), CONFIG);
        }
        assert_eq!(fs::read(&blocked).unwrap(), b"a file");
    }
    // What is not there has to be written.
    server.set("spiece.model", "new");
    refused(home.get(&server, Files::All), &["cannot write to the cache", "HF_HOME"]);
}

/// Locks keep others from downloading the same; the download itself does not need them.
#[test]
fn a_cache_without_locks_can_be_filled() {
    let (server, home) = (fixture(), Home::new());
    fs::create_dir(home.cache()).unwrap();
    fs::write(home.cache().join(".locks"), "a file").unwrap();
    let directory = home.get(&server, Files::All).unwrap();
    assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), weights());
}

/// A mirror that has nothing itself, and says so by redirections to the whole address of another
/// host.
#[test]
fn a_mirror_may_redirect_to_another_host() {
    let (mirror, server, home) = (fixture(), fixture(), Home::new());
    let url = server.url();
    mirror.meddle(move |seen, _| Reply::new(307).header("Location", format!("{url}{}", seen.path)));
    let directory = home.hub(&mirror).token(TOKEN).unwrap().resolve(NAME, Files::Model).unwrap();
    assert_eq!(fs::read(directory.join("config.json")).unwrap(), CONFIG);
    assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), weights());
    assert!(home.model(&format!("blobs/{}", sha256(&weights()))).is_file());
    assert!(mirror.seen().iter().all(|seen| seen.header("authorization").is_some()));
    let seen = server.seen();
    assert!(!seen.is_empty() && seen.iter().all(|seen| seen.header("authorization").is_none()));
}

#[test]
fn several_at_a_time_download_once() {
    let (server, home) = (fixture(), Home::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| home.get(&server, Files::All).unwrap());
        }
    });
    let weights = server.seen().into_iter().filter(|seen| seen.elsewhere).count();
    assert_eq!(weights, 1);
    assert_eq!(home.names().len(), 4);
}

#[test]
fn progress_ends_with_the_whole_file() {
    let (server, home) = (fixture(), Home::new());
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let hub = home.hub(&server).on_progress(move |progress| {
        hook.lock().unwrap().push((progress.file.to_owned(), progress.received, progress.total));
    });
    hub.resolve(NAME, Files::Model).unwrap();
    let told = told.lock().unwrap();
    let of_weights: Vec<_> = told.iter().filter(|(file, ..)| file == "model.safetensors").collect();
    assert!(of_weights.len() > 2 && of_weights.is_sorted());
    assert_eq!(of_weights.last().unwrap().1, weights().len() as u64);
}

#[test]
fn a_model_of_before_there_were_owners() {
    let (server, home) = (fixture(), Home::new());
    let directory = home.hub(&server).resolve("old-fixture", Files::Model).unwrap();
    assert_eq!(directory, home.cache().join(format!("models--old-fixture/snapshots/{COMMIT}")));
}

/// What an earlier program has left is not trusted to be all right, but is not harmed.
#[test]
fn links_that_lead_nowhere_are_mended() {
    let (server, home) = (fixture(), Home::new());
    let directory = home.get(&server, Files::Model).unwrap();
    fs::remove_file(home.model(&format!("blobs/{}", sha256(&weights())))).unwrap();
    assert!(!directory.join("model.safetensors").exists());
    home.get(&server, Files::Model).unwrap();
    assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), weights());
    fs::write(home.model("refs/main"), "nonsense").unwrap();
    home.get(&server, Files::Model).unwrap();
    assert_eq!(fs::read_to_string(home.model("refs/main")).unwrap(), COMMIT);
}

#[test]
fn an_empty_file_is_a_file() {
    let server = Server::new([("config.json", Vec::new()), ("model.safetensors", Vec::new())]);
    let directory = Home::new();
    let path = directory.get(&server, Files::Model).unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), b"");
}
