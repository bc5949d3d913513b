//! The second half of [`Run::drive`]: the handler's answer is read, stored and sent.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use http::{HeaderMap, Response, StatusCode, header, response::Parts};
use idem_core::{
    Execution,
    spi::{OpenTransaction, Ran, Stopped},
};

use super::{
    AnswerBody, CommitWith, Reply, ReplyTo, Run, Source,
    deadline::Deadline,
    ending::Ender,
    hold::{Held, Hold},
    live::Outgoing,
};
use crate::Disposition;

/// An answer on its way to the client.
struct Out<S, X> {
    /// The size that its body announced.
    total: Option<u64>,
    /// What was handed over by the time the answer was read, or went out.
    transaction: Option<Box<dyn OpenTransaction>>,
    /// Its head, until it goes out.
    held_back: Option<(Parts, ReplyTo<S, X>)>,
    live: Option<Live>,
}

impl Run {
    pub(super) async fn finish<S, X>(
        self,
        response: Response<S>,
        deadline: Deadline,
        reply: ReplyTo<S, X>,
    ) where
        S: Source,
    {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The connection is the answer, and cannot be stored.
            drop(self.commit_with.as_ref().and_then(CommitWith::close));
            let _ = self.execution.release().await;
            return reply.send(Ok(Reply::Passed(response)));
        }
        let (mut head, body) = response.into_parts();
        self.ender.guard.disown(&mut head);
        let disposition = self.ender.guard.disposition(&head);
        self.ender.guard.mark_as_first(&mut head.headers);
        let profile = &self.ender.guard.0.profile;
        profile.mark_first(head.status, &mut head.headers, disposition);
        let mut body = pin!(body);
        let hold = self.hold(disposition, &head);
        let mut out = Out {
            total: body.size().exact,
            transaction: None,
            held_back: Some((head, reply)),
            live: None,
        };
        let read = {
            let reading = self.read(&hold, disposition, body.as_mut(), &mut out);
            deadline.bound(self.execution.run(reading)).await
        };
        let (execution, ender) = (self.execution, self.ender);
        if let Some(live) = out.live {
            return Box::pin(live.end(&ender, execution, read)).await;
        }
        let Some((head, reply)) = out.held_back else {
            return;
        };
        let stored = match read {
            Some(Ran::Finished(Some(held))) => ender
                .store(execution, out.transaction, disposition, &head, &held)
                .await
                .map(|()| held),
            stopped => {
                // What the handler wrote is rolled back.
                drop(out.transaction);
                Err(Box::pin(stop(&ender, execution, stopped)).await)
            }
        };
        let body_out = match stored {
            Err(instead) => return reply.answer(instead),
            Ok(Held::Whole(whole)) => AnswerBody::from(whole),
            Ok(Held::Broken(read, error)) => AnswerBody::broken(read, error),
            Ok(Held::Open(read)) => {
                let (outgoing, body_out) = Outgoing::start(read, out.total, false);
                reply.answer(Response::from_parts(head, body_out));
                return Box::pin(pump_to_end(outgoing, body, deadline)).await;
            }
        };
        reply.answer(Response::from_parts(head, body_out));
    }

    /// How long to hold the answer back. One that is not kept, or is for whoever listens now, is
    /// not waited for.
    fn hold(&self, disposition: Disposition, head: &Parts) -> Hold<'_> {
        let profile = &self.ender.guard.0.profile;
        let waits = disposition == Disposition::Final && !is_event_stream(head);
        Hold {
            time: if waits {
                profile.stream_after
            } else {
                Duration::ZERO
            },
            bytes: profile.stream_from,
            limit: profile.response_limit,
            commit_with: self.commit_with.as_ref(),
        }
    }

    /// Reads the answer as far as it is held back. One that is still not whole goes out and is
    /// captured to its end (`None`), unless it is to be stored before it goes out: because there is
    /// a transaction in it, or because its body is not kept anyway.
    async fn read<S, X>(
        &self,
        hold: &Hold<'_>,
        disposition: Disposition,
        mut body: Pin<&mut S>,
        out: &mut Out<S, X>,
    ) -> Option<Held>
    where
        S: Source,
    {
        let mut held = hold.read(body.as_mut()).await;
        if let Held::Whole(whole) = &mut held
            && let Some(trailers) = &mut whole.trailers
        {
            self.ender.guard.disown_trailers(trailers);
        }
        out.transaction = self.commit_with.as_ref().and_then(CommitWith::close);
        let Held::Open(read) = held else {
            return Some(held);
        };
        if disposition != Disposition::Final || out.transaction.is_some() {
            return Some(Held::Open(read));
        }
        let (head, reply) = out.held_back.take()?;
        let capture = read.len() <= hold.limit;
        let (outgoing, body_out) = Outgoing::start(read, out.total, capture);
        let live = out.live.insert(Live {
            outgoing,
            asks_trailers: self.ender.guard.asks_trailers(&head),
            status: head.status,
            headers: head.headers.clone(),
        });
        reply.answer(Response::from_parts(head, body_out));
        live.outgoing.pump(body, hold.limit).await;
        None
    }
}

/// For an execution that did not get to the end of its answer, none of which went out.
async fn stop(
    ender: &Ender,
    execution: Execution,
    read: Option<Ran<Option<Held>>>,
) -> super::Answer {
    match read {
        Some(Ran::Stopped(stopped)) => ender.stop(execution, stopped).await,
        Some(Ran::Finished(_)) | None => ender.fail(execution).await,
    }
}

/// Sends the rest of an answer that is stored already.
async fn pump_to_end<S: Source>(mut outgoing: Outgoing, body: Pin<&mut S>, deadline: Deadline) {
    if deadline.bound(outgoing.pump(body, 0)).await.is_some() {
        outgoing.end().await;
    }
}

/// An answer that went out before it was stored.
struct Live {
    outgoing: Outgoing,
    asks_trailers: bool,
    status: StatusCode,
    headers: HeaderMap,
}

impl Live {
    /// Stores what was captured, and lets the client know the end.
    async fn end(mut self, ender: &Ender, execution: Execution, read: Option<Ran<Option<Held>>>) {
        let whole = match read {
            Some(Ran::Finished(_)) => true,
            Some(Ran::Stopped(Stopped::Superseded)) => {
                return drop(execution);
            }
            Some(Ran::Stopped(Stopped::Panicked(_))) | None => false,
        };
        self.outgoing
            .edit_trailers(|trailers| ender.guard.disown_trailers(trailers));
        let body = self.outgoing.captured().filter(|_| whole);
        let disposition = match body {
            Some(whole) if self.asks_trailers => ender.guard.by_trailers(whole),
            _ => Disposition::Final,
        };
        let to_store = ender.ending(disposition, self.status, &self.headers, body);
        let recorded = ender.record(execution, None, to_store).await;
        if whole && recorded.is_ok() {
            self.outgoing.end().await;
        }
    }
}

/// A stream of events is for whoever listens now: waiting for more of it would hold it back.
fn is_event_stream(head: &Parts) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";

    let media_type = head.headers.get(header::CONTENT_TYPE);
    media_type.is_some_and(|value| {
        let begins = value.as_bytes().get(..EVENTS.len());
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(EVENTS))
    })
}
