//! The report as Markdown: one table, store × rule, and what was skipped and what failed.

use std::fmt;

use super::{CaseResult, NOT_SHOWN, Outcome, Report};

/// In the order of the documentation.
const RULES: [&str; 20] = [
    "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "G1", "G2", "G3", "G4", "G5",
    "G6", "G8", "Watch", "Sweep", "Browse",
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.rules();
        writeln!(f, "| store | {} |", rules.join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(rules.len()))?;
        for store in self.stores() {
            let cells = rules.iter().map(|rule| self.tally(store, rule).to_string());
            writeln!(f, "| {store} | {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
        self.list(f, "Failed", |outcome| match outcome {
            Outcome::Failed(why) => Some(why),
            _ => None,
        })?;
        self.list(f, "Skipped", |outcome| match outcome {
            Outcome::Skipped(why) => Some(why),
            _ => None,
        })?;
        writeln!(f, "\nNot shown by any case:\n")?;
        NOT_SHOWN
            .iter()
            .try_for_each(|what| writeln!(f, "- {what}"))
    }
}

impl Report {
    /// The rules that any case states.
    fn rules(&self) -> Vec<&'static str> {
        let stated = |rule: &&str| self.results.iter().any(|result| result.rule() == *rule);
        RULES.into_iter().filter(stated).collect()
    }

    /// In the order of their first result.
    fn stores(&self) -> Vec<&str> {
        let mut stores = Vec::new();
        for result in &self.results {
            if !stores.contains(&result.store.as_str()) {
                stores.push(&result.store);
            }
        }
        stores
    }

    fn tally(&self, store: &str, rule: &str) -> Tally {
        let mut tally = Tally::default();
        let of_both = |result: &&CaseResult| result.store == store && result.rule() == rule;
        for result in self.results.iter().filter(of_both) {
            match result.outcome {
                Outcome::Passed => tally.passed += 1,
                Outcome::Failed(_) => tally.failed += 1,
                Outcome::Skipped(_) => tally.skipped += 1,
            }
        }
        tally
    }

    fn list(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        why: impl Fn(&Outcome) -> Option<&String>,
    ) -> fmt::Result {
        let mut listed = Vec::new();
        for result in &self.results {
            if let Some(why) = why(&result.outcome) {
                listed.push((result, why));
            }
        }
        if !listed.is_empty() {
            writeln!(f, "\n{title}:\n")?;
        }
        for (result, why) in listed {
            let CaseResult {
                store, group, case, ..
            } = result;
            let why = why.lines().collect::<Vec<_>>().join(" ");
            writeln!(f, "- {store}: `{group}::{case}`: {why}")?;
        }
        Ok(())
    }
}

/// How the cases of one rule ended on one store.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl fmt::Display for Tally {
    /// `✓ 7`, `✗ 1 of 7`, `✓ 5, 2 skipped`, `–` where nothing ran.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        match (failed, passed) {
            (0, 0) if *skipped == 0 => return f.write_str(" "),
            (0, 0) => return f.write_str("–"),
            (0, passed) => write!(f, "✓ {passed}")?,
            (failed, passed) => write!(f, "✗ {failed} of {}", failed + passed)?,
        }
        match skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(store: &str, case: &str, outcome: Outcome) -> CaseResult {
        CaseResult {
            store: store.to_owned(),
            group: "group".to_owned(),
            case: case.to_owned(),
            outcome,
        }
    }

    #[test]
    fn one_row_per_store_and_one_column_per_rule() {
        let skipped = || Outcome::Skipped("the harness offers no server".to_owned());
        let failed = Outcome::Failed("S2: an update is lost\nleft: 1".to_owned());
        let report: Report = [
            result("one", "s1_a", Outcome::Passed),
            result("one", "s1_b", Outcome::Passed),
            result("one", "s2_c", failed),
            result("one", "s2_d", Outcome::Passed),
            result("one", "g1_e", skipped()),
            result("two", "s1_a", skipped()),
            result("two", "s1_b", Outcome::Passed),
            result("two", "watch_f", Outcome::Passed),
        ]
        .into_iter()
        .collect();
        let printed = report.to_string();
        let (table, not_shown) = printed
            .split_once("\nNot shown by any case:\n\n")
            .expect("it says what is not shown");
        assert_eq!(not_shown.lines().count(), NOT_SHOWN.len());
        assert_eq!(
            table,
            "\
| store | S1 | S2 | G1 | Watch |
|---|---|---|---|---|
| one | ✓ 2 | ✗ 1 of 2 | – |   |
| two | ✓ 1, 1 skipped |   |   | ✓ 1 |

Failed:

- one: `group::s2_c`: S2: an update is lost left: 1

Skipped:

- one: `group::g1_e`: the harness offers no server
- two: `group::s1_a`: the harness offers no server
"
        );
    }
}
