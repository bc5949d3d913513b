//! [`describe`]: what each metric is, for an exporter.

use metrics::Unit;

/// Counters whose first step is worth an alert. They are there from the beginning, at 0: Prometheus
/// does not see the first step of a counter that was not there before it.
const ALARMING: [(&str, &str); 7] = [
    (
        "idem_endings_lost_total",
        "Endings given up: repeats may run again",
    ),
    (
        "idem_leases_cut_short_total",
        "Keys taken over before their lease was over by the holder's clock",
    ),
    (
        "idem_unprotected_total",
        "Work run without a record, under OnOutage::FailOpen",
    ),
    (
        "idem_executions_dropped_total",
        "Executions dropped without an ending",
    ),
    (
        "idem_probes_without_result_total",
        "Probers that panicked or took longer than a lease",
    ),
    (
        "idem_releases_lapsed_total",
        "Claims of unknown outcome that were not given back",
    ),
    (
        "idem_takeovers_total",
        "Keys taken over from a holder that vanished",
    ),
];

const COUNTERS: [(&str, &str); 4] = [
    ("idem_claims_total", "Claims, by their outcome"),
    ("idem_endings_total", "Endings, by their kind"),
    (
        "idem_store_retries_total",
        "Store calls that were made again, by the error's kind",
    ),
    ("idem_renewals_total", "Renewals, by their result"),
];

const GAUGES: [(&str, &str); 2] = [
    (
        "idem_endings_pending",
        "Endings that the store has not taken yet",
    ),
    (
        "idem_abandoned_keys",
        "Keys in flight whose lease is over, as last counted",
    ),
];

const HISTOGRAMS: [(&str, Unit, &str); 7] = [
    (
        "idem_claim_duration_seconds",
        Unit::Seconds,
        "Claims, without waiting for a busy key",
    ),
    (
        "idem_wait_duration_seconds",
        Unit::Seconds,
        "Waiting for a busy key",
    ),
    (
        "idem_run_duration_seconds",
        Unit::Seconds,
        "Work under a claim",
    ),
    (
        "idem_ending_duration_seconds",
        Unit::Seconds,
        "Until the store has an ending, or it is left to the background",
    ),
    (
        "idem_payload_bytes",
        Unit::Bytes,
        "Answers and failures handed to the store",
    ),
    (
        "idem_lease_used_ratio",
        Unit::Count,
        "Share of the lease used when it is renewed",
    ),
    (
        "idem_batch_calls",
        Unit::Count,
        "Store calls that went to the server together",
    ),
];

/// Tells the recorder what each metric of idem is, and sets the counters that an alert watches to 0.
///
/// Call it once, after the recorder is installed. Without it an alert on the first lost answer does not
/// fire: Prometheus sees no step in a counter that begins at 1.
///
/// ```
/// // PrometheusBuilder::new().install()?;
/// idem_core::observe::describe();
/// ```
pub fn describe() {
    for (name, what) in ALARMING.into_iter().chain(COUNTERS) {
        metrics::describe_counter!(name, Unit::Count, what);
    }
    for (name, what) in GAUGES {
        metrics::describe_gauge!(name, Unit::Count, what);
    }
    for (name, unit, what) in HISTOGRAMS {
        metrics::describe_histogram!(name, unit, what);
    }
    for (name, _) in ALARMING {
        metrics::counter!(name).increment(0);
    }
    for ending in ["superseded", "fallback"] {
        metrics::counter!("idem_endings_total", "ending" => ending).increment(0);
    }
    for outcome in ["error", "exhausted"] {
        metrics::counter!("idem_claims_total", "outcome" => outcome).increment(0);
    }
}
