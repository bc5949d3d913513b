//! S6: nothing goes before its ttl, and a store that is full says so.

use futures_util::future::join_all;
use idem_core::{
    RecordKey,
    store::{Created, Record, State, Store, StoreErrorKind, Updated},
};

use crate::{
    Harness, Verdict,
    call::{expect_record, handles, look, put, record_at, why},
    case::needs,
    sample::{self, Keys, LONG},
};

const AT_ONCE: usize = 128;

/// **S6.** Of tens of thousands of records of all states every one is still there after the last was
/// written: see [`Harness::records_to_keep`].
pub async fn s6_nothing_is_evicted(harness: &dyn Harness) -> Verdict {
    let (stores, keys) = (handles(harness).await, Keys::draw(harness));
    let written: Vec<_> = (0..harness.records_to_keep())
        .map(|n| (keys.random(), sample::record(any_state(n))))
        .collect();
    for (n, some) in written.chunks(AT_ONCE).enumerate() {
        let store = &stores[n % stores.len()];
        let puts = some.iter();
        join_all(puts.map(|(key, record)| put(&**store, key, record, LONG))).await;
    }
    expect_all(&*stores[0], &written).await;
    Ok(())
}

/// **S6.** A full store refuses a new record with `Full` and writes nothing of it; what was there
/// before is still there.
pub async fn s6_a_full_store_refuses_and_evicts_nothing(harness: &dyn Harness) -> Verdict {
    let fill = needs(harness.fill().await, "store that can be made full")?;
    let (store, keys) = (fill.store().await, Keys::draw(harness));
    let written: Vec<_> = (0..20)
        .map(|n| (keys.random(), sample::record(any_state(n))))
        .collect();
    for (key, record) in &written {
        put(&*store, key, record, LONG).await;
    }
    fill.fill().await;

    let (key, big) = (keys.random(), sample::record(big_answer()));
    match store.create(&key, &big, LONG).await {
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Full, "S6: {}", why(&error)),
        Ok(Created::New) => panic!("S6: a full store took a record"),
        Ok(Created::Exists(found)) => panic!("S1: nothing was there, but {found:?}"),
    }
    assert_eq!(
        look(&*store, &key).await,
        None,
        "S9: full means not applied"
    );
    expect_all(&*store, &written).await;
    Ok(())
}

/// **S6.** An update that does not fit any more is refused with `Full` and leaves the old record;
/// one that is taken is whole.
pub async fn s6_an_update_of_a_full_store_is_whole_or_refused(harness: &dyn Harness) -> Verdict {
    let fill = needs(harness.fill().await, "store that can be made full")?;
    let (store, key) = (fill.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    fill.fill().await;
    let big = sample::next(&claim, big_answer());
    match store.update(&key, claim.version, &big, LONG).await {
        Ok(Updated::Done) => expect_record(&*store, &key, &big, "S6: done is done").await,
        Ok(Updated::Conflict(found)) => panic!("S2: its version was there, but {found:?}"),
        Err(error) => {
            assert_eq!(error.kind(), StoreErrorKind::Full, "S6: {}", why(&error));
            expect_record(&*store, &key, &claim, "S9: full means not applied").await;
        }
    }
    Ok(())
}

fn big_answer() -> State {
    State::Completed {
        payload: vec![b'x'; 64 << 10].into(),
    }
}

fn any_state(n: usize) -> State {
    match n % 4 {
        0 => sample::claim().state,
        1 => State::Retryable { checkpoint: None },
        2 => State::Completed {
            payload: vec![b'x'; 64].into(),
        },
        _ => State::Failed {
            payload: vec![b'x'; 64].into(),
        },
    }
}

async fn expect_all(store: &dyn Store, written: &[(RecordKey, Record)]) {
    let mut there = 0;
    for some in written.chunks(AT_ONCE) {
        let found = join_all(some.iter().map(|(key, _)| record_at(store, key))).await;
        let same = |(found, (_, record)): &(Option<Record>, &(RecordKey, Record))| {
            found.as_ref() == Some(record)
        };
        there += found.into_iter().zip(some).filter(same).count();
    }
    assert_eq!(there, written.len(), "S6: nothing goes before its ttl");
}
