//! Listing records, for tools.

use async_trait::async_trait;
use idem_core::store::{Browse, Cursor, Filter, Page, StoreError, Stored};
use idem_sql::{
    batch::Answer,
    listing::{self, Place, Row},
};

use crate::{MySqlStore, read::Found, session::Failure, sql};

/// Tells the cursors of this store from others.
const MARK: &str = "mysql2:";

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
        let after = after.map(|cursor| Place::of(cursor, MARK)).transpose()?;
        // No key is empty, so all come after this.
        let after = after.unwrap_or_default();
        let behind = (after.key.as_bytes(), after.scope.as_bytes());
        let sessions = self.sessions();
        let mut own = sessions.own().spare().await?;
        let rows = sessions.read_behind(&mut own, sql::page(filter), behind, limit);
        let rows = rows.await.map_err(Failure::into_store_error)?;
        let rows = rows.into_iter().map(Found::new);
        let rows = rows.map(|row| Row {
            place: row.text(),
            stored: stored(&row),
        });
        listing::page(rows.collect(), limit, filter, MARK)
    }
}

/// `None` for a record in another state, or one that expired.
fn stored(row: &Found) -> Result<Option<Stored>, StoreError> {
    if !row.has_body() {
        return Ok(None);
    }
    match row.answer()? {
        Answer::Found(found) => Ok(Some(found)),
        Answer::Expired | Answer::Done => Ok(None),
    }
}
