//! What an operator is told at the start.
//!
//! One test in a process of its own: a log line's first use asks whether anybody listens, and one on
//! another thread could ask just before the subscriber is there.

use std::{fs, sync::Arc};

use idem_redis::RedisStore;
use idem_testbed::{Redis, skip_or_fail};
use tempfile::NamedTempFile;

/// S6: whether the server evicts cannot be found out by a user that may not ask; so people are told.
#[tokio::test]
async fn s6_a_server_that_does_not_tell_its_policy_is_warned_of() {
    let rules = "app on >secret ~idem:* +@all -@dangerous";
    let Some(server) = skip_or_fail(Redis::builder().user(rules).start().await) else {
        return;
    };
    let log = NamedTempFile::new().unwrap();
    let lines = || -> Vec<String> {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(Arc::new(log.reopen().unwrap()))
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    RedisStore::connect(&server.url_as("app", "secret"))
        .await
        .unwrap();
    let told = lines();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["WARN", "maxmemory-policy", "noeviction"] {
        assert!(told[0].contains(part), "no «{part}» in {told:?}");
    }

    RedisStore::connect(&server.url()).await.unwrap();
    assert_eq!(lines(), told, "who may ask is told nothing");
}
