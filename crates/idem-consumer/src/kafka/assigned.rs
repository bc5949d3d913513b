//! [`Assigned`]: which messages of which partitions are out, and up to where each partition is settled.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tokio::time::Instant;

use super::record::Record;

/// A topic and a partition of it.
pub(super) type Place = (Arc<str>, i32);

/// The partitions that messages came from since they were assigned to this consumer.
#[derive(Default)]
pub(super) struct Assigned {
    partitions: HashMap<Place, Partition>,
    /// Messages that are held here until they are due. The number tells two of one instant apart.
    held: BTreeMap<(Instant, u64), Arc<Record>>,
    /// Partitions that are paused because nobody waits for a message.
    resting: BTreeSet<Place>,
    counter: u64,
}

/// What came of settling a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Where the group may go on after a restart, if that moved.
    pub(super) store: Option<i64>,
    /// Whether a full partition has room again.
    pub(super) has_room: bool,
}

impl Assigned {
    /// Counts a message as out. `true` if its partition is full now.
    pub(super) fn take(&mut self, mut record: Record, window: usize) -> (Arc<Record>, bool) {
        let place = record.place();
        let known = self.partitions.get(&place);
        if known.is_none_or(|partition| record.offset < partition.next) {
            // New, or set back to an earlier offset: what was out before is not settled here any more.
            self.counter += 1;
            let paused = known.is_some_and(|partition| partition.is_full);
            let fresh = Partition::new(self.counter, paused);
            self.partitions.insert(place.clone(), fresh);
            self.held.retain(|_, held| held.place() != place);
        }
        let mut fills = false;
        if let Some(partition) = self.partitions.get_mut(&place) {
            record.epoch = partition.epoch;
            partition.out.insert(record.offset, false);
            partition.next = record.offset + 1;
            fills = !partition.is_full && partition.out.len() >= window;
            partition.is_full |= fills;
        }
        (Arc::new(record), fills)
    }

    /// `None` if the partition was revoked since the message came.
    pub(super) fn settle(&mut self, record: &Record, window: usize) -> Option<Settled> {
        let place = record.place();
        let partition = self.partitions.get_mut(&place)?;
        if partition.epoch != record.epoch {
            return None;
        }
        let store = partition.settle(record.offset);
        let has_room = partition.is_full && partition.out.len() <= window / 2;
        partition.is_full &= !has_room;
        // One that rests is resumed when it wakes.
        let has_room = has_room && !self.resting.contains(&place);
        Some(Settled { store, has_room })
    }

    /// Whether the partition is still assigned as it was when the message came.
    pub(super) fn is_ours(&self, record: &Record) -> bool {
        let partition = self.partitions.get(&record.place());
        partition.is_some_and(|partition| partition.epoch == record.epoch)
    }

    /// Keeps a message until it is due.
    pub(super) fn hold(&mut self, record: Arc<Record>, due: Instant) {
        self.counter += 1;
        self.held.insert((due, self.counter), record);
    }

    /// A held message that is due, or else when the next one is.
    pub(super) fn due(&mut self, now: Instant) -> Result<Arc<Record>, Option<Instant>> {
        match self.held.first_entry() {
            Some(first) if first.key().0 <= now => Ok(first.remove()),
            Some(first) => Err(Some(first.key().0)),
            None => Err(None),
        }
    }

    /// Whether a held message is due.
    pub(super) fn has_due(&self, now: Instant) -> bool {
        let first = self.held.first_key_value();
        first.is_some_and(|((due, _), _)| *due <= now)
    }

    pub(super) fn forget_held(&mut self) {
        self.held.clear();
    }

    /// Which of these partitions have to be paused, for nobody waits for a message.
    pub(super) fn rest(&mut self, all: impl Iterator<Item = Place>) -> Vec<Place> {
        let is_paused = |place: &Place| {
            let full = self.partitions.get(place);
            self.resting.contains(place) || full.is_some_and(|partition| partition.is_full)
        };
        let paused: Vec<Place> = all.filter(|place| !is_paused(place)).collect();
        self.resting.extend(paused.iter().cloned());
        paused
    }

    /// Which partitions have to be resumed, for somebody waits again.
    pub(super) fn wake(&mut self) -> Vec<Place> {
        let mut rested = std::mem::take(&mut self.resting);
        // A message that was on its way may have filled one.
        rested.retain(|place| !self.partitions.get(place).is_some_and(|it| it.is_full));
        rested.into_iter().collect()
    }

    /// Forgets partitions: their messages are not this consumer's any more. Gives those that were paused.
    pub(super) fn revoke(&mut self, places: &[Place]) -> Vec<Place> {
        self.held.retain(|_, held| !places.contains(&held.place()));
        let mut paused = Vec::new();
        for place in places {
            let was_full = self.partitions.remove(place).is_some_and(|it| it.is_full);
            let rested = self.resting.remove(place);
            if was_full || rested {
                paused.push(place.clone());
            }
        }
        paused
    }
}

/// One partition, since it was assigned.
struct Partition {
    /// Tells this assignment from earlier and later ones of the same partition.
    epoch: u64,
    /// From the first message that is not settled on: the offsets that came, and whether each is settled.
    out: BTreeMap<i64, bool>,
    /// One more than the last offset that came.
    next: i64,
    /// As many are out as may be, so it is paused.
    is_full: bool,
}

