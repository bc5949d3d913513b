//! Messages that nothing can be done with: a dead letter with a clear reason, nothing run.

use idem_consumer::{Consumer, KeyFrom, Message, Reason, Verdict};
use idem_core::{Policy, Scope};

use super::{never, world};

async fn reason(key: KeyFrom, message: Message) -> String {
    let (store, idem) = world(Policy::default());
    let scope = Scope::new("orders").unwrap();
    let consumer = Consumer::builder(idem, scope, key).build().unwrap();
    // A store call would fail loudly.
    store.on_every_call(idem_conformance::CallFault::Refuse);
    match consumer.handle(&message, never).await {
        Verdict::DeadLetter(reason @ Reason::Key(_)) => reason.to_header(),
        other => panic!("{other:?}"),
    }
}

async fn header(message: Message) -> String {
    reason(KeyFrom::header("Idempotency-Key"), message).await
}

async fn pointer(body: impl Into<bytes::Bytes>) -> String {
    reason(KeyFrom::pointer("/id").unwrap(), Message::new(body)).await
}

fn with(key: impl Into<bytes::Bytes>) -> Message {
    Message::new("x").with_header("idempotency-KEY", key)
}

#[tokio::test]
async fn a_message_without_exactly_one_key_in_its_header_is_a_dead_letter() {
    for (message, expected) in [
        (
            Message::new("x"),
            "there is no key in its header `Idempotency-Key`",
        ),
        (
            with("a").with_header("Idempotency-Key", "b"),
            "more than one key",
        ),
        (
            with("a").with_header("Idempotency-Key", "a"),
            "more than one key",
        ),
        (with(""), "it is empty"),
        (with("a\nb"), "control character"),
        (with(&b"\xff\xfe"[..]), "not valid UTF-8"),
        (with("k".repeat(300)), "it has 300 bytes; send at most 255"),
        (
            with("k".repeat(64 << 20)),
            "it has 67108864 bytes; send at most 255",
        ),
    ] {
        let reason = header(message).await;
        assert!(reason.contains(expected), "{reason}");
        assert!(reason.len() < 200, "{reason}");
    }
}

#[tokio::test]
async fn a_body_without_exactly_one_key_at_the_pointer_is_a_dead_letter() {
    let long = |len| format!(r#"{{"id":"{}"}}"#, "k".repeat(len));
    for (body, expected) in [
        ("id=1".to_owned(), "its body is not valid JSON"),
        (String::new(), "its body is not valid JSON"),
        (
            r#"{"other":1}"#.to_owned(),
            "there is no key in its `/id` of the body",
        ),
        (r#"{"id":"a","id":"b"}"#.to_owned(), "more than one key"),
        (r#"{"id":null}"#.to_owned(), "is null"),
        (r#"{"id":1.5}"#.to_owned(), "another number"),
        (long(300), "it has 300 bytes; send at most 255"),
        (long(64 << 20), "it has 67108864 bytes; send at most 255"),
        (
            format!(r#"{{"x":{},"id":1}}"#, "[".repeat(5000)),
            "not valid JSON",
        ),
    ] {
        let reason = pointer(body).await;
        assert!(reason.contains(expected), "{reason}");
        assert!(reason.len() < 200, "{reason}");
    }
}

#[tokio::test]
async fn a_message_without_a_broker_id_is_a_dead_letter_where_that_is_asked_for() {
    let reason = reason(KeyFrom::broker_id(), Message::new("x")).await;
    assert!(reason.contains("no key in its broker id"), "{reason}");
}
