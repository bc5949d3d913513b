//! [`Run`]: a handler under its claim, from its call to its stored answer.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use http::{Extensions, Response, StatusCode, response::Parts};
use idem_core::{Execution, Fingerprint, Ran, Running, Stopped, Superseded, machine::Ending};
use tokio::time::{Instant, timeout_at};

use super::{
    AnswerBody, CommitWith, Guard, Reply, ReplyTo, Source, Whole,
    ending::Ender,
    hold::{Held, Hold},
    live::Outgoing,
};
use crate::Disposition;

/// The right to run a handler, and the duty to [`drive`](Self::drive) it.
///
/// Dropped instead, it counts as a crash half-way: the key stays in flight until its lease runs
/// out.
#[derive(Debug)]
#[must_use = "a run that is not driven counts as a crash half-way"]
pub struct Run {
    execution: Execution,
    ender: Ender,
    commit_with: Option<CommitWith>,
}

impl Run {
    pub(super) fn new(guard: Guard, execution: Execution, print: Fingerprint) -> Self {
        Self {
            commit_with: guard.0.transactions.then(CommitWith::default),
            ender: Ender {
                running: execution.running(),
                guard,
                print,
            },
            execution,
        }
    }

    /// What the handler may see and do while it runs.
    #[must_use]
    pub fn context(&self) -> &Running {
        &self.ender.running
    }

    /// Where the handler may hand its transaction over, where the guard allows it.
    #[must_use]
    pub fn commit_with(&self) -> Option<&CommitWith> {
        self.commit_with.as_ref()
    }

    /// Puts both into a request's extensions.
    pub fn extend(&self, extensions: &mut Extensions) {
        extensions.insert(self.ender.running.clone());
        if let Some(commit_with) = &self.commit_with {
            extensions.insert(commit_with.clone());
        }
    }

    /// Runs the handler, renewing the lease, stores its answer, and replies with it.
    ///
    /// The reply comes when the answer is stored, or, for an answer that is not whole within the
    /// profile's [`stream_after`](crate::Profile::stream_after), before that; this future then goes
    /// on until the answer's end. A client that goes away stops nothing.
    ///
    /// An error of the handler is handed on, and stored as a 500 (`handler-failed`): its effect may
    /// have happened.
    ///
    /// # Cancel safety
    /// Dropping the future is a crash half-way. Run it on a task of its own:
    /// [`Guard::detach`].
    pub async fn drive<F, S, X>(self, work: F, reply: ReplyTo<S, X>)
    where
        F: Future<Output = Result<Response<S>, X>>,
        S: Source,
    {
        let deadline = Deadline::after(self.ender.guard.0.profile.longest_run);
        let ran = {
            let work = pin!(work);
            deadline.bound(self.execution.run(work)).await
        };
        match ran {
            Some(Ran::Finished(Ok(response))) => self.finish(response, deadline, reply).await,
            Some(Ran::Finished(Err(error))) => {
                Box::pin(self.give_up(None)).await;
                reply.send(Err(error));
            }
            Some(Ran::Stopped(stopped)) => {
                let answer = Box::pin(self.give_up(Some(stopped))).await;
                reply.send(Ok(Reply::Answer(answer)));
            }
            None => {
                tracing::warn!(key = %self.context().key(), "an execution lasted too long");
                let answer = Box::pin(self.give_up(None)).await;
                reply.send(Ok(Reply::Answer(answer)));
            }
        }
    }

    /// Ends an execution without an answer of its handler. What it wrote is rolled back.
    async fn give_up(self, stopped: Option<Stopped>) -> super::Answer {
        drop(self.commit_with.as_ref().and_then(CommitWith::close));
        match stopped {
            Some(stopped) => self.ender.stop(self.execution, stopped).await,
            None => self.ender.fail(self.execution).await,
        }
    }

