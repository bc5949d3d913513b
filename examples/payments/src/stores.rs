//! Stores by their URL. A new kind of store is one arm and one name here.

use anyhow::{Result, bail};
use idem_core::{Builder, Idempotency};
use idem_memory::MemoryStore;

/// The schemes that [`open`] knows, with an example each: for the help and for error messages.
pub(crate) const KNOWN: &[&str] = &["memory:"];

/// Starts an engine over the store that `url` names.
pub(crate) async fn open(url: &str) -> Result<Builder> {
    let (scheme, _) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "memory" => {
            let store = MemoryStore::new();
            Ok(Idempotency::builder(store.clone()).watch(store))
        }
        _ => bail!("unknown store `{url}`: known are {}", KNOWN.join(", ")),
    }
}
