//! Streams of either side.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use idem_core::Idempotency;
use idem_memory::{ManualClock, MemoryConfig, MemoryStore};
use idem_tower::{KeyRule, Profile};
use tokio::sync::mpsc;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};

use crate::{
    client::{codec, entry, is_replay, keyed, problem},
    shop::{Answers, Pay, Shop, layer, memory, paid},
};

#[tokio::test]
async fn g2_a_stream_is_replayed_message_by_message() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    let (first, metadata, ended) = client.watch_all(keyed("k", 3)).await;
    assert_eq!(first, ["run 1, part 0", "run 1, part 1", "run 1, part 2"]);
    assert!(ended == Code::Ok && !is_replay(&metadata));
    let (again, metadata, ended) = client.watch_all(keyed("k", 3)).await;
    assert_eq!(again, first);
    assert!(ended == Code::Ok && is_replay(&metadata));
}

/// The second message is made only after the client has seen the first.
#[tokio::test]
async fn a_stream_goes_live_and_is_captured_beside() {
    let (more, parts) = mpsc::channel::<u64>(1);
    let parts = std::sync::Mutex::new(Some(parts));
    let shop = Shop::new().watch(move |_, _| {
        let parts = parts.lock().unwrap().take().unwrap();
        let answers = stream::unfold(parts, |mut parts| async move {
            let part = parts.recv().await?;
            Some((Ok(paid(format!("part {part}"))), parts))
        });
        async { Ok(Response::new(answers.boxed() as Answers)) }
    });
    let client = shop.serve(layer(&memory())).await;
    let mut answers = client.watch(keyed("k", 0)).await.unwrap().into_inner();
    for part in 0..3 {
        more.send(part).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer, paid(format!("part {part}")));
    }
    let busy = client.watch(keyed("k", 0)).await.unwrap_err();
    assert_eq!(problem(&busy), (Code::Aborted, "in-flight"));
    drop(more);
    assert_eq!(answers.message().await.unwrap(), None);
    let (again, metadata, ended) = client.watch_all(keyed("k", 0)).await;
    assert_eq!(again, ["part 0", "part 1", "part 2"]);
    assert!(ended == Code::Ok && is_replay(&metadata));
}

/// The trailers are the end of an answer: a client must not see `OK` before its answer is the one that
/// counts.
#[tokio::test]
async fn g2_a_live_stream_that_was_superseded_breaks_off_and_never_says_ok() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_config(MemoryConfig::default().clock(clock.clone()));
    let (more, parts) = mpsc::channel::<u64>(1);
    let parts = std::sync::Mutex::new(Some(parts));
    let shop = Shop::new().watch(move |_, run| {
        let parts = parts.lock().unwrap().take();
        let first = stream::iter([Ok(paid(format!("run {run}")))]);
        let rest = stream::unfold(parts, |mut parts| async move {
            let part = parts.as_mut()?.recv().await?;
            Some((Ok(paid(format!("part {part}"))), parts))
        });
        async { Ok(Response::new(first.chain(rest).boxed() as Answers)) }
    });
    let engine = || Idempotency::builder(store.clone()).build().unwrap();
    let client = shop.serve(layer(&engine())).await;
    let mut answers = client.watch(keyed("k", 0)).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap(), Some(paid("run 1")));

    clock.advance(Duration::from_secs(31));
    let other = shop.serve(layer(&engine())).await;
    let (winner, _, ended) = other.watch_all(keyed("k", 0)).await;
    assert_eq!((winner, ended), (vec!["run 2".to_owned()], Code::Ok));

    drop(more);
    let status = answers.message().await.unwrap_err();
    assert!(
        matches!(status.code(), Code::Internal | Code::Unknown),
        "{status:?}"
    );
    let (again, ..) = client.watch_all(keyed("k", 0)).await;
    assert_eq!(again, ["run 2"]);
}

