//! What is sent by hand.

use anyhow::{Result, ensure};
use sqlx::{PgExecutor, postgres::PgRow};

use super::world::{FINGERPRINT, TOKEN};
use crate::suites::sql::ANSWER;

pub(super) async fn insert(executor: impl PgExecutor<'_>, key: &str) -> Result<()> {
    let insert = "INSERT INTO floor.records (scope, key, status, attempt, token, revision, \
         fingerprint, lease_ms, created_at, updated_at, expires_at) \
         VALUES ('merchant-7', $1, 'in-flight', 1, $2, 1, $3, 30000, clock_timestamp(), \
         clock_timestamp(), clock_timestamp() + interval '1 day') ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert).bind(key).bind(TOKEN).bind(FINGERPRINT);
    let inserted = insert.execute(executor).await?.rows_affected();
    ensure!(inserted == 1, "a fresh key was there");
    Ok(())
}

pub(super) async fn update(executor: impl PgExecutor<'_>, key: &str) -> Result<()> {
    let update = "UPDATE floor.records SET status = 'completed', revision = 2, lease_ms = NULL, \
         payload = $2, updated_at = clock_timestamp(), \
         expires_at = clock_timestamp() + interval '1 day' \
         WHERE scope = 'merchant-7' AND key = $1 AND token = $3 AND revision = 1";
    let update = sqlx::query(update).bind(key).bind(ANSWER).bind(TOKEN);
    let updated = update.execute(executor).await?.rows_affected();
    ensure!(updated == 1, "a key that was written is gone");
    Ok(())
}

pub(super) async fn select(executor: impl PgExecutor<'_>, key: &str) -> Result<Option<PgRow>> {
    let select = "SELECT payload, fingerprint FROM floor.records \
         WHERE scope = 'merchant-7' AND key = $1 AND expires_at > clock_timestamp()";
    Ok(sqlx::query(select)
        .bind(key)
        .fetch_optional(executor)
        .await?)
}
