#![doc = include_str!("../README.md")]
//!
//! | | |
//! |---|---|
//! | [`Verifier`] | whether a delivery comes from its sender: Standard Webhooks, Stripe, GitHub |
//! | [`Invalid`] | why it does not, with a status |
//! | [`Inbox`] | an endpoint's deliveries over an engine |
//! | [`Delivery`] | a verified delivery; an extractor with the features `axum` and `actix` |
//! | [`Event`] | what a handler gets |
//! | [`Receipt`] | what became of a delivery, with the status that its sender is told |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "axum")]
mod axum;
mod delivery;
mod event;
mod inbox;
mod invalid;
mod receipt;
mod scheme;
mod secrets;
mod verifier;
mod work;

/// An error of a handler.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub use delivery::Delivery;
pub use event::Event;
pub use inbox::{Inbox, InboxError};
pub use invalid::Invalid;
pub use receipt::Receipt;
pub use secrets::SecretError;
pub use verifier::{Verified, Verifier};
pub use work::WorkedOff;
