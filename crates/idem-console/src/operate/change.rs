//! Changing a record by hand, on the version that was shown, with its audit entry around it.

use std::{sync::Arc, time::Duration};

use idem_core::{
    Idempotency, Policy, RecordKey, Resolution,
    store::{
        ClaimToken, Record, State, Store, StoreError, StoreErrorKind, Stored, Updated, Version,
    },
};
use tokio::time::sleep;

use super::{
    Kind, OperateError, Standing,
    audit::{self, Intent},
    record, words,
};

/// A write is sent again so often when its reply was lost.
const TRIES: u32 = 4;

/// Who does it, why, and for how long that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// How long the audit entry is kept.
    pub keep: Duration,
}

impl Author {
    /// How long an entry is kept where nobody says.
    pub const KEEP: Duration = Duration::from_secs(400 * 24 * 3600);

    /// How long each of the two texts may be, in bytes.
    pub const LONGEST: usize = 2000;

    fn check(&self) -> Result<(), OperateError> {
        for (text, missing) in [
            (&self.who, "say who does it"),
            (&self.why, "say why, in a few words"),
        ] {
            if text.trim().is_empty() {
                return Err(OperateError::new(Kind::Usage, missing));
            }
            if text.len() > Self::LONGEST {
                let long = format!("at most {} bytes say who, and why", Self::LONGEST);
                return Err(OperateError::new(Kind::Usage, long));
            }
        }
        Ok(())
    }
}

/// Makes a change with its audit entry around it.
///
/// # Errors
/// As the change; also when the change was made and its entry could not be finished.
pub async fn audited(
    store: &dyn Store,
    author: &Author,
    intent: Intent<'_>,
    change: impl Future<Output = Result<(), OperateError>>,
) -> Result<(), OperateError> {
    author.check()?;
    let begun = audit::begin(store, author, intent).await?;
    let changed = change.await;
    let outcome = match &changed {
        Ok(()) => "done",
        Err(failure) => match failure.kind {
            Kind::Changed => "the record had changed",
            Kind::NotAllowed => "not done, its state does not allow it",
            _ => "unknown, the store failed",
        },
    };
    let noted = begun.end(store, outcome).await;
    changed?;
    noted.map_err(|failure| {
        OperateError::new(
            Kind::Failed,
            format!("it was done, and the audit still says `begun`: {failure}"),
        )
    })
}

/// The record that is to be changed, if it has this version still.
///
/// # Errors
/// [`Kind::NotAllowed`] for the audit's own records, [`Kind::NotFound`], [`Kind::Changed`], or what the
/// store says.
pub async fn look(
    store: &dyn Store,
    key: &RecordKey,
    shown: Option<Version>,
) -> Result<Stored, OperateError> {
    if audit::is_entry(key) {
        let why = "this is the audit's own record, which nobody changes";
        return Err(OperateError::new(Kind::NotAllowed, why));
    }
    let stored = store.get(key).await?.ok_or_else(OperateError::not_found)?;
    match shown {
        Some(version) if version != stored.record.version => Err(OperateError::changed()),
        _ => Ok(stored),
    }
}

/// Whether a record can be settled.
///
/// # Errors
/// [`Kind::NotAllowed`], and why.
pub fn check_resolve(stored: &Stored) -> Result<(), OperateError> {
    let standing = Standing::of(stored);
    let refused = |why: String| Err(OperateError::new(Kind::NotAllowed, why));
    match standing {
        Standing::Abandoned | Standing::Halted => Ok(()),
        Standing::InFlight => refused(format!(
            "it runs: its holder wrote {} ago; wait until its lease is over",
            words::time(record::age(stored))
        )),
        _ => refused(format!(
            "the key is {} already, and the first ending wins",
            standing.name()
        )),
    }
}

/// Whether a record can be released, and what that means. A completed one only where `completed` says
/// so.
///
/// # Errors
/// [`Kind::NotAllowed`], and why.
pub fn check_release(stored: &Stored, completed: bool) -> Result<&'static str, OperateError> {
    let refused = |why: &str| Err(OperateError::new(Kind::NotAllowed, why));
    match Standing::of(stored) {
        Standing::InFlight => refused("it runs: wait until its lease is over"),
        Standing::Released => refused("it is released already"),
        Standing::Completed if !completed => refused(
            "it is completed: released, it would run a second time; --completed does it anyway",
        ),
        Standing::Completed => Ok("Its answer is lost, and the next request has its effect AGAIN."),
        Standing::Failed => Ok("Its failure is lost, and the next request runs."),
        Standing::Abandoned | Standing::Halted | Standing::Retryable if has_checkpoint(stored) => {
            Ok(
                "The next request runs: be sure that the vanished one had no effect. Its checkpoint is \
             dropped, and with it the body of an accepted webhook; to settle it as *run again* keeps it.",
            )
        }
        Standing::Abandoned | Standing::Halted | Standing::Retryable => {
            Ok("The next request runs: be sure that the vanished one had no effect.")
        }
    }
}

