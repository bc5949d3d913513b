//! Files that cannot be used, or not wholly: a clear error each, and nothing lost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use idem_conformance::DURATIONS;
use idem_core::{
    Claim, Fingerprint, Idempotency, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Created, Record, State, Store, StoreErrorKind, Version},
};
use idem_sqlite::{SqliteConfig, SqliteStore};
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(3600);

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

fn here() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    (folder, file)
}

fn key() -> RecordKey {
    Scope::global().key(&IdempotencyKey::random())
}

fn record(bytes: usize) -> Record {
    let random = IdempotencyKey::random();
    let token = random.as_str().as_bytes()[..16].try_into().unwrap();
    Record {
        fingerprint: Fingerprint::of("tests", b"request"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes(token),
            revision: 1,
        },
        created_at: Timestamp::from_millis(0),
        state: State::Completed {
            payload: vec![b'x'; bytes].into(),
        },
    }
}

async fn sql(file: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(file);
    let mut connection = options.connect().await.unwrap();
    let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    query.execute(&mut connection).await.unwrap();
}

async fn refused(url: &str) -> StoreErrorKind {
    SqliteStore::connect(url).await.unwrap_err().kind()
}

#[tokio::test]
async fn s9_a_file_of_a_newer_release_is_refused() {
    let (_folder, file) = here();
    let store = SqliteStore::connect(&url(&file)).await.unwrap();
    drop(store);
    sql(&file, "INSERT INTO idem_migrations (version) VALUES (99)").await;
    assert_eq!(refused(&url(&file)).await, StoreErrorKind::Config);
}

/// A store that is open looks once a minute whether a newer release has migrated meanwhile.
#[tokio::test]
async fn s7_an_open_store_claims_nothing_in_a_file_of_a_newer_release() {
    let (_folder, file) = here();
    let older = SqliteStore::connect(&url(&file)).await.unwrap();
    let idem = Idempotency::builder(older.clone()).build().unwrap();
    let print = Fingerprint::of("tests", b"");
    let claimed = idem.claim(&key(), &print).await;
    let Ok(Claim::Acquired(execution)) = claimed else {
        panic!("{claimed:?}");
    };
    execution.complete("ok").await.unwrap();

    sql(&file, "INSERT INTO idem_migrations (version) VALUES (99)").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    let refused = older.get(&key()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Config, "{refused}");
    assert!(refused.to_string().contains("upgrade"), "{refused}");
    let refused = idem.claim(&key(), &print).await.unwrap_err();
    assert!(refused.to_string().contains("upgrade"), "{refused}");
    let transactional = older.transactional(&idem);
    let work = async |_: &mut SqliteConnection| Ok::<_, sqlx::Error>(());
    let refused = transactional.once_in_tx(&key(), &print, work).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("upgrade"), "{refused}");
    let rows = "SELECT count(*) FROM idem_records";
    let rows: i64 = sqlx::query_scalar(rows)
        .fetch_one(older.pool())
        .await
        .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn s9_what_is_no_database_is_refused_and_left_alone() {
    let (_folder, file) = here();
    let content =
        "this is a letter, and long enough to be taken for a page of a database. ".repeat(9);
    fs::write(&file, &content).unwrap();
    assert_eq!(refused(&url(&file)).await, StoreErrorKind::Corrupt);
    assert_eq!(fs::read_to_string(&file).unwrap(), content);
}

#[tokio::test]
async fn s9_a_wrong_path_and_a_database_in_memory_are_refused() {
    let (_folder, file) = here();
    let missing = file.with_file_name("no-such-folder").join("app.db");
    assert_eq!(refused(&url(&missing)).await, StoreErrorKind::Config);
    assert_eq!(refused("sqlite::memory:").await, StoreErrorKind::Config);
    assert_eq!(
        refused("postgres://localhost").await,
        StoreErrorKind::Config
    );
}

