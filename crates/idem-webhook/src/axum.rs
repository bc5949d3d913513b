//! axum: [`Delivery`] is an extractor, [`Receipt`] and [`Invalid`] are responses.

use axum_core::{
    body::Body,
    extract::{FromRef, FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::{Delivery, Inbox, Invalid, Receipt};

/// Reads the body up to [`Inbox::body_limit`], and verifies it. The inbox is the router's state, or
/// a part of it ([`FromRef`]):
///
/// ```
/// use axum::{Router, routing::post};
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
/// /// Each sender has a router of its own, with its own inbox.
/// fn app(stripe: Inbox, github: Inbox) -> Router {
///     let stripe = Router::new().route("/hooks/stripe", post(hook)).with_state(stripe);
///     let github = Router::new().route("/hooks/github", post(hook)).with_state(github);
///     stripe.merge(github)
/// }
/// ```
impl<S> FromRequest<S> for Delivery
where
    Inbox: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Invalid;

    async fn from_request(request: Request, state: &S) -> Result<Self, Invalid> {
        let inbox = Inbox::from_ref(state);
        let (head, body) = request.into_parts();
        let body = read(&inbox, body).await?;
        inbox.verify(&head.headers, body)
    }
}

async fn read(inbox: &Inbox, body: Body) -> Result<Bytes, Invalid> {
    let limit = inbox.limit();
    if body.size_hint().lower() > limit as u64 {
        return Err(inbox.too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(inbox.too_large()),
        Err(_) => Err(Invalid::BodyUnreadable),
    }
}

impl IntoResponse for Receipt {
    fn into_response(self) -> Response {
        Receipt::into_response(self).map(Body::from)
    }
}

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        Invalid::into_response(self).map(Body::from)
    }
}
