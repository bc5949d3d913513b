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
