//! A handler's answer, read as far as it is to be stored.

use std::pin::{Pin, pin};

use bytes::Bytes;
use http::{HeaderMap, Response, header, response::Parts};
use http_body::Body;
use idem_core::machine;
use idem_http::{Ending, Profile};

use crate::{
    ResponseBody,
    body::Whole,
    config::Config,
    gather::{Gathered, gather, gather_all},
};

/// A handler's answer, ready to be stored and sent.
pub(crate) struct Answer<R: Body> {
    /// Boxed, to be small in the futures that hand it on.
    pub(crate) head: Box<Parts>,
    pub(crate) body: Read<R>,
}

/// Its body, read before anybody sees it: as far as it is to be stored.
pub(crate) enum Read<R: Body> {
    Whole(Whole),
    Outgrown(Bytes, Pin<Box<R>>),
    Broken(Bytes, R::Error),
}

impl<R> Read<R>
where
    R: Body<Data = Bytes>,
{
    /// Reads the body of an answer up to the limit.
    pub(crate) async fn of(head: &Parts, body: R, profile: &Profile) -> Self {
        let limit = profile.response_limit;
        if ending(head, profile) == Ending::FinalWithoutBody || is_event_stream(&head.headers) {
            return Self::Outgrown(Bytes::new(), Box::pin(body));
        }
        // Most bodies say how large they are. The others may have to go on from where they are
        // once they turn out to be too large, so they are boxed.
        let known = body.size_hint().exact();
        if known.is_some_and(|size| size <= limit as u64) {
            return match gather_all(pin!(body)).await {
                Ok(whole) => Self::Whole(whole),
                Err((read, error)) => Self::Broken(read, error),
            };
        }
        let mut body = Box::pin(body);
        match gather(&mut body, limit).await {
            Gathered::Whole(whole) => Self::Whole(whole),
            Gathered::Outgrown(read) => Self::Outgrown(read, body),
            Gathered::Broken(read, error) => Self::Broken(read, error),
        }
    }
}

impl<R> Answer<R>
where
    R: Body<Data = Bytes>,
{
    /// How it ends its execution, with what is to be stored of it.
    pub(crate) fn ending(&self, config: &Config) -> machine::Ending {
        let body = match (ending(&self.head, &config.profile), &self.body) {
            (Ending::Retryable, _) => return machine::Ending::Retry,
            (Ending::Final, Read::Whole(whole)) => Some(&whole.data),
            // A body that broke off is not worth replaying, but its request ran.
            (Ending::Final, Read::Outgrown(..) | Read::Broken(..)) => None,
            (Ending::FinalWithoutBody, _) => None,
        };
        let payload = config.payload(self.head.status, &self.head.headers, body);
        let status = self.head.status;
        match status.is_client_error() || status.is_server_error() {
            true => machine::Ending::Fail(payload),
            false => machine::Ending::Complete(payload),
        }
    }

    pub(crate) fn into_response(self) -> Response<ResponseBody<R>> {
        let body = match self.body {
            Read::Whole(whole) => ResponseBody::read(whole),
            Read::Outgrown(read, rest) => ResponseBody::outgrown(read, rest),
            Read::Broken(read, error) => ResponseBody::broken(read, error),
        };
        Response::from_parts(*self.head, body)
    }
}

pub(crate) fn ending(head: &Parts, profile: &Profile) -> Ending {
    let said = head.extensions.get().copied();
    said.unwrap_or_else(|| profile.statuses.ending(head.status))
}

/// A stream of events is for whoever listens now: waiting for its end would hold it back.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}
