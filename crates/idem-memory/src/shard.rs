//! One part of the store, under a lock of its own.

use std::time::Duration;

use hashbrown::{HashTable, hash_table::OccupiedEntry};
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Stored, Updated, Version},
};

use crate::{
    clock::Moment,
    expiry::Expiries,
    room::Room,
    slot::{Slot, compact, size},
    watch::Watched,
};

/// How many due dates a write deals with. More than the one that it may add, so that purging
/// catches up with any rate of writing, and few enough that no write stalls.
const PURGED_PER_WRITE: usize = 4;

/// A key and the hash of its text, which is all that the table and the queue know of it.
#[derive(Clone, Copy)]
pub(crate) struct Hashed<'a> {
    pub(crate) key: &'a RecordKey,
    pub(crate) hash: u64,
}

/// There was no room; nothing was written.
pub(crate) struct Full;

pub(crate) struct Shard {
    filed: HashTable<Filed>,
    expiries: Expiries,
    watched: Watched,
    room: Room,
    #[cfg(test)]
    pub(crate) looked_at: usize,
}

/// A slot with its hash at hand, so that a growing table does not go and look into each slot.
struct Filed {
    hash: u64,
    slot: Box<Slot>,
}

impl Filed {
    fn is(&self, hashed: Hashed<'_>) -> bool {
        self.hash == hashed.hash && self.slot.key().as_str() == hashed.key.as_str()
    }
}

/// What the table files a hash under. The hash's own upper bits choose the shard, so all records
/// of a shard share them, and the table wants bits that tell them apart there.
fn within(hash: u64) -> u64 {
    hash.rotate_left(32)
}