    async fn finish<S, X>(self, response: Response<S>, deadline: Deadline, reply: ReplyTo<S, X>)
    where
        S: Source,
    {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The connection is the answer, and cannot be stored.
            drop(self.commit_with.as_ref().and_then(CommitWith::close));
            let _ = self.execution.release().await;
            return reply.send(Ok(Reply::Passed(response)));
        }
        let profile = &self.ender.guard.0.profile;
        let (mut head, body) = response.into_parts();
        let disposition = self.ender.guard.disposition(&head);
        self.ender.guard.mark_as_first(&mut head.headers);
        let keeps_body = disposition == Disposition::Final;
        let mut body = pin!(body);
        let total = body.size().exact;
        let hold = Hold {
            time: match keeps_body && !is_event_stream(&head) {
                true => profile.stream_after,
                false => Duration::ZERO,
            },
            bytes: profile.stream_from,
            limit: profile.response_limit,
            commit_with: self.commit_with.as_ref(),
        };
        let mut recorder = None;
        let mut held_back = Some((head, reply));
        let mut live = None;
        let reading = async {
            let held = hold.read(body.as_mut()).await;
            recorder = self.commit_with.as_ref().and_then(CommitWith::close);
            let Held::Open(read) = held else {
                return Some(held);
            };
            if !keeps_body || recorder.is_some() {
                return Some(Held::Open(read));
            }
            let (head, reply) = held_back.take()?;
            let capture = read.len() <= hold.limit;
            let (outgoing, body_out) = Outgoing::start(read, total, capture);
            let live = live.insert(Live {
                outgoing,
                status: head.status,
                headers: head.headers.clone(),
            });
            reply.send(Ok(Reply::Answer(Response::from_parts(head, body_out))));
            live.outgoing.pump(body.as_mut(), hold.limit).await;
            None
        };
        let read = deadline.bound(self.execution.run(reading)).await;
        let (execution, ender) = (self.execution, self.ender);
        if let Some(live) = live {
            return Box::pin(live.end(&ender, execution, read)).await;
        }
        let Some((head, reply)) = held_back else {
            return;
        };
        let held = match read {
            Some(Ran::Finished(Some(held))) => held,
            Some(Ran::Finished(None)) | None => {
                drop(recorder);
                let answer = Box::pin(ender.fail(execution)).await;
                return reply.send(Ok(Reply::Answer(answer)));
            }
            Some(Ran::Stopped(stopped)) => {
                drop(recorder);
                let answer = Box::pin(ender.stop(execution, stopped)).await;
                return reply.send(Ok(Reply::Answer(answer)));
            }
        };
        let whole = match &held {
            Held::Whole(whole) if keeps_body && whole.data.len() <= profile_limit(&ender) => {
                Some(whole)
            }
            // A body that broke off is not worth replaying, but its request ran.
            Held::Whole(_) | Held::Open(_) | Held::Broken(..) => None,
        };
        let ending = ending(&ender, disposition, &head, whole);
        if let Err(instead) = ender.record(execution, recorder, ending).await {
            return reply.send(Ok(Reply::Answer(instead)));
        }
        let body_out = match held {
            Held::Whole(whole) => AnswerBody::from(whole),
            Held::Broken(read, error) => AnswerBody::broken(read, error),
            Held::Open(read) => {
                let (outgoing, body_out) = Outgoing::start(read, total, false);
                let answer = Response::from_parts(head, body_out);
                reply.send(Ok(Reply::Answer(answer)));
                return Box::pin(pump_to_end(outgoing, body, deadline)).await;
            }
        };
        reply.send(Ok(Reply::Answer(Response::from_parts(head, body_out))));
    }
}

fn profile_limit(ender: &Ender) -> usize {
    ender.guard.0.profile.response_limit
}

/// An answer that went out before it was stored.
struct Live {
    outgoing: Outgoing,
    status: StatusCode,
    headers: http::HeaderMap,
}

impl Live {
    /// Stores what was captured, and lets the client know the end.
    async fn end(self, ender: &Ender, execution: Execution, read: Option<Ran<Option<Held>>>) {
        let whole = match read {
            Some(Ran::Finished(_)) => true,
            Some(Ran::Stopped(Stopped::Superseded)) => {
                return execution.ended(Err(Superseded)).await;
            }
            Some(Ran::Stopped(Stopped::Panicked(_))) | None => false,
        };
        let body = self.outgoing.captured().filter(|_| whole);
        let payload = ender.guard.payload(self.status, &self.headers, body);
        let ending = final_ending(self.status, payload);
        let recorded = ender.record(execution, None, ending).await;
        if whole && recorded.is_ok() {
            self.outgoing.end().await;
        }
    }
}

/// Sends the rest of an answer that is recorded already.
async fn pump_to_end<S: Source>(mut outgoing: Outgoing, body: Pin<&mut S>, deadline: Deadline) {
    if deadline.bound(outgoing.pump(body, 0)).await.is_some() {
        outgoing.end().await;
    }
}

fn ending(ender: &Ender, disposition: Disposition, head: &Parts, body: Option<&Whole>) -> Ending {
    match disposition {
        Disposition::Retryable => Ending::Retry,
        Disposition::Final | Disposition::FinalWithoutBody => {
            let payload = ender.guard.payload(head.status, &head.headers, body);
            final_ending(head.status, payload)
        }
    }
}

fn final_ending(status: StatusCode, payload: bytes::Bytes) -> Ending {
    match status.is_client_error() || status.is_server_error() {
        true => Ending::Fail(payload),
        false => Ending::Complete(payload),
    }
}

/// A stream of events is for whoever listens now: waiting for more of it would hold it back.
fn is_event_stream(head: &Parts) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";

    let media_type = head.headers.get(http::header::CONTENT_TYPE);
    media_type.is_some_and(|value| {
        let begins = value.as_bytes().get(..EVENTS.len());
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(EVENTS))
    })
}

/// When an execution has to be over.
#[derive(Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    fn after(longest: Option<Duration>) -> Self {
        Self(longest.and_then(|longest| Instant::now().checked_add(longest)))
    }

    /// The output, if it comes in time. What is ready at once costs no timer.
    async fn bound<F: Future>(self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        match (polled, self.0) {
            (Poll::Ready(output), _) => Some(output),
            (Poll::Pending, Some(at)) => timeout_at(at, future).await.ok(),
            (Poll::Pending, None) => Some(future.await),
        }
    }
}
