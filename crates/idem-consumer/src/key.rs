//! [`KeyFrom`]: where a message's idempotency key is.

use std::{fmt, sync::Arc};

use idem_core::{IdempotencyKey, error::KeyError};

use crate::{
    Message,
    pointer::{Found, Pointer, PointerError},
};

/// Where the idempotency key of a message is.
///
/// Use what the *publisher* sets once per intent: an id in the body or a header. A broker's own id is
/// stable over its redeliveries, and new when the publisher sends the message again. `docs/consumers.md`
/// has a table per broker.
///
/// ```
/// use idem_consumer::KeyFrom;
///
/// let from_header = KeyFrom::header("Idempotency-Key");
/// let from_body = KeyFrom::pointer("/order/id")?;
/// # Ok::<(), idem_consumer::PointerError>(())
/// ```
#[derive(Clone)]
pub struct KeyFrom(Place);

type Find = dyn Fn(&Message) -> Result<IdempotencyKey, KeyProblem> + Send + Sync;

#[derive(Clone)]
enum Place {
    Header(Arc<str>),
    Pointer(Arc<Pointer>),
    BrokerId,
    Custom(Arc<Find>),
}

impl KeyFrom {
    /// A header, whatever the case of its name. It must be there once.
    #[must_use]
    pub fn header(name: impl AsRef<str>) -> Self {
        Self(Place::Header(name.as_ref().into()))
    }

    /// A string or an integer in a JSON body, by its JSON Pointer (RFC 6901), such as `/order/id`.
    ///
    /// # Errors
    /// [`PointerError`] when it is no pointer, or points at the whole body.
    pub fn pointer(pointer: impl AsRef<str>) -> Result<Self, PointerError> {
        let pointer = Pointer::parse(pointer.as_ref())?;
        Ok(Self(Place::Pointer(Arc::new(pointer))))
    }

    /// The broker's own id: [`Message::broker_id`].
    #[must_use]
    pub fn broker_id() -> Self {
        Self(Place::BrokerId)
    }

    /// A function of yours. A problem that it reports sends the message to the dead letters.
    pub fn custom<F>(find: F) -> Self
    where
        F: Fn(&Message) -> Result<IdempotencyKey, KeyProblem> + Send + Sync + 'static,
    {
        Self(Place::Custom(Arc::new(find)))
    }

    /// The key of a message.
    ///
    /// # Errors
    /// [`KeyProblem`] when there is not exactly one.
    pub fn find(&self, message: &Message) -> Result<IdempotencyKey, KeyProblem> {
        match &self.0 {
            Place::Header(name) => from_header(message, name),
            Place::Pointer(pointer) => from_body(message, pointer),
            Place::BrokerId => {
                let id = message.broker_id().ok_or_else(|| missing("broker id"))?;
                IdempotencyKey::new(id).map_err(invalid("broker id"))
            }
            Place::Custom(find) => find(message),
        }
    }
}

fn from_header(message: &Message, name: &str) -> Result<IdempotencyKey, KeyProblem> {
    let place = || format!("header `{name}`");
    let mut values = message.all(name);
    let value = values.next().ok_or_else(|| missing(place()))?;
    if values.next().is_some() {
        return Err(KeyProblem::Several { place: place() });
    }
    // First its length: what is too long need not be looked through.
    let (len, max) = (value.len(), IdempotencyKey::MAX_LEN);
    if len > max {
        return Err(invalid(place())(KeyError::TooLong { len, max }));
    }
    let text = std::str::from_utf8(value).map_err(|_| KeyProblem::NotText { place: place() })?;
    IdempotencyKey::new(text).map_err(invalid(place()))
}

fn from_body(message: &Message, pointer: &Pointer) -> Result<IdempotencyKey, KeyProblem> {
    let place = || format!("`{pointer}` of the body");
    match pointer.find(message.body()) {
        Ok(Found::Key(key)) => key.map_err(invalid(place())),
        Ok(Found::Nothing) => Err(missing(place())),
        Ok(Found::Several) => Err(KeyProblem::Several { place: place() }),
        Ok(Found::Other(found)) => Err(KeyProblem::NotAKey {
            place: place(),
            found,
        }),
        Err(error) => Err(KeyProblem::NotJson {
            error: error.to_string(),
        }),
    }
}

fn missing(place: impl Into<String>) -> KeyProblem {
    KeyProblem::Missing {
        place: place.into(),
    }
}

fn invalid(place: impl Into<String>) -> impl FnOnce(KeyError) -> KeyProblem {
    let place = place.into();
    move |error| KeyProblem::Invalid { place, error }
}

/// Why a message has no key to work under. Nothing runs; the message goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// There is none.
    #[error("there is no key in its {place}")]
    Missing {
        /// Where it was looked for.
        place: String,
    },
    /// There is more than one, equal or not.
    #[error("there is more than one key in its {place}")]
    Several {
        /// Where it was looked for.
        place: String,
    },
    /// It is not valid UTF-8.
    #[error("the key in its {place} is not valid UTF-8")]
    NotText {
        /// Where it was found.
        place: String,
    },
    /// A key is asked for in a JSON body, and the body is not valid JSON.
    #[error("its body is not valid JSON: {error}")]
    NotJson {
        /// What the parser said.
        error: String,
    },
    /// The JSON value is neither a string nor an integer of 64 bits.
    #[error("the key in its {place} is {found}, and not a string or an integer of 64 bits")]
    NotAKey {
        /// Where it was found.
        place: String,
        /// What is there.
        found: &'static str,
    },
    /// It breaks a rule of [`IdempotencyKey`]: too long, empty, a control character.
    #[error("the key in its {place} is not usable: {error}")]
    Invalid {
        /// Where it was found.
        place: String,
        /// The rule.
        error: KeyError,
    },
    /// A [custom](KeyFrom::custom) function's own words.
    #[error("{0}")]
    Custom(String),
}

impl fmt::Debug for KeyFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Header(name) => write!(f, "KeyFrom::header({name:?})"),
            Place::Pointer(pointer) => write!(f, "KeyFrom::pointer({:?})", pointer.to_string()),
            Place::BrokerId => f.write_str("KeyFrom::broker_id()"),
            Place::Custom(_) => f.write_str("KeyFrom::custom(…)"),
        }
    }
}
