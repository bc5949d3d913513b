//! A printer: every call is a sheet of paper, and it remembers nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

#[derive(Default)]
pub(crate) struct Printer {
    tray: Mutex<BTreeMap<u32, usize>>,
}

impl Printer {
    pub(crate) fn print(&self, letter: u32) {
        *self.tray().entry(letter).or_default() += 1;
    }

    /// What a person sees who looks into the tray.
    pub(crate) fn is_in_the_tray(&self, letter: u32) -> bool {
        self.tray().contains_key(&letter)
    }

    /// How often each letter was printed.
    pub(crate) fn prints(&self) -> Vec<usize> {
        self.tray().values().copied().collect()
    }

    fn tray(&self) -> MutexGuard<'_, BTreeMap<u32, usize>> {
        self.tray.lock().expect("no panic under this lock")
    }
}
