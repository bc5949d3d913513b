//! SQLite.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use idem_core::store::State;
use idem_sqlite::{SqliteConfig, SqliteStore};
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use super::{finds, is_mended};
use crate::{idem::Idem, planted, sqlite::file};

/// A sound file that nobody has open.
async fn closed() -> (TempDir, PathBuf, Idem, String) {
    let (folder, url, store) = file().await;
    planted::every_state(&store).await;
    drop(store);
    let path = folder.path().join("keys.db");
    readable(&path, 0o600);
    let idem = Idem::at(&*url);
    is_mended(&idem, "", "sqlite-readable-by-all");
    (folder, path, idem, url)
}

fn readable(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

async fn sql(url: &str, text: &'static str) {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    connection.execute(sqlx::raw_sql(text)).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_found_and_mended() {
    let (_folder, path, idem, url) = closed().await;
    idem.run("doctor").expect(0);

    readable(&path, 0o644);
    finds(&idem, "", "sqlite-readable-by-all");
    readable(&path, 0o600);
    is_mended(&idem, "", "sqlite-readable-by-all");

    sql(&url, "PRAGMA journal_mode = DELETE").await;
    finds(&idem, "", "sqlite-journal-mode");
    drop(SqliteStore::connect(&url).await.unwrap());
    is_mended(&idem, "", "sqlite-journal-mode");

    sql(&url, "INSERT INTO idem_migrations (version) VALUES (99)").await;
    finds(&idem, "", "migrations-newer");
    sql(&url, "DELETE FROM idem_migrations WHERE version = 99").await;
    is_mended(&idem, "", "migrations-newer");
}

#[tokio::test]
async fn a_lock_that_is_held_is_found() {
    let (_folder, _, idem, url) = closed().await;
    let mut holder = SqliteConnection::connect(&url).await.unwrap();
    holder.execute("BEGIN IMMEDIATE").await.unwrap();
    finds(&idem, "", "sqlite-locked");
    holder.execute("ROLLBACK").await.unwrap();
    is_mended(&idem, "", "sqlite-locked");
}

#[tokio::test]
async fn records_that_nobody_sweeps_are_found() {
    let (_folder, _, idem, url) = closed().await;
    let config = SqliteConfig::default().sweep_every(None);
    let store = SqliteStore::connect_with(&url, config).await.unwrap();
    for n in 0..1000 {
        let key = format!("shop:{n}");
        planted::put(&store, &key, State::Released, Duration::from_millis(1)).await;
    }
    finds(&idem, "", "sweep-lag");
    idem.run("sweep").expect(0);
    is_mended(&idem, "", "sweep-lag");
}

#[tokio::test]
async fn damage_is_found() {
    let (_folder, path, idem, _) = closed().await;
    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 3 * 4096, "the records are in the file itself");
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let ran = idem.run("doctor --json");
    let found = ran.expect(5).findings().join(" ");
    assert!(found.contains("damaged"), "{ran:?}");
    fs::write(&path, "this is a text, and not a database at all").unwrap();
    finds(&idem, "", "damaged");
}
