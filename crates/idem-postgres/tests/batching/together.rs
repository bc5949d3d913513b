//! Many calls in few statements.

use std::num::NonZeroUsize;

use idem_core::store::{Created, Store, StoreErrorKind, Updated};
use idem_postgres::PostgresConfig;

use crate::world::{LONG, World, all, claim, complete, completed, create, key, keys};

/// Requests of any kind that the server saw, as the proxy before it counts them.
fn requests(world: &World) -> u64 {
    world.proxy.counts().forwarded
}

#[tokio::test]
async fn a_hundred_calls_that_wait_for_each_other_are_few_statements() {
    let Some(world) = World::open().await else {
        return;
    };
    let calls: Vec<_> = keys(100);
    let creates = calls
        .iter()
        .map(|key| create(world.store.clone(), key.clone(), claim(1)));
    let before = requests(&world);
    let created = all(world.at_once(creates.collect()).await).await;
    assert!(
        created
            .iter()
            .all(|answer| matches!(answer, Ok(Created::New)))
    );

    let updates = calls
        .iter()
        .map(|key| complete(world.store.clone(), key.clone(), claim(1)));
    let updated = all(world.at_once(updates.collect()).await).await;
    assert!(
        updated
            .iter()
            .all(|answer| matches!(answer, Ok(Updated::Done)))
    );

    let store = &world.store;
    let gets = calls.iter().cloned().map(|key| {
        let store = store.clone();
        async move { store.get(&key).await.unwrap().unwrap().record }
    });
    let found = all(world.at_once(gets.collect()).await).await;
    assert!(
        found
            .iter()
            .all(|record| *record == completed(&claim(1), "answer"))
    );

    let deletes = calls.iter().cloned().map(|key| {
        let store = store.clone();
        async move {
            store
                .delete(&key, completed(&claim(1), "answer").version)
                .await
                .unwrap()
        }
    });
    let deleted = all(world.at_once(deletes.collect()).await).await;
    assert!(
        deleted
            .iter()
            .all(|answer| *answer == idem_core::store::Deleted::Done)
    );
    assert_eq!(world.number("SELECT count(*) FROM idem.records"), 0);
    // Four kinds; of each one statement alone in each lane and one for the rest, each prepared
    // once and asked for by a pool that looks at its connection first.
    assert!(
        requests(&world) - before < 60,
        "{}",
        requests(&world) - before
    );
}

#[tokio::test]
async fn a_batch_is_no_larger_than_it_may_be() {
    let ten = NonZeroUsize::new(10).unwrap();
    let Some(world) = World::with(PostgresConfig::default().batch_rows(ten)).await else {
        return;
    };
    let creates = keys(100)
        .into_iter()
        .map(|key| create(world.store.clone(), key, claim(1)));
    let created = all(world.at_once(creates.collect()).await).await;
    assert!(
        created
            .iter()
            .all(|answer| matches!(answer, Ok(Created::New)))
    );
    let xmins = world.number("SELECT count(DISTINCT xmin::text) FROM idem.records");
    assert!((10..100).contains(&xmins), "{xmins} transactions");
    let largest =
        "SELECT max(n) FROM (SELECT count(*) AS n FROM idem.records GROUP BY xmin::text) AS x";
    assert_eq!(world.number(largest), 10);
}

#[tokio::test]
async fn a_call_that_comes_alone_goes_out_at_once() {
    let Some(world) = World::open().await else {
        return;
    };
    for key in keys(3) {
        let created = create(world.store.clone(), key, claim(1)).await.unwrap();
        assert_eq!(created, Created::New);
    }
    assert_eq!(
        world.number("SELECT count(DISTINCT xmin::text) FROM idem.records"),
        3
    );
}

#[tokio::test]
async fn s1_of_fifty_creates_of_one_process_one_is_new_and_all_others_find_it() {
    let Some(world) = World::open().await else {
        return;
    };
    let key = key("hot");
    let creates = (0..50).map(|owner| create(world.store.clone(), key.clone(), claim(owner)));
    let before = requests(&world);
    let created = all(world.at_once(creates.collect()).await).await;
    let won: Vec<_> = (0..50)
        .filter(|n| created[*n].as_ref().unwrap() == &Created::New)
        .collect();
    let [winner] = won[..] else {
        panic!("S1: {won:?} are new");
    };
    for answer in &created {
        if let Ok(Created::Exists(found)) = answer {
            assert_eq!(found.record, claim(u8::try_from(winner).unwrap()));
            assert!(found.age.is_some());
        }
    }
    assert!(
        requests(&world) - before < 20,
        "one asks, the others listen"
    );
}

