//! Events through `tracing`, counters and gauges through the `metrics` facade.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `idem_claims_total` | counter | `outcome`: acquired, replay, replay-failure, in-flight, mismatch, abandoned, exhausted, error |
//! | `idem_endings_total` | counter | `ending`: completed, failed, retryable, released, fallback, superseded |
//! | `idem_takeovers_total` | counter | |
//! | `idem_store_retries_total` | counter | `kind`: unavailable, unknown, full, too-large, corrupt, config |
//! | `idem_renewals_total` | counter | `result`: done, superseded, error |
//! | `idem_lease_used_ratio` | histogram | share of the lease that is used when it is renewed: a third is on time |
//! | `idem_endings_pending` | gauge | endings that the store has not taken yet, and that are still tried |
//! | `idem_endings_lost_total` | counter | endings given up: their retention was over, or their runtime was shut down |
//! | `idem_releases_lapsed_total` | counter | claims of unknown outcome that were not given back: their lease runs out, and under `Halt` they are abandoned then |
//! | `idem_executions_dropped_total` | counter | executions dropped without an ending |
//! | `idem_unprotected_total` | counter | work run without a record (`OnOutage::FailOpen`) |
//!
//! Spans: `idem.claim` (debug) around a claim, `idem.run` (info) around the work, both with the key;
//! the second with the attempt.
//!
//! Keys appear shortened (see [`RecordKey`]'s `Display`), payloads never.

use std::time::Duration;

use tracing::{Level, Span, level_filters::LevelFilter};

use crate::{
    RecordKey,
    store::{StoreError, StoreErrorKind},
};

/// A renewal is due at a third of the lease. From this share on it is late.
const LATE: f64 = 2.0 / 3.0;

/// Counts under one of a fixed set of label values, without allocating.
macro_rules! count {
    ($metric:literal, $label:literal, $value:expr, [$($known:literal),+ $(,)?]) => {
        match $value {
            $($known => metrics::counter!($metric, $label => $known).increment(1),)+
            _ => debug_assert!(false, "a label value that is not listed"),
        }
    };
}

/// The span of a claim, waiting included.
pub(crate) fn claim_span(key: &RecordKey) -> Span {
    listened_to(Level::DEBUG, || tracing::debug_span!("idem.claim", %key))
}

/// The span that the work runs in: its own events show which key and attempt they belong to.
pub(crate) fn run_span(key: &RecordKey, attempt: u32) -> Span {
    listened_to(
        Level::INFO,
        || tracing::info_span!("idem.run", %key, attempt),
    )
}

/// A span that no subscriber takes still goes to `log` where that feature of tracing is on, and
/// each step into it and out of it asks `log` anew, which is dear beside a store in memory. Events
/// go there as ever.
fn listened_to(level: Level, span: impl FnOnce() -> Span) -> Span {
    if LevelFilter::current() < level {
        return Span::none();
    }
    span()
}

pub(crate) fn claimed(outcome: &'static str) {
    count!(
        "idem_claims_total",
        "outcome",
        outcome,
        [
            "acquired",
            "replay",
            "replay-failure",
            "in-flight",
            "mismatch",
            "abandoned",
            "exhausted",
            "error"
        ]
    );
}

pub(crate) fn took_over(key: &RecordKey, attempt: u32) {
    metrics::counter!("idem_takeovers_total").increment(1);
    tracing::info!(%key, attempt, "took over a key whose holder is gone");
}

pub(crate) fn ended(key: &RecordKey, ending: &'static str) {
    count!(
        "idem_endings_total",
        "ending",
        ending,
        [
            "completed",
            "failed",
            "retryable",
            "released",
            "fallback",
            "superseded"
        ]
    );
    if ending == "superseded" {
        tracing::warn!(%key, "superseded: another execution owns the key, nothing was stored");
    }
}

pub(crate) fn store_retry(key: &RecordKey, error: &StoreError) {
    count!(
        "idem_store_retries_total",
        "kind",
        error.kind().name(),
        [
            "unavailable",
            "unknown",
            "full",
            "too-large",
            "corrupt",
            "config"
        ]
    );
    tracing::debug!(%key, %error, "asking the store again");
}

pub(crate) fn renewed(key: &RecordKey, result: &'static str) {
    count!(
        "idem_renewals_total",
        "result",
        result,
        ["done", "superseded", "error"]
    );
    if result == "error" {
        tracing::warn!(%key, "the lease could not be renewed; the work goes on");
    }
}

pub(crate) fn ending_not_stored(key: &RecordKey, ending: &'static str, error: &StoreError) {
    tracing::warn!(%key, ending, %error, "the ending is not stored yet; going on in the background");
}

pub(crate) fn ending_pending() {
    metrics::gauge!("idem_endings_pending").increment(1.0);
}

pub(crate) fn ending_settled() {
    metrics::gauge!("idem_endings_pending").decrement(1.0);
}

pub(crate) fn ending_lost(key: &RecordKey, ending: &'static str, why: &'static str) {
    metrics::counter!("idem_endings_lost_total").increment(1);
    tracing::error!(%key, ending, why, "the ending was never stored");
}

pub(crate) fn release_lapsed(key: &RecordKey) {
    metrics::counter!("idem_releases_lapsed_total").increment(1);
    tracing::debug!(%key, "a claim that nobody runs under was not given back; its lease runs out");
}

/// A renewal goes out after so much of its lease.
pub(crate) fn lease_used(key: &RecordKey, used: Duration, lease: Duration) {
    let ratio = used.as_secs_f64() / lease.as_secs_f64();
    metrics::histogram!("idem_lease_used_ratio").record(ratio);
    if ratio > LATE {
        tracing::warn!(
            %key, ?used, ?lease,
            "the lease is renewed late: the store is slow, or work blocks the runtime's threads"
        );
    }
}

pub(crate) fn dropped(key: &RecordKey, attempt: u32) {
    metrics::counter!("idem_executions_dropped_total").increment(1);
    tracing::warn!(%key, attempt, "an execution was dropped without an ending; its lease runs out");
}

pub(crate) fn unprotected(key: &RecordKey, kind: StoreErrorKind) {
    metrics::counter!("idem_unprotected_total").increment(1);
    tracing::warn!(%key, kind = kind.name(), "the store is out of reach; running unprotected");
}
