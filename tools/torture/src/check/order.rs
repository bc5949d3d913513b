//! Whether there is one order of all that happened to a key in which nothing comes before something
//! that had ended before it began.

use super::{
    Findings, Rule,
    chains::{Chain, Link},
    writes::NEVER,
};
use crate::{
    clock::Nanos,
    event::{Summary, Ver},
};

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
    chains.sort_by_key(|chain| Zone::of(chain, slack).place());
    let zones = chains.iter().map(|chain| Zone::of(chain, slack));
    let vacancies = vacancies.iter().map(|vacancy| Zone::of_vacancy(*vacancy));
    check_between(zones.chain(vacancies).collect(), found);
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

/// A stretch of the key's life: a record, or somebody's being told that there is none. One comes
/// behind another.
#[derive(Debug, Clone, Copy)]
struct Zone {
    /// It began by then: the first thing that happened to it was over.
    known_from: Nanos,
    /// It was still there then: the last thing that happened to it began.
    known_until: Nanos,
    /// It cannot have ended before that, and can have by then.
    ends: Nanos,
    record: Option<Summary>,
}

impl Zone {
    fn of(chain: &Chain, slack: Nanos) -> Self {
        let moments = moments(chain).flat_map(|(_, place)| place);
        let (mut known_from, mut known_until) = (NEVER, 0);
        for moment in moments {
            known_from = known_from.min(moment.got);
            known_until = known_until.max(moment.sent);
        }
        Self {
            known_from,
            known_until,
            ends: known_until.max(may_end(chain, slack)),
            record: chain.links.last().map(|link| link.write.record),
        }
    }

    fn of_vacancy((sent, got): (Nanos, Nanos)) -> Self {
        Self {
            known_from: got,
            known_until: sent,
            ends: sent,
            record: None,
        }
    }

    /// By this they are sorted. One zone may come before another if it ends before the other is
    /// known; and if any order keeps to that, then this one does: where it puts `a` before `b` although
    /// `a` ends after `b` is known, `a` is known by the time that `b` ends, and the other way round is
    /// wrong as well.
    fn place(&self) -> (Nanos, Nanos) {
        (self.known_from.min(self.ends), self.ends)
    }
}

/// The earliest time at which the record can be gone.
fn may_end(chain: &Chain, slack: Nanos) -> Nanos {
    if chain.removed.is_some() {
        return 0;
    }
    let last = chain.links.last().map(|link| {
        let (written, _) = link.span;
        written.saturating_add(link.write.ttl)
    });
    let runs_out = chain.maybe_runs_out.iter().copied().chain(last);
    let runs_out = runs_out.map(|at| at.saturating_sub(slack));
    let removed = chain.maybe_removed.iter().copied();
    runs_out.chain(removed).min().unwrap_or(NEVER)
}

fn check_between(mut zones: Vec<Zone>, found: &mut Findings) {
    zones.sort_by_key(Zone::place);
    let (mut until, mut ends) = (0, 0);
    for zone in &zones {
        let at = zone.known_from;
        match zone.record {
            Some(record) if at < until => {
                found.add(
                    Rule::Linear,
                    at,
                    format!("there was another beside {record:?}"),
                );
            }
            None if at < until => {
                let what = "somebody was told that there is nothing while there was a record";
                found.add(Rule::Linear, at, what);
            }
            _ if at < ends => {
                let what = match zone.record {
                    Some(record) => {
                        format!("a record went before its time, replaced by {record:?}")
                    }
                    None => "a record went before its time, and there was nothing".to_owned(),
                };
                found.add(Rule::S6, at, what);
            }
            _ => {}
        }
        until = until.max(zone.known_until);
        ends = ends.max(zone.ends);
    }
}
