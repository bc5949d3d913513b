//! [`Guard::admit`]: what a request's head says about it.

use http::Method;
use idem_core::{IdempotencyKey, RecordKey, Scope};

use super::{Answer, Guard, Head, Rejection, Unprotected};
#[cfg(feature = "grpc")]
use crate::KeyRule;
use crate::{Code, Problem};

/// What becomes of a request, by its head.
#[derive(Debug)]
pub enum Admission {
    /// Call the handler as if there were no layer: the method is not protected, or an idempotency
    /// layer further out holds this very key.
    Pass,
    /// Call the handler: the request has no key and needs none.
    Unprotected(Unprotected),
    /// [`begin`](Guard::begin) with this and the body.
    Protect(Ticket),
    /// Answer this.
    Answer(Answer),
}

/// A request that was admitted.
#[derive(Debug)]
pub struct Ticket(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    Key(RecordKey),
    /// The key is in the body.
    Scope(Scope),
}

impl Guard {
    /// Whether requests with this method are protected. Others [pass](Admission::Pass), so a shell
    /// that has to convert their heads can spare that.
    #[must_use]
    pub fn protects(&self, method: &Method) -> bool {
        self.0.profile.methods.contains(method)
    }

    /// Looks at a request's head. The key is read from the header, or later from the body where
    /// [`key_in_body`](Self::key_in_body) says so.
    ///
    /// `scope` gives the *verified* caller, from what an authentication layer further out left
    /// behind, never from what the request claims. It is called for requests with a key; an `Err`
    /// is the answer.
    pub fn admit(
        &self,
        head: &Head<'_>,
        scope: impl FnOnce() -> Result<Scope, Rejection>,
    ) -> Admission {
        let in_header = || {
            let header = &self.0.profile.key;
            #[cfg(feature = "grpc")]
            self.no_binary_key(head)?;
            header.read(head.headers).map_err(|why| {
                let problem = Problem::new(Code::KeyMalformed);
                let detail = format!("The header {} is no key: {why}.", header.name);
                problem.detail(detail).into()
            })
        };
        match self.0.key_pointer {
            Some(_) => self.admit_by(head, || Ok(None), scope),
            None => self.admit_by(head, in_header, scope),
        }
    }

    /// [`admit`](Self::admit), with a key from anywhere else, such as the path or a claim of the
    /// caller's token. `key` gives `None` where the request has none; an `Err` is the answer.
    pub fn admit_by(
        &self,
        head: &Head<'_>,
        key: impl FnOnce() -> Result<Option<IdempotencyKey>, Rejection>,
        scope: impl FnOnce() -> Result<Scope, Rejection>,
    ) -> Admission {
        if !self.protects(head.method) {
            return Admission::Pass;
        }
        #[cfg(feature = "grpc")]
        let required = match self.key_rule(head) {
            Some(KeyRule::Ignored) => return Admission::Pass,
            Some(KeyRule::Optional) => false,
            Some(KeyRule::Required) => true,
            None => self.0.profile.required,
        };
        #[cfg(not(feature = "grpc"))]
        let required = self.0.profile.required;
        self.with_key(head, required, key, scope)
            .unwrap_or_else(|rejection| Admission::Answer(rejection.into_answer(self)))
    }

    fn with_key(
        &self,
        head: &Head<'_>,
        required: bool,
        key: impl FnOnce() -> Result<Option<IdempotencyKey>, Rejection>,
        scope: impl FnOnce() -> Result<Scope, Rejection>,
    ) -> Result<Admission, Rejection> {
        let key = key()?;
        if key.is_none() && self.0.key_pointer.is_none() {
            if required {
                return Err(self.key_missing().into());
            }
            let unprotected = self.without_key();
            if unprotected.is_driven() {
                self.has_room()?;
            }
            return Ok(Admission::Unprotected(unprotected));
        }
        let scope = scope()?;
        if head.target(self.0.path_from).is_none() {
            return Err(no_path().into());
        }
        let Some(key) = key else {
            return Ok(Admission::Protect(Ticket(Kind::Scope(scope))));
        };
        let key = scope.key(&key);
        Ok(match is_own_claim(head, &key) {
            true => Admission::Pass,
            false => Admission::Protect(Ticket(Kind::Key(key))),
        })
    }

    #[cfg(feature = "grpc")]
    fn key_rule(&self, head: &Head<'_>) -> Option<KeyRule> {
        let path = head.target(self.0.path_from).unwrap_or(head.uri).path();
        self.0.profile.grpc.as_ref()?.key_rule(path)
    }

    /// A client that sends its key as binary metadata wants protection, and must not run without.
    #[cfg(feature = "grpc")]
    fn no_binary_key(&self, head: &Head<'_>) -> Result<(), Problem> {
        let name = &self.0.profile.key.name;
        let binary = format!("{name}-bin");
        match self.0.profile.grpc.is_some() && head.headers.contains_key(&binary) {
            true => Err(Problem::new(Code::KeyMalformed).detail(format!(
                "The key is in the binary entry {binary}; send it as text, in {name}."
            ))),
            false => Ok(()),
        }
    }

    pub(super) fn key_missing(&self) -> Problem {
        let place = match &self.0.key_pointer {
            Some(pointer) => format!("the JSON body's {pointer}"),
            None => format!("the header {}", self.0.profile.key.name),
        };
        Problem::new(Code::KeyMissing).detail(format!(
            "Send {place} with one key per intent, and the same key with every repeat."
        ))
    }
}

/// Whether an idempotency layer further out runs this very request under this very key.
pub(super) fn is_own_claim(head: &Head<'_>, key: &RecordKey) -> bool {
    head.context
        .is_some_and(|context| context.is_protected() && context.key() == key)
}

fn no_path() -> Problem {
    tracing::error!(
        "a request with an idempotency key has no note of the path that its client asked for: read \
         the framework's own (feature `axum` of idem-tower, inside of an axum Router), put \
         `RememberTarget` outside of all routers, or say `PathFrom::AsSeen` where nothing rewrites \
         paths"
    );
    Problem::new(Code::Misconfigured)
}
