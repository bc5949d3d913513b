//! Whether there is room for the records of a whole retention.

use super::Findings;
use crate::{cli::DoctorArgs, words};

/// Among fewer records than this one large answer decides what a record takes.
pub(super) const ENOUGH_RECORDS: u64 = 100;

/// What a store says of its room.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes that its records take.
    pub(super) taken: u64,
    /// Bytes that a record takes on average; `None` where there are too few to tell.
    pub(super) a_record: Option<u64>,
    /// Bytes that are left; `None` where the server does not tell.
    pub(super) left: Option<u64>,
}

impl Room {
    /// Of a table with so many rows.
    pub(super) fn of_rows(taken: u64, rows: u64, left: Option<u64>) -> Self {
        Self {
            taken,
            a_record: (rows >= ENOUGH_RECORDS).then(|| taken / rows.max(1)),
            left,
        }
    }
}

impl Findings {
    /// Compares the room with what is planned, where somebody said what that is.
    pub(super) fn room(&mut self, room: &Room, args: &DoctorArgs) {
        let Some(per_second) = args.per_second else {
            return;
        };
        let Some(a_record) = room.a_record else {
            self.note(
                "room-unknown",
                format!("fewer than {ENOUGH_RECORDS} records: too few to tell what one takes"),
                "run it again when the store has been in use for a while, with answers as they will be",
            );
            return;
        };
        let records = per_second.max(0.0) * args.retention.as_secs_f64();
        let needed = (records * a_record as f64) as u64;
        let plan = format!(
            "{per_second} new keys a second, kept for {}, take about {} at {} a record",
            words::time(args.retention),
            words::size(needed),
            words::size(a_record),
        );
        let mend = "make room, shorten the retention, or store smaller answers (`failure_retention`, an id in \
                    place of an object, `compress_from`)";
        let Some(left) = room.left else {
            self.note(
                "room-unseen",
                format!("{plan}; this server does not tell what is left on its disk"),
                "compare it with the disk that has the server's data, and alert at three quarters of it",
            );
            return;
        };
        let whole = room.taken.saturating_add(left);
        let has = format!("and there is room for {}", words::size(whole));
        if needed > whole {
            let seconds = left as f64 / (per_second * a_record as f64);
            let until = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
            self.error(
                "room-too-small",
                format!(
                    "{plan}, {has}: from now on it is full in {}, and refuses every claim",
                    words::time(until)
                ),
                mend,
            );
        } else if needed as f64 > whole as f64 * 0.75 {
            self.warning("room-scarce", format!("{plan}, {has}"), mend);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    /// The codes for a store with 1 MiB of 1 KiB records, for one key a second.
    fn codes(left: Option<u64>, rows: u64, retention: &str) -> Vec<&'static str> {
        let typed = [
            "idem",
            "doctor",
            "--per-second",
            "1",
            "--retention",
            retention,
        ];
        let Command::Doctor(args) = Cli::parse_from(typed).command else {
            panic!("doctor was typed");
        };
        let mut found = Findings::default();
        found.room(&Room::of_rows(1024 * rows, rows, left), &args);
        found.0.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn the_room_is_compared_with_a_whole_retention() {
        let left = Some(1024 * 1024);
        assert_eq!(codes(left, 1024, "20min"), Vec::<&str>::new());
        assert_eq!(codes(left, 1024, "30min"), ["room-scarce"]);
        assert_eq!(codes(left, 1024, "40min"), ["room-too-small"]);
        assert_eq!(codes(None, 1024, "40min"), ["room-unseen"]);
        assert_eq!(codes(left, 10, "40min"), ["room-unknown"]);
    }
}
