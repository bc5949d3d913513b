//! Who may ask, and what a browser may do with the answers.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::{App, refused};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// Of every response.
pub(super) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Data is told to those who have the token, or under a name that is the console's; and a POST has to come
/// from the page itself.
pub(super) async fn data(State(app): State<App>, request: Request, next: Next) -> Response {
    match &app.console.token {
        Some(token) if !has_token(request.headers(), token) => {
            let message =
                "open the page with the address that `idem serve` printed: it has the token";
            return refused(StatusCode::UNAUTHORIZED, "no-token", message);
        }
        // Another site's page does not have the token, whatever name it gave this server.
        Some(_) => {}
        None if !authority(&request).is_some_and(|host| app.console.is_at(host)) => {
            let message =
                "the console is not told that it has this name: give it to `Console::host`";
            return refused(StatusCode::FORBIDDEN, "unknown-host", message);
        }
        None => {}
    }
    if request.method() == Method::POST && !is_same_origin(&request) {
        let message = "this was sent by another site's page";
        return refused(StatusCode::FORBIDDEN, "cross-origin", message);
    }
    next.run(request).await
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let (given, token) = (given.unwrap_or_default(), token.as_bytes());
    // Every byte is looked at, so that the time does not tell how many are right.
    let differ = given.iter().zip(token).fold(0, |all, (a, b)| all | (a ^ b));
    // An empty token is nobody's.
    !token.is_empty() && given.len() == token.len() && differ == 0
}

/// A browser says where a request comes from. A program that says nothing has no cookies of somebody
/// else's.
fn is_same_origin(request: &Request) -> bool {
    let text = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap_or("?"))
    };
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    match text("origin") {
        None => true,
        Some(origin) => {
            let from = origin.split_once("://").map(|(_, authority)| authority);
            from.is_some() && from == authority(request)
        }
    }
}

/// The name and port that the request is for.
fn authority(request: &Request) -> Option<&str> {
    match request.headers().get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => request.uri().authority().map(http::uri::Authority::as_str),
    }
}
