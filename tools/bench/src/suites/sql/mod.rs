//! What the suites of SQL stores do alike: each operation of idem beside the same statements by hand.
//!
//! Both sides write rows of one definition and of the same bytes, each side into tables of its own. The
//! floor of `fresh` is one INSERT and one UPDATE, each a commit of its own; that of `replay` is one
//! SELECT; that of `once-in-tx` is the INSERT and the UPDATE in one transaction. Over a large table the
//! floor is idem over a small one; under sweeping it is idem over the same table left alone.

mod disturbed;
mod large;
mod swept;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use idem_core::{
    Failure, Fingerprint, Idempotency, IdempotencyKey, Outcome, RecordKey, Scope, store::State,
};
use idem_sql::{
    Sweeper,
    row::Row,
    tx::{Conn, Transactional, TxStore},
};

use super::sample::{self, RECEIPT, Receipt};
use crate::case::{Case, Load};
pub(super) use disturbed::{Disturbance, Disturbed, Undisturbed};
pub(super) use large::{FEW, Full, cases as large_cases, rows};
pub(super) use swept::Swept;

/// Long enough that the faster side, which gets as many operations as the slower one, has each of
/// 256 tasks do dozens: a slice begins with all of them at once and ends with the slowest.
const SLICE: Duration = Duration::from_secs(2);

/// Records that are there to be replayed.
pub(super) const REPLAYED: u64 = 10_000;

/// What a stored answer is.
pub(super) const ANSWER: &[u8] = br#"{"charge":4711081500017,"amount":500,"captured":true}"#;

/// An engine over a table of its own, and what is done by hand to that table.
pub(super) trait Engine: Send + Sync + 'static {
    fn idem(&self) -> &Idempotency;

    /// The fingerprint of the rows that [`hold`](Self::hold) makes.
    fn fingerprint(&self) -> Fingerprint {
        sample::fingerprint()
    }

    /// A transaction that does nothing but claim and complete a key; whether it was a replay.
    fn once(&self, key: &RecordKey) -> impl Future<Output = Result<bool>> + Send;

    fn sweep(&self, period: Duration) -> Sweeper;

    /// By hand: the row of a claim, and then its answer, each committed.
    fn write_twice(&self, key: &RecordKey) -> impl Future<Output = Result<()>> + Send;

    /// By hand: whether the row of a key has [`ANSWER`] somewhere in it.
    fn read(&self, key: &RecordKey) -> impl Future<Output = Result<bool>> + Send;

    /// By hand: both writes in one transaction.
    fn transact(&self, key: &RecordKey) -> impl Future<Output = Result<()>> + Send;

    /// Makes rows of keys that ended, numbered from `first` on, which expire after so long.
    fn hold(&self, first: u64, rows: u64, ttl: Duration)
    -> impl Future<Output = Result<()>> + Send;

    /// Keys that [`hold`](Self::hold) made.
    fn held_keys(&self, rows: u64) -> impl Future<Output = Result<Vec<RecordKey>>> + Send;

    /// How many rows are there that have expired.
    fn expired(&self) -> impl Future<Output = Result<i64>> + Send;

    /// Has the database write out what it has changed so far, and look at the table.
    fn settle(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// The operations over a small table.
pub(super) async fn cases<E: Engine>(idem: Arc<E>, floor: Arc<E>) -> Result<Vec<Case>> {
    for engine in [&idem, &floor] {
        engine.hold(0, REPLAYED, DAY).await?;
        engine.settle().await?;
    }
    Ok(vec![
        Case::new("fresh", Fresh(idem.clone()), TwoWrites(floor.clone())),
        Case::new("replay", Replay(idem.clone()), OneRead(floor.clone())),
        Case::new("once-in-tx", Once(idem), OneTransaction(floor)),
    ])
}

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A claim and its answer as rows.
pub(super) struct Rows {
    pub(super) claim: Row,
    pub(super) answer: Row,
}

impl Rows {
    pub(super) fn new() -> Self {
        let (lease, checkpoint) = (Duration::from_secs(30), None);
        let claim = State::InFlight { lease, checkpoint };
        let payload = ANSWER.into();
        Self {
            claim: Row::new(&sample::record(1, claim), DAY),
            answer: Row::new(&sample::record(2, State::Completed { payload }), DAY),
        }
    }
}

pub(super) fn record_key(key: String) -> Result<RecordKey> {
    Ok(Scope::new("merchant-7")?.key(&IdempotencyKey::new(key)?))
}

/// So many keys that nobody had, spread over the index as random ones are.
pub(super) fn fresh_keys(keys: usize) -> Result<Vec<RecordKey>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let first = NEXT.fetch_add(keys as u64, Ordering::Relaxed);
    let keys = first..first + keys as u64;
    keys.map(fresh_key).map(record_key).collect()
}

