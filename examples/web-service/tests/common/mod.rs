//! A service in this process, on a port of its own.

#![allow(dead_code)] // Each test binary uses some of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use web_service::batcher::{Batcher, Limits};
use web_service::client::Client;
use web_service::models::{Choice, Embedding, Models, Settings};
use web_service::{routes, server};

/// A running service. It ends when it is told to, or with the test's runtime.
pub struct Service {
    pub address: SocketAddr,
    pub stop: oneshot::Sender<()>,
    /// How many connections had to be cut.
    pub ended: JoinHandle<usize>,
}

impl Service {
    pub async fn start(models: Models, routes: routes::Limits, limits: server::Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { stopped.await.unwrap_or(()) };
        let router = routes::router(models, routes);
        let ended = tokio::spawn(server::serve(listener, router, limits, stopped));
        Self { address, stop, ended }
    }

    /// On the checkpoints that come with the crate.
    pub async fn shipped() -> Self {
        let (models, _) = Models::load(&Settings::default()).unwrap();
        // Machines that run tests have other things to do.
        let limits = routes::Limits { answer: Duration::from_secs(120), ..Default::default() };
        Self::start(models, limits, server::Limits::default()).await
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await.unwrap()
    }
}

/// Models that answer nothing until they are allowed to, batch by batch.
pub fn gated(queue: usize) -> (Models, Gate) {
    let limits = Limits { queue, tokens: 1000 };
    let computed = Arc::new(Mutex::new(Vec::new()));
    let (go_on, wait) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    let seen = Arc::clone(&computed);
    let embed = Batcher::start(
        "embed",
        limits,
        |_| 1,
        move |texts: Vec<_>| {
            let texts: Vec<String> =
                texts.into_iter().map(|text: web_service::models::Text| text.text).collect();
            let _ = begun.send(());
            // Closed: everything may be computed.
            let _ = wait.recv();
            let answers =
                texts.iter().map(|text| Ok(Embedding { embedding: vec![text.len() as f32] }));
            let answers = answers.collect();
            seen.lock().unwrap().extend(texts);
            answers
        },
    );
    let choose = Batcher::start(
        "choose",
        limits,
        |_| 1,
        |questions: Vec<_>| {
            let none = |_| Ok(Vec::<Choice>::new());
            questions.into_iter().map(none).collect()
        },
    );
    let fill_mask = Batcher::start(
        "fill-mask",
        limits,
        |_| 1,
        |texts: Vec<_>| texts.into_iter().map(|_| panic!("a bug")).collect(),
    );
    let models = Models {
        choose: choose.unwrap().0,
        fill_mask: fill_mask.unwrap().0,
        embed: embed.unwrap().0,
    };
    (models, Gate { go_on, begins, computed })
}

/// What holds the `/embed` of [`gated`] models.
pub struct Gate {
    pub go_on: mpsc::Sender<()>,
    pub begins: mpsc::Receiver<()>,
    pub computed: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    /// Waits until a batch is at the gate.
    pub async fn wait(self) -> Self {
        tokio::task::spawn_blocking(|| {
            self.begins.recv_timeout(Duration::from_secs(10)).unwrap();
            self
        })
        .await
        .unwrap()
    }
}
