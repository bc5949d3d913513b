//! Serving until asked to end, and ending without losing an execution.

use std::time::Duration;

use anyhow::Result;
use axum::Router;
use idem_core::Idempotency;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::sleep,
};

/// What has not ended so long after the signal is left behind: a client that never reads its
/// answer, or an execution, whose key is then abandoned when its lease runs out.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until Ctrl-C or SIGTERM, then finishes the requests under way, and then the executions
/// whose clients are gone already.
pub(crate) async fn serve(listener: TcpListener, router: Router, idem: &Idempotency) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (tell, told) = oneshot::channel();
    let asked = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("asked to end: finishing what is under way");
        let _ = tell.send(());
    };
    let served = async {
        axum::serve(listener, router)
            .with_graceful_shutdown(asked)
            .await?;
        idem.wait_idle().await;
        tracing::info!("nothing is left under way");
        Ok(())
    };
    tokio::select! {
        result = served => result,
        () = patience(told) => {
            tracing::warn!("not everything had ended after {PATIENCE:?}");
            Ok(())
        }
    }
}

/// Runs out some time after the signal, and never before it.
async fn patience(told: oneshot::Receiver<()>) {
    if told.await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(PATIENCE).await;
}
