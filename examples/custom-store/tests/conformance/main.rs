//! [`RedbStore`] against the whole suite, with everything a harness can offer for a file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod file;

use std::sync::{Arc, OnceLock};

use file::File;
use idem_conformance::{Browsing, Corrupt, Harness, Restart, Sweeping, async_trait};
use idem_core::{
    RecordKey,
    store::{Browse, Store},
};

/// One file for all tests of this process, as they would share a server; a file of its own for
/// whoever does something to it.
struct Redb;

async fn harness() -> Redb {
    Redb
}

idem_conformance::suite!(harness);

#[async_trait]
impl Harness for Redb {
    fn name(&self) -> String {
        "redb".to_owned()
    }

    async fn store(&self) -> Arc<dyn Store> {
        static SHARED: OnceLock<Arc<File>> = OnceLock::new();
        SHARED.get_or_init(|| Arc::new(File::create())).clone()
    }

    /// Each is on disk before the next call; and a file has no cache that forgets.
    fn records_to_keep(&self) -> usize {
        2_000
    }

    async fn restart(&self) -> Option<Box<dyn Restart>> {
        Some(Box::new(Own::default()))
    }

    async fn corrupt(&self) -> Option<Box<dyn Corrupt>> {
        Some(Box::new(Own::default()))
    }

    async fn sweep(&self) -> Option<Sweeping> {
        let file = Arc::new(File::create());
        Some(Sweeping {
            store: file.clone(),
            sweep: file,
        })
    }

    async fn browse(&self) -> Option<Browsing> {
        let file = Arc::new(File::create());
        Some(Browsing {
            store: file.clone(),
            browse: file,
        })
    }
}

/// A file that nobody else uses.
struct Own(Arc<File>);

impl Default for Own {
    fn default() -> Self {
        Self(Arc::new(File::create()))
    }
}

#[async_trait]
impl Restart for Own {
    async fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    async fn restart(&self) {
        self.0.while_closed(|_| ()).await;
    }
}

#[async_trait]
impl Corrupt for Own {
    async fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    async fn write_unknown_format(&self, key: &RecordKey) {
        self.0.alter(key, |bytes| bytes[0] = 0x7f).await;
    }

    async fn damage(&self, key: &RecordKey) {
        self.0
            .alter(key, |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            })
            .await;
    }

    async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>> {
        self.0.raw(key).await
    }

    async fn browse(&self) -> Option<Arc<dyn Browse>> {
        Some(self.0.clone())
    }
}
