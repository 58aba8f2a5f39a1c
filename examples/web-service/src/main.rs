//! Answers over HTTP. `--help` says what.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use ndalbert::Precision;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use web_service::models::{Models, Settings};
use web_service::{routes, server};

const HELP: &str = "\
Answers questions over HTTP with ALBERT models.

  POST /choose     {\"prompt\": \"...\", \"choices\": [\"...\", ...]}
  POST /fill-mask  {\"text\": \"... [MASK] ...\"}
  POST /embed      {\"text\": \"...\"}
  GET  /healthz

Usage: web-service [--listen ADDRESS] [--choose DIR] [--model DIR] ...

  --listen ADDRESS     [default: 127.0.0.1:8080]
  --choose DIR         a checkpoint for /choose
                       [default: a small Chinese one that comes with the crate]
  --model DIR          a checkpoint for /fill-mask and /embed
                       [default: another one]
  --exit POLICY        has questions to /choose leave the model early, if it has
                       exits: patience=2, confidence=0.8, ...
  --precision P        f32, bf16 or int8 [default: f32]
  --queue N            requests that may wait, for each model; more are
                       answered with 503 [default: 256]
  --tokens N           of a batch [default: 2048]
  --timeout SECONDS    for an answer, then 503 [default: 10]
  --connections N      at once [default: 1024]
  --grace SECONDS      for requests to end after SIGTERM or Ctrl-C; a second
                       signal ends at once [default: 20]
  --help
";

struct Options {
    listen: SocketAddr,
    models: Settings,
    requests: routes::Limits,
    connections: server::Limits,
}

fn main() -> ExitCode {
    match parse(lexopt::Parser::from_env()) {
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Some(options)) => match run(options) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("error: {error} (--help lists the options)");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let begun = Instant::now();
    let (models, threads) = Models::load(&options.models)?;
    eprintln!("models loaded in {:.2} s", begun.elapsed().as_secs_f64());

    // One thread is enough for connections: all that it does is to pass things on. The others
    // compute.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let cut = runtime.block_on(serve(models, &options))?;

    // Connections that are left are cut here, and with them go the last ends of the queues.
    runtime.shutdown_timeout(Duration::from_secs(1));
    for thread in threads {
        let _ = thread.join();
    }
    if cut > 0 {
        eprintln!("ended; {cut} connections were still open");
        return Ok(ExitCode::FAILURE);
    }
    eprintln!("ended");
    Ok(ExitCode::SUCCESS)
}

async fn serve(models: Models, options: &Options) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let failed = |error| format!("{}: {error}", options.listen);
    let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
    // Before anybody can read the address and stop us.
    let mut signals = Signals::new()?;
    println!("listening on http://{}", listener.local_addr()?);

    let router = routes::router(models, options.requests);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        eprintln!("ending: no new connections");
        let _ = stop.send(());
        signals.next().await;
        std::process::exit(130);
    });
    let stopped = async { stopped.await.unwrap_or(()) };
    Ok(server::serve(listener, router, options.connections, stopped).await)
}

/// Ctrl-C, and what service managers and containers send.
#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
        models: Settings::default(),
        requests: routes::Limits::default(),
        connections: server::Limits::default(),
    };
    let Options { listen, models, requests, connections } = &mut options;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => *listen = arguments.value()?.parse()?,
            Long("choose") => models.choose = Some(arguments.value()?.into()),
            Long("model") => models.model = Some(arguments.value()?.into()),
            Long("exit") => models.exit = Some(arguments.value()?.string()?),
            Long("precision") => models.precision = arguments.value()?.parse_with(precision)?,
            Long("queue") => models.limits.queue = at_least_one(&mut arguments)?,
            Long("tokens") => models.limits.tokens = at_least_one(&mut arguments)?,
            Long("timeout") => requests.answer = seconds(&mut arguments)?,
            Long("connections") => connections.connections = at_least_one(&mut arguments)?,
            Long("grace") => connections.grace = seconds(&mut arguments)?,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn precision(text: &str) -> Result<Precision, &'static str> {
    match text {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        "int8" => Ok(Precision::Int8),
        _ => Err("expected f32, bf16 or int8"),
    }
}

fn at_least_one(arguments: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    arguments.value()?.parse_with(|text| match text.parse() {
        // As many as a queue can hold.
        Ok(count) if (1..=1 << 20).contains(&count) => Ok(count),
        _ => Err("expected a number from 1 to 1048576"),
    })
}

fn seconds(arguments: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    arguments.value()?.parse_with(|text| match text.parse() {
        Ok(seconds) if (0.0..=86400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected seconds, at most 86400"),
    })
}
