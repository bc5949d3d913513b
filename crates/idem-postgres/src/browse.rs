//! Listing records, for tools.

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Filter, Page, StoreError, Stored},
};
use idem_sql::{batch::Answer, row};
use sqlx::{Row, postgres::PgRow};

use crate::{
    PostgresStore,
    call::{Argument, Scalar},
    rows::{answer, unreadable},
};

/// Tells the cursors of this store from others.
const MARK: &str = "pg1:";

#[async_trait]
impl Browse for PostgresStore {
    /// In the order of key and scope, byte by byte. Costs a read of the index and nothing else,
    /// however far the listing has got. It waits for nobody: a record whose time runs out while an
    /// update of it is under way may be missing, although the update then stands.
    ///
    /// Reads `limit` rows at most, of those in other states neither payload nor checkpoint.
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let after = after.map(place).transpose()?;
        // No key is empty, so all come after this.
        let (scope, behind) = match &after {
            Some(after) => (after.scope(), after.key()),
            None => ("", ""),
        };
        let states = row::state_list(filter);
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let arguments = [
            Scalar::Text(scope),
            Scalar::Text(behind),
            Scalar::Int(Some(most)),
            Scalar::Text(&states),
        ]
        .map(Argument::One);
        let sql = &self.sessions().sql().browse;
        let rows = self.sessions().ask(sql, &arguments).await?;
        let next = match rows.last() {
            Some(last) if rows.len() == limit => {
                Some(Cursor(format!("{MARK}{}", key(last)?.as_str())))
            }
            _ => None,
        };
        let wanted = rows.iter().filter(|row| {
            let status: &str = row.try_get(1).unwrap_or_default();
            states.is_empty() || states.contains(&format!(",{status},"))
        });
        let records = wanted.filter_map(|row| entry(row).transpose());
        let mut records: Vec<_> = records.collect::<Result<_, _>>()?;
        records.retain(|(key, stored)| filter.passes(key, stored));
        Ok(Page { records, next })
    }
}

fn place(cursor: &Cursor) -> Result<RecordKey, StoreError> {
    let key = cursor.0.strip_prefix(MARK).map(RecordKey::parse);
    match key {
        Some(Ok(key)) => Ok(key),
        _ => Err(StoreError::config("the cursor is not one of this store's")),
    }
}

fn key(row: &PgRow) -> Result<RecordKey, StoreError> {
    let scope: &str = row.try_get(12).map_err(unreadable)?;
    let key: &str = row.try_get(13).map_err(unreadable)?;
    RecordKey::from_parts(scope, key).map_err(|error| {
        StoreError::corrupt("a row has a key that is none; was it written by hand?")
            .with_source(error)
    })
}

/// `None` for a record that expired under the statement's eyes.
fn entry(row: &PgRow) -> Result<Option<(RecordKey, Stored)>, StoreError> {
    match answer(row).1? {
        Answer::Found(found) => Ok(Some((key(row)?, found))),
        Answer::Expired => Ok(None),
        Answer::Done => Err(StoreError::corrupt("a row has no status")),
    }
}
