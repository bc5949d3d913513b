//! What a proxy has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Fault;

/// How often a proxy did what, since it was started. A fault counts when it happens, not when it is
/// armed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Requests that went on to the server, whatever happened to their replies.
    pub forwarded: u64,
    /// [`Fault::CutBeforeRequest`].
    pub cut_before_request: u64,
    /// [`Fault::LoseReply`], counted once the reply was there.
    pub lost_replies: u64,
    /// [`Fault::DelayRequest`].
    pub delayed_requests: u64,
    /// [`Fault::SlowRequest`].
    pub slow_requests: u64,
    /// [`Fault::DelayReply`].
    pub delayed_replies: u64,
    /// [`Fault::HangRequest`].
    pub hung_requests: u64,
    /// [`Fault::HangReply`].
    pub hung_replies: u64,
    /// Connections cut by [`FaultyProxy::cut_connections`](super::FaultyProxy::cut_connections).
    pub cut_connections: u64,
    /// How often [`FaultyProxy::refuse`](super::FaultyProxy::refuse) closed the door. The
    /// connections that the operating system then refuses nobody can count.
    pub refusals: u64,
}

impl FaultCounts {
    /// All faults of every kind.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.cut_before_request
            + self.lost_replies
            + self.delayed_requests
            + self.slow_requests
            + self.delayed_replies
            + self.hung_requests
            + self.hung_replies
            + self.cut_connections
            + self.refusals
    }
}

/// The same, while it grows.
#[derive(Debug, Default)]
pub(super) struct Counters {
    forwarded: AtomicU64,
    cut_before_request: AtomicU64,
    lost_replies: AtomicU64,
    delayed_requests: AtomicU64,
    slow_requests: AtomicU64,
    delayed_replies: AtomicU64,
    hung_requests: AtomicU64,
    hung_replies: AtomicU64,
    cut_connections: AtomicU64,
    refusals: AtomicU64,
}

impl Counters {
    pub(super) fn forwarded(&self) {
        self.forwarded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fault(&self, fault: Fault) {
        let counter = match fault {
            Fault::CutBeforeRequest => &self.cut_before_request,
            Fault::LoseReply => &self.lost_replies,
            Fault::DelayRequest(_) => &self.delayed_requests,
            Fault::SlowRequest { .. } => &self.slow_requests,
            Fault::DelayReply(_) => &self.delayed_replies,
            Fault::HangRequest => &self.hung_requests,
            Fault::HangReply => &self.hung_replies,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connections_cut(&self, count: u64) {
        self.cut_connections.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn refusal(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> FaultCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FaultCounts {
            forwarded: read(&self.forwarded),
            cut_before_request: read(&self.cut_before_request),
            lost_replies: read(&self.lost_replies),
            delayed_requests: read(&self.delayed_requests),
            slow_requests: read(&self.slow_requests),
            delayed_replies: read(&self.delayed_replies),
            hung_requests: read(&self.hung_requests),
            hung_replies: read(&self.hung_replies),
            cut_connections: read(&self.cut_connections),
            refusals: read(&self.refusals),
        }
    }
}
