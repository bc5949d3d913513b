//! [`IdempotencyMiddleware`]: the client's half for reqwest.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use reqwest_middleware::{
    ClientBuilder, ClientWithMiddleware, Error, Middleware, Next as Chain, Result,
};
use tokio::time::sleep;

use super::{
    GaveUp, Intent, IntentError, Next, RetryRules, Sent, StopReason, clock::Clock, held, which,
};

type Held = held::Held<Body>;

/// Sends each POST and PATCH with a key of its own, and again under that key until there is an
/// outcome.
///
/// ```
/// use std::time::Duration;
/// use idem_http::client::{IdempotencyMiddleware, RetryRules};
///
/// let http = reqwest::Client::builder().timeout(Duration::from_secs(10));
/// let client = IdempotencyMiddleware::new(RetryRules::default()).client(http)?;
/// # let _ = client;
/// # Ok::<(), reqwest::Error>(())
/// ```
///
/// Set a timeout: without one, a lost answer is waited for without end.
///
/// # What it gives
/// An answer, with the [`IdempotencyKey`](idem_core::IdempotencyKey) among the extensions of the
/// response; or an [`IntentError`] that has the key, the last reply, and whether it is safe to
/// start over. A malformed key in the request's own header is an error of the type
/// [`Malformed`](crate::Malformed), and nothing is sent.
///
/// # Which key
/// - Without more, a new random key for each POST and PATCH.
/// - An [`Intent`] among the request's extensions: its key and its rules, for any method. Use this
///   when the intent has to survive a restart, or when the future may be dropped.
/// - A key in the request's own header: that key, for any method. Since it may have been sent
///   before, the intent is treated as resumed: it may have run from the start, and its first
///   sending counts as now.
///
/// ```no_run
/// use idem_http::client::{Intent, RetryRules};
/// # async fn pay(client: reqwest_middleware::ClientWithMiddleware) -> reqwest_middleware::Result<()> {
/// let intent = Intent::new(RetryRules::default());
/// // store intent.key() and the time, then:
/// let request = client.post("https://shop.example/payments").with_extension(intent);
/// let answer = request.body(r#"{"amount":500}"#).send().await?;
/// # let _ = answer; Ok(())
/// # }
/// ```
///
/// # Bodies
/// The body of an answer is read before the intent is done, up to
/// [`body_limit`](Self::body_limit): a success whose body breaks off is sent again, and gets the
/// stored answer. A request body that is a stream is sent once, since it cannot be sent again.
///
/// # Cancel safety
/// When the future is dropped, the request may have run, and a key that the middleware drew is
/// lost. Give it an [`Intent`] whose key is kept.
#[derive(Debug, Clone)]
pub struct IdempotencyMiddleware {
    rules: RetryRules,
    body_limit: usize,
    trusts_connect_errors: bool,
}

impl Default for IdempotencyMiddleware {
    /// With the default rules.
    fn default() -> Self {
        Self::new(RetryRules::default())
    }
}

impl IdempotencyMiddleware {
    /// The most that is read of an answer's body where nothing else is said: 1 MiB.
    pub const DEFAULT_BODY_LIMIT: usize = held::DEFAULT_LIMIT;

    /// A middleware with these rules. [`client`](Self::client) makes a client of it.
    ///
    /// In a chain of your own, put it last, so that nothing below it sends a request again.
    #[must_use]
    pub fn new(rules: RetryRules) -> Self {
        Self {
            rules,
            body_limit: Self::DEFAULT_BODY_LIMIT,
            trusts_connect_errors: false,
        }
    }

    /// How much of a successful answer is read before the intent is done, in bytes. With zero, a
    /// success is handed on as its body arrives.
    ///
    /// A larger answer is handed on with its rest unread. If that rest breaks off, go on with the
    /// key among the response's extensions. Event streams (`text/event-stream`) are never read;
    /// use zero for other answers that stay open.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Takes a failed connection for proof that nothing was sent. Without it, such an intent ends
    /// as *outcome unknown*.
    ///
    /// It is proof only if nothing below sends a request a second time: the client follows no
    /// redirects ([`Policy::none`](reqwest::redirect::Policy::none)), has no retry policy
    /// ([`never`](reqwest::retry::never)), and no other middleware below repeats requests. With
    /// redirects, a request may run, be redirected, and fail to connect to where it was sent.
    /// [`client`](Self::client) sets all of this.
    #[must_use]
    pub fn trust_connect_errors(mut self) -> Self {
        self.trusts_connect_errors = true;
        self
    }

