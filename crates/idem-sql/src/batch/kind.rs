//! [`Kind`]: which calls fit into one batch.

use std::fmt;

use super::{Answer, Job, Reply};

/// Calls of one kind fit into one multi-row statement. A store has an enum of these.
pub trait Kind: Copy + Eq + fmt::Debug + Send + Sync + 'static {
    /// All kinds, each at its [`index`](Self::index).
    const ALL: &'static [Self];

    /// Whether calls of all kinds travel in one batch: for a database where a batch is a transaction
    /// of several statements.
    const MIXED: bool = false;

    /// The kind of a call. `seen` says that its key probably has a record: use it to choose a faster
    /// statement, never to decide a result. `raced` says that an earlier statement raced with another
    /// process and knows nothing: now take one that waits, and tells what is there.
    fn of(job: &Job, seen: bool, raced: bool) -> Self;

    /// Its place in [`ALL`](Self::ALL).
    fn index(self) -> usize;

    /// Whether it files a record where there is none.
    fn creates(self) -> bool;

    /// Whether it only reads. Reads do not wait behind writes of the same key.
    fn reads(self) -> bool;

    /// Whether several calls for one key may be answered with one row: calls that leave the row as it
    /// is when it is there.
    fn shares_answers(self) -> bool {
        self.creates() || self.reads()
    }

    /// Whether a statement of this kind with this reply raced with another process, and has to be
    /// sent again. Without a race a create always answers.
    fn has_raced(self, reply: &Reply) -> bool {
        self.creates() && matches!(reply, Ok(None | Some(Answer::Expired)))
    }
}
