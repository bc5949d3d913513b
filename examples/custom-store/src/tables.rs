//! What is in the file.

use std::time::Duration;

use bytes::Bytes;
use idem_core::store::{Record, StoreError, Stored, codec};
use redb::{ReadableTable, StorageError, Table, TableDefinition, TableError, WriteTransaction};

use crate::{
    clock::{Moment, micros},
    error::before_commit,
};

/// When it was written, when it is gone, and the record in the core's binary form.
pub(crate) type Row = (Moment, Moment, &'static [u8]);

/// Records by their key.
pub(crate) const RECORDS: TableDefinition<&str, Row> = TableDefinition::new("records");
/// Keys by when they are gone, for the sweeper.
pub(crate) const EXPIRY: TableDefinition<(Moment, &str), ()> = TableDefinition::new("expiry");
/// The time of the last write, under one key.
pub(crate) const CLOCK: TableDefinition<(), Moment> = TableDefinition::new("clock");

/// The tables in a transaction that writes.
pub(crate) struct Tables<'tx> {
    pub(crate) records: Table<'tx, &'static str, Row>,
    pub(crate) expiry: Table<'tx, (Moment, &'static str), ()>,
    clock: Table<'tx, (), Moment>,
}

impl<'tx> Tables<'tx> {
    /// Opens them, and makes those that are not there.
    pub(crate) fn open(transaction: &'tx WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            expiry: transaction.open_table(EXPIRY)?,
            clock: transaction.open_table(CLOCK)?,
        })
    }

    pub(crate) fn last_write(&self) -> Result<Moment, StorageError> {
        Ok(self.clock.get(())?.map_or(0, |moment| moment.value()))
    }

    /// Files a record in place of what is there.
    pub(crate) fn put(
        &mut self,
        key: &str,
        record: &Record,
        ttl: Duration,
        now: Moment,
    ) -> Result<(), StorageError> {
        self.remove(key, now)?;
        let gone = now.saturating_add(micros(ttl));
        let bytes = codec::encode(record, ttl);
        self.records.insert(key, (now, gone, &*bytes))?;
        self.expiry.insert((gone, key), ())?;
        Ok(())
    }

    /// Removes what is there.
    pub(crate) fn remove(&mut self, key: &str, now: Moment) -> Result<(), StorageError> {
        self.clock.insert((), now)?;
        let removed = self.records.remove(key)?.map(|row| row.value().1);
        if let Some(gone) = removed {
            self.expiry.remove((gone, key))?;
        }
        Ok(())
    }
}

/// The record of a key, unless it has expired (rule S5).
pub(crate) fn live(
    records: &impl ReadableTable<&'static str, Row>,
    key: &str,
    now: Moment,
) -> Result<Option<Stored>, StoreError> {
    match records.get(key).map_err(before_commit)? {
        Some(row) => read(row.value(), now),
        None => Ok(None),
    }
}

/// Reads a row, unless it has expired.
pub(crate) fn read(
    row: (Moment, Moment, &[u8]),
    now: Moment,
) -> Result<Option<Stored>, StoreError> {
    let (written, gone, bytes) = row;
    if gone <= now {
        return Ok(None);
    }
    let decoded = codec::decode(&Bytes::copy_from_slice(bytes))?;
    Ok(Some(Stored {
        record: decoded.record,
        age: Some(Duration::from_micros(now.saturating_sub(written))),
        remaining: Some(Duration::from_micros(gone - now)),
    }))
}
