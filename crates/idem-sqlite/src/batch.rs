//! How calls travel: writes in the transactions of one connection, reads on a few others.

mod reader;
mod writer;

use std::num::NonZeroUsize;

use idem_core::store::StoreError;
use idem_sql::batch::Limits;
use sqlx::SqliteConnection;
use tokio::runtime;

pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

use crate::{
    SqliteConfig,
    files::{File, Own, lost},
};

pub(crate) fn limits(config: &SqliteConfig, lanes: NonZeroUsize) -> Limits {
    Limits {
        lanes,
        rows: config.batch_rows,
        bytes: config.batch_bytes,
        large: usize::MAX,
        send_timeout: config.send_timeout,
    }
}

/// A connection that was taken out of its [`Own`]. Dropped, it is closed, and its transaction rolled
/// back.
type Taken = (SqliteConnection, runtime::Id);

/// Takes a lane's connection out, or opens one.
async fn take(file: &File, lane: &mut Option<Own>) -> Result<Taken, StoreError> {
    if lane.as_ref().is_none_or(Own::is_broken) {
        *lane = Some(file.own().open().await?);
    }
    lane.as_mut().and_then(Own::take).ok_or_else(lost)
}

fn put(lane: &mut Option<Own>, taken: Taken) {
    if let Some(own) = lane {
        own.put(taken);
    }
}

#[cfg(test)]
mod tests {
    use idem_core::{Fingerprint, Idempotency, RecordKey};
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use crate::SqliteStore;

    #[tokio::test]
    async fn the_size_of_each_batch_is_measured() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("a.db").display());
        let idem = Idempotency::new(SqliteStore::connect(&url).await.unwrap());
        let claims = (0..20).map(|n| {
            let idem = idem.clone();
            async move {
                let key = RecordKey::new("scope", format!("key-{n}")).unwrap();
                let claim = idem.claim(&key, &Fingerprint::of("test", b"a")).await;
                drop(claim.unwrap());
            }
        });
        futures_util::future::join_all(claims).await;
        let mut sent = Vec::new();
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            if let ("idem_batch_calls", DebugValue::Histogram(sizes)) = (key.key().name(), value) {
                let labels: Vec<_> = key.key().labels().map(metrics::Label::value).collect();
                assert_eq!(labels, ["sqlite"]);
                sent.extend(sizes.into_iter().map(|size| *size));
            }
        }
        assert_eq!(sent.iter().sum::<f64>(), 20.0, "{sent:?}");
        assert!(sent.len() < 20, "nothing travelled together: {sent:?}");
    }
}
