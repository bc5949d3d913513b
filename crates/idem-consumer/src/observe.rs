//! Events through `tracing`, a counter through the `metrics` facade.

use idem_core::store::StoreErrorKind;

use crate::{Message, SourceError, Verdict};

/// Counts a verdict in `idem_messages_total`, and tells of those that somebody should know of.
pub(crate) fn judged(message: &Message, verdict: &Verdict) {
    metrics::counter!("idem_messages_total", "verdict" => verdict.name()).increment(1);
    match verdict {
        Verdict::Ack(done) => tracing::debug!(?message, replayed = done.replayed, "done"),
        Verdict::Defer { delay, cause } => tracing::debug!(?message, ?delay, %cause, "deferred"),
        Verdict::DeadLetter(reason) => {
            tracing::warn!(?message, %reason, "sent to the dead letters");
        }
        Verdict::Halt(error) => tracing::error!(?message, %error, "consuming is halted"),
    }
}

pub(crate) fn store_away(kind: StoreErrorKind) {
    tracing::warn!(
        kind = kind.name(),
        "the store is away: messages are deferred"
    );
}

/// A delivery that could not be settled comes again.
pub(crate) fn not_settled(action: &'static str, error: &SourceError) {
    metrics::counter!("idem_messages_unsettled_total", "action" => action).increment(1);
    tracing::warn!(action, %error, "the broker was not told; the message comes again");
}

pub(crate) fn no_next(error: &SourceError) {
    tracing::warn!(%error, "no next message; trying again");
}

pub(crate) fn not_extended(error: &SourceError) {
    tracing::debug!(%error, "the broker was not told that the work goes on");
}
