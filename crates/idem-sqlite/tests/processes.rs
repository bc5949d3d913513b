//! Ten processes on one file, of which any is killed (SIGKILL) at any time: no key runs twice, and no
//! answer that was given is lost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use idem_core::{Fingerprint, Idempotency, IdempotencyKey, RecordKey, Scope};
use idem_sqlite::{SqliteConfig, SqliteStore, Transactional};

const FILE: &str = "IDEM_SQLITE_FILE";
const PROCESSES: usize = 10;
const KEYS: usize = 300;
const KILLS: usize = 40;

fn key(n: usize) -> RecordKey {
    let key = IdempotencyKey::new(format!("key-{n}")).unwrap();
    Scope::new("processes").unwrap().key(&key)
}

async fn connect(file: &Path) -> Transactional {
    let url = format!("sqlite:{}", file.display());
    let config = SqliteConfig::default().busy_timeout(Duration::from_secs(60));
    let store = SqliteStore::connect_with(&url, config).await.unwrap();
    let idem = Idempotency::new(store.clone());
    store.transactional(&idem)
}

/// One row for a key, together with its answer. Whether it was there before.
async fn pay(transactional: &Transactional, n: usize) -> bool {
    let request = Fingerprint::of("processes", b"request");
    let key = key(n);
    let paid = transactional.once_in_tx(&key, &request, async |tx| {
        let insert = sqlx::query("INSERT INTO payments VALUES (?)");
        let n = i64::try_from(n).unwrap();
        insert.bind(n).execute(tx).await.map(|_| "paid".to_owned())
    });
    paid.await.unwrap().replayed
}

/// The body of a process; does nothing in the one that runs the tests.
#[tokio::test]
async fn pays_until_it_is_killed() {
    let Ok(file) = env::var(FILE) else {
        return;
    };
    let transactional = connect(Path::new(&file)).await;
    loop {
        for n in 0..KEYS {
            pay(&transactional, n).await;
            tokio::task::yield_now().await;
        }
    }
}

fn start(file: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "pays_until_it_is_killed"])
        .env(FILE, file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[tokio::test]
async fn g7_ten_processes_of_which_any_is_killed_run_each_key_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let transactional = connect(&file).await;
    let table = sqlx::query("CREATE TABLE payments (n INTEGER NOT NULL)");
    table.execute(transactional.pool()).await.unwrap();
    let mut processes = Processes((0..PROCESSES).map(|_| start(&file)).collect());
    let mut paid = Vec::new();
    for n in 0..KILLS {
        // This process takes part: what it was answered must stay.
        pay(&transactional, KEYS + n).await;
        paid.push(KEYS + n);
        let victim = &mut processes.0[n % PROCESSES];
        victim.kill().unwrap();
        victim.wait().unwrap();
        *victim = start(&file);
    }
    drop(processes);
    for n in paid {
        assert!(pay(&transactional, n).await, "it was answered before");
    }
    for n in 0..KEYS {
        pay(&transactional, n).await;
    }
    let counts: (i64, i64) = sqlx::query_as("SELECT count(*), count(DISTINCT n) FROM payments")
        .fetch_one(transactional.pool())
        .await
        .unwrap();
    let all = i64::try_from(KEYS + KILLS).unwrap();
    assert_eq!(counts, (all, all), "each key has one row");
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(transactional.pool())
        .await
        .unwrap();
    assert_eq!(sound, "ok");
}
