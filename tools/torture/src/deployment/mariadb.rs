//! One MariaDB server whose commits wait for its disk.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use idem_core::store::StoreError;
use idem_mysql::{MySqlConfig, MySqlStore};
use idem_testbed::{Durability, FaultyProxy, MariaDb, Server, TestbedError};

use super::{
    Deployment, Opened, Plan, network,
    single::{Own, Single},
};
use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

pub(super) struct Alone;

#[async_trait]
impl Plan for Alone {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    async fn start(&self, disk: Option<&SmallDisk>) -> Result<Box<dyn Deployment>, TestbedError> {
        let mut builder = MariaDb::builder()
            .durability(Durability::Flushed)
            .setting("innodb-log-file-size", "16M");
        if let Some(disk) = disk {
            builder = builder.folder_in(disk.path());
        }
        let server = builder.start().await?;
        server.sql("CREATE DATABASE idem")?;
        Single::before(server, disk)
    }

    async fn open(&self, url: &str) -> Result<Opened, StoreError> {
        let config = MySqlConfig::default().sweep_every(Some(Duration::from_secs(1)));
        let store = MySqlStore::connect_with(url, config).await?;
        store.migrate().await?;
        Ok(Opened {
            store: Arc::new(store),
            watch: None,
        })
    }

    fn fills_disk(&self) -> bool {
        true
    }
}

#[async_trait]
impl Own for MariaDb {
    fn server(&self) -> &Server {
        self
    }

    fn url(&self) -> String {
        self.url_of("idem")
    }

    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::SessionsEnded,
            Kind::RowsLocked,
            Kind::LargeEndingsFail,
        ]
    }

    async fn strike(&self, strike: &Strike, proxies: &[FaultyProxy]) -> Result<()> {
        match strike.kind {
            Kind::SessionsEnded => end_sessions(self),
            Kind::LargeEndingsFail => {
                network::stop_large_ones(strike, proxies).await;
                Ok(())
            }
            _ => lock_rows(self, strike).await,
        }
    }
}

fn end_sessions(mariadb: &MariaDb) -> Result<()> {
    let sessions = mariadb.sql(
        "SELECT id FROM information_schema.processlist \
         WHERE id <> CONNECTION_ID() AND user = 'root'",
    )?;
    for id in sessions.lines() {
        // One that has ended by itself meanwhile is not there.
        let _ = mariadb.sql(&format!("KILL CONNECTION {id}"));
    }
    Ok(())
}

/// Holds half of the rows in a transaction of its own.
async fn lock_rows(mariadb: &MariaDb, strike: &Strike) -> Result<()> {
    let sql = format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN; \
         SELECT `key` FROM idem.idem_records WHERE CRC32(`key`) % 2 = {} FOR UPDATE; \
         DO SLEEP({}); ROLLBACK",
        strike.which % 2,
        strike.lasts.as_secs_f64()
    );
    let mariadb = mariadb.clone();
    let locked = tokio::task::spawn_blocking(move || mariadb.sql(&sql)).await;
    locked.context("locking rows panicked")??;
    Ok(())
}
