//! Listing records, for tools.

use async_trait::async_trait;
use idem_core::store::{Browse, Cursor, Filter, Page, StoreError, Stored};
use idem_sql::{
    Stage,
    batch::Answer,
    listing::{self, Place, Row},
    row,
};

use crate::{SqliteStore, error::store_error, files::lost, read::Found};

/// Tells the cursors of this store from others.
const MARK: &str = "sqlite2:";

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
        let after = after.map(|cursor| Place::of(cursor, MARK)).transpose()?;
        // No key is empty, so all come after this.
        let Place { key, scope } = after.unwrap_or_default();
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
        let rows = rows.into_iter().map(Found::new);
        let rows = rows.map(|row| Row {
            place: place(&row),
            stored: stored(&row, now),
        });
        listing::page(rows.collect(), limit, filter, MARK)
    }
}

fn place(row: &Found) -> Result<Place, StoreError> {
    let (key, scope) = row.place()?;
    Ok(Place {
        key: key.to_owned(),
        scope: scope.to_owned(),
    })
}

/// `None` for a record in another state, or one that expired.
fn stored(row: &Found, now_ms: i64) -> Result<Option<Stored>, StoreError> {
    if !row.has_body() {
        return Ok(None);
    }
    match row.answer(now_ms)? {
        Answer::Found(found) => Ok(Some(found)),
        Answer::Expired | Answer::Done => Ok(None),
    }
}
