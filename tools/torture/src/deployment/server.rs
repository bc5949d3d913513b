//! Faults of one server, whichever it is.

use std::time::Duration;

use anyhow::Result;
use idem_testbed::Server;
use tokio::time::sleep;

use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

/// What can befall any server.
pub(super) const KINDS: [Kind; 3] = [Kind::ServerKilled, Kind::ServerPaused, Kind::Outage];

/// Kills or pauses the server; `false` when the fault is another.
pub(super) async fn strike(strike: &Strike, server: &Server) -> Result<bool> {
    match strike.kind {
        Kind::ServerPaused => pause(server, strike.lasts).await,
        Kind::Outage if strike.which.is_multiple_of(2) => pause(server, strike.lasts).await,
        Kind::ServerKilled | Kind::Outage => {
            server.kill();
            sleep(strike.lasts).await;
            server.restart().await?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) async fn pause(server: &Server, lasts: Duration) {
    server.pause();
    sleep(lasts).await;
    server.resume();
}

/// Leaves the server no room on its disk, and starts it again in case that it gave up for want of
/// it.
pub(super) async fn fill_disk(strike: &Strike, server: &Server, disk: &SmallDisk) -> Result<()> {
    let filled = disk.fill()?;
    sleep(strike.lasts).await;
    drop(filled);
    server.restart().await?;
    Ok(())
}
