//! One row alone: a prepared statement, which the server has to parse once.

use idem_core::RecordKey;
use idem_sql::{
    batch::{Answer, Reply},
    row::Row,
};

use crate::{
    error::LOCK_WAIT_TIMEOUT,
    read::Found,
    session::{Failure, Own, Sessions},
    sql,
};

/// What is sent beside the body of one row, with a scope of 1,024 bytes.
const BESIDE_BODY: usize = 2 << 10;

impl Sessions {
    pub(super) async fn create_alone(
        &self,
        own: &mut Own,
        key: &RecordKey,
        row: &Row,
        writer: i64,
    ) -> Result<Reply, Failure> {
        let create = sql::bind_create(sqlx::query(&**sql::CREATE_ALONE), key, row, writer);
        let len = BESIDE_BODY + row.body.len();
        self.fits(len, 1)?;
        let read = sql::find(&[key], writer);
        match self.write_alone(own, len, create).await {
            // No live row was there. Of MySQL this is not known for sure.
            Ok(done)
                if self.is_mariadb() && done.rows_affected() > 0 && done.last_insert_id() == 0 =>
            {
                Ok(Ok(Some(Answer::Done)))
            }
            Ok(_) => {
                let found = self.read(own, read).await.map_err(Failure::half_way)?;
                let found = found.into_iter().next().map(Found::new);
                Ok(found.map(|found| found.answer_to(writer)).transpose())
            }
            Err(failure) if failure.number() == Some(LOCK_WAIT_TIMEOUT) => {
                // Somebody's transaction holds the row. What was committed before still stands.
                let found = self.read(own, read).await?.into_iter().next();
                match found.map(|row| Found::new(row).answer()).transpose() {
                    Ok(None | Some(Answer::Expired)) => Err(failure),
                    answer => Ok(answer),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// How many rows it wrote to.
    pub(super) async fn replace_alone(
        &self,
        own: &mut Own,
        key: &RecordKey,
        expected: &[u8],
        row: &Row,
        writer: i64,
    ) -> Result<u64, Failure> {
        let replace = sqlx::query(&**sql::REPLACE_ALONE);
        let replace = sql::bind_replace(replace, key, expected, row, writer);
        let len = BESIDE_BODY + row.body.len();
        self.fits(len, 1)?;
        Ok(self.write_alone(own, len, replace).await?.rows_affected())
    }
}
