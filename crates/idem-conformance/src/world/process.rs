//! [`Process`]: where tasks live and die together.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep_until},
};

use super::{Interruption, Trouble};

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
        Self {
            shared: Arc::new(Shared {
                life: Mutex::new(Life {
                    polls: 0,
                    interruptions: own,
                    paused_until: None,
                    crashed: None,
                    news: Vec::new(),
                }),
                crashed: Notify::new(),
            }),
        }
    }

    /// The next life after a crash, to which the rest of the interruptions happen.
    pub(super) fn restart(&self) -> Self {
        let life = self.life();
        Self {
            shared: Arc::new(Shared {
                life: Mutex::new(Life {
                    polls: life.polls,
                    interruptions: life.interruptions.clone(),
                    paused_until: None,
                    crashed: None,
                    news: Vec::new(),
                }),
                crashed: Notify::new(),
            }),
        }
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
        if life
            .interruptions
            .last()
            .is_none_or(|(at, _)| *at > life.polls)
        {
            return Now::Lives;
        }
        let Some((_, trouble)) = life.interruptions.pop() else {
            return Now::Lives;
        };
        life.news.push((Instant::now(), trouble));
        match trouble {
            Trouble::Pause(lasts) => {
                let until = Instant::now() + lasts;
                life.paused_until = Some(until);
                Now::Paused(until)
            }
            Trouble::Crash(down) => {
                life.crashed = Some(down);
                self.shared.crashed.notify_waiters();
                Now::Dead
            }
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.shared
            .life
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
