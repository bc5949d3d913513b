//! actix-web: [`Delivery`] is an extractor, [`Receipt`] a responder and [`Invalid`] an error.

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder, ResponseError,
    body::BoxBody,
    dev::Payload,
    http::{
        StatusCode,
        header::{CONTENT_LENGTH, HeaderMap},
    },
    web::Data,
};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, StreamExt as _, future::LocalBoxFuture};
use http::{HeaderName, HeaderValue};

use crate::{Delivery, Inbox, Invalid, Receipt};

/// Reads the body up to [`Inbox::body_limit`], and verifies it. The inbox is the `Data<Inbox>` of
/// the resource, or of the app:
///
/// ```
/// use actix_web::web::{self, Data, ServiceConfig};
/// use idem_webhook::{BoxError, Delivery, Event, Inbox, Receipt};
///
/// async fn hook(delivery: Delivery) -> Receipt {
///     delivery.accept(work_off).await
/// }
///
/// async fn work_off(event: Event) -> Result<(), BoxError> {
///     println!("{event:?}");
///     Ok(())
/// }
///
/// fn configure(config: &mut ServiceConfig, stripe: Inbox) {
///     let stripe = web::resource("/hooks/stripe").app_data(Data::new(stripe));
///     config.service(stripe.route(web::post().to(hook)));
/// }
/// ```
///
/// What a handler does runs on the engine's own tasks, so it has to be `Send`.
impl FromRequest for Delivery {
    type Error = Invalid;
    type Future = LocalBoxFuture<'static, Result<Self, Invalid>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let inbox = request.app_data::<Data<Inbox>>().cloned();
        let announced = request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let (headers, payload) = (headers(request.headers()), payload.take());
        async move {
            let inbox = inbox.ok_or(Invalid::Misconfigured)?;
            let body = read(&inbox, announced, payload).await?;
            inbox.verify(&headers, body)
        }
        .boxed_local()
    }
}

async fn read(
    inbox: &Inbox,
    announced: Option<usize>,
    mut payload: Payload,
) -> Result<Bytes, Invalid> {
    let mut read = BytesMut::new();
    if announced.is_some_and(|length| length > inbox.limit()) {
        return Err(inbox.too_large());
    }
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|_| Invalid::BodyUnreadable)?;
        if read.len() + piece.len() > inbox.limit() {
            return Err(inbox.too_large());
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

/// From http 0.2 to 1, bytes as they are.
fn headers(headers: &HeaderMap) -> http::HeaderMap {
    let mut converted = http::HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_str().as_bytes()),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            // More than it holds are not among the few that are read.
            let _ = converted.try_append(name, value);
        }
    }
    converted
}

fn converted(answer: http::Response<Bytes>) -> HttpResponse {
    let (head, body) = answer.into_parts();
    let mut response = HttpResponse::build(status(head.status));
    for (name, value) in &head.headers {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    response.body(body)
}

fn status(status: http::StatusCode) -> StatusCode {
    StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl Responder for Receipt {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        converted(self.into_response())
    }
}

impl ResponseError for Invalid {
    fn status_code(&self) -> StatusCode {
        status(self.status())
    }

    fn error_response(&self) -> HttpResponse {
        converted(self.clone().into_response())
    }
}
