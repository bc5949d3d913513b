//! The HTTP vectors behind this service's layer, over every store.

use idem_testbed::{MariaDb, Postgres, Redis, skip_or_fail};

use crate::service::Service;

/// All pass but the six that take the store away, which are skipped.
async fn pass_over(store: &str) {
    let service = Service::start(&["--vectors", "--store", store]).await;
    let report = idem_vectors::run(&service.url(""), "").await.unwrap();
    assert!(report.passed(), "{}", report.text());
    let summary = report.summary();
    assert!(summary.ends_with("0 failed, 6 skipped"), "{summary}");
}

#[tokio::test]
async fn memory() {
    pass_over("memory:").await;
}

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payments.db");
    pass_over(&format!("sqlite:{}", file.display())).await;
}

#[tokio::test]
async fn redis() {
    if let Some(redis) = skip_or_fail(Redis::start().await) {
        pass_over(&redis.url()).await;
    }
}

#[tokio::test]
async fn postgres() {
    if let Some(postgres) = skip_or_fail(Postgres::start().await) {
        pass_over(&postgres.url()).await;
    }
}

#[tokio::test]
async fn mariadb() {
    if let Some(mariadb) = skip_or_fail(MariaDb::start().await) {
        mariadb.sql("CREATE DATABASE vectors").unwrap();
        pass_over(&mariadb.url_of("vectors")).await;
    }
}
