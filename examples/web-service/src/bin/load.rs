//! Load on a service, and what it does under it. `--help` says more.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use serde_json::json;
use tokio::time::{sleep, timeout};

use web_service::client::Client;

const HELP: &str = "\
Asks a running web-service from many connections at once, each as soon as it
has its last answer, and prints throughput and latency.

Every question is asked once alone before; under load, answers must be the
same bytes.

Usage: load [--address ADDRESS] [--path PATH] [--connections N] ...

  --address ADDRESS  [default: 127.0.0.1:8080]
  --remote           allow an address that is not this machine's own
  --path PATH        /choose, /fill-mask or /embed [default: /choose]
  --connections N    at once, at most 4096 [default: 32]
  --requests N       in all, at most 1000000 [default: 10000]
  --seconds S        at most, at most 600 [default: 10]
  --slow N           connections besides that send a byte a second
                     [default: 0]
  --help
";

/// Sentences of different lengths, to be cut and put together.
const SENTENCES: [&str; 8] = [
    "算法组的成员们精通各种AI算法.",
    "他们主要负责AI算法的研究和落地.",
    "成都动物园里的大熊猫人人都想摸一下.",
    "我没吃上吉士果.",
    "你吃饭了吗?",
    "北京是中国的首都, 人口超过两千万, 是全国的政治, 文化和国际交往的中心.",
    "模型先在大量没有标注的文本上预训练, 然后在少量有标注的文本上微调.",
    "下雨了.",
];

/// Different questions to ask in turn.
const QUESTIONS: usize = 56;

#[derive(Clone)]
struct Options {
    address: SocketAddr,
    remote: bool,
    path: String,
    connections: usize,
    requests: usize,
    time: Duration,
    slow: usize,
}

