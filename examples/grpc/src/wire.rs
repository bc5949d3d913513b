//! The messages of `proto/payments.proto`, and which method is whose. A code generator writes both
//! where there is `protoc`.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::Body as HttpBody;
use prost::Message;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::StdError,
    server::{Grpc, NamedService},
    transport::Channel,
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use crate::payments::Payments;

/// An order to pay.
#[derive(Clone, PartialEq, Message)]
pub struct PayRequest {
    /// From where.
    #[prost(string, tag = "1")]
    pub account: String,
    /// How much.
    #[prost(uint64, tag = "2")]
    pub cents: u64,
}

/// A payment that was made.
#[derive(Clone, PartialEq, Message)]
pub struct Payment {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// From where.
    #[prost(string, tag = "2")]
    pub account: String,
    /// How much.
    #[prost(uint64, tag = "3")]
    pub cents: u64,
}

/// Asks for all payments.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ListRequest {}

/// The path of the method that pays.
pub const PAY: &str = "/shop.v1.Payments/Pay";

/// The path of the method that lists.
pub const LIST: &str = "/shop.v1.Payments/List";

impl NamedService for Payments {
    const NAME: &'static str = "shop.v1.Payments";
}

impl<B> Service<http::Request<B>> for Payments
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let payments = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                PAY => {
                    let pay = service_fn(|call| payments.pay(call));
                    let mut grpc = Grpc::new(ProstCodec::<Payment, PayRequest>::default());
                    grpc.unary(pay, request).await
                }
                LIST => {
                    let list = service_fn(|call| payments.list(call));
                    let mut grpc = Grpc::new(ProstCodec::<Payment, ListRequest>::default());
                    grpc.server_streaming(list, request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// Calls [`PAY`].
///
/// # Errors
/// The status of the call.
pub async fn pay(
    channel: &Channel,
    call: Request<PayRequest>,
) -> Result<Response<Payment>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static(PAY);
    let codec = ProstCodec::<PayRequest, Payment>::default();
    grpc.unary(call, path, codec).await
}
