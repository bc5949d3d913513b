//! An operation and its floor in short slices that take turns, so that whatever else the machine
//! does meanwhile falls on both.

use std::{num::NonZeroUsize, time::Duration};

use anyhow::Result;

use crate::{
    case::{Case, Sides},
    report::Progress,
    slice::Slice,
};

/// Pairs of slices at least, whatever time they take.
const FEWEST: usize = 5;

/// How one row is measured.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) concurrency: NonZeroUsize,
    pub(crate) time: Duration,
}

/// What a row is made from.
pub(crate) struct Measured {
    /// Median over the slices.
    pub(crate) ops_per_s: f64,
    /// Median over the slices.
    pub(crate) floor_ops_per_s: f64,
    /// Median over the pairs of slices of the two rates' ratio.
    pub(crate) ratio: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

pub(crate) async fn compare(case: &Case, plan: Plan, progress: &Progress) -> Result<Measured> {
    let mut sides = case.open();
    let ops = ops_per_slice(&mut sides, plan, case.slice).await?;
    let mut measured = Duration::ZERO;
    let mut pairs = Vec::new();
    let mut latencies = Vec::new();
    while measured < plan.time || pairs.len() < FEWEST {
        let (subject, floor) = pair(&mut sides, plan, ops, pairs.len() % 2 == 0).await?;
        measured += subject.time + floor.time;
        pairs.push((subject.ops_per_second(), floor.ops_per_second()));
        latencies.extend(subject.latencies);
        progress.at(measured.div_duration_f64(plan.time));
    }
    latencies.sort_unstable();
    Ok(Measured {
        ops_per_s: median(pairs.iter().map(|(subject, _)| *subject)),
        floor_ops_per_s: median(pairs.iter().map(|(_, floor)| *floor)),
        ratio: median(pairs.iter().map(|(subject, floor)| subject / floor)),
        p50: quantile(&latencies, 0.50),
        p99: quantile(&latencies, 0.99),
    })
}

/// A slice of each, one right after the other; who comes first changes from pair to pair.
async fn pair(
    sides: &mut Sides,
    plan: Plan,
    ops: usize,
    floor_first: bool,
) -> Result<(Slice, Slice)> {
    let Sides { subject, floor } = sides;
    let tasks = plan.concurrency;
    Ok(if floor_first {
        let floor = floor.slice(tasks, ops).await?;
        (subject.slice(tasks, ops).await?, floor)
    } else {
        let subject = subject.slice(tasks, ops).await?;
        (subject, floor.slice(tasks, ops).await?)
    })
}

/// Warms up, and finds how many operations fill a slice.
async fn ops_per_slice(sides: &mut Sides, plan: Plan, slice: Duration) -> Result<usize> {
    let mut ops = plan.concurrency.get();
    loop {
        let (subject, floor) = pair(sides, plan, ops, true).await?;
        let slower = subject.time.max(floor.time);
        if slower >= slice / 2 {
            let fill = subject.ops as f64 * slice.div_duration_f64(slower);
            return Ok((fill as usize).max(plan.concurrency.get()));
        }
        ops = ops.saturating_mul(2);
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() % 2 {
        _ if figures.is_empty() => f64::NAN,
        0 => f64::midpoint(figures[middle - 1], figures[middle]),
        _ => figures[middle],
    }
}

/// The smallest of the sorted figures that this share of them does not pass.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        let figures: Vec<_> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(quantile(&figures, 0.50), Duration::from_micros(50));
        assert_eq!(quantile(&figures, 0.99), Duration::from_micros(99));
        assert_eq!(quantile(&[], 0.99), Duration::ZERO);
    }
}
