//! Listing records, for tools.

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Filter, Page, StoreError},
};
use idem_sql::batch::Answer;

use crate::{MySqlStore, read::Found, session::Failure, sql};

/// Tells the cursors of this store from others.
const MARK: &str = "mysql1:";

#[async_trait]
impl Browse for MySqlStore {
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
        let behind = after.as_ref().map_or((&b""[..], &b""[..]), |after| {
            (after.key().as_bytes(), after.scope().as_bytes())
        });
        let sessions = self.sessions();
        let mut own = sessions.own().spare().await?;
        let rows = sessions.read_behind(&mut own, sql::page(filter), behind, limit);
        let rows = rows.await.map_err(Failure::into_store_error)?;
        let rows: Vec<_> = rows.into_iter().map(Found::new).collect();
        let next = match rows.last() {
            Some(last) if rows.len() == limit => {
                Some(Cursor(format!("{MARK}{}", last.key()?.as_str())))
            }
            _ => None,
        };
        let mut records = Vec::with_capacity(rows.len());
        for row in rows.iter().filter(|row| row.has_body()) {
            if let Answer::Found(found) = row.answer()? {
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
