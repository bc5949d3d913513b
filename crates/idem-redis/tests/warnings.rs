//! What an operator is told at the start.
//!
//! One test in a process of its own: a log line's first use asks whether anybody listens, and one on
//! another thread could ask just before the subscriber is there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io,
    sync::{Arc, Mutex},
};

use idem_redis::RedisStore;
use idem_testbed::{Redis, skip_or_fail};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Lines written since the last call.
    fn lines(&self) -> Vec<String> {
        let text = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(text).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// S6: whether the server evicts cannot be found out by a user that may not ask; so people are told.
#[tokio::test]
async fn s6_a_server_that_does_not_tell_its_policy_is_warned_of() {
    let rules = "app on >secret ~idem:* +@all -@dangerous";
    let Some(server) = skip_or_fail(Redis::builder().user(rules).start().await) else {
        return;
    };
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(log.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    RedisStore::connect(&server.url_as("app", "secret"))
        .await
        .unwrap();
    let told = log.lines();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["WARN", "maxmemory-policy", "noeviction", "the only one"] {
        assert!(told[0].contains(part), "no «{part}» in {told:?}");
    }

    RedisStore::connect(&server.url()).await.unwrap();
    assert_eq!(
        log.lines(),
        Vec::<String>::new(),
        "who may ask is told nothing"
    );
}
