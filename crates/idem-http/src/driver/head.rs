//! [`Head`]: what the driver reads of a request before its body.

use http::{HeaderMap, Method, Uri, request::Parts};
use idem_core::Context;

/// The target of a request as the client sent it, to be found in the request's extensions.
///
/// Whoever rewrites a request's URI outside of the idempotency layer leaves the original here, or
/// two routes could take each other's requests for repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(pub Uri);

/// Where the path that counts for the fingerprint comes from.
///
/// Routers that nest strip prefixes, so `/merchants/1/pay` and `/merchants/2/pay` can look alike to
/// a layer inside of them, and one would get the other's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PathFrom {
    /// From a note of the original URI: [`Target`], or the framework's own note where the shell
    /// reads it (axum's `OriginalUri`). Every request with a key needs one: without it the answer is
    /// a 500 (`misconfigured`), and nothing runs.
    #[default]
    Noted,
    /// From the request's URI as the layer sees it. For services in which nothing outside of the
    /// layer rewrites URIs.
    AsSeen,
}

/// A request's head, as far as the driver reads it.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI as the layer sees it.
    pub uri: &'a Uri,
    /// The URI as the client sent it, where somebody noted it.
    pub noted: Option<&'a Uri>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What an idempotency layer further out put into the request's extensions.
    pub context: Option<&'a Context>,
}

impl<'a> From<&'a Parts> for Head<'a> {
    /// With the [`Target`] and [`Context`] of its extensions.
    fn from(parts: &'a Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            noted: parts.extensions.get().map(|Target(uri)| uri),
            headers: &parts.headers,
            context: parts.extensions.get(),
        }
    }
}

impl<'a> Head<'a> {
    /// With the framework's own note of the original URI, where no [`Target`] is there.
    #[must_use]
    pub fn noted_by_framework(mut self, uri: Option<&'a Uri>) -> Self {
        self.noted = self.noted.or(uri);
        self
    }

    /// The target that counts, if there is one.
    pub(super) fn target(&self, from: PathFrom) -> Option<&'a Uri> {
        match from {
            PathFrom::Noted => self.noted,
            PathFrom::AsSeen => Some(self.uri),
        }
    }
}
