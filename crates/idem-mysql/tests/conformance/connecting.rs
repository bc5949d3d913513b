//! What a store refuses when it connects.

use idem_core::store::StoreErrorKind;
use idem_mysql::MySqlStore;
use idem_testbed::{MariaDb, skip_or_fail};

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