fn has_checkpoint(stored: &Stored) -> bool {
    matches!(
        &stored.record.state,
        State::InFlight {
            checkpoint: Some(_),
            ..
        } | State::Retryable {
            checkpoint: Some(_)
        }
    )
}

fn intent<'a>(key: &RecordKey, stored: &Stored, action: &'a str, to: &str) -> Intent<'a> {
    Intent {
        subject: key.as_str().to_owned(),
        action,
        from: Standing::of(stored).name().to_owned(),
        to: to.to_owned(),
        version: Some(record::version(&stored.record.version)),
    }
}

/// Settles a record that was shown, if it still has that version.
///
/// # Errors
/// [`Kind::NotAllowed`], [`Kind::Changed`], or what the store says.
pub async fn resolve(
    store: &Arc<dyn Store>,
    key: &RecordKey,
    shown: &Stored,
    resolution: Resolution,
    retention: Duration,
    author: &Author,
) -> Result<(), OperateError> {
    check_resolve(shown)?;
    let idem = Idempotency::builder(Arc::clone(store))
        .policy(Policy::default().retention(retention))
        .build()
        .map_err(|error| OperateError::new(Kind::Usage, error.to_string()))?;
    let intent = intent(key, shown, "resolve", resolution.name());
    let version = shown.record.version;
    let settling = async {
        let settled = idem.resolve_version(key, version, resolution).await;
        settled.map_err(OperateError::from)
    };
    audited(&**store, author, intent, settling).await
}

/// Releases a record that was shown, if it still has that version.
///
/// # Errors
/// [`Kind::NotAllowed`], [`Kind::Changed`], or what the store says.
pub async fn release(
    store: &dyn Store,
    key: &RecordKey,
    shown: &Stored,
    completed: bool,
    retention: Duration,
    author: &Author,
) -> Result<(), OperateError> {
    check_release(shown, completed)?;
    let after = successor(&shown.record, State::Released);
    let write = replace(store, key, &shown.record, &after, retention);
    let intent = intent(key, shown, "release", "released");
    audited(store, author, intent, write).await
}

/// The record that takes this one's place when it is changed by hand.
#[must_use]
pub fn successor(record: &Record, state: State) -> Record {
    Record {
        version: Version {
            token: ClaimToken::from_bytes(rand::random()),
            revision: record.version.revision.saturating_add(1),
        },
        state,
        ..record.clone()
    }
}

/// Replaces a record if its version is still that of `before`. A write whose reply is lost is sent again
/// with the same version, and finds out whether it was applied (G5).
///
/// # Errors
/// [`Kind::Changed`] where it is not, and what the store says.
pub async fn replace(
    store: &dyn Store,
    key: &RecordKey,
    before: &Record,
    record: &Record,
    ttl: Duration,
) -> Result<(), OperateError> {
    let mut pause = Duration::from_millis(100);
    let mut may_be_done = false;
    for left in (0..TRIES).rev() {
        match once(store, key, before, record, ttl).await {
            Err(error) if error.kind().is_transient() && left > 0 => {
                may_be_done |= error.kind() == StoreErrorKind::Unknown;
                sleep(pause).await;
                pause *= 2;
            }
            Ok(true) => return Ok(()),
            Ok(false) if may_be_done => {
                let why = "a reply was lost, and the record has changed since: this may have been \
                           done before; look at it again";
                return Err(OperateError::new(Kind::Failed, why));
            }
            Ok(false) => return Err(OperateError::changed()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(OperateError::changed())
}

async fn once(
    store: &dyn Store,
    key: &RecordKey,
    before: &Record,
    record: &Record,
    ttl: Duration,
) -> Result<bool, StoreError> {
    Ok(
        match store.update(key, before.version, record, ttl).await? {
            Updated::Done => true,
            Updated::Conflict(found) => {
                found.is_some_and(|found| found.record.version == record.version)
            }
        },
    )
}
