//! A second server that follows the first, and takes its place.

use std::{fs::OpenOptions, io::Write as _};

use super::{Postgres, place::Place};
use crate::{
    TestbedError,
    unblock::unblock,
    wait::{Not, Wait},
};

/// Whether a commit on the primary waits for the standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// It does not: what was committed last may be missing from a standby that is promoted.
    Asynchronous,
    /// It does, by the primary's `synchronous_commit`: `on`, unless set otherwise, waits until the
    /// standby has written the commit to its log. While the standby is away, commits hang. Of
    /// several synchronous standbys only the one added last is waited for.
    Synchronous,
}

impl Postgres {
    /// Copies this server into a standby of it, which takes reading statements, and waits until
    /// the standby follows. To be called on a primary.
    ///
    /// Dropping the future does not stop the work.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Start`] if the copy or the standby fails.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idem_testbed::TestbedError> {
    /// use idem_testbed::{Postgres, Replication, skip_or_fail};
    ///
    /// let Some(primary) = skip_or_fail(Postgres::start().await) else {
    ///     return Ok(());
    /// };
    /// let standby = primary.add_standby(Replication::Synchronous).await?;
    /// primary.sql("CREATE TABLE colours (name text)")?;
    /// primary.kill();
    /// standby.promote().await?;
    /// standby.sql("INSERT INTO colours VALUES ('blue')")?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn add_standby(&self, replication: Replication) -> Result<Self, TestbedError> {
        let primary = self.clone();
        unblock(move || {
            let standby = primary.copy()?;
            primary.wait_for_standby(&standby, "streaming", |row| row.0 == "streaming")?;
            if replication == Replication::Synchronous {
                primary.wait_on_commit_for(&standby)?;
            }
            Ok(standby)
        })
        .await
    }

    /// Makes this standby a primary, and returns when it takes writes. The old primary is not asked
    /// and not told: kill it first, unless two primaries are what the test is about.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`] if this is no standby.
    pub async fn promote(&self) -> Result<(), TestbedError> {
        let standby = self.clone();
        unblock(move || {
            standby.sql("SELECT pg_promote(false)")?;
            standby.wait("the end of recovery", || {
                let rows = standby.ask("SELECT pg_is_in_recovery()")?;
                if rows == [[Some("f".to_owned())]] {
                    Ok(())
                } else {
                    Err(Not::Yet("still in recovery".to_owned()))
                }
            })
        })
        .await
    }

    fn copy(&self) -> Result<Self, TestbedError> {
        let place = Place::create(self.programs().clone(), None)?;
        let port = self.port().to_string();
        let source = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        let how = ["--checkpoint=fast", "--wal-method=stream", "--no-sync"];
        place.run("pg_basebackup", &[&source[..], &how].concat())?;
        self.make_standby(&place)?;
        place.serve()
    }

    fn make_standby(&self, place: &Place) -> Result<(), TestbedError> {
        // In the file that overrules the other one, and behind what the primary was told at run
        // time: a standby that is promoted must not wait for itself.
        let settings = format!(
            "primary_conninfo = 'host=127.0.0.1 port={} user=postgres application_name={}'\n\
             synchronous_standby_names = ''\n",
            self.port(),
            place.label(),
        );
        let data = place.data();
        OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.auto.conf"))
            .and_then(|mut file| file.write_all(settings.as_bytes()))
            .and_then(|()| std::fs::write(data.join("standby.signal"), ""))
            .map_err(TestbedError::io("configure the standby"))
    }

    fn wait_on_commit_for(&self, standby: &Self) -> Result<(), TestbedError> {
        let names = standby.label();
        self.sql(&format!(
            "ALTER SYSTEM SET synchronous_standby_names = '\"{names}\"'"
        ))?;
        self.sql("SELECT pg_reload_conf()")?;
        self.wait_for_standby(standby, "synchronous", |row| row.1 == "sync")
    }

    fn wait_for_standby(
        &self,
        standby: &Self,
        what: &str,
        is_there: impl Fn((&str, &str)) -> bool,
    ) -> Result<(), TestbedError> {
        let label = standby.label();
        let question = format!(
            "SELECT state, sync_state FROM pg_stat_replication WHERE application_name = '{label}'"
        );
        self.wait(&format!("a standby that is {what}"), || {
            let rows = self.ask(&question)?;
            let seen = |row: &Vec<Option<String>>| match row.as_slice() {
                [Some(state), Some(sync)] => is_there((state, sync)),
                _ => false,
            };
            if rows.iter().any(seen) {
                Ok(())
            } else {
                Err(Not::Yet(format!("{rows:?}\n{}", standby.log_tail())))
            }
        })
    }

    /// By what name a primary knows this standby.
    fn label(&self) -> String {
        let folder = self.folder();
        let name = folder.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn ask(&self, sql: &str) -> Result<Vec<super::Row>, Not> {
        self.sql(sql).map_err(|error| Not::Yet(error.to_string()))
    }

    fn wait(
        &self,
        what: &str,
        question: impl FnMut() -> Result<(), Not>,
    ) -> Result<(), TestbedError> {
        let wait = Wait {
            server: self.name(),
            what,
            log: &|| self.log_tail(),
        };
        wait.until(question)
    }
}
