//! Where the records are.

use anyhow::Result;
use clap::ValueEnum;
use idem::{Idempotency, Policy, memory::MemoryStore, sqlite::SqliteStore};
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Where {
    /// In a file, which goes with the night, as its bank and its printer do
    Sqlite,
    /// In this process
    Memory,
}

/// The records of a night.
pub(crate) enum Records {
    Sqlite {
        store: SqliteStore,
        /// Goes with the last handle.
        _folder: TempDir,
    },
    Memory(MemoryStore),
}

impl Records {
    pub(crate) async fn open(place: Where) -> Result<Self> {
        match place {
            Where::Sqlite => {
                let folder = tempfile::tempdir()?;
                let url = format!("sqlite:{}", folder.path().join("jobs.db").display());
                Ok(Self::Sqlite {
                    store: SqliteStore::connect(&url).await?,
                    _folder: folder,
                })
            }
            Where::Memory => Ok(Self::Memory(MemoryStore::new())),
        }
    }

    pub(crate) fn engine(&self, policy: Policy) -> Result<Idempotency> {
        let builder = match self {
            Self::Sqlite { store, .. } => Idempotency::builder(store.clone()),
            Self::Memory(store) => Idempotency::builder(store.clone()).watch(store.clone()),
        };
        Ok(builder.policy(policy).build()?)
    }
}