impl Partition {
    fn new(epoch: u64, is_full: bool) -> Self {
        Self {
            epoch,
            out: BTreeMap::new(),
            next: 0,
            is_full,
        }
    }

    /// Kafka takes one offset per partition, and everything before it for settled: it moves when the
    /// oldest message that is out is settled.
    fn settle(&mut self, offset: i64) -> Option<i64> {
        *self.out.get_mut(&offset)? = true;
        let mut moved = false;
        while let Some(first) = self.out.first_entry().filter(|first| *first.get()) {
            first.remove();
            moved = true;
        }
        let first = self.out.keys().next();
        moved.then(|| first.copied().unwrap_or(self.next))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WINDOW: usize = 4;

    fn take(assigned: &mut Assigned, offset: i64) -> (Arc<Record>, bool) {
        assigned.take(Record::at("orders", 0, offset), WINDOW)
    }

    fn settle(assigned: &mut Assigned, record: &Record) -> Option<Option<i64>> {
        let settled = assigned.settle(record, WINDOW)?;
        Some(settled.store)
    }

    fn place() -> Place {
        ("orders".into(), 0)
    }

    #[test]
    fn an_offset_is_stored_once_every_earlier_message_is_settled() {
        let mut assigned = Assigned::default();
        // The offsets of a compacted topic have gaps.
        let [a, b, c] = [7, 9, 12].map(|offset| take(&mut assigned, offset).0);
        assert_eq!(settle(&mut assigned, &b), Some(None));
        assert_eq!(settle(&mut assigned, &a), Some(Some(12)));
        assert_eq!(settle(&mut assigned, &a), Some(None));
        assert_eq!(settle(&mut assigned, &c), Some(Some(13)));
    }

    #[test]
    fn what_was_revoked_is_not_settled_any_more_even_if_the_partition_comes_back() {
        let mut assigned = Assigned::default();
        let (old, _) = take(&mut assigned, 7);
        assigned.hold(Arc::clone(&old), Instant::now());
        assert!(assigned.is_ours(&old));
        assert!(assigned.revoke(&[place()]).is_empty());
        assert_eq!(settle(&mut assigned, &old), None);
        let (new, _) = take(&mut assigned, 7);
        assert!(!assigned.is_ours(&old));
        assert_eq!(settle(&mut assigned, &old), None);
        assert!(assigned.due(Instant::now()).is_err(), "it was held");
        assert_eq!(settle(&mut assigned, &new), Some(Some(8)));
    }

    #[test]
    fn a_partition_that_is_set_back_starts_anew() {
        let mut assigned = Assigned::default();
        let [first, second] = [7, 8].map(|offset| take(&mut assigned, offset).0);
        assert_eq!(settle(&mut assigned, &first), Some(Some(8)));
        let (again, _) = take(&mut assigned, 7);
        assert_eq!(settle(&mut assigned, &second), None);
        assert_eq!(settle(&mut assigned, &again), Some(Some(8)));
    }

    #[test]
    fn a_full_partition_is_paused_until_half_of_it_is_settled() {
        let mut assigned = Assigned::default();
        let out = [0, 1, 2, 3, 4].map(|offset| take(&mut assigned, offset));
        // One that was on its way when the partition was paused is taken all the same.
        assert_eq!(
            out.each_ref().map(|(_, fills)| *fills),
            [false, false, false, true, false]
        );
        let room = [2, 1, 0, 3, 4].map(|n| {
            let settled = assigned.settle(&out[n].0, WINDOW);
            settled.unwrap().has_room
        });
        // What is settled behind a message that is not counts: it would come again.
        assert_eq!(room, [false, false, true, false, false]);
    }

    #[test]
    fn what_rests_is_resumed_once_and_a_full_partition_only_when_it_has_room() {
        let mut assigned = Assigned::default();
        for offset in 0..4 {
            take(&mut assigned, offset);
        }
        let other: Place = ("orders".into(), 1);
        let all = || [place(), other.clone()].into_iter();
        assert_eq!(assigned.rest(all()), std::slice::from_ref(&other));
        assert!(assigned.rest(all()).is_empty());
        assert_eq!(assigned.wake(), std::slice::from_ref(&other));
        assert!(assigned.wake().is_empty());
        // One that is filled while it rests goes on when it has room.
        assigned.rest([other.clone()].into_iter());
        let out = [0, 1, 2, 3].map(|n| assigned.take(Record::at("orders", 1, n), WINDOW).0);
        assert!(assigned.wake().is_empty());
        let room = [0, 1].map(|n| assigned.settle(&out[n], WINDOW).unwrap().has_room);
        assert_eq!(room, [false, true]);
        // A partition that goes while it is paused must not come back so.
        assert_eq!(assigned.revoke(&[other, place()]), [place()]);
    }

    #[test]
    fn held_messages_come_when_they_are_due() {
        let mut assigned = Assigned::default();
        let [late, early] = [0, 1].map(|offset| take(&mut assigned, offset).0);
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assigned.hold(late, now + second * 2);
        assigned.hold(early, now + second);
        let due = |assigned: &mut Assigned, after| {
            let due = assigned.due(now + second * after);
            due.map(|record| record.offset)
        };
        assert_eq!(due(&mut assigned, 0), Err(Some(now + second)));
        assert_eq!(due(&mut assigned, 2), Ok(1));
        assert_eq!(due(&mut assigned, 2), Ok(0));
        assert_eq!(due(&mut assigned, 2), Err(None));
    }
}
