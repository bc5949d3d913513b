//! What a process did to its files, by the words of `strace`.

use std::collections::HashMap;

/// What `strace` is to be asked for.
pub(crate) const ARGS: [&str; 9] = [
    "-f",
    "-qq",
    "-y",
    "-xx",
    "-s",
    "1000000",
    "-e",
    "trace=pwrite64,write,fdatasync,fsync,ftruncate",
    "-e",
];

/// The last of [`ARGS`].
pub(crate) const SIGNALS: &str = "signal=none";

/// One thing that happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes that the system holds in memory until they are synced.
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        len: usize,
    },
    /// A sync of the process that has this number begins, or is over.
    SyncBegins {
        by: u32,
        file: String,
    },
    SyncEnds {
        by: u32,
    },
    /// A line that was written to a stream.
    Said(String),
}

/// Reads a trace. A call that takes its time has two lines: what is written counts from the first on,
/// what is synced from the second.
pub(crate) fn read(trace: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for line in trace.lines() {
        let (by, call) = process(line);
        if call.starts_with("<... fdatasync resumed") || call.starts_with("<... fsync resumed") {
            events.push(Event::SyncEnds { by });
        } else if let Some((name, rest)) = call.split_once('(')
            && let Some((_, rest)) = rest.split_once('<')
            && let Some((file, rest)) = rest.split_once('>')
        {
            let is_whole = !call.contains("<unfinished");
            events.extend(event(by, name, text(file), rest, is_whole));
        }
    }
    events
}

fn event(by: u32, name: &str, file: String, rest: &str, is_whole: bool) -> Vec<Event> {
    let arguments: Vec<&str> = rest.split(", ").collect();
    let number = |n: usize| {
        let digits = arguments.get(n)?.split([')', ' ']).next()?;
        digits.parse::<usize>().ok()
    };
    match name {
        "pwrite64" => vec![Event::Write {
            file,
            bytes: bytes(arguments[1]),
            at: number(3).expect("a pwrite has an offset"),
        }],
        "ftruncate" => vec![Event::Truncate {
            file,
            len: number(1).expect("a truncation has a length"),
        }],
        "write" => vec![Event::Said(text(arguments[1]))],
        _ if is_whole => vec![Event::SyncBegins { by, file }, Event::SyncEnds { by }],
        _ => vec![Event::SyncBegins { by, file }],
    }
}

/// `[pid 17] call`, or `17 call` in a file, or the call alone.
fn process(line: &str) -> (u32, &str) {
    let line = line.trim_start_matches("[pid").trim_start();
    match line.split_once([' ', ']']) {
        Some((number, call)) if let Ok(number) = number.parse() => (number, call.trim_start()),
        _ => (0, line),
    }
}

fn text(hex: &str) -> String {
    String::from_utf8_lossy(&bytes(hex)).into_owned()
}

/// `\x61\x62`, with or without quotes.
fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim_matches('"').split("\\x").skip(1);
    digits
        .map(|two| u8::from_str_radix(&two[..2], 16).expect("strace was asked for hexadecimals"))
        .collect()
}

/// Files as a power cut may leave them.
#[derive(Default)]
pub(crate) struct Disk {
    /// What has reached the disk.
    synced: HashMap<String, Vec<u8>>,
    /// What has not, in order.
    pending: Vec<(String, Change)>,
    /// The syncs under way, by process: of which file, and how much of `pending` they concern.
    syncs: HashMap<u32, (String, usize)>,
}

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

impl Disk {
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Write { file, at, bytes } => {
                self.pending.push((file, Change::Write { at, bytes }));
            }
            Event::Truncate { file, len } => {
                self.pending.push((file, Change::Truncate { len }));
            }
            Event::SyncBegins { by, file } => {
                self.syncs.insert(by, (file, self.pending.len()));
            }
            Event::SyncEnds { by } => {
                if let Some((file, until)) = self.syncs.remove(&by) {
                    self.sync(&file, until);
                }
            }
            Event::Said(_) => {}
        }
    }

    fn sync(&mut self, file: &str, until: usize) {
        let mut kept = Vec::new();
        let mut gone = Vec::new();
        for (index, (name, change)) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            if index < until && name == file {
                gone.push(index);
                change.apply(self.synced.entry(name).or_default());
            } else {
                kept.push((name, change));
            }
        }
        for (_, other) in self.syncs.values_mut() {
            *other -= gone.iter().filter(|index| **index < *other).count();
        }
        self.pending = kept;
    }

    /// The bytes of a file after a power cut: what was synced, and of the rest what `survives`.
    pub(crate) fn after_power_cut(
        &self,
        file: &str,
        mut survives: impl FnMut() -> bool,
    ) -> Vec<u8> {
        let mut bytes = self.synced.get(file).cloned().unwrap_or_default();
        for (_, change) in self.pending.iter().filter(|(name, _)| name == file) {
            if survives() {
                change.clone().apply(&mut bytes);
            }
        }
        bytes
    }
}

impl Change {
    fn apply(self, file: &mut Vec<u8>) {
        match self {
            Self::Truncate { len } => file.resize(len, 0),
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[at..end].copy_from_slice(&bytes);
            }
        }
    }
}
