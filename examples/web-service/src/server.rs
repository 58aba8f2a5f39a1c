//! Connections: accepted, limited, and brought to an end.
//!
//! `axum::serve` would be one line. This is longer, because no client may hold a connection forever: not by sending a header byte by byte, nor by
//! never reading an answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more are accepted when others have ended.
    pub connections: usize,
    /// For a request's head to arrive, which is also for how long a connection may be idle.
    pub head: Duration,
    /// For a client to read some of what is being written to it.
    pub write: Duration,
    /// From the signal to stop until connections are cut.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head: Duration::from_secs(30),
            write: Duration::from_secs(30),
            grace: Duration::from_secs(20),
        }
    }
}

/// Serves until `stop`; then accepts nothing new, and completes the requests that have begun.
///
/// Returns how many connections are left because they did not end within the time of grace. They end with the runtime.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> usize {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    tokio::select! {
        () = accept(&listener, &router, &limits, &graceful, &places) => {}
        () = stop => {}
    }
    // Who connects from here on is refused at once, instead of waiting for somebody who will never come.
    drop(listener);
    let ended = timeout(limits.grace, graceful.shutdown()).await;
    ended.map_or_else(|_| limits.connections - places.available_permits(), |()| 0)
}

async fn accept(
    listener: &TcpListener,
    router: &Router,
    limits: &Limits,
    graceful: &GracefulShutdown,
    places: &Arc<Semaphore>,
) {
    while let Ok(place) = Arc::clone(places).acquire_owned().await {
        let stream = next(listener).await;
        let connection = graceful.watch(connection(stream, router.clone(), limits));
        tokio::spawn(async move {
            // Errors are the client's: it has gone, was too slow, or does not speak HTTP (which it was told).
            let _ = connection.await;
            drop(place);
        });
    }
}

/// The next client.
async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_one_client(&error) => {}
            // Most likely no more file descriptors: some will be free again.
            Err(error) => {
                eprintln!("accepting connections: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

type Io = TokioIo<std::pin::Pin<Box<TimeoutStream<TcpStream>>>>;

fn connection(
    stream: TcpStream,
    router: Router,
    limits: &Limits,
) -> http1::Connection<Io, TowerToHyperService<Router>> {
    // Answers are written at once: there is nothing to gather.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router))
}
