//! The client's half: one key per intent, when to send it again, and whether it may have run.
//!
//! An *intent* is one thing that a client wants done once, such as a payment. It has one key, and
//! every sending carries that key and the same bytes. After each sending, [`Intent::after`] says
//! what to do next: take the answer, send again, or give up. When it gives up, it says whether it
//! is safe to start over with a new key ([`GaveUp::NothingRan`]) or not
//! ([`GaveUp::OutcomeUnknown`]).
//!
//! There is no I/O and no clock here, so it works with any HTTP client. `IdempotencyMiddleware` (feature
//! `reqwest`) and `IntentLayer` (feature `client-tower`: hyper, tonic) do the sending.
//!
//! | | |
//! |---|---|
//! | [`Intent`] | one key, and what is known of its sendings |
//! | [`RetryRules`] | when to send again, how long to wait, and how the server speaks |
//! | [`RetryBudget`] | bounds the repeats of all intents together |
//! | [`GaveUp`] | nothing ran, or the outcome is unknown |
//! | [`Journal`] | where intents are kept, to go on after a crash |
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
//! // The connection broke. The request may have run, and the key makes it safe to send it again.
//! let next = intent.after(Sent::Lost, Duration::from_secs(1), 0.5);
//! assert!(matches!(next, Next::SendAgain(_)));
//! assert!(intent.may_have_run());
//!
//! let answer = Sent::Answered { status: StatusCode::CREATED, headers: &HeaderMap::new(), body: b"" };
//! assert_eq!(intent.after(answer, Duration::from_secs(2), 0.5), Next::Done);
//! # Ok::<(), idem_http::Malformed>(())
//! ```

mod answer;
mod budget;
#[cfg(any(feature = "client-tower", feature = "reqwest"))]
mod clock;
mod doubt;
#[cfg(any(feature = "client-tower", feature = "reqwest"))]
mod error;
#[cfg(any(feature = "client-tower", feature = "reqwest"))]
mod held;
mod intent;
mod journal;
mod key_form;
mod outcome;
#[cfg(feature = "reqwest")]
mod reqwest;
mod rules;
#[cfg(test)]
mod tests;
#[cfg(feature = "client-tower")]
mod tower;
#[cfg(any(feature = "client-tower", feature = "reqwest"))]
mod which;

#[cfg(feature = "reqwest")]
pub use self::reqwest::IdempotencyMiddleware;
#[cfg(feature = "client-tower")]
pub use self::tower::{IntentLayer, IntentService, SentBody};
pub use self::{
    budget::RetryBudget,
    intent::Intent,
    journal::{Entry, Journal},
    key_form::KeyForm,
    outcome::{GaveUp, Next, Sent, StopReason},
    rules::RetryRules,
};
#[cfg(any(feature = "client-tower", feature = "reqwest"))]
pub use self::{error::IntentError, held::HeldBody};
