//! The client's half: one key per intent, and when to send it again.
//!
//! No I/O and no clock: the caller sends, and says how long ago the first sending was and what
//! came back; an [`Intent`] says whether to send again, and when.
//!
//! ```
//! use std::time::Duration;
//! use http::{HeaderMap, StatusCode};
//! use idem_http::client::{Intent, Next, RetryRules, Sent};
//!
//! let mut intent = Intent::new(RetryRules::default());
//! let mut headers = HeaderMap::new();
//! intent.sign(&mut headers)?; // the same headers and body for every sending
//!
//! // The connection broke: it may have been run, and the key makes it safe to send again.
//! let next = intent.after(Sent::Lost, Duration::from_secs(1), 0.5);
//! assert!(matches!(next, Next::SendAgain(_)));
//!
//! let answer = Sent::Answered { status: StatusCode::CREATED, headers: &HeaderMap::new(), body: b"" };
//! assert_eq!(intent.after(answer, Duration::from_secs(2), 0.5), Next::Done);
//! # Ok::<(), idem_http::Malformed>(())
//! ```

mod answer;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use idem_core::IdempotencyKey;

#[cfg(feature = "reqwest")]
pub use self::reqwest::IdempotencyMiddleware;
use crate::{IDEMPOTENCY_KEY, KeyHeader, Malformed};

/// How often and how long an intent is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryRules {
    /// The header that carries the key.
    pub header: HeaderName,
    /// The pause after the first sending, before jitter; it doubles with each one.
    pub first_pause: Duration,
    /// The longest pause, before jitter. A longer `Retry-After` is waited for all the same.
    pub longest_pause: Duration,
    /// How often an intent is sent in all.
    pub most_sendings: u32,
    /// How long the server remembers the key. Past it, sending again could run it a second time,
    /// so nothing is sent that could arrive then.
    pub retention: Duration,
}

impl Default for RetryRules {
    /// 200 ms, doubled up to 30 s; 8 sendings; a retention of 24 h.
    fn default() -> Self {
        Self {
            header: IDEMPOTENCY_KEY,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(30),
            most_sendings: 8,
            retention: Duration::from_secs(24 * 3600),
        }
    }
}

/// What came of one sending.
#[derive(Debug, Clone, Copy)]
pub enum Sent<'a> {
    /// An answer.
    Answered {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: &'a HeaderMap,
        /// Its body, or as much of it as was read; looked at for a 409 alone.
        body: &'a [u8],
    },
    /// Certainly nothing arrived: no connection was made.
    NotSent,
    /// It may have arrived: a timeout, or a connection that broke.
    Lost,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The answer is the one that counts, be it good or bad.
    Done,
    /// Send the same bytes again after this time.
    SendAgain(Duration),
    /// Stop: there is no answer that counts.
    GiveUp(GaveUp),
}

/// Why there is no answer that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GaveUp {
    /// No sending arrived, or each was turned away: nothing was run.
    #[error("given up: nothing was run; it is safe to start over with a new key")]
    NothingRan,
    /// At least one sending may have been run.
    #[error(
        "given up, and the outcome is unknown: it may have been run; look it up before starting \
         over, since a new key would run it a second time"
    )]
    OutcomeUnknown,
}

/// One thing that a client wants done once: a key, kept over all its sendings.
#[derive(Debug, Clone)]
pub struct Intent {
    key: IdempotencyKey,
    rules: RetryRules,
    sendings: u32,
    maybe_ran: bool,
}

impl Intent {
    /// An intent with a new random key.
    #[must_use]
    pub fn new(rules: RetryRules) -> Self {
        Self::with_key(IdempotencyKey::random(), rules)
    }

    /// An intent with a key that was kept, to go on after a restart of the client.
    #[must_use]
    pub fn with_key(key: IdempotencyKey, rules: RetryRules) -> Self {
        Self {
            key,
            rules,
            sendings: 0,
            maybe_ran: false,
        }
    }

    /// The key. Store it with the intent before the first sending, to survive a restart.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Puts the key into a request's headers.
    ///
    /// # Errors
    /// [`Malformed::Characters`] for a key outside of ASCII.
    pub fn sign(&self, headers: &mut HeaderMap) -> Result<(), Malformed> {
        headers.insert(self.rules.header.clone(), KeyHeader::write(&self.key)?);
        Ok(())
    }

    /// What to do after a sending.
    ///
    /// `since_first` is the time since the first sending began; `jitter` is a random number from 0
    /// to 1, so that many clients do not come back at once.
    pub fn after(&mut self, sent: Sent<'_>, since_first: Duration, jitter: f64) -> Next {
        self.sendings = self.sendings.saturating_add(1);
        let asked = match sent {
            Sent::NotSent => None,
            Sent::Lost => {
                self.maybe_ran = true;
                None
            }
            Sent::Answered {
                status,
                headers,
                body,
            } => {
                if !answer::is_retryable(status, headers, body) {
                    return Next::Done;
                }
                self.maybe_ran |= answer::may_have_run(status);
                answer::retry_after(headers)
            }
        };
        let pause = asked.unwrap_or_default().max(self.backoff(jitter));
        let in_time = since_first.saturating_add(pause) < self.rules.retention;
        match in_time && self.sendings < self.rules.most_sendings {
            true => Next::SendAgain(pause),
            false if self.maybe_ran => Next::GiveUp(GaveUp::OutcomeUnknown),
            false => Next::GiveUp(GaveUp::NothingRan),
        }
    }

    /// Half of the pause for sure, the other half by chance.
    fn backoff(&self, jitter: f64) -> Duration {
        let doublings = self.sendings.saturating_sub(1).min(31);
        let pause = self.rules.first_pause.saturating_mul(1 << doublings);
        let pause = pause.min(self.rules.longest_pause);
        let share = match (0.0..=1.0).contains(&jitter) {
            true => jitter,
            false => 1.0,
        };
        pause / 2 + (pause / 2).mul_f64(share)
    }
}
