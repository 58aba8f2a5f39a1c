//! What the service answers, to clients of all kinds.

mod common;

use std::time::{Duration, Instant};

use common::{Service, gated};
use ndalbert::pipelines::{FillMask, MultipleChoice, Pipeline};
use ndalbert::shipped_checkpoint;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use web_service::client::Client;
use web_service::models::{Models, Settings};
use web_service::reply::BODY;
use web_service::{routes, server};

const PROMPT: &str = "算法组的成员们精通各种AI算法.";
const RIGHT: &str = "他们主要负责AI算法的研究和落地.";
const CHOICES: [&str; 4] =
    ["成都动物园里的大熊猫人人都想摸一下.", RIGHT, "我没吃上吉士果.", "你吃饭了吗?"];

/// Requests of every kind and many lengths.
fn requests() -> Vec<(&'static str, String)> {
    let text =
        |i: usize| CHOICES.iter().cycle().skip(i).take(1 + i % 5).copied().collect::<String>();
    (0..20)
        .flat_map(|i| {
            let choices: Vec<_> = (0..1 + i % 6).map(|j| text(i + j)).collect();
            [
                ("/choose", json!({ "prompt": text(i / 3), "choices": choices })),
                ("/fill-mask", json!({ "text": text(i) + "今天是星期[MASK][MASK]." })),
                ("/embed", json!({ "text": text(i) })),
            ]
        })
        .map(|(path, body)| (path, body.to_string()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_in_a_batch_are_those_alone() {
    let service = Service::shipped().await;
    let mut client = service.client().await;
    let mut alone = Vec::new();
    for (path, body) in requests() {
        alone.push(client.post(path, &body).await.unwrap());
    }
    assert!(alone.iter().all(|reply| reply.status == 200));

    let address = service.address;
    let ask = |(path, body): (&'static str, String)| async move {
        let mut client = Client::connect(address).await.unwrap();
        client.post(path, &body).await.unwrap()
    };
    for _ in 0..3 {
        let all: Vec<_> =
            requests().into_iter().map(|request| tokio::spawn(ask(request))).collect();
        for (task, alone) in all.into_iter().zip(&alone) {
            assert_eq!(task.await.unwrap().body, alone.body);
        }
    }
}

#[tokio::test]
async fn answers_are_the_pipelines() {
    let service = Service::shipped().await;
    let mut client = service.client().await;

    let body = json!({ "prompt": PROMPT, "choices": CHOICES });
    let reply = client.post("/choose", &body.to_string()).await.unwrap().json().unwrap();
    let choose = MultipleChoice::from_pretrained(
        shipped_checkpoint("albert-chinese-next-sentence").unwrap(),
    )
    .unwrap();
    let ranked = choose.run((PROMPT, CHOICES)).unwrap();
    assert_eq!(reply[0]["choice"], RIGHT);
    for (found, expected) in reply.as_array().unwrap().iter().zip(ranked.iter()) {
        assert_eq!(found["index"], expected.index);
        assert_eq!(
            (number(&found["score"]), number(&found["logit"])),
            (expected.score, expected.logit)
        );
    }

    let text = "北京是中国的[MASK]都.";
    let reply = client.post("/fill-mask", &json!({ "text": text }).to_string()).await.unwrap();
    let fill =
        FillMask::from_pretrained(shipped_checkpoint("albert-chinese-demo").unwrap()).unwrap();
    let words = fill.run(text).unwrap();
    let reply = reply.json().unwrap();
    assert_eq!(reply[0].as_array().unwrap().len(), words[0].len());
    assert_eq!(reply[0][0]["token_str"], words[0][0].token_str);
    assert_eq!(number(&reply[0][0]["score"]), words[0][0].score);

    let reply = client.post("/embed", r#"{"text": "下雨了."}"#).await.unwrap().json().unwrap();
    assert_eq!(reply["embedding"].as_array().unwrap().len(), 256);
}

fn number(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

#[tokio::test]
async fn mistakes_are_answered_with_what_is_wrong() {
    let service = Service::shipped().await;
    let mut client = service.client().await;
    let long = json!({ "text": "长".repeat(600) }).to_string();
    let many = json!({ "prompt": "a", "choices": vec!["b"; 33] }).to_string();
    for (path, body, status, said) in [
        ("/embed", "", 400, ""),
        ("/embed", "{\"text\": ", 400, "EOF"),
        ("/embed", "{'text': 1}", 400, "key must be a string"),
        ("/embed", "\"text\"", 422, "expected struct Text"),
        ("/embed", "{}", 422, "missing field `text`"),
        ("/embed", r#"{"text": 1}"#, 422, "expected a string"),
        ("/embed", r#"{"texts": "a"}"#, 422, "unknown field `texts`"),
        ("/fill-mask", r#"{"text": "no mask"}"#, 422, "[MASK]"),
        ("/choose", r#"{"prompt": "a"}"#, 422, "missing field `choices`"),
        ("/choose", r#"{"prompt": "a", "choices": []}"#, 422, "choice"),
        ("/choose", &many, 422, "at most 32, found 33"),
        ("/nowhere", "{}", 404, "no such path"),
        ("/healthz", "{}", 405, "no such method"),
    ] {
        let reply = client.post(path, body).await.unwrap();
        let message = reply.json().unwrap()["error"].as_str().unwrap().to_owned();
        assert_eq!(reply.status, status, "{path} {body}: {message}");
        assert!(message.contains(said), "{path} {body}: {message}");
    }
    let reply = client.get("/embed").await.unwrap();
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));

    // Without the header that says JSON.
    let head = client.head("/embed", "text/plain", 2);
    client.send(head.as_bytes()).await.unwrap();
    client.send(b"{}").await.unwrap();
    assert_eq!(client.reply().await.unwrap().status, 415);

    // More than a model reads, but not more than a request may have: it is cut, as pipelines do.
    assert_eq!(service.client().await.post("/embed", &long).await.unwrap().status, 200);

    // Not HTTP at all.
    let mut client = service.client().await;
    client.send(b"what is this?\r\n\r\n").await.unwrap();
    assert_eq!(client.reply().await.unwrap().status, 400);
    assert_eq!(service.client().await.get("/healthz").await.unwrap().status, 200);
}

#[tokio::test]
async fn long_bodies_are_refused() {
    let service = Service::shipped().await;
    for length in [BODY, 300_000, 900_000] {
        let body = json!({ "text": "a".repeat(length) }).to_string();
        let mut client = service.client().await;
        assert_eq!(client.post("/embed", &body).await.unwrap().status, 413, "{length}");
        // The connection is as good as new.
        assert_eq!(client.get("/healthz").await.unwrap().status, 200);
    }
    // In pieces whose number is not known before.
    let mut client = service.client().await;
    let head = client.head("/embed", "application/json", 0);
    let head = head.replace("content-length: 0", "transfer-encoding: chunked");
    client.send(head.as_bytes()).await.unwrap();
    let piece = format!("{:x}\r\n{}\r\n", 1000, " ".repeat(1000));
    client.send(piece.repeat(70).as_bytes()).await.unwrap();
    client.send(b"0\r\n\r\n").await.unwrap();
    assert_eq!(client.reply().await.unwrap().status, 413);
    // A length that is claimed is not waited for.
    let mut client = service.client().await;
    let head = client.head("/embed", "application/json", 1 << 40);
    client.send(head.as_bytes()).await.unwrap();
    assert_eq!(client.reply().await.unwrap().status, 413);
}

#[tokio::test]
async fn a_full_queue_is_said_at_once_and_passes() {
    let (models, gate) = gated(2);
    let service =
        Service::start(models, routes::Limits::default(), server::Limits::default()).await;
    let address = service.address;
    let ask = |text: &'static str| async move {
        let mut client = Client::connect(address).await.unwrap();
        client.post("/embed", &json!({ "text": text }).to_string()).await.unwrap()
    };
    let first = tokio::spawn(ask("a"));
    let gate = gate.wait().await;
    let waiting = ["bb", "ccc"].map(|text| tokio::spawn(ask(text)));
    while healthz(&service).await["waiting"]["embed"] != 2 {
        sleep(Duration::from_millis(5)).await;
    }

    let begun = Instant::now();
    let reply = ask("dddd").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    // Other models are not concerned.
    let body = json!({ "prompt": "a", "choices": ["b"] }).to_string();
    assert_eq!(service.client().await.post("/choose", &body).await.unwrap().status, 200);
    assert!(begun.elapsed() < Duration::from_secs(5));

    drop(gate.go_on);
    assert_eq!(first.await.unwrap().json().unwrap(), json!({ "embedding": [1.0] }));
    for (task, expected) in waiting.into_iter().zip([2.0, 3.0]) {
        assert_eq!(task.await.unwrap().json().unwrap(), json!({ "embedding": [expected] }));
    }
    assert_eq!(ask("dddd").await.status, 200);
    assert_eq!(*gate.computed.lock().unwrap(), ["a", "bb", "ccc", "dddd"]);
}

async fn healthz(service: &Service) -> Value {
    service.client().await.get("/healthz").await.unwrap().json().unwrap()
}

#[tokio::test]
async fn who_waits_too_long_is_told_so_and_not_computed() {
    let (models, gate) = gated(10);
    let limits = routes::Limits { answer: Duration::from_millis(200), ..Default::default() };
    let service = Service::start(models, limits, server::Limits::default()).await;
    let mut client = service.client().await;
    assert_eq!(client.post("/embed", r#"{"text": "a"}"#).await.unwrap().status, 503);
    assert_eq!(client.post("/embed", r#"{"text": "b"}"#).await.unwrap().status, 503);
    drop(gate.go_on);
    assert_eq!(client.post("/embed", r#"{"text": "c"}"#).await.unwrap().status, 200);
    assert_eq!(*gate.computed.lock().unwrap(), ["a", "c"]);
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_not_the_end() {
    let (models, _gate) = gated(10);
    let service =
        Service::start(models, routes::Limits::default(), server::Limits::default()).await;
    let mut client = service.client().await;
    for _ in 0..2 {
        assert_eq!(client.post("/fill-mask", r#"{"text": "a"}"#).await.unwrap().status, 500);
    }
    assert_eq!(client.get("/healthz").await.unwrap().status, 200);
}

#[tokio::test]
async fn slow_clients_keep_nobody_waiting() {
    let (models, _) = Models::load(&Settings::default()).unwrap();
    let forever = Duration::from_secs(3600);
    let limits = server::Limits { head: forever, write: forever, ..Default::default() };
    let service = Service::start(models, routes::Limits::default(), limits).await;
    let mut slow = Vec::new();
    for i in 0..50 {
        let mut client = service.client().await;
        let head = client.head("/embed", "application/json", 20_000);
        // Some stop within the head, some within the body.
        let sent = if i % 2 == 0 { &head[..20] } else { &head };
        client.send(sent.as_bytes()).await.unwrap();
        slow.push(client);
    }
    // Some ask and ask, and never read.
    for _ in 0..10 {
        let mut client = service.client().await;
        let body = r#"{"text": "a"}"#;
        let request = client.head("/embed", "application/json", body.len()) + body;
        let _ =
            timeout(Duration::from_millis(20), client.send(request.repeat(5000).as_bytes())).await;
        slow.push(client);
    }
    let begun = Instant::now();
    let mut client = service.client().await;
    for _ in 0..20 {
        assert_eq!(client.post("/embed", r#"{"text": "b"}"#).await.unwrap().status, 200);
    }
    // Who waited for them would wait for hours.
    assert!(begun.elapsed() < Duration::from_secs(180), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn connections_that_lead_nowhere_are_closed() {
    let (models, gate) = gated(10);
    drop(gate.go_on);
    let limits = server::Limits {
        connections: 3,
        head: Duration::from_millis(300),
        write: Duration::from_millis(300),
        ..Default::default()
    };
    let service = Service::start(models, routes::Limits::default(), limits).await;
    // One says nothing, one does not end its head, one does not read.
    let silent = service.client().await;
    let mut endless = service.client().await;
    endless.send(b"POST /embed HTTP/1.1\r\nhost: a\r\n").await.unwrap();
    let mut deaf = service.client().await;
    let request = deaf.head("/embed", "application/json", 13) + r#"{"text": "a"}"#;
    let _ =
        timeout(Duration::from_millis(200), deaf.send(request.repeat(100_000).as_bytes())).await;
    // They are all that are served at once, so who comes next waits until they are closed.
    let next = async { service.client().await.get("/healthz").await };
    let reply = timeout(Duration::from_secs(10), next).await.unwrap().unwrap();
    assert_eq!(reply.status, 200);
    drop((silent, endless, deaf));
}

#[tokio::test]
async fn stopping_answers_what_has_begun() {
    let (models, gate) = gated(10);
    let service =
        Service::start(models, routes::Limits::default(), server::Limits::default()).await;
    let mut idle = service.client().await;
    assert_eq!(idle.get("/healthz").await.unwrap().status, 200);
    let mut client = service.client().await;
    let first = tokio::spawn(async move { client.post("/embed", r#"{"text": "a"}"#).await });
    let gate = gate.wait().await;

    service.stop.send(()).unwrap();
    while Client::connect(service.address).await.is_ok() {
        sleep(Duration::from_millis(5)).await;
    }
    // Idle connections are closed, and do not count.
    assert!(idle.get("/healthz").await.is_err());
    assert!(!service.ended.is_finished());
    drop(gate.go_on);
    let reply = first.await.unwrap().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert_eq!(service.ended.await.unwrap(), 0);
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let (models, _gate) = gated(10);
    let limits = server::Limits { grace: Duration::from_millis(200), ..Default::default() };
    let service = Service::start(models, routes::Limits::default(), limits).await;
    let mut slow = service.client().await;
    let head = slow.head("/embed", "application/json", 1000);
    slow.send(head.as_bytes()).await.unwrap();
    assert_eq!(healthz(&service).await["status"], "ok");
    service.stop.send(()).unwrap();
    let cut = timeout(Duration::from_secs(5), service.ended).await.unwrap().unwrap();
    assert_eq!(cut, 1);
}
