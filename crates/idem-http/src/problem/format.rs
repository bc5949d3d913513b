//! [`ErrorFormat`]: how a problem is written into a response.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::{PROBLEM_JSON, Problem, TYPE_BASE};
use crate::stripe;

/// How problems are written: the body, and where a client finds out more.
///
/// ```
/// use idem_http::{ErrorFormat, Code, Problem};
///
/// let format = ErrorFormat::problem_json()
///     .type_base("https://errors.example/")?
///     .described_by("https://docs.example/idempotency")?;
/// let response = format.response(&Problem::new(Code::InFlight));
/// let body: serde_json::Value = serde_json::from_slice(response.body())?;
/// assert_eq!(body["type"], "https://errors.example/in-flight");
/// assert_eq!(
///     response.headers()["link"],
///     r#"<https://docs.example/idempotency>; rel="describedby""#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorFormat {
    body: Body,
    type_base: Option<String>,
    described_by: Option<HeaderValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Body {
    #[default]
    ProblemJson,
    Stripe,
    #[cfg(feature = "grpc")]
    Grpc,
}

/// A URI was refused: it is not absolute, or has characters that a URI does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an absolute URI")]
pub struct NotAbsolute(String);

impl ErrorFormat {
    /// `application/problem+json` (RFC 9457) with a member `code`. The default.
    #[must_use]
    pub fn problem_json() -> Self {
        Self::default()
    }

    /// `{"error": {"type", "code", "message", "doc_url"}}` with the types of Stripe's API, and the
    /// headers `Request-Id` and `Stripe-Should-Retry`. Stripe's clients raise the class of error that
    /// belongs to it, and send again what `Stripe-Should-Retry: true` says.
    ///
    /// A request that is in flight has the code `idempotency_key_in_use`; all other codes are this
    /// crate's own.
    #[must_use]
    pub fn stripe() -> Self {
        Self {
            body: Body::Stripe,
            ..Self::default()
        }
    }

    /// An answer of trailers alone: `grpc-status`, `grpc-message`, and
    /// [`idempotency-problem`](crate::grpc::IDEMPOTENCY_PROBLEM) with the code of the problem;
    /// `grpc-retry-pushback-ms`, which is `-1` where it does not help to come back; and both again in
    /// `grpc-status-details-bin`, as `google.rpc.ErrorInfo` and `RetryInfo`. Neither a
    /// [base](Self::type_base) nor a [page](Self::described_by) is sent.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc() -> Self {
        Self {
            body: Body::Grpc,
            ..Self::default()
        }
    }

    /// Names each kind of problem by this URI with the problem's code behind it:
    /// `https://errors.example/` gives `https://errors.example/in-flight`. By default the URIs lead
    /// to the documentation of [`Code`](super::Code).
    ///
    /// # Errors
    /// [`NotAbsolute`]: a relative `type` would mean another one on each path (RFC 9457, §3.1.1).
    pub fn type_base(mut self, base: impl Into<String>) -> Result<Self, NotAbsolute> {
        self.type_base = Some(absolute(base.into())?);
        Ok(self)
    }

    /// Adds `Link: <URI>; rel="describedby"` to each problem: the page that tells clients how this
    /// service uses idempotency keys. By default there is none.
    ///
    /// # Errors
    /// [`NotAbsolute`], as above.
    pub fn described_by(mut self, uri: impl Into<String>) -> Result<Self, NotAbsolute> {
        let uri = absolute(uri.into())?;
        let link = HeaderValue::try_from(format!("<{uri}>; rel=\"describedby\""));
        self.described_by = Some(link.map_err(|_| NotAbsolute(uri))?);
        Ok(self)
    }

    /// The response that tells a problem.
    #[must_use]
    pub fn response(&self, problem: &Problem) -> Response<Bytes> {
        #[cfg(feature = "grpc")]
        if self.body == Body::Grpc {
            return crate::grpc::problem(problem);
        }
        let mut response = Response::new(self.body(problem));
        *response.status_mut() = problem.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = problem.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(link) = &self.described_by {
            headers.insert(header::LINK, link.clone());
        }
        match self.body {
            Body::ProblemJson => {
                headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
            }
            Body::Stripe => stripe::mark_problem(problem, headers),
            #[cfg(feature = "grpc")]
            Body::Grpc => {}
        }
        response
    }

    pub(super) fn body(&self, problem: &Problem) -> Bytes {
        let type_uri = match &self.type_base {
            Some(base) => format!("{base}{}", problem.code.as_str()),
            None => format!("{TYPE_BASE}{:?}", problem.code),
        };
        match self.body {
            Body::ProblemJson => json(&Details {
                r#type: &type_uri,
                title: problem.code.title(),
                status: problem.status.as_u16(),
                detail: &problem.detail,
                code: problem.code.as_str(),
            }),
            Body::Stripe => json(&stripe::error(problem, &type_uri)),
            #[cfg(feature = "grpc")]
            Body::Grpc => Bytes::new(),
        }
    }
}

fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body)
        .expect("strings and a number serialise")
        .into()
}

#[derive(Serialize)]
struct Details<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
}

/// RFC 3986, §4.3, as far as a wrong value can do harm: a scheme, and no character that ends a URI in
/// a header or in JSON.
fn absolute(uri: String) -> Result<String, NotAbsolute> {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let is_uri = |rest: &str| {
        let plain = |byte| matches!(byte, b'!'..=b'~') && !b"\"<>\\^`{|}".contains(&byte);
        !rest.is_empty() && rest.bytes().all(plain)
    };
    match uri.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) && is_uri(rest) => Ok(uri),
        _ => Err(NotAbsolute(uri)),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Code, *};

    #[test]
    fn a_type_or_a_page_that_is_not_absolute_is_refused() {
        let refused = [
            "",
            "/errors/",
            "errors",
            "//errors.example/",
            "https:",
            "1https://a/",
            ":a",
            "https://a/b c",
            "https://a/\"",
            "https://a/>; rel=\"next\"",
            "https://a/\r\nx: y",
            "é:a",
        ];
        for uri in refused {
            assert_eq!(
                ErrorFormat::problem_json().type_base(uri),
                Err(NotAbsolute(uri.to_owned()))
            );
            assert!(
                ErrorFormat::problem_json().described_by(uri).is_err(),
                "{uri}"
            );
        }
        assert!(
            ErrorFormat::stripe()
                .type_base("urn:example:problem:")
                .is_ok()
        );
    }

    #[test]
    fn every_code_has_a_type_of_its_own_below_the_base() {
        let format = ErrorFormat::problem_json()
            .type_base("https://e.example/#")
            .unwrap();
        for code in Code::ALL {
            let response = format.response(&Problem::new(code));
            let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(
                body["type"],
                format!("https://e.example/#{}", code.as_str())
            );
            assert!(!response.headers().contains_key(header::LINK));
        }
    }

    #[test]
    fn the_page_is_linked_in_both_formats() {
        for format in [ErrorFormat::problem_json(), ErrorFormat::stripe()] {
            let format = format.described_by("https://d.example/keys").unwrap();
            let response = format.response(&Problem::new(Code::KeyMissing));
            let link = &response.headers()[header::LINK];
            assert_eq!(link, r#"<https://d.example/keys>; rel="describedby""#);
        }
    }
}
