//! `cargo run -p grpc-payments` serves on 127.0.0.1:50051, pays once, and repeats the call.

use anyhow::Result;
use grpc_payments::{
    payments::Payments,
    serve,
    wire::{PayRequest, pay},
};
use idem::{Idempotency, IdempotencyKey, memory::MemoryStore};
use tokio::net::TcpListener;
use tonic::{Request, transport::Channel};

#[tokio::main]
async fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:50051").await?;
    let server = tokio::spawn(serve(
        listener.into(),
        Idempotency::new(MemoryStore::new()),
        Payments::default(),
    ));
    let channel = Channel::from_static("http://127.0.0.1:50051")
        .connect()
        .await?;

    // One key for one intent, the same with every repeat.
    let key = IdempotencyKey::random();
    for cents in [500, 500, 700] {
        let mut call = Request::new(PayRequest {
            account: "DE02".to_owned(),
            cents,
        });
        let metadata = call.metadata_mut();
        metadata.insert("authorization", "Bearer merchant-7".parse()?);
        metadata.insert("idempotency-key", key.as_str().parse()?);
        match pay(&channel, call).await {
            Ok(answer) => println!(
                "{:?}, replayed: {:?}",
                answer.get_ref(),
                answer.metadata().get("idempotent-replayed")
            ),
            Err(status) => println!(
                "{:?} ({:?}): {}",
                status.code(),
                status.metadata().get("idempotency-problem"),
                status.message()
            ),
        }
    }
    println!("listening on 127.0.0.1:50051");
    server.await??;
    Ok(())
}
