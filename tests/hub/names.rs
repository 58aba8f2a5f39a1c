//! What is a name, and what is a path.

use std::fs;

use ndalbert::hub::{self, Files};
use ndalbert::{Albert, AlbertConfig, LoadOptions, PreTrainedModel};

use crate::common::refused;
use crate::server::NAME;
use crate::{Home, fixture};

/// None of these reaches the network: the default endpoint would not answer here, and the errors would say so.
#[test]
fn paths_are_not_names() {
    for path in
        ["/nowhere/model", "./owner/model", "../model", "a/b/c", "owner/model/", "a b", "数据"]
    {
        refused(hub::resolve(path), &["No such file"]);
        refused(AlbertConfig::from_pretrained(path), &["config.json", "No such file"]);
    }
    refused(AlbertConfig::from_pretrained(""), &["empty path"]);
    refused(AlbertConfig::from_pretrained("owner/model@../x"), &["No such file"]);
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
