//! [`Source`]: what a broker has to offer.

use std::{error::Error, future::Future, time::Duration};

use crate::{Message, Reason};

/// A broker's queue, as [`Consumer::run`](crate::Consumer::run) sees it. Write one for a broker that has
/// no adapter here.
///
/// A delivery that is neither acknowledged, deferred nor sent to the dead letters must come again:
/// after a time, or when the connection is gone. That is the whole of what the source has to promise;
/// it may deliver a message as often as it likes, and two workers at once.
///
/// ```
/// use std::{collections::VecDeque, sync::Mutex, time::Duration};
/// use idem_consumer::{Message, Reason, Source, SourceError};
///
/// struct Lines(Mutex<VecDeque<String>>);
///
/// impl Source for Lines {
///     type Delivery = String;
///
///     async fn next(&self, _room: usize) -> Result<Option<String>, SourceError> {
///         Ok(self.0.lock().map_err(|e| SourceError::config(e.to_string()))?.pop_front())
///     }
///     fn message(&self, line: &String) -> Message {
///         Message::new(line.clone())
///     }
///     async fn ack(&self, _: &String) -> Result<(), SourceError> {
///         Ok(())
///     }
///     async fn defer(&self, line: &String, _: Duration) -> Result<(), SourceError> {
///         self.0.lock().map_err(|e| SourceError::away(e.to_string()))?.push_back(line.clone());
///         Ok(())
///     }
///     async fn dead_letter(&self, line: &String, reason: &Reason) -> Result<(), SourceError> {
///         eprintln!("{line}: {reason}");
///         Ok(())
///     }
/// }
/// ```
pub trait Source: Send + Sync + 'static {
    /// One delivery of a message, with what it takes to settle it.
    type Delivery: Send + Sync + 'static;

    /// Waits for the next delivery. `None` ends the run.
    ///
    /// `room` says how many deliveries could be worked on at once from now: a source that asks for
    /// several should not ask for more. It is called again once it has returned, and never twice at a
    /// time. Connect anew in here where the connection is gone. It is dropped when the run is
    /// [stopped](crate::Consumer::run): what it holds then must come again.
    fn next(
        &self,
        room: usize,
    ) -> impl Future<Output = Result<Option<Self::Delivery>, SourceError>> + Send;

    /// The message of a delivery.
    fn message(&self, delivery: &Self::Delivery) -> Message;

    /// The message is done with: it must not come again. Return when the broker has confirmed it,
    /// where it can. One that is lost does no harm: the repeat is acknowledged without running.
    fn ack(
        &self,
        delivery: &Self::Delivery,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Has the message delivered again, to any worker, once the delay is over.
    fn defer(
        &self,
        delivery: &Self::Delivery,
        delay: Duration,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Puts the message where a person looks, with the reason. It must be safe there before the
    /// original is given up. On an error the message is deferred.
    fn dead_letter(
        &self,
        delivery: &Self::Delivery,
        reason: &Reason,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// How often [`extend`](Self::extend) has to be called while a handler runs; `None`, the default,
    /// where the broker knows no such thing. It is called once a day at least, and once a millisecond at
    /// most, whatever this says.
    fn extend_every(&self) -> Option<Duration> {
        None
    }

    /// Tells the broker that the delivery is still being worked on.
    fn extend(
        &self,
        delivery: &Self::Delivery,
    ) -> impl Future<Output = Result<(), SourceError>> + Send {
        let _ = delivery;
        async { Ok(()) }
    }

    /// Takes nothing more, and gives back what was fetched and not handed out. Deliveries that were
    /// handed out are still settled after this.
    fn close(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What a source could not do.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", match kind {
    SourceErrorKind::Away => "the broker is away",
    SourceErrorKind::Config => "the source is set up wrong",
})]
pub struct SourceError {
    kind: SourceErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

/// Whether it is any use to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// The broker is out of reach or out of order: it is tried again, with growing delays.
    Away,
    /// Nothing changes by trying again: the run ends.
    Config,
}

impl SourceError {
    /// The broker is out of reach, or out of order.
    pub fn away(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind: SourceErrorKind::Away,
            source: error.into(),
        }
    }

    /// The source is set up wrong: trying again is of no use.
    pub fn config(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind: SourceErrorKind::Config,
            source: error.into(),
        }
    }

    /// Whether it is any use to try again.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        self.kind
    }
}

/// What the broker answers, unless it takes longer than this.
#[cfg(any(feature = "rabbitmq", feature = "sqs"))]
pub(crate) async fn within<T>(
    longest: Duration,
    asked: impl Future<Output = Result<T, SourceError>>,
) -> Result<T, SourceError> {
    let no_answer = |_| Err(SourceError::away(format!("no answer within {longest:?}")));
    let answered = tokio::time::timeout(longest, asked).await;
    answered.unwrap_or_else(no_answer)
}
