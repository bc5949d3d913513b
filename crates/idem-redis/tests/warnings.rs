//! What an operator is told at the start.
//!
//! One test in a process of its own: a log line's first use asks whether anybody listens, and one on
//! another thread could ask just before the subscriber is there.

use std::{fs, sync::Arc};

use idem_redis::{RedisConfig, RedisStore};
use idem_testbed::{Redis, skip_or_fail};
use tempfile::NamedTempFile;

/// S6: whether the server evicts cannot be found out by a user that may not ask. S8: applications that
/// name no prefix share one. So people are told of both.
#[tokio::test]
async fn s6_s8_what_the_store_cannot_know_is_told_at_the_start() {
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
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .with_writer(Arc::new(log.reopen().unwrap()))
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let url = server.url_as("app", "secret");
    RedisStore::connect(&url).await.unwrap();
    let told = lines();
    let parts = [
        ["WARN", "maxmemory-policy", "noeviction"],
        ["INFO", "default prefix", "`?prefix=`"],
    ];
    assert_eq!(told.len(), parts.len(), "{told:?}");
    for (line, parts) in told.iter().zip(parts) {
        for part in parts {
            assert!(line.contains(part), "no «{part}» in {told:?}");
        }
    }

    let url = server.url();
    let config = RedisConfig::default().prefix("shop:");
    RedisStore::connect_with(&url, config).await.unwrap();
    RedisStore::connect(&format!("{url}?prefix=shop:"))
        .await
        .unwrap();
    assert_eq!(
        lines(),
        told,
        "who may ask and has a prefix is told nothing"
    );
}
