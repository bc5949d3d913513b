//! Figures of what was looked at.

use std::collections::BTreeMap;

use super::HISTORY;
use crate::history::History;

/// How much was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) keys: u64,
    /// Keys with so many questions that they count as a history.
    pub(crate) histories: u64,
    pub(crate) questions: u64,
    /// Questions whose outcome the client does not know.
    pub(crate) unknown: u64,
    pub(crate) calls: u64,
    pub(crate) executions: u64,
    /// Executions that took over from one whose lease ran out or that gave up.
    pub(crate) takeovers: u64,
    pub(crate) effects: u64,
    /// Orders that were searched for as well.
    pub(crate) searched: u64,
    /// Those that the search gave up on.
    pub(crate) given_up: u64,
    /// What clients were told, by its name.
    pub(crate) answers: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn of(history: &History) -> Self {
        let mut tally = Self {
            keys: 1,
            histories: u64::from(history.questions.len() >= HISTORY),
            questions: history.questions.len() as u64,
            calls: history.calls.len() as u64,
            executions: history.works.len() as u64,
            takeovers: history.works.iter().filter(|work| work.attempt > 1).count() as u64,
            effects: history
                .works
                .iter()
                .filter(|work| work.effect.is_some())
                .count() as u64,
            ..Self::default()
        };
        for question in &history.questions {
            let name = question.told.map_or("no answer", |(_, told)| told.name());
            *tally.answers.entry(name).or_default() += 1;
            tally.unknown += u64::from(question.is_unknown());
        }
        tally
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.histories += other.histories;
        self.questions += other.questions;
        self.unknown += other.unknown;
        self.calls += other.calls;
        self.executions += other.executions;
        self.takeovers += other.takeovers;
        self.effects += other.effects;
        self.searched += other.searched;
        self.given_up += other.given_up;
        for (name, count) in &other.answers {
            *self.answers.entry(name).or_default() += count;
        }
    }
}