    /// A client with this middleware alone, that follows no redirects and has no other retries, so
    /// that a failed connection proves that nothing was sent.
    ///
    /// A 307 is handed on as an answer, and the key and the body go to no other origin.
    ///
    /// # Errors
    /// Those of [`reqwest::ClientBuilder::build`].
    pub fn client(self, builder: reqwest::ClientBuilder) -> reqwest::Result<ClientWithMiddleware> {
        let client = builder
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()?;
        Ok(ClientBuilder::new(client)
            .with(self.trust_connect_errors())
            .build())
    }

    /// Whether an error proves that the request was not sent.
    fn is_not_sent(&self, error: &Error) -> bool {
        self.trusts_connect_errors && (error.is_connect() || error.is_builder())
    }
}

#[async_trait]
impl Middleware for IdempotencyMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        chain: Chain<'_>,
    ) -> Result<Response> {
        let intent = which::intent(&self.rules, request.method(), request.headers(), extensions);
        let Some(mut intent) = intent.map_err(Error::middleware)? else {
            return chain.run(request, extensions).await;
        };
        intent
            .sign(request.headers_mut())
            .map_err(Error::middleware)?;
        let clock = Clock::start(&intent);
        loop {
            if let Err(gave_up) = intent.begin(clock.elapsed()) {
                return Err(failure(&intent, gave_up, None));
            }
            let (sending, again) = match request.try_clone() {
                Some(copy) => (copy, Some(request)),
                None => (request, None),
            };
            let reply = match chain.clone().run(sending, extensions).await {
                Ok(response) => {
                    let held = Held::read(with_url(response), self.body_limit);
                    held.await.map_err(Error::from)
                }
                Err(error) => Err(error),
            };
            let next = self.next(&mut intent, &reply, &clock);
            match (next, again) {
                (Next::Done, _) => return answer(&intent, reply),
                (Next::SendAgain(pause), Some(again)) => {
                    request = again;
                    sleep(pause).await;
                }
                (Next::SendAgain(_), None) => {
                    let gave_up = intent.give_up(StopReason::NotSendable);
                    return Err(failure(&intent, gave_up, Some(reply)));
                }
                (Next::GiveUp(gave_up), _) => {
                    return Err(failure(&intent, gave_up, Some(reply)));
                }
            }
        }
    }
}

impl IdempotencyMiddleware {
    fn next(&self, intent: &mut Intent, reply: &Result<Held>, clock: &Clock) -> Next {
        match reply {
            Ok(held) => held.next(intent, clock),
            Err(error) => {
                let sent = match self.is_not_sent(error) {
                    true => Sent::NotSent,
                    false => Sent::Lost,
                };
                let next = intent.after(sent, clock.elapsed(), rand::random());
                match (next, error.is_builder()) {
                    // An invalid request stays invalid.
                    (Next::SendAgain(_), true) => {
                        Next::GiveUp(intent.give_up(StopReason::NotSendable))
                    }
                    (next, _) => next,
                }
            }
        }
    }
}

/// The outcome, with the intent's key.
fn answer(intent: &Intent, reply: Result<Held>) -> Result<Response> {
    let mut response = reply?.into_response().map(Body::wrap);
    response.extensions_mut().insert(intent.key().clone());
    Ok(response.into())
}

/// With the extension that reqwest takes the URL of an answer from.
fn with_url(response: Response) -> http::Response<Body> {
    let url = response.url().clone();
    let mut response = http::Response::<Body>::from(response);
    if let Ok(with_url) = http::Response::builder().url(url).body(()) {
        let extensions = with_url.into_parts().0.extensions;
        response.extensions_mut().extend(extensions);
    }
    response
}

fn failure(intent: &Intent, gave_up: GaveUp, last: Option<Result<Held>>) -> Error {
    let error = IntentError::new(intent.key().clone(), gave_up);
    Error::middleware(match last {
        Some(Ok(held)) => error.with_response(held.into_read()),
        Some(Err(source)) => error.with_source(source),
        None => error,
    })
}
