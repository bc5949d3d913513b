//! Listing records, for tools.

use async_trait::async_trait;
use idem_core::store::{Browse, Cursor, Filter, Page, StoreError, Stored};
use idem_sql::{
    batch::Answer,
    listing::{self, Place, Row},
    row,
};
use sqlx::{Row as _, postgres::PgRow};

use crate::{
    PostgresStore,
    call::{Argument, Scalar},
    rows::{answer, unreadable},
};

/// Tells the cursors of this store from others.
const MARK: &str = "pg2:";

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
        let after = after.map(|cursor| Place::of(cursor, MARK)).transpose()?;
        // No key is empty, so all come after this.
        let after = after.unwrap_or_default();
        let states = row::state_list(filter);
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let arguments = [
            Scalar::Text(&after.scope),
            Scalar::Text(&after.key),
            Scalar::Int(Some(most)),
            Scalar::Text(&states),
        ]
        .map(Argument::One);
        let sql = &self.sessions().sql().browse;
        let rows = self.sessions().ask(sql, &arguments).await?;
        let rows = rows.iter().map(|row| Row {
            place: place(row),
            stored: stored(row, &states),
        });
        listing::page(rows.collect(), limit, filter, MARK)
    }
}

fn place(row: &PgRow) -> Result<Place, StoreError> {
    Ok(Place {
        scope: row.try_get(12).map_err(unreadable)?,
        key: row.try_get(13).map_err(unreadable)?,
    })
}

/// `None` for a record in another state, or one that expired under the statement's eyes.
fn stored(row: &PgRow, states: &str) -> Result<Option<Stored>, StoreError> {
    let status: &str = row.try_get(1).unwrap_or_default();
    if !states.is_empty() && !states.contains(&format!(",{status},")) {
        return Ok(None);
    }
    match answer(row).1? {
        Answer::Found(found) => Ok(Some(found)),
        Answer::Expired => Ok(None),
        Answer::Done => Err(StoreError::corrupt("a row has no status")),
    }
}
