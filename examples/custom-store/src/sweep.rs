//! Giving the room of expired records back.

use async_trait::async_trait;
use idem_core::store::{StoreError, Sweep};
use redb::{ReadableTable, StorageError};

use crate::{RedbStore, clock::Moment, error::before_commit, store::Outcome, tables::Tables};

#[async_trait]
impl Sweep for RedbStore {
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.on_a_thread(move |inner| {
            inner.write(
                |tables, now| match purge(tables, limit, now).map_err(before_commit)? {
                    0 => Ok(Outcome::Unchanged(0)),
                    purged => Ok(Outcome::Changed(purged)),
                },
            )
        })
        .await
    }
}

fn purge(tables: &mut Tables<'_>, limit: usize, now: Moment) -> Result<usize, StorageError> {
    let due: Vec<String> = tables
        .expiry
        .range(..(now.saturating_add(1), ""))?
        .take(limit)
        .map(|entry| entry.map(|(due, _)| due.value().1.to_owned()))
        .collect::<Result<_, _>>()?;
    for key in &due {
        tables.remove(key, now)?;
    }
    Ok(due.len())
}
