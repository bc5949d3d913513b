//! Which configurations of a consumer lose messages.

use rdkafka::{ClientConfig, config::NativeClientConfig};
use std::time::Duration;

use crate::SourceError;

/// What the adapter needs to know of a configuration.
pub(super) struct Checked {
    pub(super) max_poll_interval: Duration,
}

/// Refuses a configuration under which messages are lost, or nothing is ever committed.
pub(super) fn check(config: &ClientConfig) -> Result<Checked, SourceError> {
    if config.get("group.id").is_none_or(str::is_empty) {
        return Err(SourceError::config(
            "the consumer has no `group.id`: without a group no offset is committed",
        ));
    }
    let native = config.create_native_config().map_err(SourceError::config)?;
    if get(&native, "enable.auto.offset.store")? != "false" {
        return Err(SourceError::config(
            "`enable.auto.offset.store` is on, so a message would be committed before it is worked \
             off, and be lost with its worker; set it to `false`",
        ));
    }
    if get(&native, "enable.auto.commit")? != "true" {
        return Err(SourceError::config(
            "`enable.auto.commit` is off, so the offsets of settled messages would never be committed; \
             leave it on: with `enable.auto.offset.store=false` it commits what is settled and no more",
        ));
    }
    if get(&native, "auto.commit.interval.ms")? == "0" {
        return Err(SourceError::config(
            "`auto.commit.interval.ms` is 0, so offsets would be committed at a rebalance and at the end \
             alone; leave it at 5000",
        ));
    }
    let interval = get(&native, "max.poll.interval.ms")?;
    let millis = interval.parse().map_err(SourceError::config)?;
    Ok(Checked {
        max_poll_interval: Duration::from_millis(millis),
    })
}

/// The value in force, be it set or the library's own.
fn get(native: &NativeClientConfig, name: &str) -> Result<String, SourceError> {
    native.get(name).map_err(SourceError::config)
}