impl Shard {
    pub(crate) fn new(room: Room) -> Self {
        Self {
            filed: HashTable::new(),
            expiries: Expiries::default(),
            watched: Watched::default(),
            room,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    pub(crate) fn create(
        &mut self,
        hashed: Hashed<'_>,
        record: &Record,
        ttl: Duration,
        now: Moment,
    ) -> Result<Created, Full> {
        self.purge(PURGED_PER_WRITE, now);
        if let Some(found) = live(&mut self.filed, &mut self.room, hashed, now) {
            return Ok(Created::Exists(found.get().slot.stored(now)));
        }
        if !self.room.add(size(hashed.key, record)) {
            return Err(Full);
        }
        let slot = Box::new(Slot::new(hashed.key.clone(), compact(record), ttl, now));
        self.expiries.push((slot.queued(), hashed.hash));
        let hash = hashed.hash;
        let filed = Filed { hash, slot };
        self.filed
            .insert_unique(within(hash), filed, |filed| within(filed.hash));
        Ok(Created::New)
    }

    /// Leaves the replaced record in `record`.
    pub(crate) fn update(
        &mut self,
        hashed: Hashed<'_>,
        expected: Version,
        record: &mut Record,
        ttl: Duration,
        now: Moment,
    ) -> Result<Updated, Full> {
        self.purge(PURGED_PER_WRITE, now);
        let Some(mut found) = live(&mut self.filed, &mut self.room, hashed, now) else {
            return Ok(Updated::Conflict(None));
        };
        let slot = &mut found.get_mut().slot;
        if slot.record().version != expected {
            return Ok(Updated::Conflict(Some(slot.stored(now))));
        }
        if !self.room.resize(slot.size(), size(hashed.key, record)) {
            return Err(Full);
        }
        if let Some(date) = slot.swap(record, ttl, now) {
            self.expiries.push((date, hashed.hash));
        }
        Ok(Updated::Done)
    }

    pub(crate) fn delete(&mut self, hashed: Hashed<'_>, expected: Version, now: Moment) -> Deleted {
        self.purge(PURGED_PER_WRITE, now);
        let Some(found) = live(&mut self.filed, &mut self.room, hashed, now) else {
            return Deleted::Conflict(None);
        };
        let slot = &found.get().slot;
        if slot.record().version != expected {
            return Deleted::Conflict(Some(slot.stored(now)));
        }
        self.room.remove(slot.size());
        found.remove();
        self.tidy();
        Deleted::Done
    }

    pub(crate) fn get(&mut self, hashed: Hashed<'_>, now: Moment) -> Option<Stored> {
        live(&mut self.filed, &mut self.room, hashed, now).map(|found| found.get().slot.stored(now))
    }

    /// Deals with at most `dates` due dates, soonest first, and says how many records went and
    /// whether more is due.
    pub(crate) fn purge(&mut self, dates: usize, now: Moment) -> Purged {
        let mut records = 0;
        for _ in 0..dates {
            let Some((date, hash)) = self.expiries.pop_due(now) else {
                return Purged {
                    records,
                    more: false,
                };
            };
            records += usize::from(self.look_at(date, hash, now));
        }
        Purged {
            records,
            more: true,
        }
    }

    /// Removes the record of a due date if it has expired, or sets it another date.
    fn look_at(&mut self, date: Moment, hash: u64, now: Moment) -> bool {
        #[cfg(test)]
        {
            self.looked_at += 1;
        }
        let dated = |filed: &Filed| filed.hash == hash && filed.slot.queued() == date;
        let Ok(mut found) = self.filed.find_entry(within(hash), dated) else {
            return false;
        };
        let slot = &mut found.get_mut().slot;
        let expired = slot.is_expired(now);
        if expired {
            self.room.remove(slot.size());
            found.remove();
        } else {
            self.expiries.push((slot.requeue(now), hash));
        }
        expired
    }

    fn tidy(&mut self) {
        let filed = &self.filed;
        self.expiries.tidy(filed.len(), |(date, hash)| {
            let dated = |filed: &Filed| filed.hash == hash && filed.slot.queued() == date;
            filed.find(within(hash), dated).is_some()
        });
    }

    /// At most `limit` records in the order of their hashes, those after `after`; more only where
    /// hashes are equal. This looks at all of the shard. `limit` is at least 1.
    pub(crate) fn page(&self, after: Option<u64>, limit: usize, now: Moment) -> Vec<Listed> {
        let mut listed: Vec<&Filed> = self
            .filed
            .iter()
            .filter(|filed| after.is_none_or(|after| filed.hash > after))
            .filter(|filed| !filed.slot.is_expired(now))
            .collect();
        if listed.len() > limit {
            let (_, last, _) = listed.select_nth_unstable_by_key(limit - 1, |filed| filed.hash);
            let last = last.hash;
            listed.retain(|filed| filed.hash <= last);
        }
        listed.sort_unstable_by_key(|filed| filed.hash);
        listed
            .into_iter()
            .map(|filed| Listed {
                hash: filed.hash,
                key: filed.slot.key().clone(),
                stored: filed.slot.stored(now),
            })
            .collect()
    }

    pub(crate) fn records(&self) -> usize {
        self.filed.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.room.used()
    }

    /// Gives room that was taken ahead to the other shards; says whether there was any.
    pub(crate) fn give_back(&mut self) -> bool {
        self.room.give_back()
    }

    pub(crate) fn watched(&mut self) -> &mut Watched {
        &mut self.watched
    }

    #[cfg(test)]
    pub(crate) fn dates(&self) -> usize {
        self.expiries.len()
    }
}

/// What a purge did.
pub(crate) struct Purged {
    pub(crate) records: usize,
    pub(crate) more: bool,
}

/// A record of a listing.
pub(crate) struct Listed {
    pub(crate) hash: u64,
    pub(crate) key: RecordKey,
    pub(crate) stored: Stored,
}

/// The place of a record that is there. One that has expired is removed and is not (rule S5).
fn live<'a>(
    filed: &'a mut HashTable<Filed>,
    room: &mut Room,
    hashed: Hashed<'_>,
    now: Moment,
) -> Option<OccupiedEntry<'a, Filed>> {
    let found = filed
        .find_entry(within(hashed.hash), |filed| filed.is(hashed))
        .ok()?;
    if found.get().slot.is_expired(now) {
        room.remove(found.get().slot.size());
        found.remove();
        return None;
    }
    Some(found)
}
