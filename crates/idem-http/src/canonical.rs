//! [`NotCanonical`]: why a body has no canonical form.

/// Why a body has no canonical form. The request is answered with
/// [`Code::BodyNotCanonical`](crate::Code::BodyNotCanonical) and does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCanonical {
    /// The body is not JSON, is nested too deeply, or repeats a member.
    #[error("it is not JSON with each member once: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A number would change on its way through a double (RFC 7493, §2.2).
    #[error("the number at byte {at} is beyond what JSON parsers agree on; send it as a string")]
    Number {
        /// The byte at which the number starts.
        at: usize,
    },
    /// A form has a `%` without two hexadecimal digits, or an unescaped `;`. Parsers of forms do
    /// not agree on either.
    #[error("the character at byte {at} has to be percent-encoded in a form")]
    Form {
        /// The byte that is not encoded.
        at: usize,
    },
    /// A multipart body is not framed as RFC 2046, §5.1.1 says.
    #[error("it is not a multipart body: {0}")]
    Multipart(&'static str),
    /// A gRPC body is not framed as messages, or they cannot be decompressed.
    #[error("{0}")]
    Grpc(&'static str),
}
