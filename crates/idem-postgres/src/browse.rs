//! Listing records, for tools.

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Page, StoreError, Stored},
};
use idem_sql::batch::Answer;
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
    async fn browse(&self, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let after = after.map(place).transpose()?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let most = Argument::One(Scalar::Int(Some(most)));
        let sql = self.sessions().sql();
        let rows = match &after {
            Some(key) => {
                let [scope, key] =
                    [key.scope(), key.key()].map(|text| Argument::One(Scalar::Text(text)));
                self.sessions()
                    .ask(&sql.browse, &[scope, key, most])
                    .await?
            }
            None => self.sessions().ask(&sql.browse_first, &[most]).await?,
        };
        let next = match rows.last() {
            Some(last) if rows.len() == limit => {
                Some(Cursor(format!("{MARK}{}", key(last)?.as_str())))
            }
            _ => None,
        };
        let records = rows.iter().filter_map(|row| entry(row).transpose());
        Ok(Page {
            records: records.collect::<Result<_, _>>()?,
            next,
        })
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
