//! [`IntentService`]: what a request goes through.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::{
    super::{
        GaveUp, Intent, IntentError, Next, Sent, StopReason,
        clock::Clock,
        error::BoxError,
        held::{Held, HeldBody},
        which,
    },
    IntentLayer, SentBody,
    body::Supply,
};

/// The service of [`IntentLayer`].
#[derive(Debug, Clone)]
pub struct IntentService<S> {
    inner: S,
    layer: IntentLayer,
}

impl<S> IntentService<S> {
    pub(super) fn new(inner: S, layer: IntentLayer) -> Self {
        Self { inner, layer }
    }
}

impl<S, B, R> Service<Request<B>> for IntentService<S>
where
    S: Service<Request<SentBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + Send,
{
    type Response = Response<HeldBody<R>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let rules = &self.layer.rules;
        let intent = which::intent(rules, &parts.method, &parts.headers, &parts.extensions);
        // The service that was asked for readiness is the one to call.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            let body = HeldBody::unread(body);
            match intent? {
                Some(intent) => layer.send(inner, intent, parts, body).await,
                None => {
                    let mut inner = inner;
                    let request = Request::from_parts(parts, SentBody::once(body));
                    let response = inner.call(request).await.map_err(Into::into)?;
                    Ok(response.map(HeldBody::unread))
                }
            }
        })
    }
}

impl IntentLayer {
    async fn send<S, B, R>(
        &self,
        mut inner: S,
        mut intent: Intent,
        mut parts: Parts,
        mut body: HeldBody<B>,
    ) -> Result<Response<HeldBody<R>>, BoxError>
    where
        S: Service<Request<SentBody<B>>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        intent.sign(&mut parts.headers)?;
        if let Err(error) = body.read_up_to(self.body_limit).await {
            let gave_up = intent.give_up(StopReason::NotSendable);
            return Err(failure(&intent, gave_up).with_source(error).into());
        }
        let clock = Clock::start(&intent);
        let mut supply = Supply::of(body);
        while let Some(body) = supply.take() {
            intent
                .begin(clock.elapsed())
                .map_err(|gave_up| failure(&intent, gave_up))?;
            let request = Request::from_parts(parts.clone(), body);
            let reply = self.send_once(&mut inner, request).await;
            let next = match &reply {
                Ok(held) => held.next(&mut intent, &clock),
                Err((sent, _)) => intent.after(*sent, clock.elapsed(), rand::random()),
            };
            let next = match next {
                Next::SendAgain(_) if supply.is_spent() => {
                    Next::GiveUp(intent.give_up(StopReason::NotSendable))
                }
                next => next,
            };
            match (next, reply) {
                (Next::Done, Ok(held)) => {
                    let mut response = held.into_response();
                    response.extensions_mut().insert(intent.key().clone());
                    return Ok(response);
                }
                (Next::Done, Err((_, error))) => return Err(error),
                (Next::SendAgain(pause), _) => sleep(pause).await,
                (Next::GiveUp(gave_up), Ok(held)) => {
                    let failure = failure(&intent, gave_up);
                    return Err(failure.with_response(held.into_read()).into());
                }
                (Next::GiveUp(gave_up), Err((_, error))) => {
                    return Err(failure(&intent, gave_up).with_source(error).into());
                }
            }
        }
        let gave_up = intent.give_up(StopReason::NotSendable);
        Err(failure(&intent, gave_up).into())
    }

    async fn send_once<S, Q, R>(
        &self,
        inner: &mut S,
        request: Q,
    ) -> Result<Held<R>, (Sent<'static>, BoxError)>
    where
        S: Service<Q, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        // A client that is not ready was not given the request.
        poll_fn(|cx| inner.poll_ready(cx))
            .await
            .map_err(|error| (Sent::NotSent, error.into()))?;
        let sending = async {
            let response = inner.call(request).await.map_err(|error| {
                let error = error.into();
                let proves = self.is_not_sent.as_ref();
                match proves.is_some_and(|proves| proves(&*error)) {
                    true => (Sent::NotSent, error),
                    false => (Sent::Lost, error),
                }
            })?;
            let held = Held::read(response, self.body_limit).await;
            held.map_err(|error| (Sent::Lost, error.into()))
        };
        let Some(longest) = self.timeout else {
            return sending.await;
        };
        let sent = timeout(longest, sending).await;
        sent.unwrap_or_else(|_| {
            let late = format!("no whole answer within {longest:?}");
            Err((Sent::Lost, late.into()))
        })
    }
}

fn failure(intent: &Intent, gave_up: GaveUp) -> IntentError {
    IntentError::new(intent.key().clone(), gave_up)
}
