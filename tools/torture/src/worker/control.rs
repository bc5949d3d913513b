//! How a worker learns what is to be done, and tells how far it is: two small files, because a
//! worker that is stopped or killed can keep no conversation up.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::Assignment;
use crate::key::KeyId;

/// How long after it an order is obeyed at the latest.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Hit the keys of this era.
    Era(u32),
    /// Finish.
    Stop,
}

/// Gives an order to all workers of a run.
pub(crate) fn give_order(folder: &Path, order: Order) -> Result<()> {
    let text = match order {
        Order::Era(era) => era.to_string(),
        Order::Stop => "stop".to_owned(),
    };
    // In one step, so that nobody reads half of it.
    let (draft, place) = (folder.join("order-draft"), order_in(folder));
    fs::write(&draft, text)
        .and_then(|()| fs::rename(&draft, &place))
        .context("cannot give an order to the workers")
}

fn order_in(folder: &Path) -> PathBuf {
    folder.join("order")
}

fn read_order(folder: &Path) -> Result<Order> {
    let text = fs::read_to_string(order_in(folder)).context("there is no order")?;
    Ok(match text.as_str() {
        "stop" => Order::Stop,
        era => Order::Era(era.parse().context("an order is an era or `stop`")?),
    })
}

/// How many questions were asked about each key of an era.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) era: u32,
    pub(crate) questions: Vec<u32>,
}

/// What a process said last about its progress; nothing before its first word.
pub(crate) fn read_progress(folder: &Path, process: u32) -> Option<Progress> {
    let text = fs::read_to_string(folder.join(format!("progress-{process}"))).ok()?;
    let mut numbers = text.split_ascii_whitespace();
    Some(Progress {
        era: numbers.next()?.parse().ok()?,
        questions: numbers.map_while(|number| number.parse().ok()).collect(),
    })
}

/// A worker's side.
pub(super) struct Control {
    folder: PathBuf,
    era: AtomicU32,
    stopped: AtomicBool,
    questions: Vec<AtomicU32>,
    progress: Mutex<File>,
}

impl Control {
    pub(super) fn of(assignment: &Assignment) -> Result<Self> {
        let control = Self {
            folder: assignment.folder.clone(),
            era: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
            questions: (0..assignment.keys).map(|_| AtomicU32::new(0)).collect(),
            progress: Mutex::new(File::create(assignment.progress())?),
        };
        control.obey(read_order(&assignment.folder)?);
        Ok(control)
    }

    pub(super) fn era(&self) -> u32 {
        self.era.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Counts a question about a key.
    pub(super) fn count(&self, key: KeyId) {
        if key.era == self.era()
            && let Some(count) = self.questions.get(usize::from(key.index))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Looks for orders and tells of progress, until it is told to stop.
    pub(super) async fn follow(&self) {
        while !self.is_stopped() {
            tokio::time::sleep(LOOK_AGAIN).await;
            if let Ok(order) = read_order(&self.folder) {
                self.obey(order);
            }
            self.tell();
        }
    }

    fn obey(&self, order: Order) {
        match order {
            Order::Stop => self.stopped.store(true, Ordering::Relaxed),
            Order::Era(era) => {
                if self.era.swap(era, Ordering::Relaxed) != era {
                    for count in &self.questions {
                        count.store(0, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// All figures have the same width, so that a later line covers an earlier one.
    fn tell(&self) {
        let mut text = format!("{:>9}", self.era());
        for count in &self.questions {
            text.push_str(&format!(" {:>9}", count.load(Ordering::Relaxed)));
        }
        let file = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is wrong for not knowing how far this process is.
        let _ = file.write_all_at(text.as_bytes(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Target, Task};
    use super::*;

    fn assignment(folder: &Path) -> Assignment {
        Assignment {
            process: 4,
            seed: 0,
            folder: folder.to_owned(),
            target: Target {
                plan: "memory".to_owned(),
                url: String::new(),
            },
            keys: 2,
            task: Task::Serve { clients: 1 },
        }
    }

    #[test]
    fn orders_arrive_and_progress_is_told_for_the_current_era_alone() {
        let folder = tempfile::tempdir().unwrap();
        give_order(folder.path(), Order::Era(7)).unwrap();
        let control = Control::of(&assignment(folder.path())).unwrap();
        assert_eq!(control.era(), 7);
        control.count(KeyId { era: 7, index: 1 });
        control.count(KeyId { era: 6, index: 0 });
        control.tell();
        let told = read_progress(folder.path(), 4).unwrap();
        assert_eq!((told.era, told.questions), (7, vec![0, 1]));

        control.obey(Order::Era(8));
        control.tell();
        let told = read_progress(folder.path(), 4).unwrap();
        assert_eq!((told.era, told.questions), (8, vec![0, 0]));

        give_order(folder.path(), Order::Stop).unwrap();
        assert_eq!(read_order(folder.path()).unwrap(), Order::Stop);
    }

    #[test]
    fn a_process_that_said_nothing_yet_has_no_progress() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_progress(folder.path(), 1), None);
    }
}