#[tokio::test]
async fn s9_one_bad_row_fails_its_own_caller() {
    let Some(world) = World::open().await else {
        return;
    };
    world
        .server
        .sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF NEW.key = 'key-0057' THEN RAISE 'not this one' USING ERRCODE = 'check_violation'; \
             END IF; RETURN NEW; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON idem.records \
             FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .unwrap();
    let creates = keys(100)
        .into_iter()
        .map(|key| create(world.store.clone(), key, claim(1)));
    let created = all(world.at_once(creates.collect()).await).await;
    for (n, answer) in created.iter().enumerate() {
        match answer {
            Err(error) if n == 57 => assert_eq!(error.kind(), StoreErrorKind::Config, "{error}"),
            answer => assert!(matches!(answer, Ok(Created::New)), "{n}: {answer:?}"),
        }
    }
    assert_eq!(world.number("SELECT count(*) FROM idem.records"), 99);
}

/// S9: what the server or this client says of the size is for good, and tried by nobody again.
#[tokio::test]
async fn s9_an_answer_that_is_too_large_for_the_store_is_told_so() {
    let Some(world) = World::open().await else {
        return;
    };
    world
        .server
        .sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF length(NEW.payload) > 1000 THEN \
             RAISE 'too large' USING ERRCODE = 'program_limit_exceeded'; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER refuse BEFORE UPDATE ON idem.records \
             FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .unwrap();
    create(world.store.clone(), key("k"), claim(1))
        .await
        .unwrap();
    // The second is more than the store sends at all.
    for len in [2_000, 250_000_001] {
        let mut large = completed(&claim(1), "");
        large.state = idem_core::store::State::Completed {
            payload: vec![0; len].into(),
        };
        let (held, expected) = (key("k"), claim(1).version);
        let update = world.store.update(&held, expected, &large, LONG);
        let error = update.await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::TooLarge, "{error}");
        assert!(!error.kind().is_transient());
    }
    let found = world.store.get(&key("k")).await.unwrap().unwrap();
    assert_eq!(found.record, claim(1), "and nothing was written");
}

#[tokio::test]
async fn s7_one_damaged_row_fails_its_own_reader() {
    let Some(world) = World::open().await else {
        return;
    };
    let keys = keys(100);
    for key in &keys {
        create(world.store.clone(), key.clone(), claim(1))
            .await
            .unwrap();
    }
    let damage = "UPDATE idem.records SET token = '' WHERE key = 'key-0057'";
    world.server.sql(damage).unwrap();
    let creates = keys
        .into_iter()
        .map(|key| create(world.store.clone(), key, claim(2)));
    let answers = all(world.at_once(creates.collect()).await).await;
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Err(error) if n == 57 => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}"),
            answer => assert!(matches!(answer, Ok(Created::Exists(_))), "{n}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn s10_callers_that_go_away_harm_nobody() {
    let Some(world) = World::open().await else {
        return;
    };
    world.server.pause();
    let creates = keys(100)
        .into_iter()
        .map(|key| create(world.store.clone(), key, claim(1)));
    let calls: Vec<_> = creates.map(tokio::spawn).collect();
    world.let_them_queue().await;
    let (gone, stay): (Vec<_>, Vec<_>) =
        calls.into_iter().enumerate().partition(|(n, _)| n % 3 == 0);
    gone.iter().for_each(|(_, call)| call.abort());
    world.server.resume();
    for (n, call) in stay {
        assert_eq!(call.await.unwrap().unwrap(), Created::New, "{n}");
    }
    // Each of the others is there whole or not at all, and its key is as usable as any.
    for key in keys(100) {
        let again = create(world.store.clone(), key, claim(1)).await.unwrap();
        if let Created::Exists(found) = again {
            assert_eq!(found.record, claim(1));
        }
    }
    assert_eq!(world.number("SELECT count(*) FROM idem.records"), 100);
}

#[tokio::test]
async fn s10_a_runtime_that_goes_down_with_its_calls_leaves_the_store_usable() {
    let Some(world) = World::open().await else {
        return;
    };
    world.server.pause();
    let store = world.store.clone();
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        for key in keys(100) {
            runtime.spawn(create(store.clone(), key, claim(1)));
        }
        runtime.block_on(async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        });
        runtime.shutdown_background();
    });
    other.join().unwrap();
    world.server.resume();
    for key in keys(100) {
        create(world.store.clone(), key, claim(1)).await.unwrap();
    }
    assert_eq!(world.number("SELECT count(*) FROM idem.records"), 100);
}

/// Calls that wait for a lane of another runtime go on in their own when that one goes down.
#[tokio::test]
async fn s10_a_call_that_waited_for_a_lane_of_a_runtime_that_went_down_is_sent() {
    let Some(world) = World::open().await else {
        return;
    };
    let other = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    world.server.pause();
    for key in keys(100) {
        other.spawn(create(world.store.clone(), key, claim(1)));
    }
    // The other runtime's thread has come to the end of what it can do without the server.
    let (done, idle) = tokio::sync::oneshot::channel();
    other.spawn(async move {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        done.send(()).unwrap();
    });
    idle.await.unwrap();
    let waits = tokio::spawn(create(world.store.clone(), key("late"), claim(2)));
    world.let_them_queue().await;
    tokio::task::spawn_blocking(move || drop(other))
        .await
        .unwrap();
    world.server.resume();
    assert_eq!(waits.await.unwrap().unwrap(), Created::New);
}
