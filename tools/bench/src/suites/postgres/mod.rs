//! `idem-postgres`, beside the same statements sent one by one, by hand, over the same pool.
//!
//! The server flushes every commit (`fsync` and `synchronous_commit` are on). All statements are
//! prepared. Both sides share one pool of 32 connections, as many as a server of moderate size gives one
//! application; `IDEM_BENCH_CONNECTIONS` says otherwise.

mod floor;
mod large;
mod world;

use std::env;

use anyhow::{Context, Result};

use super::sql;
use crate::case::Case;
pub(crate) use large::cases as large_cases;
use world::{Engine, Server};

pub(crate) async fn cases() -> Result<Vec<Case>> {
    let server = Server::start(connections()?).await?;
    let idem = Engine::open(&server, "idem").await?;
    let floor = Engine::open(&server, "floor").await?;
    sql::cases(idem, floor).await
}

/// The size of the pool that both sides share.
fn connections() -> Result<u32> {
    match env::var("IDEM_BENCH_CONNECTIONS") {
        Ok(connections) => connections
            .parse()
            .context("IDEM_BENCH_CONNECTIONS is a number"),
        Err(_) => Ok(32),
    }
}
