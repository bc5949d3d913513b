//! Events through `tracing`, counters and gauges through the `metrics` facade.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `idem_claims_total` | counter | `outcome`: acquired, replay, replay-failure, in-flight, mismatch, abandoned, exhausted, error |
//! | `idem_endings_total` | counter | `ending`: completed, failed, retryable, released, superseded |
//! | `idem_takeovers_total` | counter | |
//! | `idem_store_retries_total` | counter | `kind`: unavailable, unknown, full, too-large, corrupt, config |
//! | `idem_renewals_total` | counter | `result`: done, superseded, error |
//! | `idem_endings_pending` | gauge | endings that the store has not taken yet |
//! | `idem_endings_lost_total` | counter | endings given up after the retention |
//! | `idem_executions_dropped_total` | counter | executions dropped without an ending |
//! | `idem_unprotected_total` | counter | work run without a record (`OnOutage::FailOpen`) |
//!
//! Spans: `idem.claim` (debug) around a claim, `idem.run` (info) around the work, both with the key;
//! the second with the attempt.
//!
//! Keys appear shortened (see [`RecordKey`]'s `Display`), payloads never.

use tracing::{Level, Span, level_filters::LevelFilter};

use crate::{RecordKey, StoreError, StoreErrorKind};

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
        ["completed", "failed", "retryable", "released", "superseded"]
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

pub(crate) fn ending_pending(key: &RecordKey, ending: &'static str, error: Option<&StoreError>) {
    metrics::gauge!("idem_endings_pending").increment(1.0);
    let error = error.map(tracing::field::display);
    tracing::warn!(%key, ending, error, "the ending is not stored yet; going on in the background");
}

pub(crate) fn ending_settled() {
    metrics::gauge!("idem_endings_pending").decrement(1.0);
}

pub(crate) fn ending_lost(key: &RecordKey, ending: &'static str) {
    metrics::counter!("idem_endings_lost_total").increment(1);
    tracing::error!(%key, ending, "the ending was never stored; its retention is over");
}

pub(crate) fn dropped(key: &RecordKey, attempt: u32) {
    metrics::counter!("idem_executions_dropped_total").increment(1);
    tracing::warn!(%key, attempt, "an execution was dropped without an ending; its lease runs out");
}

pub(crate) fn unprotected(key: &RecordKey, kind: StoreErrorKind) {
    metrics::counter!("idem_unprotected_total").increment(1);
    tracing::warn!(%key, kind = kind.name(), "the store is out of reach; running unprotected");
}
