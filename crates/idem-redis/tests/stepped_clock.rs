//! A server whose clock is set while it runs. What G1 says of that is what happens.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use common::{acquire, fingerprint, key};
use idem_core::{Claim, Idempotency, Policy, Refused, error::Superseded};
use idem_redis::RedisStore;
use idem_testbed::{Redis, RedisBinary, TestbedError, skip_or_fail};
use tempfile::TempDir;

const LEASE: Duration = Duration::from_secs(1);

/// A server under libfaketime.
struct Stepped {
    server: Redis,
    folder: TempDir,
}

impl Stepped {
    async fn start() -> Result<Self, TestbedError> {
        let library = library()?;
        let redis = RedisBinary::find()?;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("redis-server");
        let script = format!(
            "#!/bin/sh\n\
             export FAKETIME_TIMESTAMP_FILE='{}' FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n\
             LD_PRELOAD='{}' exec '{}' \"$@\"\n",
            folder.path().join("clock").display(),
            library.display(),
            redis.path().display(),
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        set(&folder, "+0");
        let server = Redis::builder().binary(RedisBinary::at(program)?);
        let server = server.start().await?;
        Ok(Self { server, folder })
    }

    /// Sets the server's clock to this offset from the true time, in seconds.
    fn set(&self, offset: &str) {
        set(&self.folder, offset);
    }

    async fn engine(&self) -> Idempotency {
        let store = RedisStore::connect(&self.server.url()).await.unwrap();
        let policy = Policy::default().lease(LEASE).call_timeout(LEASE / 3);
        Idempotency::builder(store).policy(policy).build().unwrap()
    }
}

fn set(folder: &TempDir, offset: &str) {
    fs::write(folder.path().join("clock"), offset).unwrap();
}

/// Debian keeps it in a folder that is named for the machine.
fn library() -> Result<PathBuf, TestbedError> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let there = libraries.into_iter().find(|library| library.exists());
    there.ok_or_else(|| TestbedError::Missing {
        program: "libfaketime".to_owned(),
        hint: "install Debian's package of that name".to_owned(),
    })
}

/// The lease is over by the store's clock, which decides. The holder learns it, and stores nothing more.
#[tokio::test]
async fn g1_a_clock_that_is_set_forward_ends_a_lease_early() {
    let Some(clock) = skip_or_fail(Stepped::start().await) else {
        return;
    };
    let (idem, other) = (clock.engine().await, clock.engine().await);
    let holder = acquire(&idem, &key("k")).await;
    holder.renew().await.unwrap();
    clock.set("+3600");
    let second = acquire(&other, &key("k")).await;
    assert_eq!(second.attempt(), 2);
    assert!(holder.renew().await.is_err());
    assert_eq!(holder.complete("late").await, Err(Superseded));
    second.complete("done").await.unwrap();
}

/// The age of its record grows again once the clock is where it was.
#[tokio::test]
async fn g1_a_clock_that_is_set_back_keeps_the_key_of_a_dead_holder() {
    let Some(clock) = skip_or_fail(Stepped::start().await) else {
        return;
    };
    let (idem, other) = (clock.engine().await, clock.engine().await);
    drop(acquire(&idem, &key("k")).await);
    clock.set("-3600");
    tokio::time::sleep(LEASE * 2).await;
    let claim = other.claim(&key("k"), &fingerprint()).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(Refused::InFlight { .. })),
        "{claim:?}"
    );
    clock.set("+0");
    assert_eq!(acquire(&other, &key("k")).await.attempt(), 2);
}