fn fresh_key(number: u64) -> String {
    let mixed = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number);
    let hex = format!("{mixed:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// Claims and completes a key.
pub(super) async fn execute(engine: &impl Engine, key: &RecordKey) -> Result<Outcome<Receipt>> {
    let work = async |_| Ok::<_, Failure<String>>(RECEIPT);
    let fingerprint = engine.fingerprint();
    let executed = engine.idem().execute(key, &fingerprint, work);
    executed.await.map_err(|error| anyhow!("{error}"))
}

/// [`Engine::once`].
pub(super) async fn once<S: TxStore>(
    transactional: &Transactional<S>,
    key: &RecordKey,
    fingerprint: &Fingerprint,
) -> Result<bool> {
    let work = async |_: &mut Conn<S>| Ok::<_, sqlx::Error>(RECEIPT);
    let once = transactional.once_in_tx(key, fingerprint, work).await;
    let once = once.map_err(|error| anyhow!("{error}"))?;
    Ok(once.replayed)
}

pub(super) struct Fresh<E>(pub(super) Arc<E>);

impl<E: Engine> Load for Fresh<E> {
    type World = Arc<E>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<E>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(_engine: &Arc<E>, ops: usize) -> Result<Vec<RecordKey>> {
        fresh_keys(ops)
    }

    async fn op(engine: &Arc<E>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let outcome = execute(&**engine, &keys[index]).await?;
        ensure!(!outcome.replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct TwoWrites<E>(Arc<E>);

impl<E: Engine> Load for TwoWrites<E> {
    type World = Arc<E>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<E>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(_engine: &Arc<E>, ops: usize) -> Result<Vec<RecordKey>> {
        fresh_keys(ops)
    }

    async fn op(engine: &Arc<E>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        engine.write_twice(&keys[index]).await
    }
}

struct Replay<E>(Arc<E>);

impl<E: Engine> Load for Replay<E> {
    type World = Arc<E>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<E>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(engine: &Arc<E>, _ops: usize) -> Result<Vec<RecordKey>> {
        engine.held_keys(REPLAYED).await
    }

    async fn op(engine: &Arc<E>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let outcome = execute(&**engine, &keys[index % keys.len()]).await?;
        ensure!(outcome.replayed, "a key that ended ran again");
        Ok(())
    }
}

struct OneRead<E>(Arc<E>);

impl<E: Engine> Load for OneRead<E> {
    type World = Arc<E>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<E>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(engine: &Arc<E>, _ops: usize) -> Result<Vec<RecordKey>> {
        engine.held_keys(REPLAYED).await
    }

    async fn op(engine: &Arc<E>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let has_answer = engine.read(&keys[index % keys.len()]).await?;
        ensure!(has_answer, "another answer than was written, or none");
        Ok(())
    }
}

struct Once<E>(Arc<E>);

impl<E: Engine> Load for Once<E> {
    type World = Arc<E>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<E>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(_engine: &Arc<E>, ops: usize) -> Result<Vec<RecordKey>> {
        fresh_keys(ops)
    }

    async fn op(engine: &Arc<E>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let replayed = engine.once(&keys[index]).await?;
        ensure!(!replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct OneTransaction<E>(Arc<E>);

impl<E: Engine> Load for OneTransaction<E> {
    type World = Arc<E>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<E>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(_engine: &Arc<E>, ops: usize) -> Result<Vec<RecordKey>> {
        fresh_keys(ops)
    }

    async fn op(engine: &Arc<E>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        engine.transact(&keys[index]).await
    }
}

/// Whether bytes are somewhere in others.
pub(super) fn is_in(part: &[u8], whole: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}
