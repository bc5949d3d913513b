//! How a campaign goes on: when the keys change, and when it is over.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::ProgressBar;

use super::{Campaign, KEYS, crew::Crew};
use crate::{
    check::HISTORY,
    clock::{self, Nanos},
    worker::{Order, Progress, give_order},
};

/// Between two looks at the workers.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A little more than a history needs, because a worker that is killed told of fewer questions, or
/// of more, than it has written down.
const ENOUGH: u32 = HISTORY as u32 + HISTORY as u32 / 20;

pub(super) struct Pace {
    name: &'static str,
    folder: PathBuf,
    bar: ProgressBar,
    /// How far the bar was when this began.
    offset: u64,
    began: Instant,
    time: Duration,
    era: u32,
    questions: u64,
    /// The least and the greatest lead of the wall clock that was seen.
    wall: (Nanos, Nanos),
}

impl Pace {
    pub(super) fn new(campaign: &Campaign, bar: &ProgressBar) -> Self {
        let wall = clock::wall_offset();
        Self {
            name: campaign.plan.name(),
            folder: campaign.folder.clone(),
            bar: bar.clone(),
            offset: bar.position(),
            began: Instant::now(),
            time: campaign.time,
            era: 0,
            questions: 0,
            wall: (wall, wall),
        }
    }

    /// When no new fault is to begin.
    pub(super) fn deadline(&self) -> Instant {
        self.began + self.time
    }

    /// How many eras there were.
    pub(super) fn eras(&self) -> u32 {
        self.era + 1
    }

    /// How much the wall clock went faster or slower than the machine's.
    pub(super) fn clock_drift(&self) -> Nanos {
        self.wall.1 - self.wall.0
    }

    /// Goes on until it is dropped.
    pub(super) async fn keep(&mut self, crew: &Crew) -> Result<()> {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            crew.check().await?;
            let questions = questions(&crew.progress(), self.era);
            if questions.iter().all(|count| *count >= ENOUGH) {
                self.questions += sum(&questions);
                self.era += 1;
                give_order(&self.folder, Order::Era(self.era))?;
            }
            self.watch_wall_clock();
            self.show(self.questions + sum(&questions));
        }
    }

    fn watch_wall_clock(&mut self) {
        let lead = clock::wall_offset();
        self.wall = (self.wall.0.min(lead), self.wall.1.max(lead));
    }

    fn show(&self, questions: u64) {
        let elapsed = self.began.elapsed().min(self.time);
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.bar.set_position(self.offset + millis);
        self.bar.set_message(format!(
            "{}: {questions} questions, {} keys",
            self.name,
            u64::from(self.eras()) * u64::from(KEYS)
        ));
    }
}

/// How often each key of an era was asked about.
fn questions(progress: &[Progress], era: u32) -> Vec<u32> {
    let mut sums = vec![0; usize::from(KEYS)];
    for told in progress.iter().filter(|told| told.era == era) {
        for (sum, count) in sums.iter_mut().zip(&told.questions) {
            *sum += count;
        }
    }
    sums
}

fn sum(questions: &[u32]) -> u64 {
    questions.iter().map(|count| u64::from(*count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_era_counts() {
        let told = |era, count| Progress {
            era,
            questions: vec![count; usize::from(KEYS)],
        };
        let questions = questions(&[told(1, 5), told(2, 7), told(2, 1)], 2);
        assert_eq!(questions, vec![8; usize::from(KEYS)]);
    }
}
