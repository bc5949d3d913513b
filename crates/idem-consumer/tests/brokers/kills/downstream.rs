//! An API downstream that honours idempotency keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// It reads lines of a key and a job. A new key has an effect, a known one has none.
pub(crate) struct Downstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The keys that each job came with: as many effects.
    keys: BTreeMap<usize, BTreeSet<String>>,
    asked: usize,
}

impl Downstream {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        Self { address, shared }
    }

    /// Resolves once so many jobs have had an effect.
    pub(crate) async fn all_of(&self, jobs: usize) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state().keys.len() >= jobs {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn missing(&self, jobs: usize) -> Vec<usize> {
        let state = self.state();
        (0..jobs)
            .filter(|job| !state.keys.contains_key(job))
            .collect()
    }

    pub(crate) fn effects(&self) -> BTreeMap<usize, usize> {
        let state = self.state();
        let effects = state.keys.iter().map(|(job, keys)| (*job, keys.len()));
        effects.collect()
    }

    pub(crate) fn asked(&self) -> usize {
        self.state().asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) {
        let (read, mut write) = stream.split();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let (key, job) = line.split_once(' ').unwrap();
            {
                let mut state = self.state.lock().unwrap();
                state.asked += 1;
                let keys = state.keys.entry(job.parse().unwrap()).or_default();
                keys.insert(key.to_owned());
            }
            self.changed.notify_waiters();
            if write.write_all(b"done\n").await.is_err() {
                return;
            }
        }
    }
}

/// Asks for an effect, and returns once it is there.
pub(crate) async fn ask(address: &str, key: &str, job: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("{key} {job}\n").as_bytes())
        .await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    match answer.as_str() {
        "done\n" => Ok(()),
        _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}
