//! The task that takes requests from the channel and flushes them.

use std::{
    collections::{HashSet, VecDeque},
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use tokio::sync::mpsc;

use super::{Call, Line};
use crate::error::Failure;

/// Flushes under way at once.
const FLUSHES: usize = 8;
/// Requests in a flush at most.
const REQUESTS: usize = 256;
/// Bytes that a flush sends and asks for at most, as far as the size of records is known. A larger
/// request makes a flush of its own.
const BYTES: usize = 512 << 10;

enum Event {
    /// A flush is over; it could not be sent at all for this reason, if there is one.
    Flushed(Option<Failure>),
    /// So many requests came.
    Received(usize),
}

/// Flushes what comes until the store's last clone is dropped.
///
/// Takes up to a quarter of what is outstanding, so that the rest is gathered while that is on its
/// way, and takes it only when the runtime has polled the tasks that are ready, to gather what they send
/// as well.
pub(super) async fn run(
    line: Arc<Line>,
    under_way: Arc<AtomicUsize>,
    mut calls: mpsc::Receiver<Call>,
) {
    let mut waiting = VecDeque::new();
    let mut received = Vec::new();
    let mut flushes = FuturesUnordered::new();
    loop {
        let mut has_yielded = false;
        let event = poll_fn(|cx| {
            if let Poll::Ready(Some(not_sent)) = flushes.poll_next_unpin(cx) {
                return Poll::Ready(Event::Flushed(not_sent));
            }
            if flushes.len() == FLUSHES {
                return Poll::Pending;
            }
            if !has_yielded && !calls.is_empty() {
                has_yielded = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let part = (under_way.load(Ordering::Relaxed) / 4).clamp(1, REQUESTS);
            let polled = calls.poll_recv_many(cx, &mut received, part);
            polled.map(Event::Received)
        });
        match event.await {
            Event::Flushed(None) => {}
            Event::Flushed(Some(failure)) => refuse_all(&mut waiting, &mut calls, &failure),
            Event::Received(0) => return,
            Event::Received(_) => waiting.extend(received.drain(..)),
        }
        while flushes.len() < FLUSHES && !waiting.is_empty() {
            flushes.push(flush(&line, take(&mut waiting, line.record_size())));
        }
    }
}

/// The requests of the next flush, without those that nobody waits for any more. A record that several
/// of them read is read once.
fn take(waiting: &mut VecDeque<Call>, record_size: usize) -> Vec<Call> {
    let mut names = HashSet::new();
    let (mut n, mut bytes) = (0, 0);
    for call in waiting.iter().take(REQUESTS) {
        bytes += call.request.bytes();
        if let Some(name) = call.request.reads()
            && names.insert(name)
        {
            bytes += record_size;
        }
        if bytes > BYTES {
            break;
        }
        n += 1;
    }
    let taken = waiting.drain(..n.max(1));
    taken.filter(|call| !call.caller.is_closed()).collect()
}

/// Sends requests and hands out the answers. Gives back why nothing could be sent, if so.
async fn flush(line: &Line, calls: Vec<Call>) -> Option<Failure> {
    if calls.is_empty() {
        return None;
    }
    let (mut requests, callers): (Vec<_>, Vec<_>) = calls
        .into_iter()
        .map(|call| (call.request, call.caller))
        .unzip();
    let answers = line.send(&mut requests).await;
    let not_sent = match answers.first() {
        Some(Err(failure)) if failure.is_unsent() && !line.is_in_cluster() => Some(failure.clone()),
        _ => None,
    };
    let mut redirected = Vec::new();
    for ((caller, answer), request) in callers.into_iter().zip(answers).zip(requests) {
        if line.is_redirected(&answer) {
            redirected.push(async move {
                // One that has gone away meanwhile needs none.
                let _ = caller.send(line.redirect(request, answer).await);
            });
        } else {
            let _ = caller.send(answer);
        }
    }
    if !redirected.is_empty() {
        Box::pin(join_all(redirected)).await;
    }
    not_sent
}

/// There is no connection: whoever waits for a flush is told so, since nothing of theirs was sent.
fn refuse_all(waiting: &mut VecDeque<Call>, calls: &mut mpsc::Receiver<Call>, failure: &Failure) {
    let queued = std::iter::from_fn(|| calls.try_recv().ok());
    for call in waiting.drain(..).chain(queued) {
        let _ = call.caller.send(Err(failure.clone()));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::batch::Request;

    const SIZE: usize = 60 << 10;

    /// How many requests each flush takes of these, where a record has [`SIZE`] bytes.
    fn flushes(requests: impl Iterator<Item = Request>) -> Vec<usize> {
        let (mut waiting, answers): (VecDeque<_>, Vec<_>) = requests
            .map(|request| {
                let (caller, answer) = oneshot::channel();
                (Call { request, caller }, answer)
            })
            .unzip();
        let mut flushes = Vec::new();
        while !waiting.is_empty() {
            flushes.push(take(&mut waiting, SIZE).len());
        }
        drop(answers);
        flushes
    }

    fn write(bytes: usize) -> Request {
        let mut command = redis::cmd("SET");
        command.arg("k").arg(vec![0; bytes]);
        Request::Write(command)
    }

    #[test]
    fn a_flush_has_a_bound_in_bytes_sent_and_asked_for() {
        let read = |name: usize| Request::Read(format!("idem:{name}"));
        assert_eq!(flushes((0..20).map(read)), [8, 8, 4], "reads");
        assert_eq!(flushes((0..20).map(|_| write(SIZE))), [8, 8, 4], "writes");
        let both = (0..20).map(|n| if n % 2 == 0 { read(n) } else { write(SIZE) });
        assert_eq!(flushes(both), [8, 8, 4], "both");
        assert_eq!(flushes((0..300).map(|_| read(0))), [256, 44], "one record");
        assert_eq!(flushes((0..300).map(|_| write(1))), [256, 44], "small ones");
        let large = [1, 2 * BYTES, 1].map(write).into_iter();
        assert_eq!(flushes(large), [1, 1, 1], "a large one");
    }
}
