//! Rows as records.

use std::time::Duration;

use idem_core::store::StoreError;
use idem_sql::{Stage, batch::Answer, listing::Place, row};
use sqlx::{Row as _, ValueRef as _, mysql::MySqlRow};

use crate::error::store_error;

/// A row that was found, in the columns of [`find`](crate::sql::find).
pub(crate) struct Found(MySqlRow);

impl Found {
    pub(crate) fn new(row: MySqlRow) -> Self {
        Self(row)
    }

    /// Its key and scope.
    pub(crate) fn place(&self) -> Result<(&[u8], &[u8]), StoreError> {
        let key = self.0.try_get(0).map_err(unreadable)?;
        let scope = self.0.try_get(1).map_err(unreadable)?;
        Ok((key, scope))
    }

    /// Its key and scope as text.
    pub(crate) fn text(&self) -> Result<Place, StoreError> {
        let (key, scope) = self.place()?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
        let place = text(key).and_then(|key| {
            Ok(Place {
                key,
                scope: text(scope)?,
            })
        });
        place.map_err(|error| {
            StoreError::corrupt("a row's key is not text; was it written by hand?")
                .with_source(error)
        })
    }

    /// Whether this statement wrote it.
    pub(crate) fn is_by(&self, writer: i64) -> bool {
        self.0.try_get(5).is_ok_and(|by: i64| by == writer)
    }

    /// Whether its record was read, too.
    pub(crate) fn has_body(&self) -> bool {
        self.0.try_get_raw(6).is_ok_and(|body| !body.is_null())
    }

    /// What it says to the statement of this number: that it wrote it, or else as [`answer`](Self::answer).
    pub(crate) fn answer_to(&self, writer: i64) -> Result<Answer, StoreError> {
        match self.is_by(writer) {
            true => Ok(Answer::Done),
            false => self.answer(),
        }
    }

    /// What it says: [`Answer::Found`], or [`Answer::Expired`] past its ttl.
    pub(crate) fn answer(&self) -> Result<Answer, StoreError> {
        let remaining: i64 = self.0.try_get(4).map_err(unreadable)?;
        if remaining <= 0 {
            return Ok(Answer::Expired);
        }
        let version: &[u8] = self.0.try_get(2).map_err(unreadable)?;
        let age: i64 = self.0.try_get(3).map_err(unreadable)?;
        let body: Vec<u8> = self.0.try_get(6).map_err(unreadable)?;
        row::read(version, body, span(age), span(remaining)).map(Answer::Found)
    }
}

/// A time span that the server measured; its clock may have been set back since.
fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

pub(crate) fn unreadable(error: sqlx::Error) -> StoreError {
    store_error(error, Stage::Connecting)
}
