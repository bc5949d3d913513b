//! Listing records, for tools.

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Page, StoreError},
};
use idem_sql::{Stage, batch::Answer};

use crate::{SqliteStore, error::store_error, files::lost, read::Found};

/// Tells the cursors of this store from others.
const MARK: &str = "sqlite1:";

const PAGE: &str = "SELECT key, scope, version, updated_at, expires_at, body FROM idem_records \
    WHERE (key, scope) > (?, ?) AND expires_at > ? ORDER BY key, scope LIMIT ?";

#[async_trait]
impl Browse for SqliteStore {
    /// In the order of key and scope, byte by byte. It waits for nobody: a record whose time runs out
    /// while an update of it is under way may be missing, although the update then stands.
    async fn browse(&self, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
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
        for row in &rows {
            if let Answer::Found(found) = row.answer(now)? {
                records.push((row.key()?, found));
            }
        }
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
