//! What a server is started with.

use std::{fs::OpenOptions, io::Write as _, path::PathBuf};

use super::{Postgres, PostgresPrograms, place::Place};
use crate::{TestbedError, unblock::unblock};

/// What every server is started with; what the builder is told comes behind it and so wins.
///
/// Shared memory of the kind that has a name lies in the server's folder, and goes with it even
/// after a kill. A standby finds the log it needs when one side was away, and does not wait seconds to look again.
const DEFAULTS: &str = "\
max_connections = 300
dynamic_shared_memory_type = mmap
wal_keep_size = 256MB
wal_retrieve_retry_interval = 100ms
";

/// What a commit waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is flushed to the disk (`fsync=off`). What was committed survives the server being
    /// killed, since the operating system has it, but not the machine going down.
    #[default]
    Fast,
    /// Commits wait for the disk (`fsync=on`), as in production.
    Flushed,
}

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct PostgresBuilder {
    programs: Option<PostgresPrograms>,
    durability: Durability,
    settings: Vec<(String, String)>,
    place: Option<PathBuf>,
}

impl PostgresBuilder {
    /// Starts this installation instead of the one that [`PostgresPrograms::find`] finds.
    #[must_use]
    pub fn programs(mut self, programs: PostgresPrograms) -> Self {
        self.programs = Some(programs);
        self
    }

    /// What a commit waits for; [`Durability::Fast`] unless said otherwise.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Adds a line to `postgresql.conf`; a later one of the same name replaces an earlier one. The
    /// value is quoted here.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the server's folder in `place` instead of the temporary folder: on a disk that is small
    /// enough to be filled, for example. The user that the server runs as must be able to enter it.
    #[must_use]
    pub fn folder_in(mut self, place: impl Into<PathBuf>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Makes a fresh data folder, starts the server over it and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if there is no installation, [`TestbedError::Start`] if the server
    /// refuses its settings.
    pub async fn start(self) -> Result<Postgres, TestbedError> {
        unblock(move || self.start_blocking()).await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<Postgres, TestbedError> {
        let programs = match self.programs.clone() {
            Some(programs) => programs,
            None => PostgresPrograms::find()?,
        };
        let place = Place::create(programs, self.place.as_deref())?;
        place.run(
            "initdb",
            &[
                "-U",
                "postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
        )?;
        self.configure(&place)?;
        place.serve()
    }

    fn configure(&self, place: &Place) -> Result<(), TestbedError> {
        let fsync = match self.durability {
            Durability::Fast => "off",
            Durability::Flushed => "on",
        };
        let mut lines = format!("{DEFAULTS}fsync = {fsync}\n");
        for (name, value) in &self.settings {
            let value = value.replace('\'', "''");
            lines.push_str(&format!("{name} = '{value}'\n"));
        }
        OpenOptions::new()
            .append(true)
            .open(place.data().join("postgresql.conf"))
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(TestbedError::io("write postgresql.conf"))
    }
}
