//! [`IdempotencyMiddleware`]: the client's half for reqwest.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Extensions, Method, StatusCode};
use idem_core::IdempotencyKey;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next as Chain, Result};
use tokio::time::{Instant, sleep};

use super::{Intent, Next, RetryRules, Sent};
use crate::{Form, KeyHeader};

/// Sends each POST and PATCH with a key of its own, and again under that key until there is an
/// answer that counts.
///
/// A request that has a key already keeps it: set one where the intent outlives the process. A
/// body that is a stream is sent once, since it cannot be sent again byte for byte.
///
/// It gives an answer, the error of a request that nobody ran, or [`GaveUp`](super::GaveUp) as a
/// middleware error when the outcome is unknown.
///
/// ```
/// use idem_http::client::{IdempotencyMiddleware, RetryRules};
/// use reqwest_middleware::ClientBuilder;
///
/// let middleware = IdempotencyMiddleware::new(RetryRules::default());
/// let client = ClientBuilder::new(reqwest::Client::new()).with(middleware).build();
/// ```
#[derive(Debug, Clone, Default)]
pub struct IdempotencyMiddleware {
    rules: RetryRules,
}

impl IdempotencyMiddleware {
    /// A middleware with these rules. Give the client a timeout: without one, a lost answer is
    /// waited for for ever.
    #[must_use]
    pub fn new(rules: RetryRules) -> Self {
        Self { rules }
    }

    /// The intent behind a request, which may have been given a key by its sender.
    fn intent(&self, request: &Request) -> Result<Intent> {
        let header = KeyHeader {
            name: self.rules.header.clone(),
            form: Form::Lenient,
        };
        let known = header.read(request.headers()).map_err(Error::middleware)?;
        let key = known.unwrap_or_else(IdempotencyKey::random);
        Ok(Intent::with_key(key, self.rules.clone()))
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
        if !matches!(*request.method(), Method::POST | Method::PATCH) {
            return chain.run(request, extensions).await;
        }
        let mut intent = self.intent(&request)?;
        intent
            .sign(request.headers_mut())
            .map_err(Error::middleware)?;
        let first = Instant::now();
        loop {
            let Some(sending) = request.try_clone() else {
                return chain.run(request, extensions).await;
            };
            let came = came(chain.clone().run(sending, extensions).await).await?;
            match intent.after(came.sent(), first.elapsed(), rand::random()) {
                Next::Done => return came.result,
                Next::SendAgain(pause) => sleep(pause).await,
                Next::GiveUp(super::GaveUp::NothingRan) => return came.result,
                Next::GiveUp(unknown) => return Err(Error::middleware(unknown)),
            }
        }
    }
}

/// What came of a sending, with the body of a 409, which says what kind it is.
struct Came {
    result: Result<Response>,
    conflict: Bytes,
}

async fn came(result: Result<Response>) -> Result<Came> {
    match result {
        Ok(response) if response.status() == StatusCode::CONFLICT => {
            let mut whole = http::Response::new(());
            *whole.status_mut() = response.status();
            *whole.headers_mut() = response.headers().clone();
            // A conflict whose body breaks off counts as a lost answer.
            Ok(match response.bytes().await {
                Ok(conflict) => Came {
                    result: Ok(whole.map(|()| conflict.clone()).into()),
                    conflict,
                },
                Err(error) => Came {
                    result: Err(error.into()),
                    conflict: Bytes::new(),
                },
            })
        }
        Err(Error::Middleware(error)) => Err(Error::Middleware(error)),
        Err(Error::Reqwest(error)) if error.is_builder() => Err(error.into()),
        result => Ok(Came {
            result,
            conflict: Bytes::new(),
        }),
    }
}

impl Came {
    fn sent(&self) -> Sent<'_> {
        match &self.result {
            Ok(response) => Sent::Answered {
                status: response.status(),
                headers: response.headers(),
                body: &self.conflict,
            },
            Err(Error::Reqwest(error)) if error.is_connect() => Sent::NotSent,
            Err(_) => Sent::Lost,
        }
    }
}
