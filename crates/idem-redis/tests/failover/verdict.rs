//! What the workers' word comes to.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use crate::worker::{Event, What};

/// The sum of a load, and all that was wrong in it.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    keys: usize,
    executions: usize,
    answers: usize,
    superseded: usize,
    /// Executions beyond the first of a key: their claims or endings were lost on the way.
    ran_again: usize,
    /// Callers that got no answer, by what they were told.
    errors: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Verdict {
    pub(crate) fn over(mut events: Vec<Event>) -> Self {
        events.sort_by_key(|event| event.at);
        let mut by_key: HashMap<u64, Vec<Event>> = HashMap::new();
        for event in events {
            by_key.entry(event.key).or_default().push(event);
        }
        let mut verdict = Self {
            keys: by_key.len(),
            ..Self::default()
        };
        for (key, events) in by_key {
            verdict.count(&events);
            verdict.find_wrong_answers(key, &events);
        }
        verdict
    }

    fn count(&mut self, events: &[Event]) {
        let mut executions = 0;
        for event in events {
            match &event.what {
                What::Ran(_) => executions += 1,
                What::Answered { .. } => self.answers += 1,
                What::Superseded => self.superseded += 1,
                What::Failed(why) => *self.errors.entry(why.clone()).or_default() += 1,
            }
        }
        self.executions += executions;
        self.ran_again += usize::saturating_sub(executions, 1);
    }

    /// Every answer is one that an execution gave, and whoever asks after an answer was given gets
    /// the same one, or one of an execution that began later: never an older one.
    fn find_wrong_answers(&mut self, key: u64, events: &[Event]) {
        let began: HashMap<&str, u128> = events
            .iter()
            .filter_map(|event| match &event.what {
                What::Ran(execution) => Some((execution.as_str(), event.at)),
                _ => None,
            })
            .collect();
        let mut given: Vec<(u128, u128)> = Vec::new();
        let mut seen = HashSet::new();
        for event in events {
            let What::Answered { execution, asked } = &event.what else {
                continue;
            };
            let Some(&began) = began.get(execution.as_str()) else {
                self.wrong.push(format!("key {key}: {execution} never ran"));
                continue;
            };
            let newest_before = given
                .iter()
                .filter(|(at, _)| at < asked)
                .map(|given| given.1);
            if newest_before.max().is_some_and(|newest| newest > began) {
                self.wrong.push(format!(
                    "key {key}: {execution} was answered after a later one"
                ));
            }
            given.push((event.at, began));
            seen.insert(execution);
        }
    }

    #[track_caller]
    pub(crate) fn assert_no_wrong_answer(&self) {
        assert!(self.answers > 100, "hardly any load: {self}");
        assert!(self.wrong.is_empty(), "G2: {:?}", self.wrong);
    }

    #[track_caller]
    pub(crate) fn assert_nothing_lost(&self) {
        assert_eq!(self.ran_again, 0, "G1: nothing may be lost: {self}");
    }

    #[track_caller]
    pub(crate) fn assert_no_errors(&self) {
        assert!(self.errors.is_empty(), "no error may show: {self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} keys, {} executions, {} answers, {} superseded, {} lost and run again, errors {:?}",
            self.keys, self.executions, self.answers, self.superseded, self.ran_again, self.errors
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(at: u128, execution: &str) -> Event {
        let what = What::Ran(execution.to_owned());
        Event { at, key: 1, what }
    }

    fn answered(asked: u128, at: u128, execution: &str) -> Event {
        let what = What::Answered {
            execution: execution.to_owned(),
            asked,
        };
        Event { at, key: 1, what }
    }

    fn wrong(events: &[Event]) -> usize {
        Verdict::over(events.to_vec()).wrong.len()
    }

    #[test]
    fn a_wrong_answer_is_one_of_nobody_or_an_older_one_than_was_given_before() {
        let history = [ran(1, "a"), answered(0, 2, "a"), answered(3, 4, "a")];
        assert_eq!(wrong(&history), 0);
        assert_eq!(wrong(&[answered(0, 2, "a")]), 1);
        let lost = [
            ran(1, "a"),
            answered(0, 2, "a"),
            ran(4, "b"),
            answered(3, 5, "b"),
        ];
        assert_eq!(wrong(&lost), 0);
        assert_eq!(Verdict::over(lost.to_vec()).ran_again, 1);
        let resurrected = [&lost[..], &[answered(6, 7, "a")]].concat();
        assert_eq!(wrong(&resurrected), 1);
    }
}
