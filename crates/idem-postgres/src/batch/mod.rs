//! How calls travel together: which fit into one statement, and how it is sent.

mod columns;
mod detour;
mod kind;
mod lane;

pub(crate) use columns::row;

use idem_sql::batch::{LARGE, Limits};

use crate::{PostgresConfig, session::Sessions};

/// How often one call is sent again because it raced with another and has no answer. Each time
/// somebody else's write went through.
const MAX_RACES: u32 = 1000;

pub(crate) type Batcher = idem_sql::batch::Batcher<Sessions>;

pub(crate) fn limits(config: &PostgresConfig) -> Limits {
    Limits {
        lanes: config.lanes,
        rows: config.batch_rows,
        bytes: config.batch_bytes,
        large: LARGE,
        send_timeout: config.send_timeout,
    }
}
