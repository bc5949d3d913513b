//! The kinds of fault.

use std::{ops::Range, time::Duration};

use idem_testbed::Fault;

use crate::key::LEASE;

/// A kind of fault that strikes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// SIGKILL; another worker takes its place.
    WorkerKilled,
    /// SIGSTOP for longer than its lease.
    WorkerPaused,
    /// SIGKILL, and started again over its data.
    ServerKilled,
    /// SIGSTOP: connections stay open, and nothing is answered.
    ServerPaused,
    /// The primary is killed and a replica takes its place.
    Failover,
    /// A replica takes the living primary's place.
    Switchover,
    /// A slot with its keys moves to another node.
    SlotMoved,
    /// The standby is stopped, so that commits hang.
    StandbyPaused,
    /// Every session is ended by an administrator.
    SessionsEnded,
    /// Somebody's open transaction holds the rows.
    RowsLocked,
    /// Somebody's open transaction holds the only write lock.
    FileLocked,
    /// The same, for longer than a lease.
    FileLockedPastLease,
    /// Cut before they reach the server.
    RequestsCut,
    /// Cut after the server has answered.
    RepliesLost,
    RequestsDelayed,
    RepliesDelayed,
    /// Held, and delivered when the client has long given up.
    RequestsHung,
    RepliesHung,
    ConnectionsCut,
    /// Nobody listens.
    ConnectionsRefused,
    /// Writes are refused for want of memory.
    MemoryFull,
    /// The same, for longer than a lease.
    MemoryFullPastLease,
    /// Writes are refused for want of room on the disk.
    DiskFull,
    /// The server is killed or paused for longer than a lease.
    Outage,
    /// Large writes take longer than they may: by the server's own limit, or because the way to it
    /// is slow.
    LargeEndingsFail,
}

impl Kind {
    /// What happens to workers, whatever their store.
    pub(crate) const WORKERS: [Self; 2] = [Self::WorkerKilled, Self::WorkerPaused];

    /// What happens on the way to any server.
    pub(crate) const NETWORK: [Self; 8] = [
        Self::RequestsCut,
        Self::RepliesLost,
        Self::RequestsDelayed,
        Self::RepliesDelayed,
        Self::RequestsHung,
        Self::RepliesHung,
        Self::ConnectionsCut,
        Self::ConnectionsRefused,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WorkerKilled => "worker killed",
            Self::WorkerPaused => "worker paused past its lease",
            Self::ServerKilled => "server killed and restarted",
            Self::ServerPaused => "server paused",
            Self::Failover => "primary killed, failover",
            Self::Switchover => "switchover",
            Self::SlotMoved => "slot moved",
            Self::StandbyPaused => "standby paused",
            Self::SessionsEnded => "sessions ended",
            Self::RowsLocked => "rows locked",
            Self::FileLocked => "file locked",
            Self::FileLockedPastLease => "file locked past a lease",
            Self::RequestsCut => "request cut",
            Self::RepliesLost => "reply lost",
            Self::RequestsDelayed => "request delayed",
            Self::RepliesDelayed => "reply delayed",
            Self::RequestsHung => "request hung",
            Self::RepliesHung => "reply hung",
            Self::ConnectionsCut => "connections cut",
            Self::ConnectionsRefused => "connections refused",
            Self::MemoryFull => "memory full",
            Self::MemoryFullPastLease => "memory full past a lease",
            Self::DiskFull => "disk full",
            Self::Outage => "server away past a lease",
            Self::LargeEndingsFail => "large endings fail",
        }
    }

    /// Between how many milliseconds it lasts.
    pub(super) fn lasts(self) -> Range<u64> {
        let lease = u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::WorkerPaused
            | Self::Outage
            | Self::MemoryFullPastLease
            | Self::FileLockedPastLease
            | Self::LargeEndingsFail => lease * 11 / 10..lease * 5 / 2,
            Self::ServerKilled | Self::Failover => 0..400,
            Self::ServerPaused => 100..1800,
            Self::StandbyPaused | Self::RowsLocked | Self::FileLocked => 200..1500,
            Self::RequestsHung | Self::RepliesHung => 300..2000,
            Self::ConnectionsRefused => 100..900,
            Self::MemoryFull | Self::DiskFull => 300..1500,
            Self::RequestsCut
            | Self::RepliesLost
            | Self::RequestsDelayed
            | Self::RepliesDelayed => 200..800,
            Self::WorkerKilled
            | Self::Switchover
            | Self::SlotMoved
            | Self::SessionsEnded
            | Self::ConnectionsCut => 0..1,
        }
    }

    /// Whether a holder whose process lives keeps its key through it, and for a lease after it.
    pub(crate) const fn spares_holders(self) -> bool {
        matches!(
            self,
            Self::Outage
                | Self::MemoryFullPastLease
                | Self::FileLockedPastLease
                | Self::LargeEndingsFail
        )
    }

    /// The proxy's name for it, where single requests are hit.
    pub(crate) fn of_requests(self, delay: Duration) -> Option<Fault> {
        match self {
            Self::RequestsCut => Some(Fault::CutBeforeRequest),
            Self::RepliesLost => Some(Fault::LoseReply),
            Self::RequestsDelayed => Some(Fault::DelayRequest(delay)),
            Self::RepliesDelayed => Some(Fault::DelayReply(delay)),
            Self::RequestsHung => Some(Fault::HangRequest),
            Self::RepliesHung => Some(Fault::HangReply),
            _ => None,
        }
    }
}
