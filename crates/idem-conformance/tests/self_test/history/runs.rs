//! Histories of real runs: those of the reference store are explained, those of broken stores are
//! not.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use idem_conformance::{
    FaultStore, Harness, Odds,
    history::{Limit, RecordingStore, Register, Violation},
};
use idem_core::{
    Bytes, Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Record, State, Store, Version},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{sleep, timeout};

use crate::{
    broken::{Broken, Flaw},
    reference::ReferenceStore,
};

const CLIENTS: usize = 6;
const CALLS: usize = 60;
const PATIENCE: Duration = Duration::from_millis(20);
const HOUR: Duration = Duration::from_secs(3600);
/// Over by the time of most calls that come behind.
const A_MOMENT: Duration = Duration::from_millis(3);

const MODEL: Register = Register {
    slack: Duration::ZERO,
    resends: false,
};

/// Clients that call one key at random, each with what it last saw there.
async fn run(stores: Vec<RecordingStore<dyn Store>>, key: &RecordKey, seed: u64) {
    let clients = stores.into_iter().enumerate().map(|(client, store)| {
        let key = key.clone();
        tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed * 1000 + client as u64);
            let mut seen = None;
            for _ in 0..CALLS {
                let call = one_call(&store, &key, &mut seen, &mut rng);
                // Whoever waits too long gives up, and knows nothing.
                let _ = timeout(PATIENCE, call).await;
                sleep(Duration::from_millis(rng.random_range(0..5))).await;
            }
        })
    });
    for client in join_all(clients).await {
        client.expect("no client panics");
    }
}

async fn one_call(
    store: &RecordingStore<dyn Store>,
    key: &RecordKey,
    seen: &mut Option<Version>,
    rng: &mut StdRng,
) {
    let ttl = [HOUR, HOUR, A_MOMENT][rng.random_range(0..3)];
    let state = state(rng);
    let fresh = record(rng.random(), 1, state.clone());
    let next = |version: Version| record(*version.token.as_bytes(), version.revision + 1, state);
    match (rng.random_range(0..6), *seen) {
        (0, Some(version)) => {
            let _ = store.delete(key, version).await;
        }
        (1 | 2, Some(version)) => {
            let _ = store.update(key, version, &next(version), ttl).await;
        }
        (3, Some(version)) => {
            let mut taken = fresh;
            taken.version.revision = version.revision + 1;
            let _ = store.update(key, version, &taken, ttl).await;
        }
        (4, _) => {
            let _ = store.create(key, &fresh, ttl).await;
        }
        _ => {
            if let Ok(found) = store.get(key).await {
                *seen = found.map(|stored| stored.record.version);
            }
        }
    }
}

/// In flight, or ended with nothing to say.
fn state(rng: &mut StdRng) -> State {
    match rng.random_bool(0.8) {
        true => State::InFlight {
            lease: HOUR,
            checkpoint: None,
        },
        false => State::Completed {
            payload: Bytes::new(),
        },
    }
}

fn record(token: [u8; 16], revision: u64, state: State) -> Record {
    Record {
        fingerprint: Fingerprint::of("test/v1", b"request"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes(token),
            revision,
        },
        created_at: Timestamp::default(),
        state,
    }
}

fn key() -> RecordKey {
    Scope::global().key(&IdempotencyKey::random())
}

#[tokio::test(start_paused = true)]
async fn runs_of_the_reference_store_are_explained() {
    for seed in 0..20 {
        let store: Arc<dyn Store> = Arc::new(ReferenceStore::default());
        let recording = RecordingStore::over(store.clone());
        let handles = (0..CLIENTS).map(|n| recording.handle(n, store.clone()));
        run(handles.collect(), &key(), seed).await;
        let explained = recording.check(MODEL, Limit::default()).unwrap();
        assert_eq!(explained, CLIENTS * CALLS);
    }
}

/// Lost, late, slow and hanging calls; all but duplicates, which are two calls.
#[tokio::test(start_paused = true)]
async fn runs_under_faults_are_explained() {
    for seed in 0..6 {
        let store = FaultStore::new(ReferenceStore::default());
        let odds = Odds {
            duplicate: 0.0,
            ..Odds::even(0.5, Duration::from_millis(30))
        };
        store.at_random(odds, seed);
        let faulty: Arc<dyn Store> = Arc::new(store.clone());
        let recording = RecordingStore::over(faulty.clone());
        let handles = (0..CLIENTS).map(|n| recording.handle(n, faulty.clone()));
        run(handles.collect(), &key(), seed).await;
        assert!(store.struck().values().sum::<u64>() > 50);
        let explained = recording.check(MODEL, Limit::default()).unwrap();
        assert_eq!(explained, CLIENTS * CALLS);
    }
}

async fn expect_inexplicable(flaw: Flaw) {
    for seed in 0..50 {
        let broken = Broken::new(flaw);
        let recording = RecordingStore::over(broken.store().await);
        let mut handles = Vec::new();
        for client in 0..CLIENTS {
            handles.push(recording.handle(client, broken.store().await));
        }
        run(handles, &key(), seed).await;
        match recording.check(MODEL, Limit::default()) {
            Err((_, Violation::Inexplicable(_))) => return,
            Err((_, violation)) => panic!("{flaw:?}: {violation}"),
            Ok(_) => {}
        }
    }
    panic!("fifty runs of {flaw:?} are explained");
}

macro_rules! inexplicable {
    ($($test:ident: $flaw:ident;)+) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                expect_inexplicable(Flaw::$flaw).await;
            }
        )+
    };
}

inexplicable! {
    s1_check_then_insert_is_inexplicable: CheckThenInsert;
    s1_island_per_handle_is_inexplicable: IslandPerHandle;
    s1_create_overwrites_is_inexplicable: CreateOverwrites;
    s1_loser_told_itself_is_inexplicable: LoserToldItself;
    s2_unfenced_update_is_inexplicable: UnfencedUpdate;
    s2_unfenced_renew_is_inexplicable: UnfencedRenew;
    s2_check_then_update_is_inexplicable: CheckThenUpdate;
    s2_upsert_is_inexplicable: Upsert;
    s2_refused_told_absent_is_inexplicable: RefusedToldAbsent;
    s2_version_not_advanced_is_inexplicable: VersionNotAdvanced;
    s2_stale_replica_is_inexplicable: StaleReplica;
    s2_read_cache_is_inexplicable: ReadCache;
    s3_unfenced_delete_is_inexplicable: UnfencedDelete;
    s3_check_then_delete_is_inexplicable: CheckThenDelete;
    s3_delete_of_nothing_done_is_inexplicable: DeleteOfNothingDone;
    s3_tombstone_is_inexplicable: Tombstone;
    s5_expired_to_get_is_inexplicable: ExpiredToGet;
    s5_expired_stops_create_is_inexplicable: ExpiredStopsCreate;
    s5_expired_to_update_is_inexplicable: ExpiredToUpdate;
    s5_expired_to_delete_is_inexplicable: ExpiredToDelete;
    s5_ttl_in_seconds_is_inexplicable: TtlInSeconds;
    s5_update_keeps_ttl_is_inexplicable: UpdateKeepsTtl;
    s5_update_shortens_ttl_is_inexplicable: UpdateShortensTtl;
    s7_falsy_payload_lost_is_inexplicable: FalsyPayloadLost;
}
