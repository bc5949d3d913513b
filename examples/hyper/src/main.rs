//! Payments on hyper alone, through the shell of `shell.rs`.

mod shell;

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use idem::{
    Context, Idempotency, Scope,
    http::driver::{BoxError, Guard},
    memory::MemoryStore,
};
use shell::{In, Out, serve};
use tokio::net::TcpListener;

/// A handler as hyper knows them.
async fn pay(request: Request<In>) -> Result<Response<Full<Bytes>>, BoxError> {
    let context = request.extensions().get::<Context>().cloned();
    let order = request.into_body().collect().await?.to_bytes();
    let attempt = context.map_or(0, |context| context.attempt());
    let paid = format!("paid {} bytes, attempt {attempt}\n", order.len());
    let mut response = Response::new(Full::from(paid));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

async fn answer(
    guard: Guard,
    request: Request<Incoming>,
) -> Result<Response<Out<Full<Bytes>>>, Infallible> {
    // One caller. A service with several reads it from what authentication left in the extensions.
    let answer = serve(guard, |_| Ok(Scope::global()), request, pay).await;
    Ok(answer.unwrap_or_else(|_| {
        let mut failed = Response::new(Out::Left(Full::default()));
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        failed
    }))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let idem = Idempotency::new(MemoryStore::new());
    let guard = Guard::new(idem.clone());
    let listener = TcpListener::bind("127.0.0.1:8081").await?;
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let guard = guard.clone();
        let service = service_fn(move |request| answer(guard.clone(), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { drop(connection.await) });
    }
    // Handlers whose clients are gone come to their end.
    idem.wait_idle().await;
    Ok(())
}