/// Without its messages, a replay with the status OK would say that there were none.
#[tokio::test]
async fn an_answer_that_was_not_kept_is_data_loss_and_never_an_empty_ok() {
    let shop = Shop::new();
    let profile = Profile::grpc().response_limit(100);
    let client = shop.serve(layer(&memory()).profile(profile)).await;
    let (first, _, ended) = client.watch_all(keyed("k", 100)).await;
    assert_eq!((first.len(), ended), (100, Code::Ok));
    let status = client.watch(keyed("k", 100)).await.unwrap_err();
    assert_eq!(problem(&status), (Code::DataLoss, "answer-not-kept"));
    assert!(is_replay(status.metadata()));
    assert_eq!(
        entry(status.metadata(), "idempotent-replay-body"),
        Some("omitted")
    );
    assert_eq!(shop.runs(), 1);
}

fn stream_of(parts: Vec<u64>, key: Option<&str>) -> Request<impl stream::Stream<Item = Pay>> {
    let (metadata, ..) = keyed(key.unwrap_or("none"), 0).into_parts();
    let parts = parts.into_iter().map(|cents| Pay {
        account: String::new(),
        cents,
    });
    let mut call = Request::new(stream::iter(parts));
    *call.metadata_mut() = metadata;
    if key.is_none() {
        call.metadata_mut().remove("idempotency-key");
    }
    call
}

#[tokio::test]
async fn a_clients_stream_is_read_whole_and_protected() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    let path = || "/shop.Payments/Upload".parse().unwrap();
    for replayed in [false, true] {
        let call = stream_of(vec![1, 2, 3], Some("k"));
        let mut grpc = client.grpc().await;
        let answer = grpc.client_streaming(call, path(), codec()).await.unwrap();
        assert_eq!(answer.get_ref(), &paid("run 1: 3 parts"));
        assert_eq!(is_replay(answer.metadata()), replayed);
    }
    let call = stream_of(vec![1, 2], Some("k"));
    let mut grpc = client.grpc().await;
    let status = grpc
        .client_streaming(call, path(), codec())
        .await
        .unwrap_err();
    assert_eq!(problem(&status).1, "fingerprint-mismatch");
}

#[tokio::test]
async fn a_stream_of_both_sides_that_does_not_converse_is_protected() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    for _ in 0..2 {
        let call = stream_of(vec![1, 2], Some("k"));
        let path = "/shop.Payments/Chat".parse().unwrap();
        let mut grpc = client.grpc().await;
        let answers = grpc
            .streaming(call, path, codec())
            .await
            .unwrap()
            .into_inner();
        let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
        assert_eq!(answers, [paid("run 1: 1"), paid("run 1: 2")]);
    }
}

/// A conversation: the client sends its next message when it has an answer to the last one.
async fn converse(
    client: &crate::client::Client,
    metadata: MetadataMap,
) -> Result<Vec<String>, Status> {
    let (send, receive) = mpsc::channel(1);
    let say = |cents| Pay {
        account: String::new(),
        cents,
    };
    send.send(say(0)).await.unwrap();
    let said = stream::unfold(receive, async |mut receive: mpsc::Receiver<Pay>| {
        receive.recv().await.map(|said| (said, receive))
    });
    let mut call = Request::new(said);
    *call.metadata_mut() = metadata;
    let path = "/shop.Payments/Chat".parse().unwrap();
    let mut answers = client
        .grpc()
        .await
        .streaming(call, path, codec())
        .await?
        .into_inner();
    let mut heard = Vec::new();
    for cents in 1..4 {
        heard.extend(answers.message().await?.map(|answer| answer.receipt));
        let _ = send.send(say(cents)).await;
    }
    Ok(heard)
}

#[tokio::test]
async fn a_conversation_with_a_key_is_refused_in_time_and_one_without_is_passed_on() {
    let profile = Profile::grpc()
        .request_time(Some(Duration::from_millis(100)))
        .grpc_method("/shop.Payments/Chat", KeyRule::Optional);
    let shop = Shop::new();
    let client = shop.serve(layer(&memory()).profile(profile)).await;
    let (mut metadata, ..) = keyed("k", 0).into_parts();
    let status = converse(&client, metadata.clone()).await.unwrap_err();
    assert_eq!(problem(&status), (Code::InvalidArgument, "body-unreadable"));
    assert!(
        status
            .message()
            .contains("has to arrive whole, within 0.1 s"),
        "{status:?}"
    );
    assert_eq!(shop.runs(), 0);
    metadata.remove("idempotency-key");
    let heard = converse(&client, metadata).await.unwrap();
    assert_eq!(heard, ["run 1: 0", "run 1: 1", "run 1: 2"]);
}
