//! A slot on its way from one primary to another.

use super::Cluster;
use crate::{
    TestbedError,
    redis::{Redis, Reply},
    unblock::unblock,
};

/// How many keys are moved at once.
const BATCH: &str = "100";

/// How long one batch may take, in milliseconds.
const BATCH_PATIENCE: &str = "10000";

/// A slot that is being moved, in the state between: keys that were moved are at the new owner,
/// who serves them to those who say `ASKING`; the others are at the old one.
///
/// Dropping it leaves the slot in that state.
#[derive(Debug, Clone)]
pub struct SlotMigration {
    cluster: Cluster,
    slot: String,
    from: Redis,
    to: Redis,
}

impl SlotMigration {
    pub(super) fn begin(
        cluster: Cluster,
        slot: u16,
        from: Redis,
        to: Redis,
    ) -> Result<Self, TestbedError> {
        let migration = Self {
            cluster,
            slot: slot.to_string(),
            from,
            to,
        };
        let (from, to) = (
            migration.id_of(&migration.from),
            migration.id_of(&migration.to),
        );
        migration.set_slot(&migration.to, &["IMPORTING", &from])?;
        migration.set_slot(&migration.from, &["MIGRATING", &to])?;
        Ok(migration)
    }

    /// The primary that the slot is moved away from.
    #[must_use]
    pub fn from(&self) -> &Redis {
        &self.from
    }

    /// The primary that the slot is moved to.
    #[must_use]
    pub fn to(&self) -> &Redis {
        &self.to
    }

    /// Moves the keys that are at the old owner, and returns how many those were.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`] if a server does, [`TestbedError::Io`] if one does not run.
    pub async fn move_keys(&self) -> Result<usize, TestbedError> {
        let migration = self.clone();
        unblock(move || {
            let mut moved = 0;
            loop {
                let batch = migration.from.command(&[
                    "CLUSTER",
                    "GETKEYSINSLOT",
                    &migration.slot,
                    BATCH,
                ])?;
                if batch.elements().is_empty() {
                    return Ok(moved);
                }
                migration.move_batch(batch.elements())?;
                moved += batch.elements().len();
            }
        })
        .await
    }

    /// Makes the new primary the owner, and waits until all agree. Whatever keys are still at the
    /// old one are lost, so [`move_keys`](Self::move_keys) comes first.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`] if a server does, [`TestbedError::Timeout`] if the others do not
    /// hear of it.
    pub async fn finish(self) -> Result<(), TestbedError> {
        unblock(move || {
            let to = self.id_of(&self.to);
            // In this order: nobody may send clients to one who does not know yet that it owns it.
            self.set_slot(&self.to, &["NODE", &to])?;
            self.set_slot(&self.from, &["NODE", &to])?;
            self.cluster.wait_until_settled()
        })
        .await
    }

    fn move_batch(&self, keys: &[Reply]) -> Result<(), TestbedError> {
        let port = self.to.port().to_string();
        let head = [
            "MIGRATE",
            "127.0.0.1",
            &port,
            "",
            "0",
            BATCH_PATIENCE,
            "KEYS",
        ];
        let mut command: Vec<Vec<u8>> = head.iter().map(|word| word.as_bytes().to_vec()).collect();
        command.extend(keys.iter().filter_map(|key| match key {
            Reply::Bulk(key) => Some(key.clone()),
            _ => None,
        }));
        self.from.command(&command).map(drop)
    }

    fn set_slot(&self, at: &Redis, state: &[&str]) -> Result<(), TestbedError> {
        let command = [&["CLUSTER", "SETSLOT", &self.slot], state].concat();
        at.command(&command).map(drop)
    }

    fn id_of(&self, redis: &Redis) -> String {
        let node = self.cluster.node_of(redis);
        node.map_or_else(|| "of another Cluster".to_owned(), |node| node.id.clone())
    }
}
