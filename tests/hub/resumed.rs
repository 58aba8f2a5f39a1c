//! Downloads that are interrupted.

use std::fs;
use std::time::Duration;

use ndalbert::pipelines::Files;

use crate::common::refused;
use crate::server::{Reply, Seen, Server, chunked};
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

/// Answers to a question for the rest of the file that do not say which part they are, or another.
/// All of them lead to the file, in this call and in a later one.
#[test]
fn parts_that_are_not_what_was_asked_for() {
    type Rest = fn(usize) -> Reply;
    let ranged = |reply: Reply, range: &str| reply.header("Content-Range", range);
    let answers: [(&str, Rest); 10] = [
        ("no range", |start| Reply::new(206).body(&weights()[start..])),
        ("no range, no length", |start| chunked(206, &weights()[start..])),
        ("no range, all of it", |_| Reply::new(206).body(weights())),
        ("no range, other bytes", |start| Reply::new(206).body(vec![7; 500_000 - start])),
        ("no range, other bytes, no length", |start| chunked(206, &vec![7; 500_000 - start])),
        ("no range, too many", |start| chunked(206, &[&weights()[start..], &[7]].concat())),
        ("all of it, no length", |_| chunked(200, &weights())),
        ("the rest as all of it", |start| Reply::new(200).body(&weights()[start..])),
        ("the rest as all of it, no length", |start| chunked(200, &weights()[start..])),
        ("refused", |_| Reply::new(416)),
    ];
    let ranges = ["bytes", "bytes 0-499999/500000", "bytes 7-9/500000", "x", "bytes 1-2/7", ""];
    for (what, rest) in answers {
        goes_on_all_the_same(what, rest);
    }
    for range in ranges {
        goes_on_all_the_same(range, move |start| {
            ranged(Reply::new(206).body(&weights()[start..]), range)
        });
    }
    // The length of the whole need not be known.
    goes_on_all_the_same("*", move |start| {
        ranged(Reply::new(206).body(&weights()[start..]), &format!("bytes {start}-499999/*"))
    });
}

fn goes_on_all_the_same(what: &str, rest: impl Fn(usize) -> Reply + Copy + Send + 'static) {
    let meddle = move |first: bool| {
        let mut is_first = first;
        move |seen: &Seen, reply: Reply| match seen.header("range") {
            Some(range) => rest(range.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()),
            None if seen.elsewhere && std::mem::take(&mut is_first) => reply.cut(150_000),
            None => reply,
        }
    };
    let (server, home) = (fixture(), Home::new());
    server.meddle(meddle(true));
    let directory =
        home.get(&server, Files::Model).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(fs::read(directory.join("model.safetensors")).unwrap() == weights(), "{what}");
    let home = Home::new();
    fs::create_dir_all(home.model("blobs")).unwrap();
    fs::write(home.incomplete(), &weights()[..1000]).unwrap();
    server.meddle(meddle(false));
    let directory =
        home.get(&server, Files::Model).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(fs::read(directory.join("model.safetensors")).unwrap() == weights(), "{what}");
}

/// Without a checksum, what may be any part of the file is not taken.
#[test]
fn parts_of_small_files_must_say_which_they_are() {
    let (server, home) = (fixture(), Home::new());
    let mut count = 0;
    server.meddle(move |seen, reply| {
        count += usize::from(seen.method == "GET" && seen.path.ends_with("config.json"));
        match seen.header("range") {
            Some(_) => Reply::new(206).body(b"nonsense nonsense".as_slice()),
            None if count == 1 => reply.cut(7),
            None => reply,
        }
    });
    let directory = home.get(&server, Files::Config).unwrap();
    assert_eq!(fs::read(directory.join("config.json")).unwrap(), CONFIG);
}

/// The length that only the last answer has, or none at all.
#[test]
fn sizes_that_only_the_file_has() {
    let answers: [fn(&Seen, Reply) -> Reply; 4] = [
        |_, reply| reply.without("X-Linked-Size"),
        |_, reply| match reply.status {
            302 => reply.without("X-Linked-Size").body(b"Moved".as_slice()),
            _ => reply,
        },
        |seen, reply| match seen.elsewhere {
            true => chunked(200, &weights()),
            false => reply.without("X-Linked-Size"),
        },
        // Of the small files, too: a length of nothing, as some servers answer a HEAD.
        |seen, reply| match seen.method.as_str() {
            "HEAD" => reply.without("X-Linked-Size").header("Content-Length", 0),
            _ => reply,
        },
    ];
    for answer in answers {
        let (server, home) = (fixture(), Home::new());
        server.meddle(answer);
        let directory = home.get(&server, Files::Model).unwrap();
        assert!(fs::read(directory.join("model.safetensors")).unwrap() == weights());
        assert_eq!(fs::read(directory.join("config.json")).unwrap(), CONFIG);
        // And when it was interrupted.
        let home = Home::new();
        fs::create_dir_all(home.model("blobs")).unwrap();
        fs::write(home.incomplete(), &weights()[..1000]).unwrap();
        let directory = home.get(&server, Files::Model).unwrap();
        assert!(fs::read(directory.join("model.safetensors")).unwrap() == weights());
    }
}

/// Small files in chunks, and one whose end nothing marks: it may be cut off, so it is not taken.
#[test]
fn small_files_without_a_length() {
    let (server, home) = (fixture(), Home::new());
    let small = |seen: &Seen| seen.path.ends_with("config.json");
    server.meddle(move |seen, reply| match small(seen) && !reply.body.is_empty() {
        true => {
            let etag = reply.headers.iter().find(|(name, _)| name == "ETag").unwrap().1.clone();
            chunked(200, CONFIG).header("ETag", etag)
        }
        false => reply,
    });
    let directory = home.get(&server, Files::Config).unwrap();
    assert_eq!(fs::read(directory.join("config.json")).unwrap(), CONFIG);
    let home = Home::new();
    server.meddle(move |seen, mut reply| {
        if small(seen) && !reply.body.is_empty() {
            reply = reply.without("Content-Length");
            reply.has_length = false;
        }
        reply
    });
    refused(home.get(&server, Files::Config), &["neither a length nor a checksum"]);
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
