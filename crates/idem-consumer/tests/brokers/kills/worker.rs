//! A process that works messages off until it is killed.

use std::{
    env,
    future::pending,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use async_nats::jetstream;
use idem_consumer::{Backoff, Consumer, KeyFrom, Message, Source, nats, rabbitmq};
use idem_core::{Context, Failure, Idempotency, Policy, Scope};
use idem_sqlite::SqliteStore;
use tokio::time::sleep;

use super::{
    super::KEY,
    broker::{Broker, DEAD, JOBS, pull},
    downstream::ask,
};

const BROKER: &str = "IDEM_KILLS_BROKER";
const URL: &str = "IDEM_KILLS_URL";
const STORE: &str = "IDEM_KILLS_STORE";
const DOWNSTREAM: &str = "IDEM_KILLS_DOWNSTREAM";

/// Dropping it kills the process.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn start(broker: &impl Broker, folder: &Path, downstream: SocketAddr) -> Self {
        let worker = "kills::worker::works_until_it_is_killed";
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", worker, "--nocapture"])
            .env(BROKER, broker.name())
            .env(URL, broker.url())
            .env(STORE, folder.join("records.db"))
            .env(DOWNSTREAM, downstream.to_string())
            // Its end is the worker's: none outlives a test that is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_until_it_is_killed() {
    let Ok(broker) = env::var(BROKER) else {
        return;
    };
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let url = env::var(URL).unwrap();
    match broker.as_str() {
        "nats" => work(jetstream_source(&url).await).await,
        _ => work(rabbitmq::Queue::new(url, JOBS).prefetch(24)).await,
    }
}

async fn work(source: impl Source) {
    let store = SqliteStore::connect(&format!("sqlite:{}", env::var(STORE).unwrap())).await;
    let policy = Policy::default()
        .lease(Duration::from_secs(3))
        .max_attempts(100.try_into().unwrap());
    let idem = Idempotency::builder(store.unwrap()).policy(policy).build();
    let scope = Scope::new("jobs").unwrap();
    let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
    let consumer = Consumer::builder(idem.unwrap(), scope, KeyFrom::header(KEY))
        .concurrency(8)
        .backoff(backoff)
        .build()
        .unwrap();
    consumer.run(source, handle, pending()).await.unwrap();
}

/// It may be killed before the effect, after it, and before the record.
async fn handle(context: Context, message: Message) -> Result<(), Failure<String>> {
    pause().await;
    let job = str::from_utf8(message.body()).unwrap();
    let key = context.derive_key("effect");
    let asked = ask(&env::var(DOWNSTREAM).unwrap(), key.as_str(), job).await;
    asked.map_err(|error| Failure::Retryable(error.to_string()))?;
    pause().await;
    Ok(())
}

async fn pause() {
    sleep(Duration::from_millis(rand::random_range(0..30))).await;
}

/// The server may be down at any moment.
async fn jetstream_source(url: &str) -> nats::JetStream {
    loop {
        let Ok(client) = async_nats::connect(url).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let jetstream = jetstream::new(client);
        if let Ok(consumer) = pull(&jetstream).await {
            return nats::JetStream::new(jetstream, consumer, DEAD).unwrap();
        }
    }
}
