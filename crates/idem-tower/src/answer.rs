//! A handler's answer, read as far as it is to be stored.

use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Response, header, response::Parts};
use http_body::Body;
use idem_http::{Ending, Profile, StoredBody};

use crate::{
    ResponseBody,
    body::Whole,
    gather::{Gathered, gather},
};

pub(crate) struct Answer<R: Body> {
    pub(crate) head: Parts,
    pub(crate) ending: Ending,
    body: Read<R>,
}

enum Read<R: Body> {
    Whole(Whole),
    Outgrown(Bytes, Pin<Box<R>>),
    Broken(Bytes, R::Error),
}

impl<R> Answer<R>
where
    R: Body<Data = Bytes>,
{
    /// Reads the body up to the limit, so that it is stored before anybody sees it.
    pub(crate) async fn read(response: Response<R>, profile: &Profile) -> Self {
        let (head, body) = response.into_parts();
        let ending = head
            .extensions
            .get()
            .copied()
            .unwrap_or_else(|| profile.statuses.ending(head.status));
        let mut body = Box::pin(body);
        let never_ends = ending == Ending::FinalWithoutBody || is_event_stream(&head.headers);
        let body = match never_ends {
            true => Read::Outgrown(Bytes::new(), body),
            false => match gather(&mut body, profile.response_limit).await {
                Gathered::Whole(whole) => Read::Whole(whole),
                Gathered::Outgrown(read) => Read::Outgrown(read, body),
                Gathered::Broken(read, error) => Read::Broken(read, error),
            },
        };
        Self { head, ending, body }
    }

    /// A body that broke off is not worth replaying, but its request ran.
    pub(crate) fn to_store(&self) -> StoredBody {
        match &self.body {
            Read::Whole(whole) => StoredBody::Kept(whole.data.clone()),
            Read::Outgrown(..) | Read::Broken(..) => StoredBody::Omitted,
        }
    }

    pub(crate) fn into_response(self) -> Response<ResponseBody<R>> {
        let body = match self.body {
            Read::Whole(whole) => ResponseBody::read(whole),
            Read::Outgrown(read, rest) => ResponseBody::outgrown(read, rest),
            Read::Broken(read, error) => ResponseBody::broken(read, error),
        };
        Response::from_parts(self.head, body)
    }
}

/// A stream of events is for whoever listens now: waiting for its end would hold it back.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}
