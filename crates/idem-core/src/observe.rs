//! Events and spans through `tracing`; counters, gauges and histograms through the `metrics` facade.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `idem_claims_total` | counter | `outcome`: acquired, replay, replay-failure, in-flight, mismatch, abandoned, exhausted, error |
//! | `idem_endings_total` | counter | `ending`: completed, failed, retryable, released, fallback, superseded |
//! | `idem_takeovers_total` | counter | |
//! | `idem_store_retries_total` | counter | `kind`: unavailable, unknown, full, too-large, corrupt, config |
//! | `idem_renewals_total` | counter | `result`: done, superseded, error |
//! | `idem_leases_cut_short_total` | counter | keys taken over before their lease was over by the holder's clock: the store's clock stepped, or a failover lost a renewal |
//! | `idem_endings_pending` | gauge | endings that the store has not taken yet, and that are still tried |
//! | `idem_endings_lost_total` | counter | endings given up: their retention was over, or their runtime was shut down |
//! | `idem_releases_lapsed_total` | counter | claims of unknown outcome that were not given back: their lease runs out, and under `Halt` they are abandoned then |
//! | `idem_executions_dropped_total` | counter | executions dropped without an ending |
//! | `idem_probes_without_result_total` | counter | probers that panicked, or took longer than a lease: their keys count as abandoned |
//! | `idem_abandoned_keys` | gauge | keys in flight with their lease over, set by [`count_abandoned`] alone |
//! | `idem_unprotected_total` | counter | work run without a record (`OnOutage::FailOpen`) |
//!
//! | histogram | unit | what |
//! |---|---|---|
//! | `idem_claim_duration_seconds` | s | a claim that got an answer, without waiting for a busy key; a failed one counts, too |
//! | `idem_wait_duration_seconds` | s | waiting for a busy key, under [`OnBusy::Wait`](crate::OnBusy::Wait) |
//! | `idem_run_duration_seconds` | s | work, from its start to its end, its panic or its being superseded |
//! | `idem_ending_duration_seconds` | s | until the store has the ending, or until it is left to the background |
//! | `idem_payload_bytes` | bytes | answers and failures that are handed to the store |
//! | `idem_lease_used_ratio` | 1 | share of the lease that is used when it is renewed: a third is on time |
//! | `idem_batch_calls` | calls | calls that went to the server together, counted by the stores; label `store` alone |
//!
//! The histograms have the labels `store` ([`Builder::name`](crate::Builder::name)) and `route`
//! ([`Policy::route`](crate::Policy::route)). [`BUCKETS`] has bounds that fit each of them. Without a
//! recorder nothing is measured: no clock is read.
//!
//! Spans: `idem.claim` (debug) around a claim, `idem.run` (info) around the work. Attributes are named
//! as OpenTelemetry asks: own ones begin with `idem.` (`idem.key`, `idem.store`, `idem.route`,
//! `idem.attempt`, `idem.outcome`); a claim that fails has `error.type`, the error's kind, and
//! `otel.status_code`, which the crate `tracing-opentelemetry` reads.
//!
//! Keys appear shortened (see [`RecordKey`]'s `Display`), payloads never.

mod describe;
#[expect(
    clippy::disallowed_methods,
    reason = "durations are measured, and decide nothing"
)]
mod measure;

use std::{collections::HashSet, time::Duration};

use tracing::{Level, Span, field::Empty, level_filters::LevelFilter};

use crate::{
    Claim, RecordKey,
    error::ClaimError,
    store::{Browse, Filter, State, StateKind, StoreError, StoreErrorKind},
};

pub use describe::describe;
pub use measure::BUCKETS;
pub(crate) use measure::{Labels, Measures, Shape, store_name};

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
pub(crate) fn claim_span(key: &RecordKey, measures: &Measures) -> Span {
    listened_to(Level::DEBUG, || {
        tracing::debug_span!(
            "idem.claim",
            idem.key = %key,
            idem.store = measures.store(),
            idem.route = measures.route(),
            idem.outcome = Empty,
            error.type = Empty,
            otel.status_code = Empty,
        )
    })
}

