//! Stores by their URL. A new kind of store is one arm and one name here.

use anyhow::{Result, bail};
use idem_core::{Builder, Idempotency};
use idem_memory::MemoryStore;
use idem_redis::RedisStore;

/// The schemes that [`open`] knows, with an example each: for error messages.
const KNOWN: &[&str] = &[
    "memory:",
    "redis://127.0.0.1:6379/",
    "redis+cluster://10.0.0.1,10.0.0.2",
    "redis+sentinel://10.0.0.1,10.0.0.2/primary",
];

/// Starts an engine over the store that `url` names.
pub(crate) async fn open(url: &str) -> Result<Builder> {
    let (scheme, _) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "memory" => {
            let store = MemoryStore::new();
            Ok(Idempotency::builder(store.clone()).watch(store))
        }
        "redis" | "redis+cluster" | "redis+sentinel" => {
            let store = RedisStore::connect(url).await?;
            Ok(Idempotency::builder(store.clone()).watch(store))
        }
        _ => bail!(
            "unknown store `{scheme}:`, known are:\n  {}",
            KNOWN.join("\n  ")
        ),
    }
}
