//! What a store in memory refuses.

use idem_core::store::StoreError;

pub(crate) fn full() -> StoreError {
    StoreError::full("raise `max_bytes` or `max_records`, or shorten the retention")
}

pub(crate) fn foreign_cursor() -> StoreError {
    StoreError::config("this cursor is of another store; list from the start")
}
