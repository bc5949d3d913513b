//! How a record is shown in a terminal.

use idem_core::{RecordKey, store::Stored};

use crate::{
    key,
    output::{BAD, BOLD, CARE, GOOD},
    words,
};

pub(crate) use idem_console::operate::{Standing, age, json, parse_version, rfc3339, version};

fn style(standing: Standing) -> anstyle::Style {
    match standing {
        Standing::Completed => GOOD,
        Standing::Abandoned | Standing::Halted => BAD,
        Standing::InFlight => CARE,
        Standing::Retryable | Standing::Released | Standing::Failed => BOLD,
    }
}

/// A state's name in a colour.
pub(crate) fn shown(standing: Standing) -> String {
    let style = style(standing);
    format!("{style}{}{style:#}", standing.name())
}

/// A state's name in a colour, as wide as the longest.
pub(crate) fn column(standing: Standing) -> String {
    let style = style(standing);
    format!("{style}{:<9}{style:#}", standing.name())
}

/// The heads of [`row`]'s columns.
pub(crate) fn head() -> String {
    format!("{BOLD}STATE     AGE       ATTEMPT  KEY{BOLD:#}")
}

/// A record on one line. The key is last and whole, so that it can be copied.
pub(crate) fn row(key: &RecordKey, stored: &Stored) -> String {
    format!(
        "{} {:<9} {:>7}  {}",
        column(Standing::of(stored)),
        words::time(age(stored)),
        stored.record.attempt,
        key::shown(key.as_str())
    )
}
