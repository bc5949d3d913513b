//! [`GrpcRules`]: which statuses are final, and which methods take a key.

use http::HeaderMap;

use super::GrpcCode;
use crate::{Disposition, IDEMPOTENCY_DISPOSITION};

/// Whether the calls of a method have a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyRule {
    /// A call without a key is refused.
    Required,
    /// A call without a key runs unprotected.
    Optional,
    /// The key is ignored, as over HTTP on GET: for methods that read, health checks, reflection, and
    /// streams in which client and server converse.
    Ignored,
}

/// What differs on a gRPC service: how a call ended is in `grpc-status`, and all methods are POST.
///
/// ```
/// use idem_http::{Disposition, GrpcCode, KeyRule, Profile};
///
/// let profile = Profile::grpc()
///     .grpc_method("/grpc.health.v1.Health/", KeyRule::Ignored)
///     .grpc_method("/shop.Payments/Get", KeyRule::Ignored)
///     .grpc_status(GrpcCode::Aborted, Disposition::Retryable);
/// ```
///
/// # Statuses
/// What a handler answers proves nothing about its effect, except where the status refuses a call by
/// its definition. So `UNAUTHENTICATED`, `PERMISSION_DENIED` and `RESOURCE_EXHAUSTED` let the next call
/// run, as 401, 403 and 429 do over HTTP, and so does `UNIMPLEMENTED`, which servers say of themselves
/// to a method or a compression that they do not know. All others are stored and replayed. An answer
/// with a message in it is final whatever its status: its handler had begun.
///
/// A handler that knows better says so in the metadata entry `idempotency-disposition` of its status:
/// `final`, `retryable` or `release` ([`Disposition`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcRules {
    not_final: Vec<(GrpcCode, Disposition)>,
    methods: Vec<(String, KeyRule)>,
}

impl Default for GrpcRules {
    fn default() -> Self {
        let refusals = [
            GrpcCode::Unauthenticated,
            GrpcCode::PermissionDenied,
            GrpcCode::ResourceExhausted,
            GrpcCode::Unimplemented,
        ];
        Self {
            not_final: refusals.map(|code| (code, Disposition::Retryable)).to_vec(),
            methods: Vec::new(),
        }
    }
}

impl GrpcRules {
    /// Records an answer with this status like this. `OK` is always final.
    #[must_use]
    pub fn status(mut self, code: GrpcCode, disposition: Disposition) -> Self {
        self.not_final.retain(|(known, _)| *known != code);
        if code != GrpcCode::Ok {
            self.not_final.push((code, disposition));
        }
        self
    }

    /// Says whether the calls of `/package.Service/Method` have a key, or all those of
    /// `/package.Service/`. A rule for a method counts before one for its service, and a later one
    /// before an earlier one.
    ///
    /// # Panics
    /// When `path` is neither.
    #[must_use]
    pub fn method(mut self, path: impl Into<String>, rule: KeyRule) -> Self {
        let path = path.into();
        let named = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        assert!(
            named.is_some_and(|(service, method)| !service.is_empty() && !method.contains('/')),
            "a gRPC method is `/package.Service/Method`, and a service `/package.Service/`; this is \
             `{path}`"
        );
        self.methods.retain(|(known, _)| *known != path);
        self.methods.push((path, rule));
        self
    }

    /// The rule for a call of this path, where there is one.
    #[must_use]
    pub fn key_rule(&self, path: &str) -> Option<KeyRule> {
        let service = path.rfind('/').map_or("", |end| &path[..=end]);
        let rule = |path: &str| self.methods.iter().find(|(known, _)| known == path);
        rule(path).or_else(|| rule(service)).map(|(_, rule)| *rule)
    }

    /// How an answer with this status is recorded.
    #[must_use]
    pub fn disposition(&self, code: GrpcCode) -> Disposition {
        let rule = self.not_final.iter().find(|(known, _)| *known == code);
        rule.map_or(Disposition::Final, |(_, disposition)| *disposition)
    }

    /// How an answer with these headers or trailers is recorded: as they say, or by their status.
    /// `None` where they do not say how the call ended.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Option<Disposition> {
        let said = headers.get(IDEMPOTENCY_DISPOSITION);
        let said = said.and_then(|said| match said.as_bytes() {
            b"final" => Some(Disposition::Final),
            b"retryable" => Some(Disposition::Retryable),
            b"release" => Some(Disposition::Release),
            _ => None,
        });
        GrpcCode::read(headers).map(|code| match said {
            Some(said) if code != GrpcCode::Ok => said,
            _ => self.disposition(code),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_refuses_by_its_definition_is_retryable() {
        let rules = GrpcRules::default();
        let retryable = GrpcCode::ALL
            .into_iter()
            .filter(|code| rules.disposition(*code) != Disposition::Final);
        assert_eq!(
            retryable.map(GrpcCode::number).collect::<Vec<_>>(),
            [7, 8, 12, 16]
        );
    }

    #[test]
    fn a_route_can_move_a_status_either_way_but_ok_is_final() {
        let rules = GrpcRules::default()
            .status(GrpcCode::Unavailable, Disposition::Release)
            .status(GrpcCode::PermissionDenied, Disposition::Final)
            .status(GrpcCode::Ok, Disposition::Retryable);
        assert_eq!(
            rules.disposition(GrpcCode::Unavailable),
            Disposition::Release
        );
        assert_eq!(
            rules.disposition(GrpcCode::PermissionDenied),
            Disposition::Final
        );
        assert_eq!(rules.disposition(GrpcCode::Ok), Disposition::Final);
    }

    #[test]
    fn a_method_comes_before_its_service() {
        let rules = GrpcRules::default()
            .method("/a.B/Get", KeyRule::Ignored)
            .method("/a.B/", KeyRule::Optional)
            .method("/a.B/Pay", KeyRule::Optional)
            .method("/a.B/Pay", KeyRule::Required);
        assert_eq!(rules.key_rule("/a.B/Get"), Some(KeyRule::Ignored));
        assert_eq!(rules.key_rule("/a.B/Pay"), Some(KeyRule::Required));
        assert_eq!(rules.key_rule("/a.B/Other"), Some(KeyRule::Optional));
        assert_eq!(rules.key_rule("/a.Bc/Get"), None);
        assert_eq!(rules.key_rule("*"), None);
    }

    #[test]
    fn a_path_that_names_no_method_is_refused() {
        for path in ["", "/", "//", "a.B/Get", "/a.B", "//Get", "/a/b/c"] {
            let set = || GrpcRules::default().method(path, KeyRule::Ignored);
            assert!(std::panic::catch_unwind(set).is_err(), "{path}");
        }
    }
}
