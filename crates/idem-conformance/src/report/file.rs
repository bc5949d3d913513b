//! Results in a file: one line each, fields parted by tabs, appended by any number of processes.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
};

use super::{CaseResult, Outcome, Report};

/// Names the file that tests append to.
const VARIABLE: &str = "IDEM_CONFORMANCE_REPORT";

/// Appends a result to the file that the environment names, if it names one.
pub(crate) fn note(result: &CaseResult) {
    let Some(path) = std::env::var_os(VARIABLE) else {
        return;
    };
    let line = line(result);
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("the report {} cannot be written: {error}", path.display());
    }
}

impl Report {
    /// Reads the file that tests appended to. Where a case ran more than once the last time counts.
    ///
    /// # Errors
    /// What reading reports, and `InvalidData` for a line that is none.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut results: Vec<CaseResult> = Vec::new();
        for line in BufReader::new(File::open(path)?).lines() {
            let result = parse(&line?).ok_or(io::ErrorKind::InvalidData)?;
            let same = |other: &CaseResult| {
                (&other.store, &other.group, &other.case)
                    == (&result.store, &result.group, &result.case)
            };
            match results.iter_mut().find(|other| same(other)) {
                Some(other) => *other = result,
                None => results.push(result),
            }
        }
        Ok(Self { results })
    }
}

fn line(result: &CaseResult) -> String {
    let (outcome, why) = match &result.outcome {
        Outcome::Passed => ("passed", ""),
        Outcome::Failed(why) => ("failed", why.as_str()),
        Outcome::Skipped(why) => ("skipped", why.as_str()),
    };
    let fields = [
        result.store.as_str(),
        &result.group,
        &result.case,
        outcome,
        why,
    ];
    fields.map(one_field).join("\t") + "\n"
}

/// Without what would end a field or a line.
fn one_field(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

fn parse(line: &str) -> Option<CaseResult> {
    let fields: Vec<_> = line.split('\t').collect();
    let [store, group, case, outcome, why] = fields[..] else {
        return None;
    };
    Some(CaseResult {
        store: store.to_owned(),
        group: group.to_owned(),
        case: case.to_owned(),
        outcome: match outcome {
            "passed" => Outcome::Passed,
            "failed" => Outcome::Failed(why.to_owned()),
            "skipped" => Outcome::Skipped(why.to_owned()),
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_the_last_run_counts() {
        let result = |case: &str, outcome| CaseResult {
            store: "a store".to_owned(),
            group: "create".to_owned(),
            case: case.to_owned(),
            outcome,
        };
        let path = std::env::temp_dir().join(format!("idem-report-{}.tsv", std::process::id()));
        let all = [
            result("s1_a", Outcome::Failed("left: 1\n\tright: 2".to_owned())),
            result("s1_b", Outcome::Skipped("no server".to_owned())),
            result("s1_c", Outcome::Failed("S1: two winners\n".to_owned())),
            result("s1_a", Outcome::Passed),
        ];
        std::fs::write(&path, all.iter().map(line).collect::<String>()).unwrap();
        let report = Report::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let expected = [
            result("s1_a", Outcome::Passed),
            result("s1_b", Outcome::Skipped("no server".to_owned())),
            result("s1_c", Outcome::Failed("S1: two winners ".to_owned())),
        ];
        assert_eq!(report.results(), expected);
        assert!(!report.is_clean());
        assert_eq!(parse("not a line"), None);
    }
}
