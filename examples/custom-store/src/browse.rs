//! Listing records, for tools.

use std::ops::Bound;

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Filter, Page, StoreError, Unreadable},
};
use redb::ReadableTable;

use crate::{
    RedbStore,
    clock::Moment,
    error::before_commit,
    tables::{Row, read},
};

#[async_trait]
impl Browse for RedbStore {
    /// In the order of their keys; a cursor is the last key of its page.
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let after = after.map(|cursor| cursor.0.clone());
        if after
            .as_deref()
            .is_some_and(|key| RecordKey::parse(key).is_err())
        {
            return Err(StoreError::config("this cursor is not one of this store's"));
        }
        let listing = self.on_a_thread(move |inner| {
            inner.read(|records, now| page(records, after.as_deref(), limit, now))
        });
        let mut page = listing.await?;
        page.records
            .retain(|(key, stored)| filter.passes(key, stored));
        page.unreadable.retain(|row| {
            let key = RecordKey::parse(&row.key);
            key.map_or(true, |key| filter.takes_scope(key.scope()))
        });
        Ok(page)
    }
}

fn page(
    records: &impl ReadableTable<&'static str, Row>,
    after: Option<&str>,
    limit: usize,
    now: Moment,
) -> Result<Page, StoreError> {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut page = Page::default();
    let (mut listed, mut last) = (0, None);
    for entry in records
        .range::<&str>((start, Bound::Unbounded))
        .map_err(before_commit)?
    {
        let (key, row) = entry.map_err(before_commit)?;
        if listed == limit.max(1) {
            page.next = last.map(Cursor);
            break;
        }
        let key = key.value().to_owned();
        // One that cannot be read is told, and the others are listed.
        let found = read(row.value(), now).and_then(|stored| {
            let parsed = RecordKey::parse(&key).map_err(|error| {
                StoreError::corrupt("a key in the file is none").with_source(error)
            })?;
            Ok(stored.map(|stored| (parsed, stored)))
        });
        match found {
            Ok(None) => continue,
            Ok(Some(record)) => page.records.push(record),
            Err(error) => page.unreadable.push(Unreadable {
                key: key.clone(),
                error,
            }),
        }
        listed += 1;
        last = Some(key);
    }
    Ok(page)
}
