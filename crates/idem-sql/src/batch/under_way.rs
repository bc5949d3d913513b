//! [`UnderWay`]: calls that were taken out of their queue and not yet brought back.

use std::{mem, sync::Arc};

use idem_core::{RecordKey, store::StoreError};

use super::{
    Lanes, Reply, Shared,
    job::{Call, Group},
};

/// A batch: groups whose keys are marked as under way until they are answered, or until this is
/// dropped. A call that is dropped here is told [`Unknown`](idem_core::store::StoreErrorKind::Unknown).
pub struct UnderWay<L: Lanes> {
    pub(super) shared: Arc<Shared<L>>,
    pub(super) groups: Vec<Group<L::Kind>>,
}

impl<L: Lanes> UnderWay<L> {
    /// The rows to send, in ascending order of their keys, each key once.
    #[must_use]
    pub fn groups(&self) -> &[Group<L::Kind>] {
        &self.groups
    }

    /// The store that the batch is for.
    #[must_use]
    pub fn lanes(&self) -> &L {
        &self.shared.lanes
    }

    /// All from this place on, as a batch of its own.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            groups: self.groups.split_off(at),
        }
    }

    /// Hands out one reply for each group, in their order. Calls that have no answer yet are sent
    /// again.
    pub fn settle(self, replies: impl IntoIterator<Item = Reply>) {
        let all = self.settle_decided(replies, |_, _| true);
        debug_assert!(all.is_empty(), "each of them is settled");
    }

    /// [`settle`](Self::settle) for a batch that was answered or failed as a whole. One that failed,
    /// where `splits` says that this may concern one of its calls alone, comes back in halves, to be
    /// sent from the last to the first; another failure is the answer to all of its calls.
    #[must_use]
    pub fn settle_or_halve(
        mut self,
        replies: Result<Vec<Reply>, StoreError>,
        splits: impl Fn(&StoreError) -> bool,
    ) -> Vec<Self> {
        match replies {
            Ok(replies) => self.settle(replies),
            Err(error) if self.groups.len() > 1 && splits(&error) => {
                let half = self.split_off(self.groups.len() / 2);
                return vec![half, self];
            }
            Err(error) => self.answer_all(&Err(error)),
        }
        Vec::new()
    }

    /// [`settle`](Self::settle) for the groups whose reply decides. The others come back, each as a
    /// batch of its own, still under way.
    #[must_use]
    pub fn settle_decided(
        mut self,
        replies: impl IntoIterator<Item = Reply>,
        decides: impl Fn(&Group<L::Kind>, &Reply) -> bool,
    ) -> Vec<Self> {
        let groups = mem::take(&mut self.groups);
        let mut settled = Vec::with_capacity(groups.len());
        let mut undecided = Vec::new();
        for (group, reply) in groups.into_iter().zip(replies) {
            if decides(&group, &reply) {
                let (kind, (key, left)) = (group.kind, group.settle(reply));
                settled.push((kind, key, left));
            } else {
                undecided.push(Self {
                    shared: Arc::clone(&self.shared),
                    groups: vec![group],
                });
            }
        }
        self.release(settled);
        undecided
    }

    /// Sends all of it by statements of other kinds.
    pub fn change_kinds(&mut self, other: impl Fn(L::Kind) -> L::Kind) {
        for group in &mut self.groups {
            group.kind = other(group.kind);
        }
    }

    /// Gives every call the same reply.
    pub fn answer_all(mut self, reply: &Reply) {
        let groups = mem::take(&mut self.groups).into_iter();
        let answered = groups.map(|group| {
            let (kind, key) = (group.kind, group.key.clone());
            group.answer_all(reply);
            (kind, key, Vec::new())
        });
        let answered = answered.collect();
        self.release(answered);
    }

    /// Ends the work on these keys; the calls that have no answer yet wait for their next turn.
    fn release(&self, keys: Vec<(L::Kind, RecordKey, Vec<Call>)>) {
        let mut queues = self.shared.queues();
        let mut more = false;
        for (kind, key, unanswered) in keys {
            more |= queues.release(kind, &key, unanswered);
        }
        if more && queues.take_lane() {
            drop(queues);
            // Where no runtime takes it, the lane is dropped, and hands back what waits for it.
            let _ = super::start_lane(&self.shared);
        }
    }
}

impl<L: Lanes> Drop for UnderWay<L> {
    /// What is left was given up midway: the first caller of each key is told that the outcome is
    /// unknown, and the others have the next turn.
    fn drop(&mut self) {
        if !self.groups.is_empty() {
            let left = mem::take(&mut self.groups).into_iter();
            let left = left.map(|group| (group.kind, group.key, group.others));
            self.release(left.collect());
        }
    }
}
