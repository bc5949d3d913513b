//! A suite whose server is missing is skipped aloud at home, and fails in CI. Both stand in the
//! report.
//!
//! Runs itself again, because the environment decides.

use std::{
    path::Path,
    process::{Command, Output},
};

use idem_conformance::{Harness, Missing, Report};

fn main() {
    if std::env::args().any(|arg| arg == "--as-test") {
        run_as_test();
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for reports");

    let at_home = folder.path().join("home.tsv");
    let skipped = run_again("false", &at_home);
    assert!(skipped.status.success(), "{skipped:?}");
    let said = String::from_utf8_lossy(&skipped.stderr).into_owned();
    assert!(
        said.contains("s1_a_case: skipped, because no server is installed"),
        "{said}"
    );
    expect_row(&at_home, "–");

    let in_ci = folder.path().join("ci.tsv");
    let failed = run_again("true", &in_ci);
    assert!(!failed.status.success(), "{failed:?}");
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        said.contains("may not be skipped in CI: no server is installed"),
        "{said}"
    );
    expect_row(&in_ci, "✗ 1 of 1");
}

/// What the tests that `suite!` makes do.
fn run_as_test() {
    async fn harness() -> Result<Box<dyn Harness>, Missing> {
        idem_conformance::started(Err::<NoHarness, _>("no server is installed"))
    }
    idem_conformance::run_test("my_crate::create", "s1_a_case", harness(), |harness| {
        Box::pin(idem_conformance::cases::create::s1_a_create_on_an_absent_key_is_new(harness))
    });
}

struct NoHarness;

#[idem_conformance::async_trait]
impl Harness for NoHarness {
    fn name(&self) -> String {
        unreachable!("its server is missing")
    }

    async fn store(&self) -> std::sync::Arc<dyn idem_core::Store> {
        unreachable!("its server is missing")
    }
}

fn run_again(ci: &str, report: &Path) -> Output {
    Command::new(std::env::current_exe().expect("this program has a path"))
        .arg("--as-test")
        .env("CI", ci)
        .env("IDEM_CONFORMANCE_REPORT", report)
        .output()
        .expect("this program runs")
}

fn expect_row(report: &Path, cell: &str) {
    let report = Report::read(report).expect("a report was written");
    let row = format!("| my_crate::create | {cell} |");
    assert!(report.to_string().contains(&row), "{report}");
}