#[tokio::test]
async fn s9_a_file_that_is_only_to_be_read_answers_and_refuses_writes() {
    let (_folder, file) = here();
    let store = SqliteStore::connect(&url(&file)).await.unwrap();
    let (key, filed) = (key(), record(10));
    assert_eq!(
        store.create(&key, &filed, LONG).await.unwrap(),
        Created::New
    );
    let reading = SqliteStore::connect(&format!("{}?mode=ro", url(&file))).await;
    let reading = reading.unwrap();
    let found = reading.get(&key).await.unwrap();
    assert_eq!(found.unwrap().record, filed);
    let refused = reading.create(&self::key(), &filed, LONG).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Config);
}

/// Whoever reads a damaged page is told so, and never that there is nothing or something else.
#[tokio::test]
async fn s7_a_damaged_page_is_told_for_its_keys_alone() {
    let (_folder, file) = here();
    let store = SqliteStore::connect(&url(&file)).await.unwrap();
    let filed: Vec<_> = (0..2000).map(|_| (key(), record(300))).collect();
    for part in filed.chunks(250) {
        let creates = part
            .iter()
            .map(|(key, record)| store.create(key, record, LONG));
        for created in futures_util::future::join_all(creates).await {
            assert_eq!(created.unwrap(), Created::New);
        }
    }
    drop(store);
    sql(&file, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let pages = fs::metadata(&file).unwrap().len() / 4096;
    let mut raw = fs::OpenOptions::new().write(true).open(&file).unwrap();
    for page in [pages / 2, pages / 2 + 1, pages - 2] {
        raw.seek(SeekFrom::Start(page * 4096)).unwrap();
        raw.write_all(&[0xa5; 4096]).unwrap();
    }
    drop(raw);

    let config = SqliteConfig::default().sweep_every(None);
    let store = SqliteStore::connect_with(&url(&file), config)
        .await
        .unwrap();
    let (mut whole, mut damaged) = (0, 0);
    for (key, record) in &filed {
        match store.get(key).await {
            Ok(found) => {
                assert_eq!(found.expect("S7: it is not absent").record, *record);
                whole += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
                let claimed = store.create(key, record, LONG).await;
                assert_eq!(claimed.unwrap_err().kind(), StoreErrorKind::Corrupt);
                damaged += 1;
            }
        }
    }
    assert!(
        damaged > 0 && whole > damaged,
        "{whole} whole, {damaged} damaged"
    );
}

/// A small disk of its own, where the system lets us have one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => None,
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn s6_a_full_disk_refuses_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped, because only root may mount a small disk");
        return;
    };
    let file = disk.0.path().join("app.db");
    let store = SqliteStore::connect(&url(&file)).await.unwrap();
    let mut filed = Vec::new();
    let refused = loop {
        let (key, record) = (key(), record(20_000));
        match store.create(&key, &record, LONG).await {
            Ok(created) => assert_eq!(created, Created::New),
            Err(error) => break error,
        }
        filed.push((key, record));
    };
    assert_eq!(refused.kind(), StoreErrorKind::Full, "{refused}");
    assert!(!filed.is_empty());
    for (key, record) in &filed {
        let found = store.get(key).await.unwrap();
        assert_eq!(found.unwrap().record, *record, "S6: it stays");
    }
    drop(store);
}

/// A call may be told that there was no time; none panics.
#[tokio::test]
async fn no_duration_of_a_config_panics() {
    for knob in DURATIONS {
        let (_folder, file) = here();
        let config = SqliteConfig::default()
            .busy_timeout(knob)
            .send_timeout(knob)
            .transaction_limit(knob)
            .sweep_every(Some(knob));
        let opened = SqliteStore::connect_with(&url(&file), config).await;
        let store = match opened {
            Ok(store) => store,
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    StoreErrorKind::Unavailable,
                    "{knob:?}: {error}"
                );
                continue;
            }
        };
        let idem = Idempotency::builder(store.clone()).build().unwrap();
        let claimed = idem.claim(&key(), &Fingerprint::of("tests", b"")).await;
        if let Ok(Claim::Acquired(execution)) = claimed {
            let _ = execution.complete("ok").await;
        }
        let transactional = store.transactional(&idem);
        let print = Fingerprint::of("tests", b"");
        let work = async |_: &mut SqliteConnection| Ok::<_, sqlx::Error>(());
        let _ = transactional.once_in_tx(&key(), &print, work).await;
    }
}
