//! What is wrong with an SQLite file.

use idem_sqlite::WriteAccess;

use super::{Findings, OVERDUE_ROWS, room::Room};
use crate::{cli::DoctorArgs, place::Place, words};

/// Less room than this on the disk is soon none.
const LITTLE_ROOM: u64 = 256 << 20;
/// A log that grew to this is not copied back: a reader stays in its transaction.
const LARGE_WAL: u64 = 256 << 20;

pub(crate) async fn findings(place: &Place, args: &DoctorArgs) -> Findings {
    let mut found = Findings::default();
    let facts = match idem_sqlite::inspect(&place.existing_file()).await {
        Ok(facts) => facts,
        Err(error) => {
            found.unusable(&error);
            return found;
        }
    };
    found.migrations(facts.migrations.applied, facts.migrations.known);
    if facts.migrations.applied > 0 && facts.journal_mode != "wal" {
        found.warning(
            "sqlite-journal-mode",
            format!(
                "the journal mode is `{}`: somebody changed it, and readers and writers hold each \
                 other up",
                facts.journal_mode
            ),
            "stop whatever sets it; a store sets `PRAGMA journal_mode = WAL` when it opens the file",
        );
    }
    if let Some(first) = facts.damage.first() {
        found.error(
            "sqlite-damaged",
            format!("the file is damaged: {first}"),
            "stop writing to it, and restore it from a backup; `sqlite3 FILE .recover` saves what \
             can be read",
        );
    }
    match &facts.write_access {
        WriteAccess::Free => {}
        WriteAccess::Held => found.error(
            "sqlite-locked",
            "another transaction held the write lock for half a second; every claim and every \
             answer waits for it",
            "find the process that has the file open (`fuser FILE`), keep its transactions short, \
             and wait for nothing in them",
        ),
        WriteAccess::Refused(why) => found.error(
            "sqlite-read-only",
            format!("nothing can be written to the file: {why}"),
            "let the application's user write to the file and to its folder",
        ),
    }
    if let Some(why) = &facts.network_share {
        found.error(
            "sqlite-network-share",
            why.clone(),
            "move the file to a disk of this host, with its -wal and -shm",
        );
    }
    if facts.readable_by_all {
        found.warning(
            "sqlite-readable-by-all",
            "every user of this host may read the file, and with it the stored answers",
            format!("chmod o-rwx {}*", facts.file.display()),
        );
    }
    if facts.expired_rows >= OVERDUE_ROWS {
        found.warning(
            "sweep-lag",
            format!(
                "{} records are over, and are still there",
                facts.expired_rows
            ),
            "nobody sweeps: leave `sweep_every` on; `idem sweep` removes them now",
        );
    }
    if facts.bytes > 64 << 20 && facts.free_bytes * 2 > facts.bytes {
        found.note(
            "sqlite-free-pages",
            format!(
                "{} of the file's {} are free, to be used again",
                words::size(facts.free_bytes),
                words::size(facts.bytes)
            ),
            "where the room is needed elsewhere: `VACUUM`, while nothing else uses the file",
        );
    }
    if facts.wal_bytes > LARGE_WAL {
        found.warning(
            "sqlite-large-wal",
            format!("the write-ahead log has {}", words::size(facts.wal_bytes)),
            "a reader stays in its transaction, so that the log is never copied back: end it",
        );
    }
    let free = facts.disk_free_bytes;
    let left = free.map(|free| free.saturating_add(facts.free_bytes));
    found.room(&Room::of_rows(facts.record_bytes, facts.rows, left), args);
    if let Some(left) = facts.disk_free_bytes
        && left < LITTLE_ROOM
    {
        found.error(
            "sqlite-disk-full",
            format!("{} are left on the disk", words::size(left)),
            "make room: on a full disk every claim is refused",
        );
    }
    found
}

pub(crate) fn size(place: &Place) -> Option<u64> {
    let path = place.url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next()?;
    let main = std::fs::metadata(path).ok()?.len();
    let wal = std::fs::metadata(format!("{path}-wal")).map_or(0, |found| found.len());
    Some(main + wal)
}
