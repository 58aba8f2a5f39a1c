//! What every `from_pretrained` takes from the environment. It is another process's: this one's is
//! shared by the tests.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ndalbert::{Albert, AlbertConfig, AlbertTokenizer, LoadOptions, PreTrainedModel};

use crate::common::example::path;
use crate::server::{COMMIT, NAME, OTHER_COMMIT, Server, TOKEN};
use crate::{Home, fixture};

/// The variables that change what is done, and proxies.
const VARIABLES: [&str; 22] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUEST_METHOD",
];

/// Run by the other tests, in a process of its own: loads everything by the name in `NAME`.
#[test]
#[ignore = "the other tests run it"]
fn child() {
    let name = env::var("TEST_NAME").unwrap();
    let load = || -> ndalbert::Result<usize> {
        let tokenizer = AlbertTokenizer::from_pretrained(&name)?;
        let options = match env::var("TEST_REVISION") {
            Ok(revision) => LoadOptions::new().revision(revision),
            Err(_) => LoadOptions::new(),
        };
        let (model, _) = Albert::from_pretrained_with(&name, &options)?;
        assert_eq!(*ndalbert::Model::config(&model), AlbertConfig::from_pretrained(&name)?);
        Ok(tokenizer.vocab_size())
    };
    match load() {
        Ok(size) => println!("[loaded {size}]"),
        Err(error) => println!("[{error}]"),
    }
}

pub fn run(name: &str, variables: &[(&str, &str)], directory: &Path) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["environment::child", "--exact", "--ignored", "--nocapture"])
        .current_dir(directory);
    VARIABLES.iter().for_each(|variable| {
        command.env_remove(variable);
    });
    command.env("HOME", directory).env("TEST_NAME", name).envs(variables.iter().copied());
    let Output { stdout, stderr, .. } = command.output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    let said = text.find('[').zip(text.rfind(']')).map(|(from, to)| text[from + 1..to].to_owned());
    said.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&stderr)))
}

/// The small Chinese model that comes with the crate.
pub fn demo() -> Server {
    let directory = path("examples/data/albert-chinese-demo");
    let names = ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"];
    Server::new(names.map(|name| (name, fs::read(directory.join(name)).unwrap())))
}

#[test]
fn everything_is_loaded_by_name() {
    let (server, home) = (demo(), Home::new());
    let (url, here) = (server.url(), home.0.path());
    let variables =
        [("HF_ENDPOINT", url.as_str()), ("HF_HOME", here.to_str().unwrap()), ("HF_TOKEN", TOKEN)];
    assert!(run(NAME, &variables, here).starts_with("loaded "));
    assert!(home.model(&format!("snapshots/{COMMIT}/model.safetensors")).is_file());
    assert!(server.seen().iter().any(|seen| seen.header("authorization").is_some()));
    let offline = [("HF_HUB_OFFLINE", "1"), ("HF_HOME", here.to_str().unwrap())];
    assert!(run(NAME, &offline, here).starts_with("loaded "));
    assert!(run("owner/other", &offline, here).contains("HF_HUB_OFFLINE"));
    let revision = [variables[0], variables[1], ("TEST_REVISION", "refs/pr/1")];
    assert!(run(NAME, &revision, here).starts_with("loaded "));
    assert!(home.model(&format!("snapshots/{OTHER_COMMIT}/model.safetensors")).is_file());
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[test]
fn a_directory_of_that_name_wins() {
    let (server, home) = (demo(), Home::new());
    let here = home.0.path();
    fs::create_dir(here.join("owner")).unwrap();
    let copy = here.join(NAME);
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(path("examples/data/albert-chinese-demo")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    assert!(run(NAME, &[("HF_ENDPOINT", &server.url())], here).starts_with("loaded "));
    assert!(server.seen().is_empty());
}

#[test]
fn the_cache_and_who_is_asking_have_their_usual_places() {
    let (server, home) = (fixture(), Home::new());
    let (url, here) = (server.url(), home.0.path());
    let at = |path: &str| here.join(path).join("models--owner--fixture").exists();
    // Each ends with an error: the fixture's files are none of a model.
    run(NAME, &[("HF_ENDPOINT", &url)], here);
    assert!(at(".cache/huggingface/hub"));
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
    fs::write(here.join(".cache/huggingface/token"), "from_file\n").unwrap();
    run(NAME, &[("HF_ENDPOINT", &url)], here);
    assert!(
        server.seen().iter().any(|seen| seen.header("authorization") == Some("Bearer from_file"))
    );
    run(NAME, &[("HF_ENDPOINT", &url), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")], here);
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
    run(
        NAME,
        &[
            ("HF_ENDPOINT", &format!("{url}/")),
            ("XDG_CACHE_HOME", here.join("xdg").to_str().unwrap()),
        ],
        here,
    );
    assert!(at("xdg/huggingface/hub"));
    run(NAME, &[("HF_ENDPOINT", &url), ("HF_HOME", "~/home")], here);
    assert!(at("home/hub"));
    run(NAME, &[("HF_ENDPOINT", &url), ("HF_HOME", "~/home"), ("HF_HUB_CACHE", "~/cache")], here);
    assert!(at("cache"));
    let own = here.to_str().unwrap();
    for (variables, place) in [
        (&[("HF_HOME", "$HOME/of-home")][..], "of-home/hub"),
        (&[("HF_HOME", "${OWN}/braces"), ("OWN", own)], "braces/hub"),
        (&[("HF_HUB_CACHE", "~/$OWN/cache"), ("OWN", "own")], "own/cache"),
        (&[("HUGGINGFACE_HUB_CACHE", "$HOME/old")], "old"),
        (&[("XDG_CACHE_HOME", "$HOME/of-xdg")], "of-xdg/huggingface/hub"),
        (&[("HF_HOME", "$NOBODY/x")], "$NOBODY/x/hub"),
    ] {
        run(NAME, &[&[("HF_ENDPOINT", url.as_str())], variables].concat(), here);
        assert!(at(place), "{place}");
    }
    assert!(!here.join("$HOME").exists());
    server.seen();
    fs::write(here.join("mine"), "of_variable").unwrap();
    run(
        NAME,
        &[("HF_ENDPOINT", &url), ("HF_HOME", "~/new"), ("HF_TOKEN_PATH", "$HOME/mine")],
        here,
    );
    let seen = server.seen();
    assert!(seen.iter().any(|seen| seen.header("authorization") == Some("Bearer of_variable")));
    let certificates =
        [("HF_ENDPOINT", url.as_str()), ("SSL_CERT_FILE", "$OWN.pem"), ("OWN", "/nowhere")];
    assert!(run(NAME, &certificates, here).contains("nowhere.pem"));
    assert!(run(NAME, &[("HF_ENDPOINT", "nonsense")], here).contains("HF_ENDPOINT"));
    assert!(run(NAME, &[("HF_ENDPOINT", &url), ("HF_TOKEN", "a b")], here).contains("HF_TOKEN"));
}
