//! Records in every state.

use std::{sync::Arc, time::Duration};

use idem_core::{
    Fingerprint, RecordKey, Timestamp,
    machine::NEVER,
    store::{ClaimToken, Created, Record, State, Store, Version},
};
use idem_memory::MemoryStore;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A key that would run as a script, turn text around, or leave the page, if it could.
pub(crate) fn hostile() -> RecordKey {
    let key = format!(
        "<script>document.title='taken'</script>\u{202e}{}",
        "x".repeat(200)
    );
    RecordKey::from_parts("shop", &key).unwrap()
}

pub(crate) fn in_flight(lease: Duration) -> State {
    State::InFlight {
        lease,
        checkpoint: None,
    }
}

pub(crate) async fn put(store: &MemoryStore, key: &RecordKey, state: State, ttl: Duration) {
    let record = Record {
        fingerprint: Fingerprint::of("test", b"request"),
        attempt: 2,
        version: Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision: 3,
        },
        created_at: Timestamp::now(),
        state,
    };
    let created = store.create(key, &record, ttl).await.unwrap();
    assert_eq!(created, Created::New);
}

pub(crate) fn key(text: &str) -> RecordKey {
    RecordKey::parse(text).unwrap()
}

pub(crate) async fn every_state() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let answer = || idem_core::Bytes::from_static(br#"{"secret":"of a client"}"#);
    let lapsed = || in_flight(Duration::ZERO);
    put(&store, &key("shop:halted"), lapsed(), NEVER).await;
    put(&store, &hostile(), lapsed(), NEVER).await;
    put(&store, &key("shop:abandoned"), lapsed(), DAY).await;
    put(
        &store,
        &key("shop:running"),
        in_flight(Duration::from_secs(3600)),
        DAY,
    )
    .await;
    let retryable = State::Retryable { checkpoint: None };
    put(&store, &key("shop:retryable"), retryable, DAY).await;
    put(&store, &key("shop:released"), State::Released, DAY).await;
    let completed = State::Completed { payload: answer() };
    put(&store, &key("shop:completed"), completed, DAY).await;
    let failed = State::Failed { payload: answer() };
    put(&store, &key("shop:failed"), failed, DAY).await;
    store
}
