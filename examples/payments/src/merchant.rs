//! Who asks: the scope of every key.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use idem_core::{Scope, error::KeyError};

use crate::problem::Problem;

/// A verified caller. This being a sandbox, a bearer token *is* the merchant's name; a real service
/// looks the token up, and keeps the merchant it finds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Merchant(String);

impl Merchant {
    const MAX_LEN: usize = 128;

    /// The merchant of a request, by its `Authorization: Bearer …` (RFC 6750, §2.1).
    fn authenticate(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return None;
        };
        let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
        let token = token.trim_matches(' ');
        let known = scheme.eq_ignore_ascii_case("bearer")
            && (1..=Self::MAX_LEN).contains(&token.len())
            && token.bytes().all(is_token68);
        known.then(|| Self(token.to_owned()))
    }

    /// The caller of a fixture, who has a name of any form.
    #[cfg(feature = "vectors")]
    pub(crate) fn in_a_fixture(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The namespace of this merchant's keys: nobody else's requests can meet them there.
    pub(crate) fn scope(&self) -> Result<Scope, KeyError> {
        Scope::new("merchant")?.child(&self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// Lets only known merchants through, and tells everything further in who it is.
///
/// It stands *outside* the idempotency layer, so that a refusal is never stored under a key and
/// never replayed to somebody who then comes with good credentials.
pub(crate) async fn authenticate(mut request: Request, next: Next) -> Response {
    match Merchant::authenticate(request.headers()) {
        Some(merchant) => {
            request.extensions_mut().insert(merchant);
            next.run(request).await
        }
        None => unauthorized(),
    }
}

pub(crate) fn unauthorized() -> Response {
    let detail = "Send `Authorization: Bearer <merchant>`, one header, with a name of 1 to 128 \
                  characters: letters, digits and -._~+/=";
    let mut response = Problem::unauthorized(detail).into_response();
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merchant(lines: &[&str]) -> Option<Merchant> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, line.parse().unwrap());
        }
        Merchant::authenticate(&headers)
    }

    #[test]
    fn a_bearer_token_names_the_merchant() {
        assert_eq!(merchant(&["Bearer acme"]).unwrap().as_str(), "acme");
        assert_eq!(merchant(&["bearer  acme "]).unwrap().as_str(), "acme");
    }

    #[test]
    fn anything_else_names_nobody() {
        let long = format!("Bearer {}", "a".repeat(129));
        for lines in [
            &[][..],
            &["Basic acme"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer a b"],
            &["Bearer {acme}"],
            &[&long],
            &["Bearer acme", "Bearer other"],
        ] {
            assert_eq!(merchant(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn s8_merchants_whose_names_look_alike_have_scopes_apart() {
        let scope = |name: &str| Merchant(name.to_owned()).scope().unwrap();
        assert_ne!(scope("a/b"), scope("a"));
        assert_ne!(scope("a/b"), scope("a%2Fb"));
    }
}
