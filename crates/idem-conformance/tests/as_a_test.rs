//! What the tests that `suite!` makes say when they do not pass: a server that is missing, a store
//! that fails, one that never answers, one that blocks its thread.
//!
//! Runs itself again, because the environment decides, and because a blocked thread stays blocked.

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use idem_conformance::{Harness, Report, async_trait, cases::create};
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};

fn main() {
    let mut args = std::env::args().skip_while(|arg| arg != "--as-test");
    if args.next().is_some() {
        run_as_test(args.next().expect("which store"));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for reports");
    a_missing_server_is_skipped_aloud_at_home_and_fails_in_ci(folder.path());
    a_failure_tells_its_whole_chain_of_sources(folder.path());
    a_store_that_hangs_or_blocks_fails_and_is_told_what_was_waited_for(folder.path());
}

fn a_missing_server_is_skipped_aloud_at_home_and_fails_in_ci(folder: &Path) {
    let at_home = folder.join("home.tsv");
    let skipped = run_again("missing", "false", &at_home);
    assert!(skipped.status.success(), "{skipped:?}");
    let said = said(&skipped);
    assert!(
        said.contains("s1_a_case: skipped, because no server is installed"),
        "{said}"
    );
    expect_row(&at_home, "my_crate::create", "–");

    let in_ci = folder.join("ci.tsv");
    let failed = run_again("missing", "true", &in_ci);
    expect_failure(&failed, "may not be skipped in CI: no server is installed");
    expect_row(&in_ci, "my_crate::create", "✗ 1 of 1");
}

fn a_failure_tells_its_whole_chain_of_sources(folder: &Path) {
    let failed = run_again("failing", "false", &folder.join("failing.tsv"));
    expect_failure(
        &failed,
        "failing: get failed without a reason: \
         the store did not answer, the write may have been applied: no reply: \
         caused by: the connection is gone: caused by: broken pipe (Unknown)",
    );
}

fn a_store_that_hangs_or_blocks_fails_and_is_told_what_was_waited_for(folder: &Path) {
    for store in ["hanging", "blocking"] {
        let failed = run_again(store, "false", &folder.join(store));
        expect_failure(&failed, &format!("{store}: S1: no end within 3s, "));
        expect_failure(&failed, "waiting for 1 × get (up to ");
    }
}

/// What the tests that `suite!` makes do.
fn run_as_test(store: String) {
    let harness = async {
        match store.as_str() {
            "missing" => idem_conformance::started(Err::<Never, _>("no server is installed")),
            _ => idem_conformance::started(Never(store)),
        }
    };
    idem_conformance::run_test("my_crate::create", "s1_a_case", harness, |harness| {
        Box::pin(create::s1_a_create_on_an_absent_key_is_new(harness))
    });
}

/// A store that never gives an answer, by the name of how.
#[derive(Clone)]
struct Never(String);

#[async_trait]
impl Harness for Never {
    fn name(&self) -> String {
        self.0.clone()
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Store for Never {
    async fn create(&self, _: &RecordKey, _: &Record, _: Duration) -> Result<Created, StoreError> {
        unreachable!("the case looks first")
    }

    async fn update(
        &self,
        _: &RecordKey,
        _: Version,
        _: &Record,
        _: Duration,
    ) -> Result<Updated, StoreError> {
        unreachable!("the case does not update")
    }

    async fn delete(&self, _: &RecordKey, _: Version) -> Result<Deleted, StoreError> {
        unreachable!("the case does not delete")
    }

    async fn get(&self, _: &RecordKey) -> Result<Option<Stored>, StoreError> {
        match self.0.as_str() {
            "hanging" => std::future::pending().await,
            "blocking" => loop {
                std::thread::park();
            },
            _ => Err(StoreError::unknown("no reply")
                .with_source(Gone(std::io::Error::other("broken pipe")))),
        }
    }
}

#[derive(Debug)]
struct Gone(std::io::Error);

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is gone")
    }
}

impl std::error::Error for Gone {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn run_again(store: &str, ci: &str, report: &Path) -> Output {
    Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--as-test", store])
        .env("CI", ci)
        .env("IDEM_CONFORMANCE_REPORT", report)
        .env("IDEM_TIME_SCALE", "0.01")
        .output()
        .expect("this program runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn expect_failure(output: &Output, why: &str) {
    assert!(!output.status.success(), "{output:?}");
    let said = said(output);
    assert!(said.contains(why), "{why} is not in:\n{said}");
}

fn expect_row(report: &Path, store: &str, cell: &str) {
    let report = Report::read(report).expect("a report was written");
    let row = format!("| {store} | {cell} |");
    assert!(report.to_string().contains(&row), "{report}");
}
