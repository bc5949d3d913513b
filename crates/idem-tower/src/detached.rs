//! The handler on a task of its own.
//!
//! A client that hangs up drops the future that waits, not the task: the handler runs to its end,
//! and the client's retry gets the answer.

use std::{
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, request::Parts};
use http_body::Body;
use idem_core::{Execution, Ran, Running};
use tokio::sync::oneshot;
use tower_service::Service;
use tracing::Instrument;

use crate::{
    RecordWith, RequestBody, ResponseBody,
    answer::{Answer, Read, ending},
    body::Whole,
    config::Config,
    recording::{fail, handler_failed, record, stop},
};

/// A service that is ready, and the request to call it with.
pub(crate) struct Work<S> {
    pub(crate) inner: S,
    pub(crate) head: Box<Parts>,
    pub(crate) body: Whole,
}

impl<S> Work<S> {
    /// Calls the handler, which finds `running` in the request's extensions.
    fn run<B>(self, running: Running) -> S::Future
    where
        S: Service<Request<RequestBody<B>>>,
    {
        let Self {
            mut inner,
            mut head,
            body,
        } = self;
        head.extensions.insert(running);
        inner.call(Request::from_parts(*head, RequestBody::read(body)))
    }

    /// Lets the handler hand a transaction over, where it may.
    fn recorded_with(mut self, record_with: Option<&RecordWith>) -> Self {
        if let Some(record_with) = record_with {
            self.head.extensions.insert(record_with.clone());
        }
        self
    }
}

/// Runs the handler under its claim, records how it ended, and gives its answer.
pub(crate) fn run_protected<S, B, R>(
    config: Arc<Config>,
    execution: Execution,
    work: Work<S>,
) -> impl Future<Output = Result<Response<ResponseBody<R>>, S::Error>> + Send
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    let task = {
        let config = Arc::clone(&config);
        async move {
            let record_with = config.transactions.then(RecordWith::default);
            let ran = {
                let work = work.recorded_with(record_with.as_ref());
                let running = execution.running();
                // Pinned before it is wrapped: moving it would cost more than a small handler.
                let answering = pin!(async {
                    let (head, body) = work.run(running).await?.into_parts();
                    let mut head = Box::new(head);
                    let ending = ending(&head, &config.profile);
                    config
                        .profile
                        .mark_first(head.status, &mut head.headers, ending);
                    let body = Read::of(&head, body, &config.profile).await;
                    Ok(Answer { head, body })
                });
                execution.run(answering).await
            };
            let recorder = record_with.and_then(|place| place.close());
            match ran {
                Ran::Finished(Ok(answer)) => {
                    let ending = answer.ending(&config);
                    Ok(match record(&config, execution, recorder, ending).await {
                        Ok(()) => answer.into_response(),
                        Err(instead) => instead.map(ResponseBody::read),
                    })
                }
                // Without an answer, what the handler wrote is rolled back.
                Ran::Finished(Err(error)) => {
                    drop(recorder);
                    Box::pin(fail(&config, execution)).await;
                    Err(error)
                }
                Ran::Stopped(stopped) => {
                    drop(recorder);
                    let answer = Box::pin(stop(&config, execution, stopped)).await;
                    Ok(answer.map(ResponseBody::read))
                }
            }
        }
    };
    detach(config, Box::pin(task))
}

/// Runs the handler without a record, because the store is out of reach and the policy says to.
pub(crate) fn run_unprotected<S, B, R>(
    config: Arc<Config>,
    running: Running,
    work: Work<S>,
) -> impl Future<Output = Result<Response<ResponseBody<R>>, S::Error>> + Send
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    let task = {
        let config = Arc::clone(&config);
        async move {
            match AssertUnwindSafe(async { work.run(running).await })
                .catch_unwind()
                .await
            {
                Ok(response) => Ok(response?.map(ResponseBody::passed)),
                Err(_) => Ok(handler_failed(&config).map(ResponseBody::read)),
            }
        }
    };
    detach(config, Box::pin(task))
}

/// Starts a task, and waits for it while it goes on without whoever waits.
///
/// The first poll happens here: nobody can hang up in the middle of it, and work that is ready at
/// once costs no task.
async fn detach<R, E, F>(
    config: Arc<Config>,
    mut task: Pin<Box<F>>,
) -> Result<Response<ResponseBody<R>>, E>
where
    F: Future<Output = Result<Response<ResponseBody<R>>, E>> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
    E: Send + 'static,
{
    if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(task.as_mut().poll(cx))).await {
        return answer;
    }
    let (sender, receiver) = oneshot::channel();
    let task = async move {
        // Nobody may be listening any more; the record has the answer.
        let _ = sender.send(task.await);
    };
    config.idem.detach(task.in_current_span());
    // Without an answer, the runtime dropped the task.
    let lost = |_| Ok(handler_failed(&config).map(ResponseBody::read));
    receiver.await.unwrap_or_else(lost)
}
