//! What came of the cases: as text, as JSON, and for JUnit's readers.

use std::fmt::Write as _;

use serde_json::json;

use crate::Case;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All was as it should be.
    Passed,
    /// Something was not.
    Failed(String),
    /// The server does not offer what the case needs.
    Skipped(String),
}

/// What came of all cases.
#[derive(Debug, Clone, Default)]
pub struct Report {
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    group: String,
    id: String,
    title: String,
    cites: Vec<String>,
    outcome: Outcome,
}

impl Report {
    pub(crate) fn add(&mut self, group: &str, case: &Case, outcome: Outcome) {
        self.lines.push(Line {
            group: group.to_owned(),
            id: case.id.clone(),
            title: case.title.clone(),
            cites: case.cites.clone(),
            outcome,
        });
    }

    fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.lines.iter().filter(|line| is(&line.outcome)).count()
    }

    /// Whether at least one case ran and none failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_))) == 0
            && self.count(|outcome| *outcome == Outcome::Passed) > 0
    }

    /// `120 passed, 2 failed, 3 skipped`.
    #[must_use]
    pub fn summary(&self) -> String {
        let passed = self.count(|outcome| *outcome == Outcome::Passed);
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let skipped = self.lines.len() - passed - failed;
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }

    /// A line for each case that did not pass, and the numbers.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let (what, why) = match &line.outcome {
                Outcome::Passed => continue,
                Outcome::Failed(why) => ("FAILED", why),
                Outcome::Skipped(why) => ("skipped", why),
            };
            let (id, title, cites) = (&line.id, &line.title, line.cites.join("; "));
            let _ = writeln!(text, "{what} {id}: {title} ({cites})\n    {why}");
        }
        text + &self.summary() + "\n"
    }

    /// An object with the numbers and a list of all cases.
    #[must_use]
    pub fn json(&self) -> String {
        let cases = self.lines.iter().map(|line| {
            let (outcome, why) = match &line.outcome {
                Outcome::Passed => ("passed", None),
                Outcome::Failed(why) => ("failed", Some(why)),
                Outcome::Skipped(why) => ("skipped", Some(why)),
            };
            json!({
                "group": line.group, "id": line.id, "title": line.title, "cites": line.cites,
                "outcome": outcome, "why": why,
            })
        });
        let cases: Vec<_> = cases.collect();
        json!({ "summary": self.summary(), "passed": self.passed(), "cases": cases }).to_string()
    }

    /// The XML that JUnit's readers know.
    #[must_use]
    pub fn junit(&self) -> String {
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let skipped = self.count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        let tests = self.lines.len();
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"idem vectors\" \
             tests=\"{tests}\" failures=\"{failed}\" skipped=\"{skipped}\">\n"
        );
        for line in &self.lines {
            let (group, name) = (escaped(&line.group), escaped(&line.id));
            let _ = write!(xml, "  <testcase classname=\"{group}\" name=\"{name}\"");
            let _ = match &line.outcome {
                Outcome::Passed => writeln!(xml, "/>"),
                Outcome::Failed(why) => {
                    writeln!(xml, "><failure message=\"{}\"/></testcase>", escaped(why))
                }
                Outcome::Skipped(why) => {
                    writeln!(xml, "><skipped message=\"{}\"/></testcase>", escaped(why))
                }
            };
        }
        xml + "</testsuite>\n"
    }
}

/// XML takes no other control characters than these three.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