/// The span that the work runs in: its own events show which key and attempt they belong to.
pub(crate) fn run_span(key: &RecordKey, attempt: u32, measures: &Measures) -> Span {
    listened_to(Level::INFO, || {
        tracing::info_span!(
            "idem.run",
            idem.key = %key,
            idem.attempt = attempt,
            idem.store = measures.store(),
            idem.route = measures.route(),
        )
    })
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

/// A claim got its answer.
pub(crate) fn claimed(span: &Span, claim: &Result<Claim, ClaimError>) {
    let outcome = claim.as_ref().map_or("error", Claim::outcome);
    if !span.is_disabled() {
        span.record("idem.outcome", outcome);
        if let Err(error) = claim {
            span.record("error.type", error.source.kind().name());
            span.record("otel.status_code", "ERROR");
        }
    }
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
pub(crate) fn lease_used(key: &RecordKey, measures: &Measures, used: Duration, lease: Duration) {
    let ratio = used.as_secs_f64() / lease.as_secs_f64();
    measures.record(Shape::LeaseUsed, ratio);
    if ratio > LATE {
        tracing::warn!(
            %key, ?used, ?lease,
            "the lease is renewed late: the store is slow, or work blocks the runtime's threads"
        );
    }
}

/// Another execution owns the key, so long after a renewal that was acknowledged had been sent.
pub(crate) fn taken_over(key: &RecordKey, after: Duration, lease: Duration) {
    if after < lease {
        metrics::counter!("idem_leases_cut_short_total").increment(1);
        tracing::warn!(
            %key, ?after, ?lease,
            "another execution took the key over before its lease was over by this process's clock: \
             the store's clock stepped, or a failover lost a renewal"
        );
    }
}

/// Counts the keys that are abandoned (in flight with their lease over), and sets the gauge
/// `idem_abandoned_keys` to their number. Under [`OnAbandoned::Halt`](crate::OnAbandoned::Halt)
/// they wait for [`resolve`](crate::Idempotency::resolve); otherwise for their next claim.
///
/// A process cannot know this number by itself: most abandoned keys were held by a process that is
/// gone. So this goes through all records of the store, page by page; where the store has the state in a
/// column, without their answers. Call it from one process, every few
/// minutes.
///
/// ```
/// # async fn example(store: std::sync::Arc<dyn idem_core::store::Browse>) {
/// let mut timer = tokio::time::interval(std::time::Duration::from_secs(300));
/// loop {
///     timer.tick().await;
///     if let Err(error) = idem_core::observe::count_abandoned(&*store).await {
///         eprintln!("abandoned keys were not counted: {error}");
///     }
/// }
/// # }
/// ```
///
/// # Errors
/// As [`Browse::browse`]; the gauge keeps its value.
///
/// # Cancel safety
/// Dropping the future leaves the gauge as it was.
pub async fn count_abandoned(store: &(impl Browse + ?Sized)) -> Result<usize, StoreError> {
    const PAGE: usize = 1000;
    let filter = Filter {
        states: vec![StateKind::InFlight],
        ..Filter::default()
    };
    // A key may be listed twice.
    let mut abandoned = HashSet::new();
    let mut cursor = None;
    loop {
        let page = store.browse(&filter, cursor.as_ref(), PAGE).await?;
        let is_abandoned = |state: &State, age: Option<Duration>| match state {
            State::InFlight { lease, .. } => age.is_some_and(|age| age >= *lease),
            _ => false,
        };
        for unreadable in &page.unreadable {
            tracing::warn!(error = %unreadable.error, "a record cannot be read, and is not counted");
        }
        let listed = page.records.into_iter();
        abandoned.extend(listed.filter_map(|(key, found)| {
            is_abandoned(&found.record.state, found.age).then_some(key)
        }));
        cursor = page.next;
        if cursor.is_none() {
            metrics::gauge!("idem_abandoned_keys").set(abandoned.len() as f64);
            return Ok(abandoned.len());
        }
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

pub(crate) fn probe_failed(key: &RecordKey, why: &'static str) {
    metrics::counter!("idem_probes_without_result_total").increment(1);
    tracing::error!(%key, why, "the prober gave no result; the key counts as abandoned");
}
