//! Handlers that answer in axum's words, on actix-web.

use actix_web::{HttpResponse, HttpResponseBuilder, body::SizedStream, http::StatusCode};
use axum::response::Response;
use idem_actix::Disposition;

/// axum's answer as one of actix-web's.
pub(super) fn respond(response: Response) -> HttpResponse {
    let (head, body) = response.into_parts();
    let status = StatusCode::from_u16(head.status.as_u16()).unwrap();
    let mut builder = HttpResponseBuilder::new(status);
    for (name, value) in &head.headers {
        builder.append_header((name.as_str(), value.as_bytes()));
    }
    if let Some(disposition) = head.extensions.get::<Disposition>() {
        builder.extensions_mut().insert(*disposition);
    }
    match http_body::Body::size_hint(&body).exact() {
        Some(0) => builder.finish(),
        Some(size) => builder.body(SizedStream::new(size, body.into_data_stream())),
        None => builder.streaming(body.into_data_stream()),
    }
}
