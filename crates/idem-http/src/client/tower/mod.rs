//! [`IntentLayer`]: the client's half as a tower layer.

mod body;
mod service;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

pub use self::{body::SentBody, service::IntentService};
use super::{RetryRules, held::DEFAULT_LIMIT};

type IsNotSent = Arc<dyn Fn(&(dyn Error + 'static)) -> bool + Send + Sync>;

/// Sends each POST and PATCH with a key of its own, and again under that key until there is an
/// outcome: for the clients of hyper and tonic, and any other that is a tower service.
///
/// The rules are those of the reqwest middleware: an [`Intent`](super::Intent) among the request's
/// extensions comes first, then a key in its header, and a new key for other POSTs and PATCHes. The
/// answer has the [`IdempotencyKey`](idem_core::IdempotencyKey) among its extensions, and an error is
/// an [`IntentError`](super::IntentError), or the client's own for a request without an intent.
///
/// ```
/// use bytes::Bytes;
/// use std::time::Duration;
///
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use idem_http::client::{IntentLayer, RetryRules, SentBody};
/// use tower_layer::Layer;
/// use tower_service::Service;
///
/// /// `client` may be `hyper_util::client::legacy::Client`.
/// async fn pay<C>(client: C) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
/// where
///     C: Service<Request<SentBody<Full<Bytes>>>, Response = Response<Full<Bytes>>>,
///     C: Clone + Send + 'static,
///     C::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
///     C::Future: Send,
/// {
///     let mut client = IntentLayer::new(RetryRules::default())
///         .timeout(Duration::from_secs(10))
///         .layer(client);
///     let request = Request::post("http://shop.example/payments").body(Full::from("500"))?;
///     let answer = client.call(request).await?;
///     println!("{}", answer.status());
///     Ok(())
/// }
/// ```
///
/// # Timeouts
/// [`timeout`](Self::timeout) bounds each sending, the body of its answer included; past it the answer
/// counts as lost. Without one, a lost answer is waited for without end. A timeout layer inside of this
/// one is not enough: most end at the head of an answer, and a body can stall.
///
/// # gRPC
/// Give each call that is to happen once an `Intent`:
/// `request.extensions_mut().insert(Intent::new(rules))`. Other calls go out as they are. How a call
/// ended is read from `grpc-status`. Turn the body into the one that a `tonic` channel takes:
///
/// ```text
/// let channel = ServiceBuilder::new()
///     .layer(IntentLayer::default())
///     .map_request(|call: http::Request<_>| call.map(tonic::body::Body::new))
///     .service(channel);
/// let mut client = PaymentsClient::new(channel);
/// ```
///
/// # Bodies
/// A request's body is read before the first sending, up to [`body_limit`](Self::body_limit); a
/// larger one is sent once, since it cannot be sent again. So is the body of an answer, before the
/// intent is done: a success whose body breaks off is sent again, and gets the stored answer. A
/// stream that converses, and one whose messages are wanted as they come, should have no intent.
#[derive(Clone)]
pub struct IntentLayer {
    rules: RetryRules,
    body_limit: usize,
    timeout: Option<Duration>,
    is_not_sent: Option<IsNotSent>,
}

impl Default for IntentLayer {
    /// With the default rules.
    fn default() -> Self {
        Self::new(RetryRules::default())
    }
}

impl IntentLayer {
    /// The most that is read of a body where nothing else is said: 1 MiB.
    pub const DEFAULT_BODY_LIMIT: usize = DEFAULT_LIMIT;

    /// A layer with these rules. Put it outside of everything that could send a request again.
    #[must_use]
    pub fn new(rules: RetryRules) -> Self {
        Self {
            rules,
            body_limit: Self::DEFAULT_BODY_LIMIT,
            timeout: None,
            is_not_sent: None,
        }
    }

    /// How much is read of a request's and of an answer's body, in bytes.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// How long one sending may take, from the call of the client to the end of its answer's body. Past
    /// it the answer counts as lost, and the request is sent again under its key.
    #[must_use]
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.timeout = Some(longest);
        self
    }

    /// Says which errors of the client prove that nothing was sent. Without it none does, and such
    /// an intent ends as *outcome unknown*.
    ///
    /// A failed connection is proof only if nothing below sends a request a second time or follows
    /// redirects. For the client of hyper-util:
    ///
    /// ```text
    /// layer.not_sent(|error| {
    ///     let error = error.downcast_ref::<hyper_util::client::legacy::Error>();
    ///     error.is_some_and(|error| error.is_connect())
    /// })
    /// ```
    #[must_use]
    pub fn not_sent(
        mut self,
        proves: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.is_not_sent = Some(Arc::new(proves));
        self
    }
}

impl<S> Layer<S> for IntentLayer {
    type Service = IntentService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        IntentService::new(inner, self.clone())
    }
}

impl fmt::Debug for IntentLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntentLayer")
            .field("rules", &self.rules)
            .field("body_limit", &self.body_limit)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
