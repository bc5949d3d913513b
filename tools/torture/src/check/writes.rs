//! What was written and what was seen: every record that is seen was written by somebody, as it was
//! seen, and not by a call that was refused.

use std::collections::HashMap;

use super::{Findings, Rule};
use crate::{
    clock::Nanos,
    event::{Call, Fault, Reply, Seen, Summary, Ver},
    history::StoreCall,
};

/// Longer than any run.
pub(super) const NEVER: Nanos = Nanos::MAX;

/// One write, which may have been sent several times.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) record: Summary,
    pub(super) ttl: Nanos,
    /// What it replaces; nothing, for a create.
    pub(super) replaces: Option<Ver>,
    /// When the store said that it applied it: sent, answered.
    pub(super) acknowledged: Option<(Nanos, Nanos)>,
    /// When it was first sent of those times that may have been applied.
    pub(super) sent: Option<Nanos>,
}

impl Write {
    /// Between when and when it was applied, if it was: sent, known.
    pub(super) fn span(&self) -> Option<(Nanos, Nanos)> {
        self.acknowledged.or_else(|| Some((self.sent?, NEVER)))
    }
}

/// What somebody saw of the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) seen: Seen,
    pub(super) sent: Nanos,
    pub(super) got: Nanos,
}

/// A delete that may have been applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delete {
    pub(super) expected: Ver,
    pub(super) sent: Nanos,
    /// When the store said that it applied it.
    pub(super) acknowledged: Option<Nanos>,
}

/// All that happened to one key, sorted by what it tells.
#[derive(Debug, Default)]
pub(super) struct Writes {
    pub(super) writes: HashMap<Ver, Write>,
    pub(super) sights: Vec<Sight>,
    /// When somebody was told that there is nothing: sent, answered.
    pub(super) vacancies: Vec<(Nanos, Nanos)>,
    pub(super) deletes: Vec<Delete>,
}

impl Writes {
    /// Sorts calls, and finds those whose answers cannot be.
    pub(super) fn of<'a>(
        calls: impl IntoIterator<Item = &'a StoreCall>,
        found: &mut Findings,
    ) -> Self {
        let mut writes = Self::default();
        for call in calls {
            writes.sort(call, found);
        }
        writes
    }

    fn sort(&mut self, call: &StoreCall, found: &mut Findings) {
        match call.what {
            Call::Create { record, ttl_ms } => self.write(call, record, ttl_ms, None, found),
            Call::Update {
                expected,
                record,
                ttl_ms,
            } => self.write(call, record, ttl_ms, Some(expected), found),
            Call::Delete { expected } => {
                if may_be_applied(call) {
                    self.deletes.push(Delete {
                        expected,
                        sent: call.sent,
                        acknowledged: acknowledged(call),
                    });
                }
            }
            Call::Get => {}
        }
        match call.reply {
            Some((got, Reply::Found(seen))) => {
                if expected_by(call) == Some(seen.record.ver) {
                    let what = format!("refused, though it stood at {:?}", seen.record.ver);
                    found.add(Rule::Exact, got, what);
                }
                self.sights.push(Sight {
                    seen,
                    sent: call.sent,
                    got,
                });
            }
            Some((got, Reply::Vacant)) => self.vacancies.push((call.sent, got)),
            Some((got, Reply::Failed(Fault::Corrupt))) => {
                found.add(Rule::S7, got, "the store calls its record damaged");
            }
            Some((got, Reply::Failed(Fault::Config))) => {
                found.add(Rule::S9, got, "the store calls itself set up wrongly");
            }
            _ => {}
        }
    }

    fn write(
        &mut self,
        call: &StoreCall,
        record: Summary,
        ttl_ms: u64,
        replaces: Option<Ver>,
        found: &mut Findings,
    ) {
        let write = self.writes.entry(record.ver).or_insert(Write {
            record,
            ttl: ttl_ms.saturating_mul(crate::clock::MILLISECOND),
            replaces,
            acknowledged: None,
            sent: None,
        });
        if write.record != record || write.replaces != replaces {
            let what = format!("two different writes share the version {:?}", record.ver);
            found.add(Rule::Exact, call.sent, what);
        }
        if let Some(got) = acknowledged(call) {
            if write.acknowledged.is_some() {
                let what = format!("the write {:?} was applied twice", record.ver);
                found.add(Rule::Exact, got, what);
            }
            write.acknowledged = Some((call.sent, got));
        }
        if may_be_applied(call) {
            let earlier = write.sent.unwrap_or(NEVER);
            write.sent = Some(earlier.min(call.sent));
        }
    }

    /// The write of a version, here or among `earlier` ones: rather one that may have been applied.
    /// One that was sent both earlier and here, and never acknowledged here, may have been applied
    /// as early as it was sent first.
    pub(super) fn find(&self, earlier: &Self, ver: Ver) -> Option<Write> {
        let (here, before) = (self.writes.get(&ver), earlier.writes.get(&ver));
        let mut found = here
            .filter(|write| write.span().is_some())
            .or(before)
            .or(here)?
            .clone();
        if let (None, Some(sent)) = (found.acknowledged, before.and_then(|write| write.sent)) {
            found.sent = found.sent.map(|first| first.min(sent));
        }
        Some(found)
    }

    /// Compares what was seen with what was written, here or earlier.
    pub(super) fn check_sights(&self, earlier: &Self, found: &mut Findings) {
        for sight in &self.sights {
            let record = sight.seen.record;
            let Some(write) = self.find(earlier, record.ver) else {
                let what = format!("nobody wrote what was seen: {record:?}");
                found.add(Rule::S7, sight.got, what);
                continue;
            };
            if write.record != record {
                let what = format!("{:?} was written, {record:?} was seen", write.record);
                found.add(Rule::S7, sight.got, what);
            }
            match write.span() {
                None => {
                    let what = format!("a write that was refused is there: {record:?}");
                    found.add(Rule::S9, sight.got, what);
                }
                Some((sent, _)) if sent > sight.got => {
                    let what = format!("{record:?} was seen before it was written");
                    found.add(Rule::Linear, sight.got, what);
                }
                Some(_) => {}
            }
        }
    }
}

fn acknowledged(call: &StoreCall) -> Option<Nanos> {
    match call.reply {
        Some((got, Reply::Applied)) => Some(got),
        _ => None,
    }
}

/// The version that a call is about.
fn expected_by(call: &StoreCall) -> Option<Ver> {
    match call.what {
        Call::Update { expected, .. } | Call::Delete { expected } => Some(expected),
        Call::Create { .. } | Call::Get => None,
    }
}

/// Whether a write may have been applied, now or later.
pub(super) fn may_be_applied(call: &StoreCall) -> bool {
    matches!(
        call.reply,
        None | Some((_, Reply::Applied | Reply::Failed(Fault::Unknown)))
    )
}
