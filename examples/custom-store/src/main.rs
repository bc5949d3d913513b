//! Draws a ticket once per key, whatever happens to the process.
//!
//! ```text
//! custom-store tickets.redb alice              draws one
//! custom-store tickets.redb alice              shows the same one again
//! custom-store tickets.redb bob --takes 1m     kill it half-way, and run it again
//! ```

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, anyhow};
use clap::Parser;
use custom_store::RedbStore;
use idem_core::{
    Context, Failure, Fingerprint, Idempotency, IdempotencyKey, OnBusy, Policy, RecordKey, Scope,
};

/// Draws a ticket once per key, and shows the same one ever after.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The file the tickets are kept in
    file: PathBuf,
    /// Whose ticket
    key: IdempotencyKey,
    /// How long drawing takes: time to kill this process half-way
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration, value_name = "TIME")]
    takes: Duration,
    /// How long a process that went silent is waited for before another one takes over
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration, value_name = "TIME")]
    lease: Duration,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let policy = Policy::default()
        .lease(args.lease)
        // One that was killed leaves its lease behind: wait until it has run out.
        .on_busy(OnBusy::Wait(args.lease * 2));
    let idem = Idempotency::builder(RedbStore::open(&args.file)?)
        .policy(policy)
        .build()?;
    let key = Scope::new("tickets")?.key(&args.key);
    let (ticket, replayed) = ticket(&idem, &key, args.takes).await?;
    let how = if replayed {
        "drawn before"
    } else {
        "drawn now"
    };
    println!("ticket {ticket}, {how}");
    Ok(())
}

async fn ticket(idem: &Idempotency, key: &RecordKey, takes: Duration) -> Result<(u32, bool)> {
    let fingerprint = Fingerprint::of("tickets/v1", b"draw");
    let outcome = idem
        .execute(key, &fingerprint, async |running: Context| {
            println!("drawing, attempt {}", running.attempt());
            tokio::time::sleep(takes).await;
            Ok::<u32, Failure<String>>(rand::random_range(1..1_000_000))
        })
        .await
        .map_err(|error| anyhow!("{error}"))?;
    Ok((outcome.value, outcome.replayed))
}
