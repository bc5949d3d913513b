//! [`Timer`]: the bound of one store call after the other.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    runtime::{self, Handle},
    time::{Instant, Sleep},
};

use super::deadline::deadline;

/// How many timers a thread keeps for its next calls.
const MOST_IDLE: usize = 32;

thread_local! {
    static IDLE: RefCell<Vec<Ticking>> = const { RefCell::new(Vec::new()) };
}

/// Goes off once, after a time. Dropped before that, it is left ticking for the next call of this
/// thread, which costs a tenth of taking one out of the runtime's wheel of timers and putting another
/// in. It is moved on to the time of that call when it goes off, and not before: most calls end sooner.
/// Each that goes off too early wakes a task for nothing.
pub(super) struct Timer {
    ticking: Option<Ticking>,
    until: Instant,
}

/// A timer in the wheel of a runtime, and of no use to others.
struct Ticking {
    runtime: runtime::Id,
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    /// # Panics
    /// As [`tokio::time::sleep`], outside of a runtime that has a clock.
    pub(super) fn start(limit: Duration) -> Self {
        let runtime = Handle::current().id();
        let idle = IDLE.try_with(|idle| idle.borrow_mut().pop());
        let kept = idle.ok().flatten().filter(|kept| kept.runtime == runtime);
        let now = Instant::now();
        let until = deadline(now, limit);
        let ticking = match kept {
            Some(mut kept) => {
                // Any time until then is early enough: it is moved on when it goes off.
                if !(now..=until).contains(&kept.sleep.deadline()) {
                    kept.sleep.as_mut().reset(until);
                }
                kept
            }
            None => Ticking {
                runtime,
                sleep: Box::pin(tokio::time::sleep_until(until)),
            },
        };
        Self {
            ticking: Some(ticking),
            until,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Ticking { sleep, .. }) = &mut self.ticking else {
            return Poll::Ready(());
        };
        ready!(sleep.as_mut().poll(cx));
        if sleep.deadline() >= self.until {
            return Poll::Ready(());
        }
        sleep.as_mut().reset(self.until);
        sleep.as_mut().poll(cx)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some(ticking) = self.ticking.take() else {
            return;
        };
        // A thread that ends keeps nothing.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < MOST_IDLE {
                idle.push(ticking);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::{runtime::Builder, time::advance};

    use super::*;
    use crate::engine::call::poll_once;

    const SECOND: Duration = Duration::from_secs(1);

    async fn goes_off(timer: &mut Timer) {
        std::future::poll_fn(|cx| timer.poll(cx)).await;
    }

    /// One that is dropped while it is ticking.
    async fn leave(limit: Duration) {
        let mut timer = Timer::start(limit);
        let polled = poll_once(std::pin::pin!(goes_off(&mut timer))).await;
        assert!(polled.is_none());
    }

    fn idle() -> usize {
        IDLE.with(|idle| idle.borrow().len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_left_goes_off_at_the_time_of_its_next_call() {
        for (left, next) in [
            (SECOND, SECOND),
            (10 * SECOND, SECOND),
            (SECOND, 10 * SECOND),
        ] {
            leave(left).await;
            advance(SECOND / 2).await;
            let started = Instant::now();
            let before = idle();
            let mut timer = Timer::start(next);
            assert_eq!(idle(), before - 1, "it was not used");
            goes_off(&mut timer).await;
            assert_eq!(started.elapsed(), next);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_went_off_while_it_was_idle_goes_off_again() {
        leave(SECOND).await;
        advance(2 * SECOND).await;
        let started = Instant::now();
        goes_off(&mut Timer::start(SECOND)).await;
        assert_eq!(started.elapsed(), SECOND);
    }

    #[tokio::test]
    async fn a_thread_keeps_a_few() {
        let timers: Vec<_> = (0..2 * MOST_IDLE).map(|_| Timer::start(SECOND)).collect();
        drop(timers);
        assert_eq!(idle(), MOST_IDLE);
    }

    #[test]
    fn a_timer_of_a_runtime_that_is_gone_is_not_used() {
        for _ in 0..2 {
            let runtime = Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                leave(SECOND).await;
                let mut timer = Timer::start(Duration::from_millis(1));
                goes_off(&mut timer).await;
            });
        }
    }
}
