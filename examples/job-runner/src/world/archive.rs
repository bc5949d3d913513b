//! Pages that are written one by one; writing one again changes nothing but costs the time.

use std::{collections::BTreeMap, sync::Mutex};

#[derive(Default)]
pub(crate) struct Archive {
    /// How often each page of each report was written.
    pages: Mutex<BTreeMap<(u32, u32), u32>>,
}

impl Archive {
    pub(crate) fn write(&self, report: u32, page: u32) {
        let mut pages = self.pages.lock().expect("no panic under this lock");
        *pages.entry((report, page)).or_default() += 1;
    }

    /// Pages there are.
    pub(crate) fn pages(&self) -> usize {
        self.pages.lock().expect("no panic under this lock").len()
    }

    /// Writes there were.
    pub(crate) fn writes(&self) -> u32 {
        let pages = self.pages.lock().expect("no panic under this lock");
        pages.values().sum()
    }
}
