//! The handler on a task of its own, and the recording of how it ended.
//!
//! A client that hangs up drops the future that waits, not the task: the handler runs to its end,
//! and the client's retry gets the answer.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use idem_core::{Execution, OnPanic, Ran, Running, Stopped, Superseded};
use idem_http::{Code, Ending, Problem, StoredBody, StoredResponse};
use tokio::sync::oneshot;
use tower_service::Service;
use tracing::Instrument;

use crate::{RequestBody, ResponseBody, answer::Answer, config::Config};

/// A service that is ready, and the request to call it with.
pub(crate) struct Work<S, B> {
    pub(crate) inner: S,
    pub(crate) request: Request<RequestBody<B>>,
}

impl<S, B, R> Work<S, B>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
{
    /// Calls the handler, which finds `running` in the request's extensions.
    async fn run(mut self, running: Running) -> Result<Response<R>, S::Error> {
        self.request.extensions_mut().insert(running);
        self.inner.call(self.request).await
    }
}

/// Runs the handler under its claim, records how it ended, and gives its answer.
pub(crate) async fn run_protected<S, B, R>(
    config: Arc<Config>,
    execution: Execution,
    work: Work<S, B>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    let task_config = Arc::clone(&config);
    detach(&config, async move {
        let running = execution.running();
        let answering = async {
            let response = work.run(running).await?;
            Ok(Answer::read(response, &task_config.profile).await)
        };
        match execution.run(answering).await {
            Ran::Finished(Ok(answer)) => Ok(record(&task_config, execution, answer).await),
            Ran::Finished(Err(error)) => {
                fail(&task_config, execution).await;
                Err(error)
            }
            Ran::Stopped(Stopped::Panicked(_)) => Ok(panicked(&task_config, execution)
                .await
                .map(ResponseBody::read)),
            Ran::Stopped(Stopped::Superseded) => {
                execution.ended(Err(Superseded)).await;
                Ok(superseded(&task_config).map(ResponseBody::read))
            }
        }
    })
    .await
}

/// Runs the handler without a record, because the store is out of reach and the policy says to.
pub(crate) async fn run_unprotected<S, B, R>(
    config: Arc<Config>,
    running: Running,
    work: Work<S, B>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    detach(&config, async move {
        let response = work.run(running).await?;
        Ok(response.map(ResponseBody::passed))
    })
    .await
}

/// Waits for a task that goes on without whoever waits.
async fn detach<R, E>(
    config: &Config,
    task: impl Future<Output = Result<Response<ResponseBody<R>>, E>> + Send + 'static,
) -> Result<Response<ResponseBody<R>>, E>
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
    E: Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let task = async move {
        // Nobody may be listening any more; the record has the answer.
        let _ = sender.send(task.await);
    };
    config.idem.detach(task.in_current_span());
    receiver.await.unwrap_or_else(|_| {
        // The runtime dropped the task, or unprotected work panicked.
        let problem = Problem::new(Code::HandlerFailed);
        Ok(config.answer(problem).map(ResponseBody::read))
    })
}

/// Stores the answer, then gives it: whoever sees it can rely on its replay.
async fn record<R>(
    config: &Config,
    execution: Execution,
    answer: Answer<R>,
) -> Response<ResponseBody<R>>
where
    R: Body<Data = Bytes>,
{
    let status = answer.head.status;
    let body = match answer.ending {
        Ending::Retryable => None,
        Ending::Final => Some(answer.to_store()),
        Ending::FinalWithoutBody => Some(StoredBody::Omitted),
    };
    let recorded = match body {
        None => execution.fail_retryable().await,
        Some(body) => {
            let stored = StoredResponse::of(&answer.head, body, &config.profile.kept);
            let payload = config.encode(&stored);
            match status.is_client_error() || status.is_server_error() {
                true => execution.fail(payload).await,
                false => execution.complete(payload).await,
            }
        }
    };
    match recorded {
        Ok(_) => answer.into_response(),
        Err(Superseded) => superseded(config).map(ResponseBody::read),
    }
}

/// Another execution owns the key: its answer is the one that counts, and asking again gets it.
fn superseded(config: &Config) -> Response<Bytes> {
    let problem = Problem::new(Code::InFlight)
        .detail("Another execution of this request took over; its answer is the one that counts.")
        .retry_after(config.idem.policy().lease_time());
    config.answer(problem)
}

/// A handler that broke down may have had its effect: the 500 is stored like any answer.
async fn fail(config: &Config, execution: Execution) -> Response<Bytes> {
    let response = config.answer(Problem::new(Code::HandlerFailed));
    let (head, body) = response.into_parts();
    let kept = StoredBody::Kept(body.clone());
    let stored = StoredResponse::of(&head, kept, &config.profile.kept);
    match execution.fail(config.encode(&stored)).await {
        Ok(_) => Response::from_parts(head, body),
        Err(Superseded) => superseded(config),
    }
}

async fn panicked(config: &Config, execution: Execution) -> Response<Bytes> {
    match config.idem.policy().panic() {
        OnPanic::Fail => fail(config, execution).await,
        OnPanic::Retry => match execution.fail_retryable().await {
            Ok(_) => config.answer(Problem::new(Code::HandlerFailed)),
            Err(Superseded) => superseded(config),
        },
    }
}
