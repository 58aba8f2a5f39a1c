//! Downloads that are interrupted.

use std::fs;
use std::time::Duration;

use ndalbert::hub::Files;

use crate::common::refused;
use crate::server::{Reply, Seen, Server};
use crate::{CONFIG, Home, TIMEOUT, fixture, weights};

/// The ranges that were asked for of the weights.
fn ranges(server: &Server) -> Vec<Option<String>> {
    let seen = server.seen().into_iter().filter(|seen| seen.elsewhere);
    seen.map(|seen| seen.header("range").map(str::to_owned)).collect()
}

#[test]
fn goes_on_where_the_connection_was_lost() {
    let (server, home) = (fixture(), Home::new());
    server.meddle(|seen, reply| if seen.elsewhere { reply.cut(150_000) } else { reply });
    let directory = home.get(&server, Files::Model).unwrap();
    assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), weights());
    let starts = [None, Some(150_000), Some(300_000), Some(450_000)];
    let expected = starts.map(|start| start.map(|start| format!("bytes={start}-")));
    assert_eq!(ranges(&server), expected);
}

#[test]
fn goes_on_where_an_earlier_call_gave_up() {
    let (server, home) = (fixture(), Home::new());
    let mut parts = 0;
    server.meddle(move |seen, reply| {
        parts += usize::from(seen.elsewhere);
        if seen.elsewhere { reply.cut(if parts == 1 { 100_000 } else { 0 }) } else { reply }
    });
    refused(home.get(&server, Files::Model), &["cannot be reached", "100000 of 500000", "is kept"]);
    assert_eq!(fs::metadata(home.incomplete()).unwrap().len(), 100_000);
    server.behave();
    server.seen();
    home.get(&server, Files::Model).unwrap();
    assert_eq!(ranges(&server), [Some("bytes=100000-".to_owned())]);
    assert!(!home.incomplete().exists());
}

#[test]
fn begins_again_where_the_server_knows_no_ranges() {
    let (server, home) = (fixture(), Home::new());
    let mut first = true;
    server.meddle(move |seen, reply| match seen.elsewhere {
        true if std::mem::take(&mut first) => reply.cut(200_000),
        true => Reply::new(200).body(weights()),
        false => reply,
    });
    let directory = home.get(&server, Files::Model).unwrap();
    assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn small_files_are_tried_again_too() {
    let (server, home) = (fixture(), Home::new());
    let mut count = 0;
    server.meddle(move |_, reply| {
        count += usize::from(!reply.body.is_empty());
        // The first body is the list of files, the second that of the HEAD.
        if count == 3 { reply.cut(7) } else { reply }
    });
    let directory = home.get(&server, Files::Config).unwrap();
    assert_eq!(fs::read(directory.join("config.json")).unwrap(), CONFIG);
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let (server, home) = (fixture(), Home::new());
    let mut lines = Vec::new();
    server.meddle(move |seen, reply| {
        lines.push(seen.line());
        let times = lines.iter().filter(|line| **line == seen.line()).count();
        // The list of files is asked for once: without it, there may be a cache to use.
        if !seen.path.starts_with("/api/models/") && times < 3 { Reply::new(503) } else { reply }
    });
    home.get(&server, Files::Config).unwrap();
}

/// Whatever is in the place of what was interrupted, the checksum of what comes out is right.
#[test]
fn what_an_earlier_call_left_is_checked() {
    let server = fixture();
    let longer = [weights(), vec![1]].concat();
    for left in
        [vec![0; 1000], weights()[..1000].to_vec(), vec![0; weights().len()], weights(), longer]
    {
        let home = Home::new();
        fs::create_dir_all(home.model("blobs")).unwrap();
        fs::write(home.incomplete(), &left).unwrap();
        let directory = home.get(&server, Files::Model).unwrap();
        assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), weights());
    }
}

/// A small file has no checksum: what is there of it may be another server's.
#[test]
fn what_cannot_be_checked_is_begun_again() {
    let (server, home) = (fixture(), Home::new());
    fs::create_dir_all(home.model("blobs")).unwrap();
    let etag = &crate::server::sha256(CONFIG)[..40];
    fs::write(home.model(&format!("blobs/{etag}.incomplete")), b"nonsense").unwrap();
    let directory = home.get(&server, Files::Config).unwrap();
    assert_eq!(fs::read(directory.join("config.json")).unwrap(), CONFIG);
}

#[test]
fn a_range_that_is_refused_is_begun_again() {
    let (server, home) = (fixture(), Home::new());
    fs::create_dir_all(home.model("blobs")).unwrap();
    fs::write(home.incomplete(), &weights()[..1000]).unwrap();
    server.meddle(|seen: &Seen, reply| match seen.header("range") {
        Some(_) => Reply::new(416),
        None => reply,
    });
    let directory = home.get(&server, Files::Model).unwrap();
    assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn a_connection_that_has_gone_silent_is_given_up() {
    let (server, home) = (fixture(), Home::new());
    let mut first = true;
    server.meddle(move |seen, mut reply| {
        if seen.elsewhere && std::mem::take(&mut first) {
            reply = reply.cut(100_000);
            reply.stall = TIMEOUT * 4;
        }
        reply
    });
    let start = std::time::Instant::now();
    home.get(&server, Files::Model).unwrap();
    assert!(start.elapsed() < TIMEOUT * 4);
    assert_eq!(ranges(&server), [None, Some("bytes=100000-".to_owned())]);
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (server, home) = (fixture(), Home::new());
    server.garble(|_| Vec::new());
    server.meddle(|_, mut reply| {
        reply.stall = Duration::from_secs(20);
        reply
    });
    refused(home.get(&server, Files::Config), &["cannot be reached"]);
}
