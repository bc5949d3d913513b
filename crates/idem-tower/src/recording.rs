//! How an execution ends, and what its caller is told where that is not the handler's answer.

use bytes::Bytes;
use http::Response;
use idem_core::{CommitError, Execution, OnPanic, Recorder, Stopped, Superseded, machine::Ending};
use idem_http::{Code, Ending as Disposition, Problem};

use crate::config::{Config, STORE_RETRY_AFTER};

/// Stores an answer, before anybody sees it: whoever does can rely on its replay. `Err` is what to
/// answer instead.
pub(crate) async fn record(
    config: &Config,
    execution: Execution,
    recorder: Option<Box<dyn Recorder>>,
    ending: Ending,
) -> Result<(), Response<Bytes>> {
    let recorded = match (recorder, ending) {
        (Some(recorder), ending) => {
            let recorded = recorder.record(execution, ending).await;
            return recorded.map_err(|error| not_committed(config, &error));
        }
        (None, Ending::Complete(payload)) => execution.complete(payload).await,
        (None, Ending::Fail(payload)) => execution.fail(payload).await,
        (None, Ending::Retry) => execution.fail_retryable().await,
    };
    match recorded {
        Ok(_) => Ok(()),
        Err(Superseded) => Err(superseded(config)),
    }
}

/// A client must not take for done what was rolled back.
fn not_committed(config: &Config, error: &CommitError) -> Response<Bytes> {
    let detail = match error {
        CommitError::Superseded(_) => return superseded(config),
        CommitError::RolledBack(_) => "What the request did was rolled back: nothing happened.",
        _ => "It is not known yet whether the request went through; a repeat finds out.",
    };
    tracing::warn!(%error, "an answer was not committed");
    let problem = Problem::new(Code::StoreUnavailable)
        .detail(format!("{detail} Send it again with the same key."))
        .retry_after(STORE_RETRY_AFTER);
    config.answer(problem)
}

/// Another execution owns the key: its answer is the one that counts, and asking again gets it.
fn superseded(config: &Config) -> Response<Bytes> {
    let problem = Problem::new(Code::InFlight)
        .detail("Another execution of this request took over; its answer is the one that counts.")
        .retry_after(config.idem.policy().lease_time());
    config.answer(problem)
}

pub(crate) fn handler_failed(config: &Config) -> Response<Bytes> {
    config.answer(Problem::new(Code::HandlerFailed))
}

/// A handler that broke down may have had its effect: the 500 is stored like any answer.
pub(crate) async fn fail(config: &Config, execution: Execution) -> Response<Bytes> {
    let mut response = handler_failed(config);
    let status = response.status();
    let headers = response.headers_mut();
    config
        .profile
        .mark_first(status, headers, Disposition::Final);
    match execution.fail(config.stored(&response)).await {
        Ok(_) => response,
        Err(Superseded) => superseded(config),
    }
}

/// For a handler that did not run to its end.
pub(crate) async fn stop(
    config: &Config,
    execution: Execution,
    stopped: Stopped,
) -> Response<Bytes> {
    match stopped {
        Stopped::Panicked(_) => panicked(config, execution).await,
        Stopped::Superseded => {
            execution.ended(Err(Superseded)).await;
            superseded(config)
        }
    }
}

async fn panicked(config: &Config, execution: Execution) -> Response<Bytes> {
    match config.idem.policy().panic() {
        OnPanic::Fail => fail(config, execution).await,
        OnPanic::Retry => match execution.fail_retryable().await {
            Ok(_) => handler_failed(config),
            Err(Superseded) => superseded(config),
        },
    }
}
