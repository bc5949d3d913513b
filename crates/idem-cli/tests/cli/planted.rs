//! Records in every state.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use idem_core::{
    Bytes, Fingerprint, RecordKey, Timestamp,
    machine::NEVER,
    store::{ClaimToken, Created, Record, State, Store, Version},
};
use idem_http::StoredResponse;

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn record(state: State) -> Record {
    Record {
        fingerprint: Fingerprint::of("test", b"request"),
        attempt: 2,
        version: Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision: 3,
        },
        created_at: Timestamp::now(),
        state,
    }
}

pub(crate) async fn put(store: &dyn Store, key: &str, state: State, ttl: Duration) {
    let key = RecordKey::parse(key).unwrap();
    let created = store.create(&key, &record(state), ttl).await.unwrap();
    assert_eq!(created, Created::New);
}

pub(crate) fn http_answer() -> Bytes {
    StoredResponse::new(StatusCode::CREATED, &b"{\"name\":\"Ada\"}"[..])
        .header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )
        .encode()
}

/// In flight with its lease over.
pub(crate) fn lapsed() -> State {
    State::InFlight {
        lease: Duration::ZERO,
        checkpoint: None,
    }
}

/// A record in each state, and one whose key would turn the terminal around.
pub(crate) async fn every_state(store: &dyn Store) {
    let running = State::InFlight {
        lease: Duration::from_secs(3600),
        checkpoint: None,
    };
    let json = |text: &'static str| Bytes::from_static(text.as_bytes());
    put(store, "shop:running", running, DAY).await;
    put(store, "shop:abandoned", lapsed(), DAY).await;
    put(store, "shop:halted", lapsed(), NEVER).await;
    let payload = http_answer();
    put(store, "shop:paid", State::Completed { payload }, DAY).await;
    let payload = json("{\"id\":17}");
    put(
        store,
        "shop/refunds:typed",
        State::Completed { payload },
        DAY,
    )
    .await;
    let payload = json("{\"error\":\"declined\"}");
    put(
        store,
        "shop/refunds:declined",
        State::Failed { payload },
        DAY,
    )
    .await;
    let retryable = State::Retryable { checkpoint: None };
    put(store, "other:retryable", retryable, DAY).await;
    put(store, ":free", State::Released, DAY).await;
    let payload = json("1");
    put(
        store,
        "other:\u{202e}evil",
        State::Completed { payload },
        DAY,
    )
    .await;
}
