//! A process that is killed half-way, and the ones that come after it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use idem_testbed::Program;

const BINARY: &str = env!("CARGO_BIN_EXE_custom-store");

/// Runs to the end of the line that begins with `until`.
async fn run(args: &[&str], until: &'static str) -> (Program, String) {
    let ready = move |log: &str| {
        log.lines()
            .find(|line| line.starts_with(until))
            .filter(|_| log.ends_with('\n'))
            .map(str::to_owned)
    };
    Program::start(BINARY, args.to_vec(), ready).await.unwrap()
}

/// G1, G2, S4: killed between claim and ending, the key is taken over once the lease has run out,
/// by the clock that outlived the process; after that everybody sees the one ticket.
#[tokio::test]
async fn g1_a_job_killed_half_way_runs_again_and_is_then_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.redb");
    let file = file.to_str().unwrap();

    let (killed, line) = run(&[file, "bob", "--lease", "1s", "--takes", "1h"], "drawing").await;
    assert_eq!(line, "drawing, attempt 1");
    killed.kill();

    let (second, drawn) = run(&[file, "bob", "--lease", "1s"], "ticket").await;
    assert!(second.log().contains("drawing, attempt 2"));
    assert!(drawn.ends_with(", drawn now"), "{drawn}");
    drop(second);

    let (third, replayed) = run(&[file, "bob"], "ticket").await;
    assert!(!third.log().contains("drawing"), "{}", third.log());
    assert_eq!(replayed, drawn.replace("drawn now", "drawn before"));
}

/// Config (rule S9): a second process is told why it may not open the file.
#[tokio::test]
async fn s9_a_file_in_use_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.redb");
    let file = file.to_str().unwrap();
    let (_first, _) = run(&[file, "bob", "--takes", "1h"], "drawing").await;

    let second = Command::new(BINARY).args([file, "alice"]).output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another process has the file open"), "{said}");
}
