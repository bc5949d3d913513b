//! Calls that were taken out of their queue and not yet brought back.

use std::sync::Arc;

use idem_core::RecordKey;

use super::{
    Shared,
    job::{Call, Group, Reply},
    kind::Kind,
};

/// Groups of one kind whose keys are marked as under way, until this is dropped at the latest.
pub(super) struct UnderWay {
    pub(super) shared: Arc<Shared>,
    pub(super) kind: Kind,
    pub(super) groups: Vec<Group>,
}

impl UnderWay {
    /// All from this one on.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            kind: self.kind,
            groups: self.groups.split_off(at),
        }
    }

    /// This group alone, out of a batch of the same kind.
    pub(super) fn alone(&self, group: Group) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            kind: self.kind,
            groups: vec![group],
        }
    }

    /// Gives everybody the same answer.
    pub(super) fn answer_all(mut self, reply: &Reply) {
        let groups = std::mem::take(&mut self.groups);
        let answered = groups.into_iter().map(|group| {
            let key = group.key.clone();
            group.answer_all(reply);
            (key, Vec::new())
        });
        self.release(answered.collect());
    }

    /// Ends the work on these keys; the calls that have no answer yet wait for their next turn.
    pub(super) fn release(&self, keys: Vec<(RecordKey, Vec<Call>)>) {
        let mut queues = self.shared.queues();
        let mut more = false;
        for (key, unanswered) in keys {
            more |= queues.release(self.kind, &key, unanswered);
        }
        if more && queues.take_lane() {
            drop(queues);
            // Where no runtime takes it, the lane is dropped, and hands back what waits for it.
            let _ = super::start_lane(&self.shared);
        }
    }
}

impl Drop for UnderWay {
    /// What is left was given up midway: whoever asked is told that the outcome is unknown, and
    /// whoever listened has the next turn.
    fn drop(&mut self) {
        if !self.groups.is_empty() {
            let left = std::mem::take(&mut self.groups).into_iter();
            self.release(left.map(|group| (group.key, group.others)).collect());
        }
    }
}
