//! One SQLite file, which several processes share: there is no server, and no way to it.
//!
//! Workers are killed and stopped in the middle of their transactions as in every deployment. A worker
//! that is stopped while it writes keeps all others from writing.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use idem_core::store::StoreError;
use idem_sqlite::{SqliteConfig, SqliteStore};
use idem_testbed::{FaultyProxy, TestbedError};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{Deployment, Opened, Plan};
use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

/// How long the fault waits for its turn to write, behind a worker that is stopped.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct OneFile;

#[async_trait]
impl Plan for OneFile {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn start(&self, disk: Option<&SmallDisk>) -> Result<Box<dyn Deployment>, TestbedError> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("idem-torture-sqlite-");
        let folder = match disk {
            Some(disk) => builder.tempdir_in(disk.path()),
            None => builder.tempdir(),
        };
        let folder = folder.map_err(|source| TestbedError::Io {
            action: "make a folder for the file".to_owned(),
            source,
        })?;
        Ok(Box::new(File {
            folder,
            disk: disk.cloned(),
        }))
    }

    async fn open(&self, url: &str) -> Result<Opened, StoreError> {
        let config = SqliteConfig::default().sweep_every(Some(Duration::from_secs(1)));
        let store = SqliteStore::connect_with(url, config).await?;
        Ok(Opened {
            store: Arc::new(store),
            watch: None,
        })
    }

    fn fills_disk(&self) -> bool {
        true
    }
}

struct File {
    folder: TempDir,
    disk: Option<SmallDisk>,
}

#[async_trait]
impl Deployment for File {
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = vec![Kind::FileLocked, Kind::FileLockedPastLease];
        kinds.extend(self.disk.as_ref().map(|_| Kind::DiskFull));
        kinds
    }

    fn url(&self, _place: usize) -> String {
        format!("sqlite:{}", self.path().display())
    }

    async fn strike(&mut self, strike: &Strike) -> Result<()> {
        match (strike.kind, &self.disk) {
            (Kind::DiskFull, Some(disk)) => {
                let filled = disk.fill()?;
                sleep(strike.lasts).await;
                drop(filled);
                Ok(())
            }
            _ => lock(&self.path(), strike.lasts).await,
        }
    }

    fn proxies(&self) -> Vec<FaultyProxy> {
        Vec::new()
    }
}

impl File {
    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("idem.db")
    }
}

/// Holds the file's only write lock.
async fn lock(file: &Path, lasts: Duration) -> Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(PATIENCE);
    let mut connection = options.connect().await.context("cannot open the file")?;
    let begun = sqlx::Connection::begin_with(&mut connection, "BEGIN IMMEDIATE").await;
    let locked = begun.context("cannot lock the file")?;
    sleep(lasts).await;
    locked.rollback().await.context("cannot unlock the file")
}
