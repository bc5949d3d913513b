//! One Postgres server whose commits wait for its disk.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use idem_core::store::StoreError;
use idem_postgres::PostgresStore;
use idem_testbed::{Durability, FaultyProxy, Postgres, PostgresBuilder, Server, TestbedError};
use tokio::time::sleep;

use super::{
    Deployment, Opened, Plan,
    single::{Own, Single},
};
use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
    key::LARGE,
};

pub(super) struct Alone;

#[async_trait]
impl Plan for Alone {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn start(&self, disk: Option<&SmallDisk>) -> Result<Box<dyn Deployment>, TestbedError> {
        let mut builder = builder().setting("wal_keep_size", "0");
        if let Some(disk) = disk {
            builder = builder.folder_in(disk.path());
        }
        Single::before(builder.start().await?, disk)
    }

    async fn open(&self, url: &str) -> Result<Opened, StoreError> {
        open(url).await
    }

    fn fills_disk(&self) -> bool {
        true
    }
}

/// What every server here is started with: little on the disk, and commits that wait for it.
pub(super) fn builder() -> PostgresBuilder {
    Postgres::builder()
        .durability(Durability::Flushed)
        .setting("max_wal_size", "64MB")
        .setting("min_wal_size", "32MB")
        .setting("max_connections", "100")
}

pub(super) async fn open(url: &str) -> Result<Opened, StoreError> {
    let store = PostgresStore::connect(url).await?;
    store.migrate().await?;
    Ok(Opened {
        store: Arc::new(store),
        watch: None,
    })
}

#[async_trait]
impl Own for Postgres {
    fn server(&self) -> &Server {
        self
    }

    fn url(&self) -> String {
        Postgres::url(self)
    }

    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::SessionsEnded,
            Kind::RowsLocked,
            Kind::LargeEndingsFail,
        ]
    }

    async fn strike(&self, strike: &Strike, _: &[FaultyProxy]) -> Result<()> {
        match strike.kind {
            Kind::SessionsEnded => end_sessions(self),
            Kind::LargeEndingsFail => time_out_large_ones(self, strike).await,
            _ => lock_rows(self, strike).await,
        }
    }
}

fn end_sessions(postgres: &Postgres) -> Result<()> {
    postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )?;
    Ok(())
}

/// Makes large writes so slow that `statement_timeout` ends them; small ones are as fast as ever.
async fn time_out_large_ones(postgres: &Postgres, strike: &Strike) -> Result<()> {
    postgres.sql(&format!(
        "CREATE OR REPLACE FUNCTION idem.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF octet_length(NEW.payload) >= {LARGE} THEN PERFORM pg_sleep(1); END IF; \
         RETURN NEW; END $$; \
         CREATE OR REPLACE TRIGGER slow BEFORE INSERT OR UPDATE ON idem.records \
         FOR EACH ROW EXECUTE FUNCTION idem.slow()"
    ))?;
    postgres.sql("ALTER SYSTEM SET statement_timeout = '150ms'")?;
    postgres.sql("SELECT pg_reload_conf()")?;
    sleep(strike.lasts).await;
    postgres.sql("ALTER SYSTEM RESET statement_timeout")?;
    postgres.sql("SELECT pg_reload_conf()")?;
    postgres.sql("SET statement_timeout = 0; DROP TRIGGER slow ON idem.records")?;
    Ok(())
}

/// Holds some rows in a transaction of its own.
pub(super) async fn lock_rows(postgres: &Postgres, strike: &Strike) -> Result<()> {
    let sql = format!(
        "SELECT count(*) FROM (SELECT FROM idem.records WHERE hashtext(key) % 2 = {} \
         ORDER BY created_at DESC LIMIT 20 FOR UPDATE) locked; SELECT pg_sleep({})",
        strike.which % 2,
        strike.lasts.as_secs_f64()
    );
    let postgres = postgres.clone();
    let locked = tokio::task::spawn_blocking(move || postgres.sql(&sql)).await;
    locked.context("locking rows panicked")??;
    Ok(())
}
