//! The program itself, and how it ends.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use web_service::client::Client;

/// The program, which is killed if a test ends without having stopped it.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = program()
            .args(["--listen", "127.0.0.1:0", "--timeout", "120"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { child, address }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(status.success());
    }

    fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    async fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.has_ended() {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not end");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_web-service"))
}

/// Asks until the service is gone. Returns how many answers there were, and whether a request was
/// left without one.
async fn ask_until_the_end(address: SocketAddr) -> (usize, bool) {
    let mut answers = 0;
    let mut client = Client::connect(address).await.unwrap();
    let body = r#"{"prompt": "下雨了.", "choices": ["我带了一把伞.", "我没吃上吉士果."]}"#;
    loop {
        let Ok(reply) = client.post("/choose", body).await else { return (answers, true) };
        assert_eq!(reply.status, 200);
        answers += 1;
        if reply.header("connection") == Some("close") {
            return (answers, false);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_answers_and_ends() {
    for name in ["TERM", "INT"] {
        let mut process = Process::start(&[]);
        let clients: Vec<_> =
            (0..40).map(|_| tokio::spawn(ask_until_the_end(process.address))).collect();
        sleep(Duration::from_millis(500)).await;
        process.signal(name);
        let mut unanswered = 0;
        for client in clients {
            let (answers, without) = client.await.unwrap();
            assert!(answers > 0);
            unanswered += usize::from(without);
        }
        // A request that crosses the closing of its connection is lost, as HTTP has it. Those that
        // were accepted, which is nearly all at any time, are not.
        assert!(unanswered <= 10, "{unanswered} of 40");
        assert!(process.end().await.success());
    }
}

#[tokio::test]
async fn a_slow_client_does_not_keep_it_from_ending() {
    let mut process = Process::start(&["--grace", "0.3"]);
    let mut slow = Client::connect(process.address).await.unwrap();
    let head = slow.head("/embed", "application/json", 1000);
    slow.send(head.as_bytes()).await.unwrap();
    let mut other = Client::connect(process.address).await.unwrap();
    assert_eq!(other.get("/healthz").await.unwrap().status, 200);
    process.signal("TERM");
    assert_eq!(process.end().await.code(), Some(1));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut process = Process::start(&["--grace", "600"]);
    let mut slow = Client::connect(process.address).await.unwrap();
    let head = slow.head("/embed", "application/json", 1000);
    slow.send(head.as_bytes()).await.unwrap();
    let mut other = Client::connect(process.address).await.unwrap();
    assert_eq!(other.get("/healthz").await.unwrap().status, 200);
    process.signal("TERM");
    while Client::connect(process.address).await.is_ok() {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(process.has_ended().is_none());
    process.signal("TERM");
    assert_eq!(process.end().await.code(), Some(130));
}

#[test]
fn what_cannot_start_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, said) in [
        (["--listen", &taken], taken.as_str()),
        (["--model", "no-such-directory"], "no-such-directory"),
        (["--precision", "f8"], "expected f32, bf16 or int8"),
        (["--queue", "0"], "expected a number from 1"),
        (["--grace", "-1"], "expected seconds"),
    ] {
        let Output { status, stderr, .. } = program().args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(last.starts_with("error: ") && last.contains(said), "{stderr}");
    }
}
