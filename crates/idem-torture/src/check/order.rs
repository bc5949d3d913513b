//! Whether there is one order of all that happened to a key in which nothing comes before something
//! that had ended before it began.

use super::{
    Findings, Rule,
    chains::{Chain, Link},
    writes::NEVER,
};
use crate::{clock::Nanos, event::Ver};

/// Checks the order within each chain and of all chains, and puts the chains into it.
pub(super) fn check(
    chains: &mut [Chain],
    vacancies: &[(Nanos, Nanos)],
    slack: Nanos,
    found: &mut Findings,
) {
    for chain in chains.iter() {
        check_within(chain, found);
    }
    chains.sort_by_key(|chain| {
        let zone = Zone::of(chain);
        zone.known_from.min(zone.known_until)
    });
    let zones: Vec<Zone> = chains.iter().map(Zone::of).collect();
    check_between(chains, &zones, found);
    let order = Order::of(&zones);
    let mut deadlines = order.deadlines(&zones);
    for vacancy in vacancies {
        order.place(*vacancy, &mut deadlines, found);
    }
    for (chain, deadline) in chains.iter().zip(deadlines) {
        check_end(chain, deadline, slack, found);
    }
}

/// Something that happened at one moment between `sent` and `got`.
#[derive(Debug, Clone, Copy)]
struct Moment {
    sent: Nanos,
    got: Nanos,
}

/// What happened to a version, in two places: its write, and whatever saw it.
fn places(link: &Link) -> [Vec<Moment>; 2] {
    let (sent, got) = link.span;
    let sights = link.sights.iter();
    [
        vec![Moment { sent, got }],
        sights
            .map(|sight| Moment {
                sent: sight.sent,
                got: sight.got,
            })
            .collect(),
    ]
}

fn moments(chain: &Chain) -> impl Iterator<Item = (Ver, Vec<Moment>)> {
    let removed = chain.removed.into_iter().filter_map(|(sent, got)| {
        let last = chain.links.last()?;
        Some((last.write.record.ver, vec![Moment { sent, got }]))
    });
    chain
        .links
        .iter()
        .flat_map(|link| places(link).map(|place| (link.write.record.ver, place)))
        .chain(removed)
}

fn check_within(chain: &Chain, found: &mut Findings) {
    // What is in a later place happened after this.
    let mut not_before = 0;
    for (ver, place) in moments(chain) {
        for moment in &place {
            if moment.got < not_before {
                let what = format!(
                    "{ver:?} was still there for somebody who asked after it had been replaced, or \
                     already there before it had been written"
                );
                found.add(Rule::Linear, moment.got, what);
            }
        }
        let latest = place.iter().map(|moment| moment.sent).max();
        not_before = not_before.max(latest.unwrap_or_default());
    }
}

/// When a chain must have been there: it was known by the end of the first thing that happened to
/// it, and still when the last thing began.
#[derive(Debug, Clone, Copy)]
struct Zone {
    known_from: Nanos,
    known_until: Nanos,
}

impl Zone {
    fn of(chain: &Chain) -> Self {
        let mut zone = Self {
            known_from: NEVER,
            known_until: 0,
        };
        for (_, place) in moments(chain) {
            for moment in place {
                zone.known_from = zone.known_from.min(moment.got);
                zone.known_until = zone.known_until.max(moment.sent);
            }
        }
        zone
    }
}

fn check_between(chains: &[Chain], zones: &[Zone], found: &mut Findings) {
    let mut until = 0;
    for (chain, zone) in chains.iter().zip(zones) {
        if zone.known_from < until {
            let what = format!(
                "two records were there at once: {:?} and one before it",
                chain.links[0].write.record
            );
            found.add(Rule::Linear, zone.known_from, what);
        }
        until = until.max(zone.known_until);
    }
}

/// The gaps between chains: gap `i` is before chain `i`, and the last one is behind all.
struct Order {
    /// For each gap: when the last chain before it was still known to be there.
    not_before: Vec<Nanos>,
    /// For each gap: when the first chain behind it was known.
    not_after: Vec<Nanos>,
}

impl Order {
    fn of(zones: &[Zone]) -> Self {
        let mut not_before = vec![0];
        for zone in zones {
            let last = *not_before.last().expect("it begins with one");
            not_before.push(last.max(zone.known_until));
        }
        let mut not_after = vec![NEVER];
        for zone in zones.iter().rev() {
            let next = *not_after.last().expect("it begins with one");
            not_after.push(next.min(zone.known_from));
        }
        not_after.reverse();
        Self {
            not_before,
            not_after,
        }
    }

    /// By when each chain must have ended, for the next one to begin; the last one need not.
    fn deadlines(&self, zones: &[Zone]) -> Vec<Nanos> {
        (0..zones.len())
            .map(|chain| self.not_after[chain + 1])
            .collect()
    }

    /// Puts somebody who was told that there is nothing into the earliest gap there is for him; the
    /// chains before it must have ended by the time that he was told.
    fn place(&self, (sent, got): (Nanos, Nanos), deadlines: &mut [Nanos], found: &mut Findings) {
        let gap = self
            .not_after
            .partition_point(|not_after| *not_after < sent);
        if self.not_before[gap] > got {
            let what = "somebody was told that there is nothing while there was a record";
            found.add(Rule::Linear, got, what);
            return;
        }
        if let Some(before) = gap.checked_sub(1) {
            deadlines[before] = deadlines[before].min(got);
        }
    }
}

/// A chain that has to be over by `deadline` was removed, or ran out.
fn check_end(chain: &Chain, deadline: Nanos, slack: Nanos, found: &mut Findings) {
    if deadline == NEVER || chain.removed.is_some() {
        return;
    }
    if chain.maybe_removed.iter().any(|sent| *sent <= deadline) {
        return;
    }
    let last = chain.links.last().expect("a chain has a first link");
    let (written, _) = last.span;
    let runs_out = chain.maybe_runs_out.iter().copied();
    let runs_out = runs_out.chain([written.saturating_add(last.write.ttl)]);
    let latest = deadline.saturating_add(slack);
    if !runs_out.into_iter().any(|at| at <= latest) {
        let what = format!("a record went before its time: {:?}", last.write.record);
        found.add(Rule::S6, deadline, what);
    }
}
