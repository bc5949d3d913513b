//! A server as a part of a Cluster.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::view::ClusterView;
use crate::{redis::member::Member, wait::Not};

/// Four times the node timeout: for this long after an election a node does not hold another one.
/// Asked to change places sooner, it even takes the votes of the earlier election for those of the
/// new one, believes that it has won, and is put right by the others, with what it was written
/// meanwhile lost (seen on Redis 7.0).
const ELECTION_PAUSE: Duration = Duration::from_secs(4);

/// A server, and the number it goes by in the Cluster.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) member: Member,
    /// When it was last seen to have become a primary.
    elected: Mutex<Option<Instant>>,
}

impl Node {
    pub(super) fn new(id: String, member: Member) -> Self {
        Self {
            id,
            member,
            elected: Mutex::new(None),
        }
    }

    pub(super) fn note_election(&self) {
        *self.elected.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Waits until it can hold an election.
    pub(super) fn rest(&self) {
        let elected = *self.elected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(elected) = elected {
            thread::sleep(ELECTION_PAUSE.saturating_sub(elected.elapsed()));
        }
    }

    pub(super) fn view(&self) -> Result<ClusterView, Not> {
        let answer = self.member.ask(&["CLUSTER", "NODES"])?;
        Ok(ClusterView::parse(&answer.text().unwrap_or_default()))
    }
}
