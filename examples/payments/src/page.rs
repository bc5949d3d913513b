//! The page for people, and the files it is made of: all of them inside the binary.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::IntoResponse,
    routing::get,
};

/// Everything the page loads comes from here; nothing inline, nothing from elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// The page at `/`, its files below `/page/`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let html = ("text/html; charset=utf-8", include_str!("page/index.html"));
    let css = ("text/css; charset=utf-8", include_str!("page/page.css"));
    let icon = ("image/svg+xml", include_str!("page/icon.svg"));
    Router::new()
        .route("/", get(move || file(html)))
        .route("/page/page.css", get(move || file(css)))
        .route("/page/icon.svg", get(move || file(icon)))
        .route("/page/page.js", script(include_str!("page/page.js")))
        .route("/page/intent.js", script(include_str!("page/intent.js")))
        .route(
            "/page/timeline.js",
            script(include_str!("page/timeline.js")),
        )
        .route("/page/words.js", script(include_str!("page/words.js")))
}

fn script<S: Clone + Send + Sync + 'static>(text: &'static str) -> axum::routing::MethodRouter<S> {
    get(move || file(("text/javascript; charset=utf-8", text)))
}

async fn file((content_type, text): (&'static str, &'static str)) -> impl IntoResponse {
    (headers(content_type), text)
}

fn headers(content_type: &'static str) -> [(HeaderName, HeaderValue); 5] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
}
