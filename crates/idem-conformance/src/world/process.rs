//! [`Process`]: where tasks live and die together.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use idem_core::Timestamp;
use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep_until},
};

use super::{Interruption, Trouble};

/// What wall clocks show when a world begins, in milliseconds since the epoch.
const MORNING: i64 = 1_700_000_000_000;

/// One life of a process, from its start to its crash. Every task of it is polled through
/// [`Living`], which counts polls, and interrupts where the plan says so.
#[derive(Clone)]
pub(super) struct Process {
    shared: Arc<Shared>,
}

struct Shared {
    life: Mutex<Life>,
    crashed: Notify,
}

struct Life {
    polls: u32,
    /// How far the jumps of the wall clock have put it off, in milliseconds.
    off: i64,
    /// Still to come, the soonest last.
    interruptions: Vec<(u32, Trouble)>,
    paused_until: Option<Instant>,
    crashed: Option<Duration>,
    /// What happened since somebody last asked.
    news: Vec<(Instant, Trouble)>,
}

enum Now {
    Lives,
    Paused(Instant),
    Dead,
}

impl Process {
    /// A process to which the plan's interruptions happen, as far as they are its own.
    pub(super) fn start(number: usize, interruptions: &[Interruption]) -> Self {
        let own = interruptions.iter().filter(|i| i.process == number);
        let mut own: Vec<_> = own.map(|i| (i.at_poll, i.trouble)).collect();
        own.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Self::live(0, 0, own)
    }

    /// The next life after a crash, to which the rest of the interruptions happen.
    pub(super) fn restart(&self) -> Self {
        let life = self.life();
        Self::live(life.polls, life.off, life.interruptions.clone())
    }

    fn live(polls: u32, off: i64, interruptions: Vec<(u32, Trouble)>) -> Self {
        Self {
            shared: Arc::new(Shared {
                life: Mutex::new(Life {
                    polls,
                    off,
                    interruptions,
                    paused_until: None,
                    crashed: None,
                    news: Vec::new(),
                }),
                crashed: Notify::new(),
            }),
        }
    }

    /// What its wall clock shows so long after the world began. It stops at the epoch, as
    /// [`Timestamp::now`] does.
    pub(super) fn wall_clock(&self, elapsed: Duration) -> Timestamp {
        let shown = MORNING.saturating_add(self.life().off);
        let shown = u64::try_from(shown).unwrap_or(0);
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(shown.saturating_add(elapsed))
    }

    pub(super) fn is_up(&self) -> bool {
        self.life().crashed.is_none()
    }

    /// Waits for the crash, and says for how long the process is down.
    pub(super) async fn crashed(&self) -> Duration {
        loop {
            let mut notified = std::pin::pin!(self.shared.crashed.notified());
            notified.as_mut().enable();
            let crashed = self.life().crashed;
            match crashed {
                Some(down) => return down,
                None => notified.await,
            }
        }
    }

    /// Spawns a task of this process.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(Living {
            process: self.clone(),
            pause: None,
            task: Some(Box::pin(task)),
        });
    }

    /// What happened since somebody last asked.
    pub(super) fn news(&self) -> Vec<(Instant, Trouble)> {
        std::mem::take(&mut self.life().news)
    }

    /// Takes note that a task is about to be polled.
    fn poll(&self) -> Now {
        let mut life = self.life();
        if life.crashed.is_some() {
            return Now::Dead;
        }
        if let Some(until) = life.paused_until.filter(|until| *until > Instant::now()) {
            return Now::Paused(until);
        }
        life.paused_until = None;
        life.polls += 1;
        while let Some(trouble) = life.next_trouble() {
            life.news.push((Instant::now(), trouble));
            match trouble {
                Trouble::ClockJump(by) => life.off = life.off.saturating_add(by),
                Trouble::Pause(lasts) => {
                    let until = Instant::now() + lasts;
                    life.paused_until = Some(until);
                    return Now::Paused(until);
                }
                Trouble::Crash(down) => {
                    life.crashed = Some(down);
                    self.shared.crashed.notify_waiters();
                    return Now::Dead;
                }
            }
        }
        Now::Lives
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.shared
            .life
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Life {
    /// What happens at this poll, one after the other.
    fn next_trouble(&mut self) -> Option<Trouble> {
        let polls = self.polls;
        let due = self.interruptions.pop_if(|(at, _)| *at <= polls);
        due.map(|(_, trouble)| trouble)
    }
}

/// A task that lives as long as its process.
struct Living {
    process: Process,
    pause: Option<Pin<Box<Sleep>>>,
    task: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Future for Living {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.pause = None;
            }
            match self.process.poll() {
                Now::Dead => {
                    self.task = None;
                    return Poll::Ready(());
                }
                Now::Paused(until) => self.pause = Some(Box::pin(sleep_until(until))),
                Now::Lives => {
                    return match &mut self.task {
                        Some(task) => task.as_mut().poll(cx),
                        None => Poll::Ready(()),
                    };
                }
            }
        }
    }
}
