//! What the clock says of a chain: ages, leases and expiry.

use super::{
    Findings, Rule, Rules,
    chains::{Chain, Link},
    writes::{NEVER, Sight},
};
use crate::{
    clock::{MILLISECOND, Nanos},
    event::Phase,
};

pub(super) fn check(chain: &Chain, rules: &Rules, found: &mut Findings) {
    let spans = spans(&chain.links);
    for (link, span) in chain.links.iter().zip(&spans) {
        for sight in &link.sights {
            check_age(link, *span, sight, rules, found);
            check_expiry(link, *span, sight.sent, rules, found);
        }
    }
    if let (Some(last), Some(span), Some((sent, _))) =
        (chain.links.last(), spans.last(), chain.removed)
    {
        check_expiry(last, *span, sent, rules, found);
    }
    for (pair, spans) in chain.links.windows(2).zip(spans.windows(2)) {
        check_expiry(&pair[0], spans[0], spans[1].0, rules, found);
        check_lease(&pair[0], &pair[1], spans, rules.slack, found);
    }
}

/// When each version was written, by the store's clock: not before it was sent, and not after what
/// came behind it was known.
///
/// What came before it says nothing: a store may read its clock when a write arrives, and show the
/// old record until the write is on its disk.
fn spans(links: &[Link]) -> Vec<(Nanos, Nanos)> {
    let mut spans: Vec<_> = links.iter().map(|link| link.span).collect();
    let mut latest = NEVER;
    for (link, span) in links.iter().zip(&mut spans).rev() {
        let sights = link.sights.iter().map(|sight| sight.got);
        latest = latest.min(sights.min().unwrap_or(NEVER)).min(span.1);
        span.1 = latest;
    }
    spans
}

/// The age that a store tells lies between the shortest and the longest time since the write.
fn check_age(
    link: &Link,
    (earliest, latest): (Nanos, Nanos),
    sight: &Sight,
    rules: &Rules,
    found: &mut Findings,
) {
    let Some(age) = sight.seen.age_us.map(|age| age.saturating_mul(1000)) else {
        if matches!(link.write.record.state, Phase::InFlight { .. }) {
            let what = format!("no age for one in flight: {:?}", link.write.record);
            found.add(Rule::S4, sight.got, what);
        }
        return;
    };
    let shortest = sight.sent.saturating_sub(latest);
    let longest = sight.got.saturating_sub(earliest);
    let younger = rules.slack + rules.stretched(earliest, sight.got);
    if age.saturating_add(younger) < shortest || age > longest.saturating_add(rules.slack) {
        let what = format!(
            "an age of {} ms, by the clock {} to {} ms: {:?}",
            age / MILLISECOND,
            shortest / MILLISECOND,
            longest / MILLISECOND,
            link.write.record
        );
        found.add(Rule::S4, sight.got, what);
    }
}

/// What was certainly over is not there for anybody.
fn check_expiry(
    link: &Link,
    (earliest, latest): (Nanos, Nanos),
    used: Nanos,
    rules: &Rules,
    found: &mut Findings,
) {
    let slack = rules.slack + rules.stretched(earliest, used);
    let over = latest.saturating_add(link.write.ttl).saturating_add(slack);
    if used >= over {
        let what = format!(
            "{} ms after its time it was still there: {:?}",
            (used - over) / MILLISECOND,
            link.write.record
        );
        found.add(Rule::S5, used, what);
    }
}

/// Only the holder changes a record that is in flight, until its lease is over.
fn check_lease(
    old: &Link,
    new: &Link,
    spans: &[(Nanos, Nanos)],
    slack: Nanos,
    found: &mut Findings,
) {
    let (before, after) = (old.write.record, new.write.record);
    let Phase::InFlight { lease_ms } = before.state else {
        return;
    };
    if before.ver.0 == after.ver.0 {
        return;
    }
    let longest = spans[1].1.saturating_sub(spans[0].0);
    if longest.saturating_add(slack) < lease_ms.saturating_mul(MILLISECOND) {
        let what = format!(
            "taken over {} ms into a lease of {lease_ms} ms: {before:?} by {after:?}",
            longest / MILLISECOND
        );
        found.add(Rule::G1, spans[1].1, what);
    }
}
