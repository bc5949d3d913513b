#![doc = include_str!("../README.md")]
//!
//! Start at [`Consumer::run`] with a [`Source`], or at [`Consumer::handle`] in a loop of your own: it
//! takes a message and gives one [`Verdict`].
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "apalis")]
pub mod apalis;
mod backoff;
mod builder;
mod consumer;
mod ended;
mod failure;
#[cfg(feature = "kafka")]
pub mod kafka;
mod key;
mod message;
#[cfg(feature = "nats")]
pub mod nats;
mod observe;
mod outage;
mod pointer;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
mod run;
mod source;
#[cfg(feature = "sqs")]
pub mod sqs;
mod verdict;

pub use backoff::Backoff;
pub use builder::Builder;
pub use consumer::Consumer;
pub use key::{KeyFrom, KeyProblem};
pub use message::Message;
pub use pointer::PointerError;
pub use run::{RunError, Summary};
pub use source::{Source, SourceError, SourceErrorKind};
pub use verdict::{Deferral, Done, Reason, Verdict};
