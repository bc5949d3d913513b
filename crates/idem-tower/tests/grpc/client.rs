//! The shop's client, and what it reads of an answer.

use std::{net::SocketAddr, time::Duration};

use tonic::{
    Code, Request, Response, Status, Streaming, metadata::MetadataMap, transport::Channel,
};
use tonic_prost::ProstCodec;

use crate::shop::{Paid, Pay};

/// A call of `Pay` by merchant `m`.
pub(crate) fn pay(cents: u64) -> Request<Pay> {
    let mut call = Request::new(Pay {
        account: "a".to_owned(),
        cents,
    });
    call.metadata_mut()
        .insert("authorization", "m".parse().unwrap());
    call
}

pub(crate) fn keyed(key: &str, cents: u64) -> Request<Pay> {
    let mut call = pay(cents);
    call.metadata_mut()
        .insert("idempotency-key", key.parse().unwrap());
    call
}

#[derive(Clone)]
pub(crate) struct Client(pub(crate) Channel);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        Self(channel.connect().await.unwrap())
    }

    pub(crate) async fn grpc(&self) -> tonic::client::Grpc<Channel> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await.unwrap();
        grpc
    }

    pub(crate) async fn pay(&self, call: Request<Pay>) -> Result<Response<Paid>, Status> {
        self.unary("/shop.Payments/Pay", call).await
    }

    pub(crate) async fn unary(
        &self,
        path: &'static str,
        call: Request<Pay>,
    ) -> Result<Response<Paid>, Status> {
        let mut grpc = self.grpc().await;
        grpc.unary(call, path.parse().unwrap(), codec()).await
    }

    pub(crate) async fn watch(
        &self,
        call: Request<Pay>,
    ) -> Result<Response<Streaming<Paid>>, Status> {
        let path = "/shop.Payments/Watch".parse().unwrap();
        let mut grpc = self.grpc().await;
        grpc.server_streaming(call, path, codec()).await
    }

    /// All of what `Watch` gives, and how it ended.
    pub(crate) async fn watch_all(&self, call: Request<Pay>) -> (Vec<String>, MetadataMap, Code) {
        let response = match self.watch(call).await {
            Ok(response) => response,
            Err(status) => return (Vec::new(), status.metadata().clone(), status.code()),
        };
        let (metadata, mut answers, _) = response.into_parts();
        let mut receipts = Vec::new();
        loop {
            match answers.message().await {
                Ok(Some(answer)) => receipts.push(answer.receipt),
                Ok(None) => return (receipts, metadata, Code::Ok),
                Err(status) => return (receipts, metadata, status.code()),
            }
        }
    }
}

pub(crate) fn codec() -> ProstCodec<Pay, Paid> {
    ProstCodec::default()
}

pub(crate) fn entry<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name).map(|value| value.to_str().unwrap())
}

pub(crate) fn is_replay(metadata: &MetadataMap) -> bool {
    entry(metadata, "idempotent-replayed") == Some("true")
}

/// The code of a problem of idem's own, after checking that its answer is complete.
#[track_caller]
pub(crate) fn problem(status: &Status) -> (Code, &str) {
    use tonic_types::StatusExt;

    let metadata = status.metadata();
    let code = entry(metadata, "idempotency-problem").expect("a problem");
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!(info.domain, "idem");
    assert_eq!(info.reason.to_lowercase().replace('_', "-"), code);
    let pushback = entry(metadata, "grpc-retry-pushback-ms").unwrap();
    let delay = status.get_details_retry_info();
    let delay = delay.and_then(|info| info.retry_delay);
    match delay {
        Some(delay) => assert_eq!(pushback, delay.as_millis().to_string()),
        None => assert_eq!(pushback, "-1"),
    }
    assert!(status.message().contains(". "), "{}", status.message());
    (status.code(), code)
}

pub(crate) const SHORT: Duration = Duration::from_millis(50);
