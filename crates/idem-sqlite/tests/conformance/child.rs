//! A process that writes to the file until it is killed.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use idem_core::{
    Fingerprint, IdempotencyKey, Scope, Timestamp,
    store::{ClaimToken, Record, State, Store, Version},
};
use idem_sqlite::SqliteStore;

const FILE: &str = "IDEM_SQLITE_CHILD_FILE";

/// Starts a process that has the file open and writes to it, and returns when it does.
pub(crate) fn start(file: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::writes_until_it_is_killed", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _writes = lines
        .map_while(Result::ok)
        .find(|line| line.contains("writing"))
        .unwrap();
    child
}

#[tokio::test]
async fn writes_until_it_is_killed() {
    let Ok(file) = std::env::var(FILE) else {
        return;
    };
    let store = SqliteStore::connect(&format!("sqlite:{file}"))
        .await
        .unwrap();
    let scope = Scope::new("child").unwrap();
    for n in 0_u32.. {
        let record = Record {
            fingerprint: Fingerprint::of("tests", b"child"),
            attempt: 1,
            version: Version {
                token: ClaimToken::from_bytes([7; 16]),
                revision: n.into(),
            },
            created_at: Timestamp::from_millis(0),
            state: State::Retryable { checkpoint: None },
        };
        let key = scope.key(&IdempotencyKey::random());
        // Whoever else writes may keep it waiting.
        let written = store.create(&key, &record, Duration::from_secs(1)).await;
        if n == 0 && written.is_ok() {
            println!("writing");
        }
    }
}
