//! The page, its script and its style: three files, without a build step.

use axum::{
    extract::OriginalUri,
    response::{Html, IntoResponse},
};
use http::header;

const INDEX: &str = include_str!("../page/index.html");
const SCRIPT: &str = include_str!("../page/app.js");
const STYLE: &str = include_str!("../page/app.css");

/// The page may be nested below any path: what it asks for is found from where it is.
pub(super) async fn index(OriginalUri(uri): OriginalUri) -> Html<String> {
    let path = uri.path().trim_end_matches('/');
    Html(INDEX.replace("{base}", &format!("{}/", escaped(path))))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

pub(super) async fn script() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        SCRIPT,
    )
}

pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_cannot_leave_its_attribute() {
        let uri = "/a\"><script>/".parse().unwrap_or_default();
        let Html(page) = index(OriginalUri(uri)).await;
        assert!(!page.contains("\"><script>"), "{page}");
        let Html(page) = index(OriginalUri("/ops/idem".parse().unwrap())).await;
        assert!(page.contains("<base href=\"/ops/idem/\">"), "{page}");
        let Html(page) = index(OriginalUri("/".parse().unwrap())).await;
        assert!(page.contains("<base href=\"/\">"), "{page}");
    }
}
