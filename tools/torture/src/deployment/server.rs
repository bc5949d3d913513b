//! Faults of one server, whichever it is.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use idem_testbed::{Postgres, Redis, TestbedError};
use tokio::time::sleep;

use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

/// What can be done to a server of the testbed.
#[async_trait]
pub(super) trait Server: Sync {
    fn kill(&self);
    fn pause(&self);
    fn resume(&self);
    async fn restart(&self) -> Result<(), TestbedError>;
}

macro_rules! server {
    ($server:ty) => {
        #[async_trait]
        impl Server for $server {
            fn kill(&self) {
                <$server>::kill(self);
            }

            fn pause(&self) {
                <$server>::pause(self);
            }

            fn resume(&self) {
                <$server>::resume(self);
            }

            async fn restart(&self) -> Result<(), TestbedError> {
                <$server>::restart(self).await
            }
        }
    };
}

server!(Postgres);
server!(Redis);

/// Kills or pauses the server; `false` when the fault is another.
pub(super) async fn strike(strike: &Strike, server: &impl Server) -> Result<bool> {
    match strike.kind {
        Kind::ServerKilled => {
            server.kill();
            sleep(strike.lasts).await;
            server.restart().await?;
        }
        Kind::ServerPaused => pause(server, strike.lasts).await,
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) async fn pause(server: &impl Server, lasts: Duration) {
    server.pause();
    sleep(lasts).await;
    server.resume();
}

/// Leaves the server no room on its disk, and starts it again in case that it gave up for want of
/// it.
pub(super) async fn fill_disk(
    strike: &Strike,
    server: &impl Server,
    disk: Option<&SmallDisk>,
) -> Result<()> {
    if let Some(disk) = disk {
        let filled = disk.fill()?;
        sleep(strike.lasts).await;
        drop(filled);
        server.restart().await?;
    }
    Ok(())
}
