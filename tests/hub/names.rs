//! What is a name, and what is a path.

use std::fs;

use ndalbert::hub::Hub;
use ndalbert::pipelines::{self, Files};
use ndalbert::{Albert, AlbertConfig, LoadOptions, PreTrainedModel};

use crate::common::refused;
use crate::server::NAME;
use crate::{Home, TIMEOUT, fixture};

/// None of these reaches the network: the default endpoint would not answer here, and the errors would say so.
#[test]
fn paths_are_not_names() {
    for path in
        ["/nowhere/model", "./owner/model", "../model", "a/b/c", "owner/model/", "a b", "数据"]
    {
        refused(pipelines::resolve(path), &["No such file"]);
        refused(AlbertConfig::from_pretrained(path), &["config.json", "No such file"]);
    }
    refused(AlbertConfig::from_pretrained(""), &["empty path"]);
    refused(AlbertConfig::from_pretrained("owner/model@../x"), &["No such file"]);
}

/// Whoever mistypes a directory wants to hear that, whether or not the Hub is there.
#[test]
fn a_directory_that_is_not_there_is_told_of_first() {
    let (server, home) = (fixture(), Home::new());
    let said = |hub: Hub| {
        let error = hub.resolve("out/chekpoint-8", Files::All).unwrap_err().to_string();
        let start = "out/chekpoint-8@main: there is no directory \"out/chekpoint-8\" here";
        assert!(error.starts_with(start), "{error}");
        error
    };
    assert!(said(home.hub(&server)).contains("401"));
    assert!(said(home.hub(&server).token("hf_other").unwrap()).contains("404"));
    assert!(said(home.hub(&server).offline(true)).contains("HF_HUB_OFFLINE"));
    let nowhere = Hub::new(home.cache()).endpoint("http://127.0.0.1:1").unwrap().timeout(TIMEOUT);
    assert!(said(nowhere).contains("cannot be reached"));
    // What is a model has no need of it.
    let error = home.hub(&server).resolve(format!("{NAME}@v9"), Files::All).unwrap_err();
    assert!(!error.to_string().contains("no directory"), "{error}");
}

#[test]
fn what_exists_wins() {
    let (server, home) = (fixture(), Home::new());
    let hub = home.hub(&server);
    let here = home.0.path().join("model");
    fs::create_dir(&here).unwrap();
    assert_eq!(hub.resolve(&here, Files::All).unwrap(), here);
    // Relative to where tests run, the root of the repository.
    assert_eq!(hub.resolve("examples/data", Files::All).unwrap().to_str(), Some("examples/data"));
    assert_eq!(hub.resolve("src", Files::All).unwrap().to_str(), Some("src"));
    assert!(server.seen().is_empty());
}

#[test]
fn one_revision_is_enough() {
    let options = LoadOptions::new().revision("main");
    refused(
        Albert::from_pretrained_with(format!("{NAME}@main"), &options),
        &["revision", "main and main"],
    );
    let options = LoadOptions::new().revision("../main");
    refused(Albert::from_pretrained_with(NAME, &options), &["revision", "../main"]);
    // A directory has no revisions.
    Albert::from_pretrained_with("examples/data/albert-chinese-demo", &options).unwrap();
}
