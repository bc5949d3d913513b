//! [`IdempotencyMiddleware`]: the middleware, and its knobs.

use std::{borrow::Cow, cell::RefCell, fmt, rc::Rc, sync::Arc};

use actix_web::{
    Error, HttpMessage, HttpResponse, HttpResponseBuilder,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
use futures_util::future::{Ready, ready};
use http::StatusCode;
use idem_core::{Idempotency, IdempotencyKey, Scope};
use idem_http::{
    Problem, Profile,
    driver::{self, Admission, Guard, RouteKnobs},
};

use crate::{
    IdempotencyService, Rejection,
    convert::{self, Seen},
    rejection::Kind,
};

type ScopeOf = Arc<dyn Fn(&ServiceRequest) -> Result<Scope, Rejection> + Send + Sync>;
type KnobsOf = Arc<dyn Fn(&ServiceRequest) -> Option<RouteKnobs> + Send + Sync>;
type KeyOf =
    Arc<dyn Fn(&ServiceRequest) -> Result<Option<IdempotencyKey>, Rejection> + Send + Sync>;

/// Makes an app, a scope, a resource or a route answer a repeated request with its first answer.
///
/// It is its own builder: what is set below can be set in any order. Make it once, outside of the
/// factory that `HttpServer::new` calls for each worker, and clone it in there: all workers then
/// share one engine. Routes that differ in lease, retention or what to do when busy get a middleware of
/// their own, over an engine by [`Idempotency::with_policy`], or one middleware has them all by
/// [`per_route`](Self::per_route).
///
/// ```
/// use actix_web::{HttpMessage, dev::ServiceRequest, error::ErrorUnauthorized};
/// use idem_actix::{IdempotencyMiddleware, Profile};
/// use idem_core::{Idempotency, Scope};
///
/// /// What authentication, a middleware outside of this one, leaves behind.
/// #[derive(Clone)]
/// struct Merchant(String);
///
/// # fn example(idem: Idempotency) -> IdempotencyMiddleware {
/// let scope = |request: &ServiceRequest| match request.extensions().get::<Merchant>() {
///     Some(Merchant(name)) => Ok(Scope::new(name)?),
///     None => Err(ErrorUnauthorized("sign in first").into()),
/// };
/// IdempotencyMiddleware::new(idem, scope).profile(Profile::ietf().optional())
/// # }
/// ```
#[derive(Clone)]
pub struct IdempotencyMiddleware {
    guard: Guard,
    scope: ScopeOf,
    key: Option<KeyOf>,
    knobs: Option<KnobsOf>,
}

impl IdempotencyMiddleware {
    /// A middleware over an engine, for keys that belong to the *verified* caller of each request.
    ///
    /// `scope` reads the caller from what an authentication outside of this middleware left in the
    /// request's extensions, never from what the request claims. It runs for requests with a key,
    /// before their body is read. An `Err` is the answer.
    pub fn new(
        idem: Idempotency,
        scope: impl Fn(&ServiceRequest) -> Result<Scope, Rejection> + Send + Sync + 'static,
    ) -> Self {
        Self {
            guard: Guard::new(idem),
            scope: Arc::new(scope),
            key: None,
            knobs: None,
        }
    }

    /// A middleware with one namespace for all callers: whoever knows a key gets its answer. For
    /// services with one caller.
    #[must_use]
    pub fn global(idem: Idempotency) -> Self {
        Self::new(idem, |_| Ok(Scope::global()))
    }

    fn with(mut self, set: impl FnOnce(Guard) -> Guard) -> Self {
        self.guard = set(self.guard);
        self
    }

    /// Sets the knobs of the HTTP side; [`Profile::default`] otherwise.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        self.with(|guard| guard.profile(profile))
    }

    /// Reads the key from the JSON body and not from a header: the string that `pointer`
    /// (RFC 6901) leads to, such as `/request_id`.
    ///
    /// # Panics
    /// When `pointer` does not begin with `/`.
    #[must_use]
    pub fn key_in_body(self, pointer: &str) -> Self {
        self.with(|guard| guard.key_in_body(pointer))
    }

    /// Reads the key with a function and not from a header. `None` is a request without a key; an
    /// `Err` is the answer.
    ///
    /// ```
    /// use actix_web::dev::ServiceRequest;
    /// use idem_actix::{Code, IdempotencyMiddleware, Problem};
    /// use idem_core::{Idempotency, IdempotencyKey};
    ///
    /// # fn example(idem: Idempotency) -> IdempotencyMiddleware {
    /// // `PUT /payments/8e03978e-40d5-43dd-bc93-6894a57f9324`
    /// IdempotencyMiddleware::global(idem).key_from(|request: &ServiceRequest| {
    ///     let Some(id) = request.path().strip_prefix("/payments/") else {
    ///         return Ok(None);
    ///     };
    ///     let key = IdempotencyKey::new(id);
    ///     key.map(Some).map_err(|_| Problem::new(Code::KeyMalformed).into())
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn key_from(
        mut self,
        key: impl Fn(&ServiceRequest) -> Result<Option<IdempotencyKey>, Rejection>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Lets handlers hand over the transaction that they write in, to be committed together with
    /// the answer (G7): they take a [`CommitWith`](crate::CommitWith) as an extractor.
    #[must_use]
    pub fn transactions(self) -> Self {
        self.with(Guard::transactions)
    }

    /// Answers problems in this route's own words, instead of in the profile's format
    /// ([`Profile::errors`]). The builder has the problem's status and its `Retry-After`. The body
    /// has to be in memory.
    ///
    /// ```
    /// # use idem_core::Idempotency;
    /// use idem_actix::IdempotencyMiddleware;
    ///
    /// # fn example(idem: Idempotency) -> IdempotencyMiddleware {
    /// IdempotencyMiddleware::global(idem)
    ///     .on_error(|problem, mut answer| answer.body(problem.code.as_str()))
    /// # }
    /// ```
    #[must_use]
    pub fn on_error(
        self,
        answer: impl Fn(&Problem, HttpResponseBuilder) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.with(|guard| guard.on_error(move |problem| convert::problem(&problem, &answer)))
    }

    /// Says what a route has of its own, by the request: another profile, an engine with another
    /// policy. `None` for a route that has nothing. [`RouteKnobs`] in the request's extensions, left
    /// there by a middleware outside of this one, come first, knob by knob.
    ///
    /// A path is shown as it was sent, and actix-web routes by the decoded one: `/%70ayouts` reaches
    /// `/payouts` and is in no map of paths. So give the middleware itself the strictest policy, and let
    /// routes relax it.
    ///
    /// ```
    /// use actix_web::dev::ServiceRequest;
    /// use idem_actix::{IdempotencyMiddleware, Profile, RouteKnobs};
    /// use idem_core::Idempotency;
    ///
    /// fn middleware(idem: Idempotency) -> IdempotencyMiddleware {
    ///     let orders = RouteKnobs::new().profile(Profile::ietf().optional());
    ///     IdempotencyMiddleware::global(idem).per_route(move |request: &ServiceRequest| {
    ///         request.path().starts_with("/orders/").then(|| orders.clone())
    ///     })
    /// }
    /// ```
    #[must_use]
    pub fn per_route(
        mut self,
        knobs: impl Fn(&ServiceRequest) -> Option<RouteKnobs> + Send + Sync + 'static,
    ) -> Self {
        self.knobs = Some(Arc::new(knobs));
        self
    }

    /// The guard of the request's route.
    pub(crate) fn guard(&self, request: &ServiceRequest) -> Cow<'_, Guard> {
        let route = self.knobs.as_ref().and_then(|knobs| knobs(request));
        let extensions = request.extensions();
        self.guard.for_route(extensions.get(), route.as_ref())
    }

    /// `Err` is the error of the application's own function.
    pub(crate) fn admit(
        &self,
        guard: &Guard,
        seen: &Seen,
        request: &ServiceRequest,
    ) -> Result<Admission, Error> {
        let refused = RefCell::new(None);
        let refuse = |rejection: Rejection| match rejection.0 {
            Kind::Driver(rejection) => rejection,
            Kind::Error(error) => {
                refused.replace(Some(error));
                driver::Rejection::from(StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        let (head, scope) = (seen.head(), || (self.scope)(request).map_err(refuse));
        let admission = match &self.key {
            Some(key) => guard.admit_by(&head, || key(request).map_err(refuse), scope),
            None => guard.admit(&head, scope),
        };
        match refused.take() {
            Some(error) => Err(error),
            None => Ok(admission),
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for IdempotencyMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = IdempotencyService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(IdempotencyService::new(Rc::new(service), self.clone())))
    }
}

impl fmt::Debug for IdempotencyMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyMiddleware")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
