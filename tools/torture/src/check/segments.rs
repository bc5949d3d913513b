//! Failovers cut a history into stretches. Where acknowledged writes may be lost, or what was never
//! acknowledged may have been seen, each stretch is checked strictly by itself, and what was lost
//! between two of them is counted.

use std::collections::{HashMap, HashSet};

use super::{
    Findings, Promise, Rules, Window,
    chains::{self, Chain},
    order, times,
    writes::{Delete, Write, Writes, may_be_applied},
};
use crate::{
    clock::Nanos,
    event::{Summary, Ver},
    history::StoreCall,
};

/// An acknowledged write that was gone after a failover.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost {
    pub(super) record: Summary,
    /// When it was acknowledged.
    pub(super) at: Nanos,
}

/// Checks the calls of one key, and says which acknowledged writes were lost at failovers.
pub(super) fn check(calls: &[StoreCall], rules: &Rules, found: &mut Findings) -> Vec<Lost> {
    if rules.promise == Promise::Durable || rules.failovers.is_empty() {
        let all: Vec<&StoreCall> = calls.iter().collect();
        check_stretch(&all, &Writes::default(), rules, found);
        return Vec::new();
    }
    let mut lost = Vec::new();
    let mut last: Option<Chain> = None;
    for stretch in stretches(&rules.failovers) {
        let inside: Vec<&StoreCall> = calls.iter().filter(|call| is_in(call, stretch)).collect();
        if inside.is_empty() {
            continue;
        }
        let before = before(calls, stretch, found);
        let chains = check_stretch(&inside, &before, rules, found);
        // A stretch in which nobody saw a record leaves the question to the next one.
        if let (Some(last), Some(first)) = (&last, chains.first()) {
            lost.extend(gone(last, first, &before));
        }
        last = chains.into_iter().next_back().or(last);
    }
    lost
}

fn check_stretch(
    calls: &[&StoreCall],
    before: &Writes,
    rules: &Rules,
    found: &mut Findings,
) -> Vec<Chain> {
    let writes = Writes::of(calls.iter().copied(), found);
    writes.check_sights(before, found);
    let mut chains = chains::chains(&writes, before, found);
    order::check(&mut chains, &writes.vacancies, rules.slack, found);
    for chain in &chains {
        times::check(chain, rules, found);
    }
    chains
}

/// Before, between and behind the failovers.
fn stretches(failovers: &[Window]) -> Vec<Window> {
    let mut stretches = Vec::with_capacity(failovers.len() + 1);
    let mut from = 0;
    for failover in failovers {
        stretches.push(Window {
            from,
            to: failover.from,
        });
        from = failover.to;
    }
    stretches.push(Window {
        from,
        to: Nanos::MAX,
    });
    stretches
}

/// Whether a call belongs to a stretch: one without an answer to that in which it was sent.
fn is_in(call: &StoreCall, stretch: Window) -> bool {
    let end = call.reply.map_or(call.sent, |(got, _)| got);
    stretch.from <= call.sent && end < stretch.to
}

/// What was sent before the end of a stretch and does not belong to it. Whatever was not answered by
/// its beginning may be applied in the middle of it.
fn before(calls: &[StoreCall], stretch: Window, found: &Findings) -> Writes {
    let others = calls
        .iter()
        .filter(|call| call.sent < stretch.to && !is_in(call, stretch) && may_be_applied(call));
    let others: Vec<StoreCall> = others
        .map(|call| StoreCall {
            reply: call.reply.filter(|(got, _)| *got <= stretch.from),
            ..*call
        })
        .collect();
    // Complaints about these calls were made, or not, where they belong.
    Writes::of(&others, &mut Findings::of(found.key))
}

/// The acknowledged writes of the last chain before a failover, or made during it, that are not in
/// the past of what is there after it.
fn gone(last: &Chain, first: &Chain, before: &Writes) -> Vec<Lost> {
    let root = &first.links[0].write;
    let past = past(root, &before.writes);
    let mut standing: HashSet<Ver> = last
        .links
        .iter()
        .map(|link| link.write.record.ver)
        .collect();
    let head = last.links.last().map(|link| link.write.record.ver);
    extend(&mut standing, &before.writes);
    let is_kept =
        head.is_some_and(|head| past.contains(&head) || standing.contains(&root.record.ver));
    if !is_kept && is_over(last, &standing, before, root) {
        return Vec::new();
    }
    let lost = |ver: &Ver| {
        let known = last.links.iter().find(|link| link.write.record.ver == *ver);
        let write = known
            .map(|link| &link.write)
            .or_else(|| before.writes.get(ver))?;
        let (_, at) = write.acknowledged?;
        Some(Lost {
            record: write.record,
            at,
        })
    };
    standing.difference(&past).filter_map(lost).collect()
}

/// A version and all that it was built on.
fn past(root: &Write, writes: &HashMap<Ver, Write>) -> HashSet<Ver> {
    let mut past = HashSet::from([root.record.ver]);
    let mut next = root.replaces;
    while let Some(ver) = next.filter(|ver| past.insert(*ver)) {
        next = writes.get(&ver).and_then(|write| write.replaces);
    }
    past
}

/// Adds what was built on these versions.
fn extend(standing: &mut HashSet<Ver>, writes: &HashMap<Ver, Write>) {
    loop {
        let more: Vec<Ver> = writes
            .values()
            .filter(|write| !standing.contains(&write.record.ver))
            .filter(|write| write.replaces.is_some_and(|ver| standing.contains(&ver)))
            .map(|write| write.record.ver)
            .collect();
        if more.is_empty() {
            return;
        }
        standing.extend(more);
    }
}

/// Whether a chain may have ended in the ordinary way, so that nothing was lost of it.
fn is_over(last: &Chain, standing: &HashSet<Ver>, before: &Writes, root: &Write) -> bool {
    let removed = |delete: &Delete| standing.contains(&delete.expected);
    let by = root.acknowledged.map_or(Nanos::MAX, |(_, got)| got);
    // The chain in the stretch, and what was built on it during the failover.
    let links = last.links.iter().map(|link| &link.write);
    let later = before.writes.values();
    let later = later.filter(|write| standing.contains(&write.record.ver));
    let runs_out = |write: &Write| {
        let (sent, _) = write.span().unwrap_or_default();
        sent.saturating_add(write.ttl)
    };
    last.removed.is_some()
        || !last.maybe_removed.is_empty()
        || before.deletes.iter().any(removed)
        || links.chain(later).any(|write| runs_out(write) <= by)
}
