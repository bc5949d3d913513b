//! A payment service that charges once, however often it is asked.
//!
//! `POST /v1/payments` with an `Idempotency-Key` runs once per key and merchant; every repeat gets
//! the stored answer. All that it takes is in [`app`]: one layer around the routes, inside the one
//! that finds out who is asking. The handlers know nothing of it, but for the books in PostgreSQL,
//! which commit together with the stored answer: [`ledger`].

mod app;
mod body;
mod cli;
mod ledger;
mod merchant;
mod money;
mod order;
mod page;
mod payments;
mod problem;
mod refunds;
mod run;
mod sandbox;
mod shutdown;
mod stores;
mod stripe;
mod transfers;
#[cfg(feature = "vectors")]
mod vectors;

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use cli::Args;
use stores::Stores;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    log_to_stderr();
    let Stores { idem, ledger } = stores::open(&args.store, args.policy()).await?;
    let router = app::router(idem.clone(), ledger, &args);
    #[cfg(feature = "vectors")]
    let router = match args.vectors {
        true => router.merge(vectors::router(&idem)),
        false => router,
    };
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("payments listens on http://{}", listener.local_addr()?);
    shutdown::serve(listener, router, &idem).await
}

/// What `RUST_LOG` says, else everything from `info` on.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
