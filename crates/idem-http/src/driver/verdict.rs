//! How an answer is recorded, by its handler's word or by its status.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, response::Parts};

use super::{Guard, Whole};
#[cfg(feature = "grpc")]
use crate::grpc::{self, GRPC_ENCODING, GrpcCode, messages::expanded};
use crate::{Disposition, IDEMPOTENCY_DISPOSITION};

impl Guard {
    /// How an answer is recorded: as its handler says, as an idempotency layer further in says, or
    /// by its status.
    pub(super) fn disposition(&self, head: &Parts) -> Disposition {
        let by_layer = || {
            let said = head.headers.get(IDEMPOTENCY_DISPOSITION);
            let retryable = is_error(head.status) && said.is_some_and(|value| value == "retryable");
            retryable.then_some(Disposition::Retryable)
        };
        let said = head.extensions.get().copied();
        said.or_else(|| self.by_grpc_status(&head.headers))
            .or_else(by_layer)
            .unwrap_or_else(|| self.0.profile.statuses.disposition(head.status))
    }
}

/// gRPC says in the trailers how a call ended, or in the headers where there is no message.
#[cfg(feature = "grpc")]
impl Guard {
    fn by_grpc_status(&self, headers: &HeaderMap) -> Option<Disposition> {
        self.0.profile.grpc.as_ref()?.judge(headers)
    }

    /// Takes from a handler's answer what a service downstream said of *its* call, where the handler
    /// handed the other's status on as its own: that nothing ran there says nothing of this call.
    pub(super) fn disown(&self, head: &mut Parts) {
        if self.0.profile.grpc.is_some() && head.extensions.get::<Disposition>().is_none() {
            grpc::disown(&mut head.headers);
        }
    }

    /// The same for trailers, with what only a replay may say.
    pub(super) fn disown_trailers(&self, trailers: &mut HeaderMap) {
        if self.0.profile.grpc.is_some() {
            grpc::disown(trailers);
            self.mark_as_first(trailers);
        }
    }

    /// Whether the trailers of an answer have a say in how it is recorded.
    pub(super) fn asks_trailers(&self, head: &Parts) -> bool {
        self.0.profile.grpc.is_some() && grpc::is_open(head)
    }

    /// How an answer is recorded whose trailers have a say. One with a message in it is final whatever
    /// they say: its handler had begun.
    pub(super) fn by_trailers(&self, whole: &Whole) -> Disposition {
        let trailers = whole.trailers.as_deref();
        trailers
            .filter(|_| whole.data.is_empty())
            .and_then(|trailers| self.by_grpc_status(trailers))
            .unwrap_or(Disposition::Final)
    }

    /// The messages without the compression that was chosen for one client, and the header that names
    /// it.
    pub(super) fn expanded(
        &self,
        headers: &HeaderMap,
        data: &Bytes,
    ) -> Option<(HeaderName, Bytes)> {
        self.0.profile.grpc.as_ref()?;
        let expanded = expanded(headers, data, self.0.profile.response_limit)?;
        Some((GRPC_ENCODING, expanded))
    }

    pub(super) fn is_failure(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Whole>,
    ) -> bool {
        if self.0.profile.grpc.is_none() {
            return is_error(status);
        }
        let trailers = body.and_then(|body| body.trailers.as_deref());
        let code = GrpcCode::read(headers).or_else(|| trailers.and_then(GrpcCode::read));
        is_error(status) || code.is_some_and(|code| code != GrpcCode::Ok)
    }
}

#[cfg(not(feature = "grpc"))]
impl Guard {
    fn by_grpc_status(&self, _: &HeaderMap) -> Option<Disposition> {
        None
    }

    pub(super) fn disown(&self, _: &mut Parts) {}

    pub(super) fn disown_trailers(&self, _: &mut HeaderMap) {}

    pub(super) fn asks_trailers(&self, _: &Parts) -> bool {
        false
    }

    pub(super) fn expanded(&self, _: &HeaderMap, _: &Bytes) -> Option<(HeaderName, Bytes)> {
        None
    }

    pub(super) fn by_trailers(&self, _: &Whole) -> Disposition {
        Disposition::Final
    }

    pub(super) fn is_failure(&self, status: StatusCode, _: &HeaderMap, _: Option<&Whole>) -> bool {
        is_error(status)
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}
