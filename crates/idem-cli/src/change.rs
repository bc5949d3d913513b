//! Asking before a change, and writing it on the version that was shown.

use std::time::Duration;

use idem_core::{
    RecordKey,
    store::{Record, Store, Stored, Updated},
};
use tokio::time::sleep;

use crate::{
    audit::{self, Begun, Intent},
    cli::{ChangeArgs, KeyArgs, SeenArgs},
    commands,
    failure::{Failure, Kind},
    output::Output,
};

/// A write is sent again so often when its reply was lost.
const TRIES: u32 = 4;

/// The record to change: looked up, compared with the version that was asked for, and shown.
pub(crate) async fn look(
    store: &dyn Store,
    args: &KeyArgs,
    seen: &SeenArgs,
    output: &Output,
) -> Result<(RecordKey, Stored), Failure> {
    let key = commands::key(args)?;
    if audit::is_entry(&key) {
        return Err(Failure::new(
            Kind::NotAllowed,
            "this is the audit's own record, which no command changes",
        ));
    }
    let stored = store.get(&key).await?.ok_or_else(Failure::not_found)?;
    if seen
        .if_version
        .is_some_and(|version| version != stored.record.version)
    {
        return Err(Failure::changed());
    }
    if !output.json {
        commands::show::text(output, &key, &stored, false);
    }
    Ok((key, stored))
}

/// Asks, unless `--yes` was given.
pub(crate) fn confirm(output: &Output, args: &ChangeArgs, question: &str) -> Result<(), Failure> {
    let is_missing = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().is_empty();
    if is_missing(&args.reason) {
        return Err(Failure::usage("--reason TEXT: say why, in a few words"));
    }
    if is_missing(&args.who) {
        return Err(Failure::usage("--by NAME: say who does it"));
    }
    if args.yes {
        return Ok(());
    }
    match output.ask(question) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::error("not confirmed, nothing was changed")),
        None => Err(Failure::usage(
            "there is nobody to ask: look with `idem show`, then give --yes, and --if-version \
             with the version that it printed",
        )),
    }
}

/// Makes a change with its audit entry around it.
pub(crate) async fn audited(
    store: &dyn Store,
    args: &ChangeArgs,
    intent: Intent<'_>,
    change: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let begun: Begun = audit::begin(store, args, intent).await?;
    let changed = change.await;
    let outcome = match &changed {
        Ok(()) => "done",
        Err(failure) => match failure.kind {
            Kind::Changed => "not done, the record had changed",
            Kind::NotAllowed => "not done, its state does not allow it",
            _ => "unknown, the store failed",
        },
    };
    let noted = begun.end(store, outcome).await;
    changed?;
    noted.map_err(|failure| {
        Failure::error(format!(
            "it was done, and the audit still says `begun`: {failure}"
        ))
    })
}

/// Replaces a record if its version is still `expected`. A write whose reply is lost is sent again
/// with the same version, and finds out whether it was applied (G5).
pub(crate) async fn replace(
    store: &dyn Store,
    key: &RecordKey,
    before: &Record,
    record: &Record,
    ttl: Duration,
) -> Result<(), Failure> {
    let mut pause = Duration::from_millis(100);
    for _ in 1..TRIES {
        match once(store, key, before, record, ttl).await {
            Err(error) if error.kind().is_transient() => {
                sleep(pause).await;
                pause *= 2;
            }
            Ok(true) => return Ok(()),
            Ok(false) => return Err(Failure::changed()),
            Err(error) => return Err(error.into()),
        }
    }
    match once(store, key, before, record, ttl).await? {
        true => Ok(()),
        false => Err(Failure::changed()),
    }
}

async fn once(
    store: &dyn Store,
    key: &RecordKey,
    before: &Record,
    record: &Record,
    ttl: Duration,
) -> Result<bool, idem_core::store::StoreError> {
    Ok(
        match store.update(key, before.version, record, ttl).await? {
            Updated::Done => true,
            Updated::Conflict(found) => {
                found.is_some_and(|found| found.record.version == record.version)
            }
        },
    )
}
