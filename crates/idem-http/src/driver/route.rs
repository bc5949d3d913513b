//! [`RouteKnobs`]: what one route has of its own.

use std::{borrow::Cow, sync::Arc};

use idem_core::Idempotency;

use super::Guard;
use crate::Profile;

/// What one route has of its own, where a layer is around many: an engine, for another policy, and a
/// profile. All else is the layer's.
///
/// A layer takes it from the request's extensions, and what is not set there from the function that its
/// `per_route` has.
///
/// ```
/// use std::time::Duration;
/// use idem_core::{Idempotency, OnAbandoned, error::PolicyError};
/// use idem_http::{Profile, driver::RouteKnobs};
///
/// fn payouts(idem: &Idempotency) -> Result<RouteKnobs, PolicyError> {
///     let policy = idem.policy().clone().on_abandoned(OnAbandoned::Halt);
///     Ok(RouteKnobs::new()
///         .engine(idem.with_policy(policy.lease(Duration::from_secs(120)))?)
///         .profile(Profile::ietf()))
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct RouteKnobs {
    idem: Option<Idempotency>,
    profile: Option<Arc<Profile>>,
}

impl RouteKnobs {
    /// Nothing of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The engine: the layer's with another policy, by [`Idempotency::with_policy`].
    #[must_use]
    pub fn engine(mut self, idem: Idempotency) -> Self {
        self.idem = Some(idem);
        self
    }

    /// The knobs of the HTTP side.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(Arc::new(profile));
        self
    }
}

impl Guard {
    /// The guard for a request: this one, but for the knobs that the request brings in its extensions,
    /// and those of its route. Each knob is taken from the first of the two that sets it. Bounds and
    /// counts stay common to all.
    ///
    /// ```
    /// use http::Method;
    /// use idem_http::{Profile, driver::{Guard, RouteKnobs}};
    ///
    /// fn for_puts(guard: &Guard) -> Guard {
    ///     let put = RouteKnobs::new().profile(Profile::seed().methods([Method::PUT]));
    ///     guard.for_route(None, Some(&put)).into_owned()
    /// }
    /// ```
    #[must_use]
    pub fn for_route(
        &self,
        request: Option<&RouteKnobs>,
        route: Option<&RouteKnobs>,
    ) -> Cow<'_, Self> {
        let own = [request, route].into_iter().flatten();
        let idem = own.clone().find_map(|knobs| knobs.idem.as_ref());
        let profile = own.clone().find_map(|knobs| knobs.profile.as_ref());
        if idem.is_none() && profile.is_none() {
            return Cow::Borrowed(self);
        }
        Cow::Owned(self.clone().with(|rules| {
            if let Some(idem) = idem {
                rules.idem = idem.clone();
            }
            if let Some(profile) = profile {
                rules.profile = Arc::clone(profile);
            }
        }))
    }
}
