//! Listing records, for tools.

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Filter, Page, StoreError},
};
use idem_sql::{Stage, batch::Answer, row};

use crate::{SqliteStore, error::store_error, files::lost, read::Found};

/// Tells the cursors of this store from others.
const MARK: &str = "sqlite1:";

/// Without the body where the state is not one that is asked for.
const PAGE: &str = "SELECT key, scope, version, updated_at, expires_at, \
    CASE WHEN ?5 = '' OR instr(?5, ',' || status || ',') > 0 THEN body END FROM idem_records \
    WHERE (key, scope) > (?1, ?2) AND expires_at > ?3 ORDER BY key, scope LIMIT ?4";

#[async_trait]
impl Browse for SqliteStore {
    /// In the order of key and scope, byte by byte. It waits for nobody: a record whose time runs out
    /// while an update of it is under way may be missing, although the update then stands.
    ///
    /// Reads `limit` records at most, of those in other states no more than their keys.
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let after = after.map(place).transpose()?;
        // No key is empty, so all come after this.
        let (key, scope) = match &after {
            Some(after) => (after.key(), after.scope()),
            None => ("", ""),
        };
        let file = self.file();
        let mut connection = file.own().spare().await?;
        let mut taken = connection.take().ok_or_else(lost)?;
        let now = file.clock().now_ms();
        let rows = sqlx::query(PAGE)
            .bind(key)
            .bind(scope)
            .bind(now)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(row::state_list(filter))
            .fetch_all(&mut taken.0)
            .await;
        connection.put(taken);
        let rows = rows.map_err(|error| store_error(error, Stage::Connecting))?;
        let rows: Vec<_> = rows.into_iter().map(Found::new).collect();
        let next = match rows.last() {
            Some(last) if rows.len() == limit => {
                Some(Cursor(format!("{MARK}{}", last.key()?.as_str())))
            }
            _ => None,
        };
        let mut records = Vec::with_capacity(rows.len());
        for row in rows.iter().filter(|row| row.has_body()) {
            if let Answer::Found(found) = row.answer(now)? {
                records.push((row.key()?, found));
            }
        }
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
