//! Typed answers in their stored form, JSON.
//!
//! What is encoded is decoded before it is stored, and the first caller is given the decoded value:
//! so it gets the same one as every repeat (G2), whatever the round trip does to it, and a value
//! that no repeat could be given is refused while its caller is still there.

use std::any::type_name;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A value that cannot be stored as an answer.
///
/// It does not serialise as JSON, or its JSON does not read back as the same type: `f64::NAN` is
/// written as `null`, which is no number; values nested more than 128 deep are not read.
#[derive(Debug, thiserror::Error)]
#[error("a value of type `{type_name}` cannot be stored as an answer, {problem}: {source}")]
pub struct EncodeError {
    type_name: &'static str,
    problem: &'static str,
    source: serde_json::Error,
}

/// A stored answer that does not read as the type that was asked for. It is still there, unchanged.
///
/// A stored answer outlives a deployment: it is read by the release that runs when the repeat
/// arrives. So an answer's type may change only in ways that still read what was stored before.
///
/// # Changing the type of an answer
/// - *Add a field* with a serde default. An older release ignores a field that it does not know,
///   unless its type denies unknown fields, so both may run side by side.
/// - *Rename a field* with `#[serde(alias = "old")]`; write the new name once every release that
///   runs knows the alias.
/// - *Anything else*: keep the old form as a type of its own, and read either:
///
/// ```
/// use idem_core::spi::{decode, encode};
/// use serde::{Deserialize, Serialize};
///
/// // The first release stored this.
/// #[derive(Serialize, Deserialize)]
/// struct ReceiptV1 {
///     id: u64,
/// }
/// let (_, stored) = encode(&ReceiptV1 { id: 17 })?;
///
/// // The second release adds a field.
/// #[derive(Serialize, Deserialize)]
/// struct ReceiptV2 {
///     id: u64,
///     #[serde(default = "usd")]
///     currency: String,
/// }
/// fn usd() -> String {
///     "usd".to_owned()
/// }
/// let receipt: ReceiptV2 = decode(&stored)?;
/// assert_eq!((receipt.id, &*receipt.currency), (17, "usd"));
///
/// // The third release makes the id a text, and still reads what the others stored.
/// #[derive(Clone, Serialize, Deserialize)]
/// #[serde(from = "AnyReceipt")]
/// struct Receipt {
///     id: String,
///     currency: String,
/// }
///
/// #[derive(Deserialize)]
/// #[serde(untagged)]
/// enum AnyReceipt {
///     V3 { id: String, currency: String },
///     V2(ReceiptV2),
/// }
///
/// impl From<AnyReceipt> for Receipt {
///     fn from(any: AnyReceipt) -> Self {
///         match any {
///             AnyReceipt::V3 { id, currency } => Self { id, currency },
///             AnyReceipt::V2(old) => Self {
///                 id: format!("ch_{}", old.id),
///                 currency: old.currency,
///             },
///         }
///     }
/// }
/// let receipt: Receipt = decode(&stored)?;
/// assert_eq!((&*receipt.id, &*receipt.currency), ("ch_17", "usd"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error(
    "the stored answer does not read as `{type_name}`: {source}. It is still stored. If another \
     release stored it, let the type read the older form too (see `idem_core::error::DecodeError`)"
)]
pub struct DecodeError {
    type_name: &'static str,
    source: serde_json::Error,
}

/// A stored failure, as JSON: `{"error": …}`, `{"panic": "…"}` or `{"unstorable": "…"}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoredFailure<E> {
    Error(E),
    Panic(String),
    Unstorable(String),
}

/// The stored form of an answer, and the value that every repeat will read from it.
///
/// Give the caller the value that comes back, not the one that went in.
///
/// ```
/// use idem_core::spi::{decode, encode};
///
/// let (value, payload) = encode(&0.1_f64)?;
/// assert_eq!(decode::<f64>(&payload)?, value);
/// assert!(encode(&f64::NAN).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`EncodeError`] when the value does not serialise, or does not read back.
pub fn encode<T: Serialize + DeserializeOwned>(value: &T) -> Result<(T, Bytes), EncodeError> {
    round_trip(value, type_name::<T>())
}

/// Reads an answer that [`encode`] wrote.
///
/// # Errors
/// [`DecodeError`] when it is of another type.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, DecodeError> {
    read(payload, type_name::<T>())
}

/// As [`encode`], for an error of the work's own.
pub(crate) fn encode_failure<E: Serialize + DeserializeOwned>(
    error: &E,
) -> Result<(StoredFailure<E>, Bytes), EncodeError> {
    round_trip(&StoredFailure::Error(error), type_name::<E>())
}

/// The stored form of [`StoredFailure::Panic`].
pub(crate) fn panic(message: &str) -> Bytes {
    serde_json::json!({ "panic": message }).to_string().into()
}

/// The stored form of [`StoredFailure::Unstorable`].
pub(crate) fn unstorable(message: &str) -> Bytes {
    serde_json::json!({ "unstorable": message })
        .to_string()
        .into()
}

/// The message of an answer that the store refuses for good.
pub(crate) const REFUSED: &str =
    "the store refuses the answer: it is too large for it, or there is no room";

/// The stored form of [`REFUSED`]. Written out, because every ending carries it.
pub(crate) fn refused() -> Bytes {
    Bytes::from_static(
        br#"{"unstorable":"the store refuses the answer: it is too large for it, or there is no room"}"#,
    )
}

/// As [`decode`], for the payload of a failure.
pub(crate) fn decode_failure<E: DeserializeOwned>(
    payload: &[u8],
) -> Result<StoredFailure<E>, DecodeError> {
    read(payload, type_name::<E>())
}

fn round_trip<W: Serialize, R: DeserializeOwned>(
    value: &W,
    type_name: &'static str,
) -> Result<(R, Bytes), EncodeError> {
    let failed = |problem| {
        move |source| EncodeError {
            type_name,
            problem,
            source,
        }
    };
    let json = serde_json::to_vec(value).map_err(failed("it does not serialise"))?;
    let value = serde_json::from_slice(&json).map_err(failed("its JSON does not read back"))?;
    // Without the spare capacity of a `Vec`: a store in memory keeps what it is given.
    Ok((value, json.into_boxed_slice().into()))
}

fn read<T: DeserializeOwned>(payload: &[u8], type_name: &'static str) -> Result<T, DecodeError> {
    serde_json::from_slice(payload).map_err(|source| DecodeError { type_name, source })
}
