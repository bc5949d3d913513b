//! What a store refuses when it connects, and from when on it refuses tables of a newer release.

use std::time::Duration;

use idem_core::{
    Claim, Fingerprint, Idempotency, IdempotencyKey, Scope,
    store::{Store, StoreErrorKind},
};
use idem_mysql::MySqlStore;
use idem_testbed::{MariaDb, skip_or_fail};
use sqlx::MySqlConnection;

#[tokio::test]
async fn s4_a_clock_that_stands_still_is_refused() {
    let server = MariaDb::builder().setting("sysdate-is-now", "ON").start();
    let Some(server) = skip_or_fail(server.await) else {
        return;
    };
    let refused = MySqlStore::connect(&server.url_of("mysql")).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("sysdate_is_now"), "{error}");
}

#[tokio::test]
async fn s9_what_is_not_there_is_named() {
    let Some(server) = skip_or_fail(MariaDb::start().await) else {
        return;
    };
    let refused = MySqlStore::connect(&server.url_of("nowhere")).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config, "{error}");
    assert!(error.to_string().contains("database"), "{error}");
    let url = server.url_of("mysql");
    server.kill();
    let error = MySqlStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

/// A store that is open looks once a minute whether a newer release has migrated meanwhile.
#[tokio::test]
async fn s7_an_open_store_claims_nothing_in_tables_of_a_newer_release() {
    let Some(server) = skip_or_fail(MariaDb::start().await) else {
        return;
    };
    server.sql("CREATE DATABASE idem").unwrap();
    let older = MySqlStore::connect(&server.url_of("idem")).await.unwrap();
    older.migrate().await.unwrap();
    let idem = Idempotency::builder(older.clone()).build().unwrap();
    let print = Fingerprint::of("tests", b"");
    let key = || Scope::global().key(&IdempotencyKey::random());
    let claimed = idem.claim(&key(), &print).await;
    let Ok(Claim::Acquired(execution)) = claimed else {
        panic!("{claimed:?}");
    };
    execution.complete("ok").await.unwrap();

    server
        .sql("INSERT INTO idem.idem_migrations (version) VALUES (1000)")
        .unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    let refused = older.get(&key()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Config, "{refused}");
    assert!(refused.to_string().contains("upgrade"), "{refused}");
    let refused = idem.claim(&key(), &print).await.unwrap_err();
    assert!(refused.to_string().contains("upgrade"), "{refused}");
    let transactional = older.transactional(&idem);
    let work = async |_: &mut MySqlConnection| Ok::<_, sqlx::Error>(());
    let refused = transactional.once_in_tx(&key(), &print, work).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("upgrade"), "{refused}");
    let rows = server
        .sql("SELECT count(*) FROM idem.idem_records")
        .unwrap();
    assert_eq!(rows.trim(), "1");
}
