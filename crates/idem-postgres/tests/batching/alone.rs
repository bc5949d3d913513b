//! Calls that come one by one: what their callers may do meanwhile, and what they leave behind.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use idem_core::store::{Created, Record, State, Store, Sweep, Updated};
use idem_postgres::PostgresStore;
use idem_testbed::Fault;
use sqlx::postgres::PgPoolOptions;

use crate::world::{LONG, World, all, claim, complete, completed, create, key, keys};

/// At every point at which a call waits: whoever has the only connection next finds it usable.
#[tokio::test]
async fn s10_a_caller_may_go_away_at_any_point_of_its_call() {
    let Some(world) = World::open().await else {
        return;
    };
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect(&world.server.url()).await.unwrap();
    let store = PostgresStore::new(pool);
    let mut kept = 0;
    for (looks, key) in keys(60).into_iter().enumerate() {
        let kept_it = {
            let mut call = pin!(create(store.clone(), key.clone(), claim(1)));
            let mut answered = false;
            for _ in 0..looks {
                if look(&mut call).await.is_ready() {
                    answered = true;
                    break;
                }
                tokio::task::yield_now().await;
            }
            answered
        };
        kept += usize::from(kept_it);
        match store.create(&key, &claim(2), LONG).await {
            Ok(Created::New) => assert!(!kept_it, "an answer was given for nothing"),
            Ok(Created::Exists(found)) => assert_eq!(found.record, claim(1)),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(
            world.number("SELECT count(*) FROM idem.records"),
            looks as u64 + 1
        );
    }
    assert!(kept < 60, "no call was ever dropped");
}

/// G1: two large answers that are long on their way hold up no other key: a renewal that waited behind
/// them would cost its holder the key.
#[tokio::test]
async fn g1_large_answers_on_their_way_hold_up_no_other_key() {
    let Some(world) = World::open().await else {
        return;
    };
    let (store, keys) = (&world.store, keys(3));
    for key in &keys {
        let created = create(store.clone(), key.clone(), claim(1)).await;
        assert_eq!(created.unwrap(), Created::New);
    }
    let hangs = Fault::HangRequest.always().larger_than(100_000);
    let on_its_way = world.proxy.arm(hangs);
    let large = Record {
        state: State::Completed {
            payload: vec![b'x'; 1 << 20].into(),
        },
        ..completed(&claim(1), "large")
    };
    let mut endings = Vec::new();
    for key in &keys[..2] {
        let (store, key, large) = (store.clone(), key.clone(), large.clone());
        let ending = async move { store.update(&key, claim(1).version, &large, LONG).await };
        endings.push(tokio::spawn(ending));
        while world.proxy.counts().hung_requests == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.let_them_queue().await;
    }
    let small = complete(store.clone(), keys[2].clone(), claim(1)).await;
    assert_eq!(small.unwrap(), Updated::Done);
    on_its_way.release();
    for ending in endings {
        assert_eq!(ending.await.unwrap().unwrap(), Updated::Done);
    }
}

/// G5: a renewal that overtook its own ending would have it refused, again with each attempt.
#[tokio::test]
async fn g5_nothing_overtakes_a_large_answer_of_the_same_key() {
    let Some(world) = World::open().await else {
        return;
    };
    let (store, key) = (&world.store, key("key-0000"));
    let created = create(store.clone(), key.clone(), claim(1)).await;
    assert_eq!(created.unwrap(), Created::New);
    let large = Record {
        state: State::Completed {
            payload: vec![b'x'; 1 << 20].into(),
        },
        ..completed(&claim(1), "large")
    };
    let hangs = Fault::HangRequest.always().larger_than(100_000);
    let on_its_way = world.proxy.arm(hangs);
    let ending = {
        let (store, key) = (store.clone(), key.clone());
        tokio::spawn(async move { store.update(&key, claim(1).version, &large, LONG).await })
    };
    while world.proxy.counts().hung_requests == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let small = tokio::spawn(complete(store.clone(), key, claim(1)));
    world.let_them_queue().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    on_its_way.release();
    assert_eq!(ending.await.unwrap().unwrap(), Updated::Done);
    assert!(matches!(
        small.await.unwrap().unwrap(),
        Updated::Conflict(_)
    ));
}

/// It may be one arm of a `select!` whose other arm takes long.
#[tokio::test]
async fn s10_a_caller_that_does_not_look_at_its_call_holds_up_nobody() {
    let Some(world) = World::open().await else {
        return;
    };
    let store = &world.store;
    let mut first = pin!(create(store.clone(), key("key-0000"), claim(1)));
    assert!(look(&mut first).await.is_pending());

    // Of the same key as well, which waits for the first one.
    let others = keys(10)
        .into_iter()
        .map(|key| create(store.clone(), key, claim(2)));
    let others: Vec<_> = others.map(tokio::spawn).collect();
    let others = all(others).await;
    let Ok(Created::Exists(found)) = &others[0] else {
        panic!("the first call came first: {:?}", others[0]);
    };
    assert_eq!(found.record, claim(1));
    assert!(
        others[1..]
            .iter()
            .all(|other| matches!(other, Ok(Created::New)))
    );
    assert!(matches!(
        look(&mut first).await,
        Poll::Ready(Ok(Created::New))
    ));
}

/// Whoever holds all connections of the application's pool holds up no call.
#[tokio::test]
async fn the_pool_of_the_application_is_left_alone() {
    let Some(world) = World::open().await else {
        return;
    };
    let pool = PgPoolOptions::new().max_connections(2);
    let pool = pool.connect(&world.server.url()).await.unwrap();
    let store = PostgresStore::new(pool.clone());
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    for key in keys(10) {
        let created = create(store.clone(), key, claim(1)).await.unwrap();
        assert_eq!(created, Created::New);
    }
    assert_eq!(store.sweep(1000).await.unwrap(), 0);
    drop(held);
}

/// Polls a call once.
async fn look<F: Future + Unpin>(call: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *call).poll(cx))).await
}
