//! Which writes took effect, and what each of them replaced.

use std::collections::{HashMap, HashSet};

use super::{
    Findings, Rule,
    writes::{NEVER, Sight, Write, Writes},
};
use crate::{
    clock::Nanos,
    event::{Phase, Ver},
};

/// A record from its create to its end: each link replaced the one before.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) links: Vec<Link>,
    /// The delete that ended it, if one was acknowledged: sent, answered.
    pub(super) removed: Option<(Nanos, Nanos)>,
    /// When deletes may have ended it, at the earliest.
    pub(super) maybe_removed: Vec<Nanos>,
    /// When writes would have run out that may have been applied over its last version, at the
    /// earliest.
    pub(super) maybe_runs_out: Vec<Nanos>,
}

/// One version while it stood.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) write: Write,
    /// Between when and when it was written.
    pub(super) span: (Nanos, Nanos),
    pub(super) sights: Vec<Sight>,
}

/// Puts the writes that took effect into chains. `before` is what had been sent earlier, and had
/// taken effect by then or was under way.
pub(super) fn chains(writes: &Writes, before: &Writes, found: &mut Findings) -> Vec<Chain> {
    let effective = effective(writes, before, found);
    let mut sights: HashMap<Ver, Vec<Sight>> = HashMap::new();
    for sight in &writes.sights {
        sights
            .entry(sight.seen.record.ver)
            .or_default()
            .push(*sight);
    }
    let mut successors: HashMap<Ver, Vec<Ver>> = HashMap::new();
    let mut roots = Vec::new();
    for (ver, write) in &effective {
        match write.replaces.filter(|ver| effective.contains_key(ver)) {
            Some(replaced) if !is_settled_before(*ver, writes, before) => {
                successors.entry(replaced).or_default().push(*ver);
            }
            _ => roots.push(*ver),
        }
    }
    check_forks(&successors, &effective, found);
    roots.sort_unstable();
    roots
        .into_iter()
        .map(|root| {
            let mut links = Vec::new();
            let mut next = Some(root);
            while let Some(ver) = next {
                let write = effective[&ver].clone();
                links.push(Link {
                    span: write.span().unwrap_or((0, NEVER)),
                    write,
                    sights: sights.remove(&ver).unwrap_or_default(),
                });
                next = successors.get(&ver).and_then(|next| next.first().copied());
            }
            end(links, writes, before, found)
        })
        .collect()
}

/// The writes that were acknowledged, or seen, or built upon.
fn effective(writes: &Writes, before: &Writes, found: &mut Findings) -> HashMap<Ver, Write> {
    let mut wanted: Vec<Ver> = Vec::new();
    let acknowledged = |write: &&Write| write.acknowledged.is_some();
    wanted.extend(
        writes
            .writes
            .values()
            .filter(acknowledged)
            .map(|w| w.record.ver),
    );
    wanted.extend(writes.sights.iter().map(|sight| sight.seen.record.ver));
    let removed = writes.deletes.iter().filter(|d| d.acknowledged.is_some());
    wanted.extend(removed.map(|delete| delete.expected));

    let mut effective = HashMap::new();
    let mut looked_at = HashSet::new();
    while let Some(ver) = wanted.pop() {
        if !looked_at.insert(ver) {
            continue;
        }
        let Some(write) = writes.find(before, ver) else {
            let what = format!("{ver:?} was replaced or removed, and nobody had written it");
            found.add(Rule::Exact, 0, what);
            continue;
        };
        if write.span().is_none() {
            let what = format!("{ver:?} was refused, and yet something was built on it");
            found.add(Rule::S9, 0, what);
            continue;
        }
        // What was there at the start has its own past, which is not looked at here.
        if !is_settled_before(ver, writes, before) {
            wanted.extend(write.replaces);
        }
        effective.insert(ver, write);
    }
    effective
}

/// Whether a version was there before, and cannot have been written as late as here.
fn is_settled_before(ver: Ver, writes: &Writes, before: &Writes) -> bool {
    let is_of_here = |write: &Write| write.span().is_some();
    !writes.writes.get(&ver).is_some_and(is_of_here)
        && before
            .writes
            .get(&ver)
            .is_some_and(|write| write.acknowledged.is_some())
}