fn main() -> ExitCode {
    let result = match parse(lexopt::Parser::from_env()) {
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Some(options)) => run(options),
        Err(error) => Err(format!("{error} (--help lists the options)").into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A body, and the answer that it got when nothing else was asked.
struct Question {
    body: String,
    answer: Vec<u8>,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    /// Of answers with status 200, seconds.
    latencies: Vec<f64>,
    /// Of all answers.
    statuses: BTreeMap<u16, usize>,
    wrong: usize,
    broken: usize,
    /// Of `/healthz` meanwhile, seconds.
    health: Vec<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn run(options: Options) -> Result<bool, Box<dyn Error>> {
    if !(options.remote || options.address.ip().is_loopback()) {
        return Err("this would put load on another machine: say --remote if it is yours".into());
    }
    let questions = Arc::new(alone(&options).await?);
    for _ in 0..options.slow {
        tokio::spawn(slow(options.clone()));
    }

    let left = Arc::new(AtomicUsize::new(options.requests));
    let begun = Instant::now();
    let end = begun + options.time;
    let ask =
        |first| asking(options.clone(), first, Arc::clone(&questions), Arc::clone(&left), end);
    let tasks: Vec<_> = (0..options.connections).map(|first| tokio::spawn(ask(first))).collect();
    let health = tokio::spawn(healthy(options.address, Arc::clone(&left), end));
    let mut all = Seen::default();
    for task in tasks {
        all.add(task.await?);
    }
    let elapsed = begun.elapsed();
    all.health = health.await?;
    Ok(report(&options, all, elapsed))
}

/// Asks every question once, one after the other.
async fn alone(options: &Options) -> Result<Vec<Question>, Box<dyn Error>> {
    let mut client = Client::connect(options.address)
        .await
        .map_err(|error| format!("{}: {error} (is the service running?)", options.address))?;
    let mut questions = Vec::new();
    for i in 0..QUESTIONS {
        let body = body(&options.path, i);
        let reply = client.post(&options.path, &body).await?;
        if reply.status != 200 {
            let said = String::from_utf8_lossy(&reply.body).into_owned();
            return Err(format!("{body} was answered with {}: {said}", reply.status).into());
        }
        questions.push(Question { body, answer: reply.body });
    }
    Ok(questions)
}

/// The question of a number. Their lengths are mixed: one to three sentences.
fn body(path: &str, i: usize) -> String {
    let sentence = |i: usize| SENTENCES[i % SENTENCES.len()];
    let text: String = (0..=i % 3).map(|j| sentence(i + j)).collect();
    let body = match path {
        "/choose" => {
            let choices: Vec<_> = (0..2 + i % 3).map(|j| sentence(i + j + 1)).collect();
            json!({ "prompt": sentence(i / 7), "choices": choices })
        }
        "/fill-mask" => json!({ "text": text.replacen('的', "[MASK]", 1) + "今天是星期[MASK]." }),
        _ => json!({ "text": text }),
    };
    body.to_string()
}

/// One connection's part: question after question, until there are no more or the time is over.
async fn asking(
    options: Options,
    first: usize,
    questions: Arc<Vec<Question>>,
    left: Arc<AtomicUsize>,
    end: Instant,
) -> Seen {
    let mut seen = Seen::default();
    let mut client = None;
    let mut next = first;
    let one_less = |left: usize| left.checked_sub(1);
    while Instant::now() < end
        && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    {
        let question = &questions[next % questions.len()];
        next += 1;
        if seen.ask(&mut client, &options, question).await.is_err() {
            seen.broken += 1;
            client = None;
            sleep(Duration::from_millis(10)).await;
        }
    }
    seen
}

impl Seen {
    async fn ask(
        &mut self,
        client: &mut Option<Client>,
        options: &Options,
        question: &Question,
    ) -> std::io::Result<()> {
        let begun = Instant::now();
        let client = match client {
            Some(client) => client,
            None => client.insert(Client::connect(options.address).await?),
        };
        let reply = timeout(Duration::from_secs(30), client.post(&options.path, &question.body));
        let reply = reply.await??;
        *self.statuses.entry(reply.status).or_default() += 1;
        if reply.status == 200 {
            self.latencies.push(begun.elapsed().as_secs_f64());
            self.wrong += usize::from(reply.body != question.answer);
        } else {
            // What `Retry-After` says would make this a measurement of waiting.
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.wrong += other.wrong;
        self.broken += other.broken;
    }
}

/// A client whose line is bad: its body never comes to an end.
async fn slow(options: Options) {
    while let Ok(mut client) = Client::connect(options.address).await {
        let head = client.head(&options.path, "application/json", 1000);
        let mut sent = client.send(head.as_bytes()).await;
        while sent.is_ok() {
            sleep(Duration::from_secs(1)).await;
            sent = client.send(b" ").await;
        }
    }
}

/// Looks twenty times a second whether the service still says that it is well, and how long it
/// takes to say so, in seconds.
async fn healthy(address: SocketAddr, left: Arc<AtomicUsize>, end: Instant) -> Vec<f64> {
    let mut latencies = Vec::new();
    let Ok(mut client) = Client::connect(address).await else { return latencies };
    while Instant::now() < end && left.load(Ordering::Relaxed) > 0 {
        let begun = Instant::now();
        if !matches!(client.get("/healthz").await, Ok(reply) if reply.status == 200) {
            break;
        }
        latencies.push(begun.elapsed().as_secs_f64());
        sleep(Duration::from_millis(50)).await;
    }
    latencies
}

/// In milliseconds, the least value that so many percent of all are not above.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        count => 1e3 * sorted[(percent * count).div_ceil(100).max(1) - 1],
    }
}

/// Prints what was seen, and says whether all of it was as it should be.
fn report(options: &Options, mut seen: Seen, elapsed: Duration) -> bool {
    seen.latencies.sort_by(f64::total_cmp);
    seen.health.sort_by(f64::total_cmp);
    let answered = seen.latencies.len();
    println!(
        "{} from {} connections{}: {answered} answered in {:.2} s, {:.0} a second",
        options.path,
        options.connections,
        if options.slow > 0 { format!(" and {} slow ones", options.slow) } else { String::new() },
        elapsed.as_secs_f64(),
        answered as f64 / elapsed.as_secs_f64(),
    );
    println!(
        "latency ms: p50 {:.2}, p90 {:.2}, p99 {:.2}, greatest {:.2}",
        percentile(&seen.latencies, 50),
        percentile(&seen.latencies, 90),
        percentile(&seen.latencies, 99),
        percentile(&seen.latencies, 100),
    );
    println!(
        "/healthz meanwhile ms: p50 {:.2}, p99 {:.2}",
        percentile(&seen.health, 50),
        percentile(&seen.health, 99),
    );
    for (status, count) in seen.statuses.iter().filter(|(status, _)| **status != 200) {
        println!("status {status}: {count}");
    }
    let Seen { wrong, broken, .. } = seen;
    println!("answers that differ from those alone: {wrong}; broken connections: {broken}");
    answered > 0 && wrong == 0 && broken == 0 && !seen.health.is_empty()
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        address: SocketAddr::from(([127, 0, 0, 1], 8080)),
        remote: false,
        path: "/choose".into(),
        connections: 32,
        requests: 10_000,
        time: Duration::from_secs(10),
        slow: 0,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("address") => options.address = arguments.value()?.parse()?,
            Long("remote") => options.remote = true,
            Long("path") => options.path = arguments.value()?.parse_with(path)?,
            Long("connections") => options.connections = number(&mut arguments, 1, 4096)?,
            Long("requests") => options.requests = number(&mut arguments, 1, 1_000_000)?,
            Long("seconds") => {
                options.time = Duration::from_secs(number(&mut arguments, 1, 600)? as u64);
            }
            Long("slow") => options.slow = number(&mut arguments, 0, 1024)?,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn path(text: &str) -> Result<String, &'static str> {
    match text {
        "/choose" | "/fill-mask" | "/embed" => Ok(text.to_owned()),
        _ => Err("expected /choose, /fill-mask or /embed"),
    }
}

fn number(
    arguments: &mut lexopt::Parser,
    least: usize,
    greatest: usize,
) -> Result<usize, lexopt::Error> {
    arguments.value()?.parse_with(|text| match text.parse() {
        Ok(number) if (least..=greatest).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {least} to {greatest}")),
    })
}
