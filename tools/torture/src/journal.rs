//! The file that a process writes its history to, and reading it back.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    clock::{self, Nanos},
    event::{Event, Id, Line},
};

/// How many questions a process can number before it meets the next one's.
const IDS_PER_PROCESS: Id = 1 << 40;

/// The process that numbered this.
pub(crate) fn process_of(id: Id) -> u32 {
    u32::try_from(id / IDS_PER_PROCESS).unwrap_or(u32::MAX)
}

/// Appends lines. Each is one write to the file, so that of a process that is killed nothing is
/// missing that it had written down, and nothing of two tasks is mixed up.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    next_id: AtomicU64,
}

impl Journal {
    /// The journal of the `process`th process of a run.
    pub(crate) fn create(path: &Path, process: u32) -> Result<Self> {
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot start the history {}", path.display()))?;
        Ok(Self {
            file,
            next_id: AtomicU64::new(Id::from(process) * IDS_PER_PROCESS),
        })
    }

    /// A number that no other question has.
    pub(crate) fn id(&self) -> Id {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes down what happens now, and says when that was.
    ///
    /// # Panics
    /// When the disk does not take it: a history with holes proves nothing.
    pub(crate) fn write(&self, event: Event) -> Nanos {
        let at = clock::now();
        let mut line = serde_json::to_vec(&Line(at, event)).expect("plain numbers serialise");
        line.push(b'\n');
        if let Err(error) = self.append(&line) {
            panic!("the history cannot be written: {error}");
        }
        at
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        (&self.file).write_all(line)
    }
}

/// Hands the lines of a journal to `each`, in their order.
///
/// A last line without an end was never written whole: the process was killed, and what the line
/// would have announced did not begin, or what it would have told is unknown.
pub(crate) fn read(path: &Path, mut each: impl FnMut(Line)) -> Result<()> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let Some(line) = line.strip_suffix(b"\n") else {
            return Ok(());
        };
        match serde_json::from_slice(line) {
            Ok(line) => each(line),
            Err(error) => bail!("{}:{}: {error}", path.display(), number + 1),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panicked(message: u64) -> Event {
        Event::Panicked { message }
    }

    #[test]
    fn what_was_written_is_read_back_but_for_half_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let journal = Journal::create(&path, 3).unwrap();
        journal.write(panicked(1));
        journal.write(panicked(2));
        journal.append(b"[12,{\"p\":{\"mess").unwrap();
        let mut events = Vec::new();
        read(&path, |Line(_, event)| events.push(event)).unwrap();
        assert_eq!(events, [panicked(1), panicked(2)]);
    }

    #[test]
    fn a_line_that_is_damaged_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        fs::write(&path, "rubbish\n").unwrap();
        assert!(read(&path, |_| {}).is_err());
    }

    #[test]
    fn two_processes_number_apart() {
        let folder = tempfile::tempdir().unwrap();
        let journal = |process: u32| {
            Journal::create(&folder.path().join(process.to_string()), process).unwrap()
        };
        let (a, b) = (journal(1), journal(2));
        assert_ne!(a.id(), b.id());
    }
}