fn check_forks(
    successors: &HashMap<Ver, Vec<Ver>>,
    effective: &HashMap<Ver, Write>,
    found: &mut Findings,
) {
    for (replaced, by) in successors {
        if by.len() > 1 {
            let what = format!("{replaced:?} was replaced by each of {by:?}");
            found.add(Rule::Exact, at(effective, by[0]), what);
        }
        let (old, new) = (&effective[replaced].record, &effective[&by[0]].record);
        let now = at(effective, new.ver);
        if matches!(old.state, Phase::Completed(_) | Phase::Failed(_)) {
            found.add(
                Rule::G2,
                now,
                format!("the ending {old:?} was replaced by {new:?}"),
            );
        }
        if old.fingerprint != new.fingerprint && old.state != Phase::Released {
            found.add(
                Rule::G4,
                now,
                format!("{old:?} became another request's: {new:?}"),
            );
        }
        let starts_anew = old.ver.0 != new.ver.0 && matches!(new.state, Phase::InFlight { .. });
        if new.attempt != old.attempt + u32::from(starts_anew) {
            found.add(
                Rule::G1,
                now,
                format!("attempt {} follows {old:?}", new.attempt),
            );
        }
    }
}

fn at(effective: &HashMap<Ver, Write>, ver: Ver) -> Nanos {
    effective[&ver].sent.unwrap_or_default()
}

/// How a chain may have ended, beside running out.
fn end(links: Vec<Link>, writes: &Writes, before: &Writes, found: &mut Findings) -> Chain {
    let versions: Vec<Ver> = links.iter().map(|link| link.write.record.ver).collect();
    let unnoticed = unnoticed(versions.last().copied(), writes, before);
    let mut chain = Chain {
        links,
        removed: None,
        maybe_removed: Vec::new(),
        maybe_runs_out: unnoticed.values().map(|write| write.runs_out).collect(),
    };
    let late = before.deletes.iter();
    let late = late.filter(|delete| delete.acknowledged.is_none());
    for delete in writes.deletes.iter().chain(late) {
        let is_last = versions.last() == Some(&delete.expected);
        match delete.acknowledged {
            Some(got) if is_last && chain.removed.is_none() => {
                chain.removed = Some((delete.sent, got));
            }
            Some(got) if versions.contains(&delete.expected) => {
                let what = format!("{:?} was removed when it was not there", delete.expected);
                found.add(Rule::Exact, got, what);
            }
            None if is_last => chain.maybe_removed.push(delete.sent),
            None => {
                let write = unnoticed.get(&delete.expected);
                let removed = write.map(|write| write.applied.max(delete.sent));
                chain.maybe_removed.extend(removed);
            }
            Some(_) => {}
        }
    }
    chain
}

/// The writes that may have been applied over the last version of a chain without anybody noticing.
fn unnoticed(last: Option<Ver>, writes: &Writes, before: &Writes) -> HashMap<Ver, Unnoticed> {
    let mut unnoticed: HashMap<Ver, Unnoticed> = HashMap::new();
    let mut over: Vec<(Ver, Nanos)> = last.map(|ver| (ver, 0)).into_iter().collect();
    while let Some((replaced, not_before)) = over.pop() {
        for write in writes.writes.values().chain(before.writes.values()) {
            let ver = write.record.ver;
            if write.replaces != Some(replaced) || unnoticed.contains_key(&ver) {
                continue;
            }
            if let (Some(sent), None) = (write.sent, write.acknowledged) {
                let applied = sent.max(not_before);
                let runs_out = applied.saturating_add(write.ttl);
                unnoticed.insert(ver, Unnoticed { applied, runs_out });
                over.push((ver, applied));
            }
        }
    }
    unnoticed
}

/// When a write that nobody noticed can have been applied, and have run out, at the earliest.
#[derive(Debug, Clone, Copy)]
struct Unnoticed {
    applied: Nanos,
    runs_out: Nanos,
}
