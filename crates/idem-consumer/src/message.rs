//! [`Message`]: what a broker delivers, without the broker.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// A message: headers, a body, and an id where the broker has one. Cheap to clone.
///
/// ```
/// use idem_consumer::Message;
///
/// let message = Message::new(r#"{"order":4711}"#)
///     .with_header("Idempotency-Key", "order-4711")
///     .with_broker_id("orders:17");
/// assert_eq!(message.header("idempotency-key"), Some(&b"order-4711"[..]));
/// ```
#[derive(Clone)]
pub struct Message {
    body: Bytes,
    headers: Arc<Vec<(String, Bytes)>>,
    broker_id: Option<Arc<str>>,
}

impl Message {
    /// A message with a body and nothing else.
    #[must_use]
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            headers: Arc::default(),
            broker_id: None,
        }
    }

    /// Adds a header. One that comes twice is kept twice.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Arc::make_mut(&mut self.headers).push((name.into(), value.into()));
        self
    }

    /// Sets the broker's id of the message.
    #[must_use]
    pub fn with_broker_id(mut self, id: impl AsRef<str>) -> Self {
        self.broker_id = Some(id.as_ref().into());
        self
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// All headers, in the order in which they came.
    #[must_use]
    pub fn headers(&self) -> &[(String, Bytes)] {
        &self.headers
    }

    /// The first header of this name, whatever its letters' case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }

    /// The id that the broker gave the message, or the publisher in the broker's field for it.
    #[must_use]
    pub fn broker_id(&self) -> Option<&str> {
        self.broker_id.as_deref()
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Bytes> {
        let of_name = move |(other, _): &&(String, Bytes)| other.eq_ignore_ascii_case(name);
        self.headers.iter().filter(of_name).map(|(_, value)| value)
    }
}

/// Sizes and names alone: a body may hold secrets.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.headers.iter().map(|(name, _)| name);
        f.debug_struct("Message")
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("headers", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
