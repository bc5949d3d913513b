//! The HTTP vectors behind this service's layer; over the databases in their own modules, which have the
//! servers.

use idem_testbed::{Redis, skip_or_fail};

use crate::service::Service;

/// All pass but the six that take the store away, which are skipped.
pub(crate) async fn pass_on(service: &Service) {
    let report = idem_vectors::run(&service.url(""), "").await.unwrap();
    assert!(report.passed(), "{}", report.text());
    let summary = report.summary();
    assert!(summary.ends_with("0 failed, 6 skipped"), "{summary}");
}

async fn pass_over(store: &str) {
    pass_on(&Service::start(&["--vectors", "--store", store]).await).await;
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
